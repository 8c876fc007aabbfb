package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/pipeline"
	"causeway/internal/store"
	"causeway/internal/stream"
)

var errInjected = errors.New("injected fault")

// fault makes one step fail some times, either before it happened or after.
type fault struct {
	left     atomic.Int32
	happened bool // the step is done, and its doer is told that it was not
}

func (f *fault) inject(step func() error) error {
	if f == nil || f.left.Add(-1) < 0 {
		return step()
	}
	if f.happened {
		if err := step(); err != nil {
			return err
		}
	}
	return errInjected
}

// faultyStreams fails what its faults say.
type faultyStreams struct {
	*stream.Streams
	appending, publish, lastOrigin, read *fault
}

func (f *faultyStreams) Append(ctx context.Context, name stream.Name, r stream.Record) error {
	return f.appending.inject(func() error { return f.Streams.Append(ctx, name, r) })
}

func (f *faultyStreams) PublishOutbound(ctx context.Context, source string, origin uint64, calls []json.RawMessage) error {
	return f.publish.inject(func() error { return f.Streams.PublishOutbound(ctx, source, origin, calls) })
}

func (f *faultyStreams) LastOrigin(ctx context.Context, source string) (origin uint64, err error) {
	err = f.lastOrigin.inject(func() (err error) {
		origin, err = f.Streams.LastOrigin(ctx, source)
		return err
	})
	return origin, err
}

func (f *faultyStreams) Read(ctx context.Context, name stream.Name, after uint64) (reader *stream.Reader, err error) {
	err = f.read.inject(func() (err error) {
		reader, err = f.Streams.Read(ctx, name, after)
		return err
	})
	return reader, err
}

// faultyStore fails what its faults say.
type faultyStore struct {
	pipeline.Store
	position, write, commit *fault
}

func (f *faultyStore) Position(ctx context.Context, consumer string) (position uint64, err error) {
	err = f.position.inject(func() (err error) {
		position, err = f.Store.Position(ctx, consumer)
		return err
	})
	return position, err
}

func (f *faultyStore) Write(ctx context.Context, batch *store.Batch, before func(store.Written) error) (written store.Written, err error) {
	err = f.write.inject(func() (err error) {
		written, err = f.Store.Write(ctx, batch, func(w store.Written) error {
			if before != nil {
				if err := before(w); err != nil {
					return err
				}
			}
			// A failure here is one between "published" and "committed".
			return f.commit.inject(func() error { return nil })
		})
		return err
	})
	return written, err
}

// TestWhateverStepFailsNothingIsLostAndNothingDoubled is the failure table of
// ARCHITECTURE.md: each step fails before and after it happened; then the real
// files are closed, opened again, and everything is counted.
func TestWhateverStepFailsNothingIsLostAndNothingDoubled(t *testing.T) {
	const n = 40
	steps := []struct {
		name  string
		wire  func(*faultyStreams, *faultyStore, *fault)
		after bool // whether the step can also happen without our knowing
	}{
		{"append a frame", func(s *faultyStreams, _ *faultyStore, f *fault) { s.appending = f }, true},
		{"read the position", func(_ *faultyStreams, s *faultyStore, f *fault) { s.position = f }, false},
		{"read the stream", func(s *faultyStreams, _ *faultyStore, f *fault) { s.read = f }, false},
		{"read what was published", func(s *faultyStreams, _ *faultyStore, f *fault) { s.lastOrigin = f }, false},
		{"publish outgoing calls", func(s *faultyStreams, _ *faultyStore, f *fault) { s.publish = f }, true},
		{"publish, then a crash before the commit", func(_ *faultyStreams, s *faultyStore, f *fault) { s.commit = f }, false},
		{"commit to the store", func(_ *faultyStreams, s *faultyStore, f *fault) { s.write = f }, true},
	}
	for _, step := range steps {
		for _, happened := range []bool{false, true} {
			if happened && !step.after {
				continue
			}
			name := step.name + ": it did not happen"
			if happened {
				name = step.name + ": it happened, we were not told"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				streams, faulty, f := &faultyStreams{Streams: r.streams}, &faultyStore{Store: r.store}, &fault{happened: happened}
				f.left.Store(1) // a step that happened is not taken again
				if !happened {
					f.left.Store(3)
				}
				step.wire(streams, faulty, f)
				r.options.Streams, r.options.Store = streams, faulty
				r.start()
				send := func(name stream.Name, record stream.Record) {
					for streams.Append(t.Context(), name, record) != nil { // 503: the client sends again
					}
				}
				for i := range n {
					send(stream.Calls, track(fmt.Sprintf("m%d", i), fmt.Sprintf("u%d", i)))
					send(stream.Impressions, impression("button", fmt.Sprintf("u%d", i), int64(1767225600000+i)))
				}
				r.settle()
				r.options.Streams, r.options.Store = nil, nil
				r.reopen()
				r.start()
				r.settle()
				if left := f.left.Load(); left > 0 {
					t.Fatalf("the fault was not used up: %d left", left)
				}
				if got := len(r.events(store.EventQuery{})); got != n {
					t.Errorf("%d events, want %d", got, n)
				}
				if got := len(r.impressions()); got != n {
					t.Errorf("%d impressions, want %d", got, n)
				}
				sent := r.outgoing("impressions")
				if len(sent) != n {
					t.Errorf("%d calls go out, want %d", len(sent), n)
				}
				for id, count := range sent {
					if count != 1 {
						t.Errorf("%s goes out %d times", id, count)
					}
				}
			})
		}
	}
}

func TestAClientThatWasNotToldSendsAgainAndOneRowStands(t *testing.T) {
	r := newRig(t)
	r.start()
	for range 3 { // the answer was lost, so the same call comes again
		r.append(stream.Calls, track("m1", "u1"))
		r.append(stream.Impressions, impression("button", "u1", 1767225600000))
		r.settle() // also across batches
	}
	if got := len(r.events(store.EventQuery{})); got != 1 {
		t.Errorf("%d events, want 1", got)
	}
	if got := len(r.impressions()); got != 1 {
		t.Errorf("%d impressions, want 1", got)
	}
	if got := len(r.outgoing("impressions")); got != 1 {
		t.Errorf("%d calls go out, want 1", got)
	}
	outcomes := map[string]int{}
	for _, c := range r.calls(store.CallQuery{MessageID: "m1"}) {
		outcomes[string(c.Outcome)]++
	}
	if outcomes["stored"] != 1 || outcomes["duplicate"] != 2 {
		t.Errorf("outcomes %v, want one stored and two duplicates", outcomes)
	}
}

func TestAStoreThatFailsForLongIsSaidToBeStalled(t *testing.T) {
	r := newRig(t)
	f := &fault{}
	f.left.Store(1 << 20)
	r.options.Store = &faultyStore{Store: r.store, write: f}
	r.options.StallAfter = 50 * time.Millisecond
	p := r.start()
	if err := p.Stalled(); err != nil {
		t.Errorf("nothing happened yet, but: %v", err)
	}
	r.append(stream.Calls, track("m1", "u1"))
	for end := time.Now().Add(10 * time.Second); p.Stalled() == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the consumer fails all the time, yet nothing is stalled")
		}
	}
	f.left.Store(0)
	r.settle()
	for end := time.Now().Add(10 * time.Second); p.Stalled() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("all is stored, yet: %v", p.Stalled())
		}
	}
}

// slowStore takes its time.
type slowStore struct {
	pipeline.Store
	hold chan struct{} // closed: it hurries
}

func (s *slowStore) Write(ctx context.Context, batch *store.Batch, before func(store.Written) error) (store.Written, error) {
	select {
	case <-s.hold:
	case <-ctx.Done():
		return store.Written{}, ctx.Err()
	}
	return s.Store.Write(ctx, batch, before)
}

// becomes waits until Stalled says the text; "": nothing.
func becomes(t *testing.T, p *pipeline.Pipeline, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := p.Stalled()
		if text == "" && err == nil || text != "" && err != nil && strings.Contains(err.Error(), text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("stalled says %v, want %q", err, text)
		}
	}
}

func TestAStoreThatHangsStopsNoAppendAndIsSaidToBeStalled(t *testing.T) {
	r := newRig(t)
	slow := &slowStore{Store: r.store, hold: make(chan struct{})}
	r.options.Store, r.options.StallAfter = slow, 100*time.Millisecond
	p := r.start()
	const n = 200
	for i := range n {
		r.append(stream.Calls, track(fmt.Sprintf("m%d", i), "u1"))
	}
	becomes(t, p, "has not answered yet")
	close(slow.hold)
	r.settle()
	becomes(t, p, "")
	if got := len(r.events(store.EventQuery{})); got != n {
		t.Errorf("%d events, want %d", got, n)
	}
}

func TestAStreamThatIsBehindTheStoreIsNotReadPastFramesThatNobodyStored(t *testing.T) {
	r := newRig(t)
	r.start()
	for i := range 5 {
		r.append(stream.Calls, track(fmt.Sprintf("m%d", i), "u1"))
	}
	r.settle()
	r.close()
	if err := os.RemoveAll(filepath.Join(r.folder, "streams")); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.apply(configuration)
	p := r.start()
	becomes(t, p, "not of the same time")
	for i := range 8 { // beyond the position
		r.append(stream.Calls, track(fmt.Sprintf("n%d", i), "u1"))
	}
	time.Sleep(200 * time.Millisecond)
	if got := len(r.events(store.EventQuery{})); got != 5 {
		t.Errorf("%d events: frames were skipped in silence", got)
	}
	becomes(t, p, "beyond the end of the stream")
}

func TestFramesThatAreGoneAreSaidAtOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	r.append(stream.Calls, track("m0", "u1"))
	r.settle()
	r.halt()
	// As if the store came from a backup: what it needs next was trimmed.
	r.options.Streams = &trimmed{r.streams}
	p := r.start()
	becomes(t, p, "no longer there")
	becomes(t, p, "docs/operating.md")
}

// trimmed are streams whose frames before the fifth are gone.
type trimmed struct{ *stream.Streams }

func (s *trimmed) Read(_ context.Context, name stream.Name, after uint64) (*stream.Reader, error) {
	return nil, &stream.GapError{Stream: name, After: after, Next: 5}
}

// fullStreams says that an outbound stream is full as often as its fault says.
type fullStreams struct {
	*stream.Streams
	fault *fault
}

func (f *fullStreams) PublishOutbound(ctx context.Context, source string, origin uint64, calls []json.RawMessage) error {
	err := f.fault.inject(func() error { return f.Streams.PublishOutbound(ctx, source, origin, calls) })
	if errors.Is(err, errInjected) {
		return fmt.Errorf("%s: %w", source, stream.ErrFull)
	}
	return err
}
