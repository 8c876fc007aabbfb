package deliver

import (
	"context"
	"errors"
	"testing"

	"causeway/internal/segment/segmenttest"
	"causeway/internal/stream"
)

// TestWhateverStepFailsSegmentGetsEachCallOnce is the part of the failure table
// of ARCHITECTURE.md that this room has: sending and acknowledging fail before
// and after they happened; then the real files are closed and opened again, and
// the fake Segment counts.
func TestWhateverStepFailsSegmentGetsEachCallOnce(t *testing.T) {
	const n = 40
	for _, step := range []struct {
		name string
		send *segmenttest.Answer                     // what Segment does with the first requests
		ack  func(func(context.Context) error) error // what becomes of acknowledgements
		want func(repeats int) bool
	}{
		{
			name: "send to Segment: it did not happen",
			send: &segmenttest.Answer{Reset: true},
			want: func(repeats int) bool { return repeats == 0 },
		}, {
			name: "send to Segment: it happened, we were not told",
			send: &segmenttest.Answer{Reset: true, Keep: true},
			want: func(repeats int) bool { return repeats > 0 },
		}, {
			name: "acknowledge a parcel: it did not happen",
			ack:  func(func(context.Context) error) error { return errors.New("injected fault") },
			want: func(repeats int) bool { return repeats == n },
		}, {
			name: "acknowledge a parcel: it happened, we were not told",
			ack: func(ack func(context.Context) error) error {
				return errors.Join(ack(context.Background()), errors.New("injected fault"))
			},
			want: func(repeats int) bool { return repeats == 0 },
		},
	} {
		t.Run(step.name, func(t *testing.T) {
			r := newRoom(t)
			r.fake.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
				if step.send == nil {
					return segmenttest.Answer{}, false
				}
				return *step.send, true
			})
			r.configure("prod fake wk")
			r.publish("prod", 0, n)
			if step.send != nil {
				r.start()
				r.eventually("three requests", func() bool { return len(r.fake.Requests()) >= 3 })
			} else {
				r.deliverWith(n, step.ack)
			}
			r.close()

			r.fake.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) { return segmenttest.Answer{}, false })
			r.open()
			r.start()
			r.arrived(n)
			r.nothingWaits("prod")
			total := r.fake.Totals()
			if total.Calls != n || !step.want(total.Repeats) {
				t.Errorf("%d calls arrived, and %d repeats of them", total.Calls, total.Repeats)
			}
			if letters := r.letters(); len(letters) > 0 {
				t.Errorf("%d calls were set aside", len(letters))
			}
			r.faultless()
		})
	}
}

// deliverWith delivers so many calls with a worker whose acknowledgements go
// through ack, and ends it.
func (r *room) deliverWith(calls int, ack func(func(context.Context) error) error) {
	r.t.Helper()
	o := r.options
	o.Catalog, o.Streams, o.Store, o.Version = r.catalog, r.streams, r.store, "test"
	d, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := d.newWorker("prod", targets(r.catalog.Snapshot())["prod"], stream.DeliveryState{})
	in := newFeed("prod", r.streams, d.metrics.oldest.WithLabelValues("prod"), d.log)
	stop := in.start(ctx)
	through := make(chan incoming)
	acknowledged := make(chan struct{}, calls)
	go func() {
		for {
			select {
			case p := <-in.parcels:
				inner := p.ack
				p.ack = func(context.Context) error {
					defer func() { acknowledged <- struct{}{} }()
					return ack(inner)
				}
				through <- p
			case <-ctx.Done():
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx, through)
	}()
	r.arrived(calls)
	for range calls / 10 { // ten calls to a parcel, see publish
		<-acknowledged
	}
	cancel()
	<-ended
	stop()
}
