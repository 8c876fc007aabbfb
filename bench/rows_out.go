//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"causeway/internal/segment/segmenttest"
)

// The load of impressions in the rows outgoing and down.
const (
	impressionsPerSecond = 1000
	impressionsInBulk    = 10
)

// fakeSegment is the strict fake on a loopback port that can be closed and
// opened again.
type fakeSegment struct {
	*segmenttest.Fake
	address string
	server  *http.Server
}

func startFake() (*fakeSegment, error) {
	f := &fakeSegment{Fake: segmenttest.New(segmenttest.Options{}), address: "127.0.0.1:0"}
	return f, f.up()
}

// up opens the port. Down is as if nobody was there: connections are refused.
func (f *fakeSegment) up() error {
	listener, err := net.Listen("tcp", f.address)
	if err != nil {
		return fmt.Errorf("open the fake Segment: %w", err)
	}
	f.address = listener.Addr().String()
	f.server = &http.Server{Handler: f.Fake, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = f.server.Serve(listener) }() // ends with down
	return nil
}

func (f *fakeSegment) down() error { return f.server.Close() }

// impressionTimes remembers when each bulk was accepted.
type impressionTimes struct {
	accepted map[uint64]time.Time // by the number of a bulk's first impression
}

func (t *impressionTimes) answered(first uint64, status int, at time.Time) {
	if status/100 == 2 {
		t.accepted[first] = at
	}
}

// arrivals is how long impressions took to Segment, and how many of those that
// were accepted are not there or twice.
func (t *impressionTimes) arrivals(calls []segmenttest.Call) (h histogram, missing int, err error) {
	seen := map[uint64]bool{}
	for _, call := range calls {
		var c struct{ UserID string }
		if err := json.Unmarshal(call.JSON, &c); err != nil {
			return h, 0, err
		}
		n, err := number(c.UserID)
		if err != nil {
			return h, 0, err
		}
		seen[n] = true
		if at, ok := t.accepted[n-n%impressionsInBulk]; ok {
			h.add(call.At.Sub(at))
		}
	}
	for first := range t.accepted {
		for n := first; n < first+impressionsInBulk; n++ {
			if !seen[n] {
				missing++
			}
		}
	}
	return h, missing, nil
}

func (t *impressionTimes) load(s *server, duration time.Duration, first uint64) load {
	return load{
		address: s.address, request: newTemplate(s.address.String(), splitBulk(sdkKey), impressionsInBulk), connections: 8,
		rate: impressionsPerSecond / impressionsInBulk, duration: duration, first: first, answered: t.answered,
	}
}

// outgoing sends impressions and measures when Segment has them.
func (b *bench) outgoing() (err error) {
	fake, err := startFake()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fake.down()) }()
	s, err := b.serve("http://" + fake.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	times := &impressionTimes{accepted: map[uint64]time.Time{}}
	o, err := times.load(s, b.duration, 0).run(b.ctx)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	arrived := fake.Wait(waiting, len(times.accepted)*impressionsInBulk)
	h, missing, err := times.arrivals(fake.Calls())
	if err != nil {
		return err
	}
	totals := fake.Totals()
	note := fmt.Sprintf("%d impressions at %d/s, at Segment %d missing, %d repeated", len(times.accepted)*impressionsInBulk, impressionsPerSecond, missing, totals.Repeats)
	if totals.Violations > 0 {
		note += fmt.Sprintf(", %d objections, the first: %s", totals.Violations, fake.Violations()[0])
	}
	b.figure("outgoing", "accepted to received by Segment, p50", milliseconds(h.quantile(0.5)), "ms", under(1200), o.trouble())
	b.figure("outgoing", "accepted to received by Segment, p99", milliseconds(h.quantile(0.99)), "ms", under(2500), note)
	return arrived
}

// down compares the door's latency while Segment is there and while it is not,
// under one and the same load, and then waits until Segment has everything.
func (b *bench) down() (err error) {
	fake, err := startFake()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fake.down()) }()
	s, err := b.serve("http://" + fake.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	times := &impressionTimes{accepted: map[uint64]time.Time{}}
	d := &doubleLoad{server: s, times: times}
	healthyFor := min(b.options.down, max(b.duration, 15*time.Second))
	if _, err := d.run(b.ctx, 2*time.Second); err != nil { // connections, caches
		return err
	}
	healthy, err := d.run(b.ctx, healthyFor)
	if err != nil {
		return err
	}
	if err := fake.down(); err != nil {
		return err
	}
	ill, err := d.run(b.ctx, b.options.down)
	if err != nil {
		return err
	}
	if err := fake.up(); err != nil {
		return err
	}
	back := time.Now()
	waiting, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	if err := fake.Wait(waiting, len(times.accepted)*impressionsInBulk); err != nil && waiting.Err() == nil {
		return err
	}
	_, missing, err := times.arrivals(fake.Calls())
	if err != nil {
		return err
	}
	h, i := healthy.quantile(0.99), ill.quantile(0.99)
	note := fmt.Sprintf("p99 %s down for %s, %s healthy", amount(milliseconds(i), "ms"), b.options.down, amount(milliseconds(h), "ms"))
	b.figure("down", "ingest p99, Segment down against healthy", float64(i)/float64(h), "times", atMost(1.2), note)
	note = fmt.Sprintf("of %s, %s after Segment came back", amount(float64(len(times.accepted)*impressionsInBulk), ""), time.Since(back).Round(time.Second))
	b.figure("down", "accepted impressions not at Segment", float64(missing), "", atMost(0), note)
	return nil
}

// doubleLoad is calls and impressions side by side, at rates that leave the
// machine time to breathe: what is compared is waiting, not overload.
type doubleLoad struct {
	server *server
	times  *impressionTimes
	next   [2]uint64
}

func (d *doubleLoad) run(ctx context.Context, duration time.Duration) (*histogram, error) {
	singles := load{
		address: d.server.address, request: newTemplate(d.server.address.String(), segmentSingle(destinationKey), 1),
		connections: 16, rate: 3000, duration: duration, first: d.next[0],
	}
	impressions := d.times.load(d.server, duration, d.next[1])
	var outcomes [2]outcome
	var errs [2]error
	var loads sync.WaitGroup
	for i, l := range []load{singles, impressions} {
		loads.Go(func() { outcomes[i], errs[i] = l.run(ctx) })
	}
	loads.Wait()
	if err := errors.Join(errs[0], errs[1]); err != nil {
		return nil, err
	}
	all := new(histogram)
	for i := range outcomes {
		all.merge(&outcomes[i].latency)
		d.next[i] = outcomes[i].next
		if text := outcomes[i].trouble(); text != "" {
			return nil, errors.New(text)
		}
	}
	return all, nil
}
