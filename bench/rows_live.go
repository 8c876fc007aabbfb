//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The load beside the probes of the row visible: little enough that the live
// view, which leaves out what comes in bursts, shows every probe.
const (
	beside        = 1000 // calls a second
	besideBatch   = 10
	probeEvery    = 25 * time.Millisecond
	lookEvery     = 50 * time.Millisecond
	settle        = 5 * time.Second // how long the last probe may take
	probesPerLook = 500
)

// probes remembers when calls were accepted and when they were first seen.
type probes struct {
	mu       sync.Mutex
	accepted map[string]time.Time
	tail     map[string]time.Time
	queries  map[string]time.Time
}

func (p *probes) saw(where map[string]time.Time, id string, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := where[id]; !known {
		where[id] = at
	}
}

// visible sends a call now and then beside a small load and looks for it in
// the live view and in the list of events.
func (b *bench) visible() (err error) {
	s, err := b.serve("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	p := &probes{accepted: map[string]time.Time{}, tail: map[string]time.Time{}, queries: map[string]time.Time{}}
	watching := make(chan error, 1)
	var watchers sync.WaitGroup
	watchers.Go(func() { s.watch(ctx, p, watching) })
	if err := <-watching; err != nil {
		return err
	}
	var looked error
	watchers.Go(func() { looked = s.look(ctx, p) })
	loaded := make(chan error, 1)
	go func() {
		_, err := load{
			address: s.address, request: newTemplate(s.address.String(), segmentBatch(destinationKey), besideBatch),
			connections: 4, rate: beside / besideBatch, duration: b.duration,
		}.run(ctx)
		loaded <- err
	}()
	probed := s.probe(ctx, p, b.duration)
	probed = errors.Join(probed, <-loaded)
	for end := time.Now().Add(settle); time.Now().Before(end) && !p.all(); {
		time.Sleep(lookEvery)
	}
	cancel()
	watchers.Wait()
	if err := errors.Join(probed, looked, b.ctx.Err()); err != nil {
		return err
	}
	for _, place := range []struct {
		name string
		seen map[string]time.Time
	}{{"live tail", p.tail}, {"queries", p.queries}} {
		latency, unseen := p.latency(place.seen)
		note := fmt.Sprintf("p50 %s, %d calls beside %d/s", amount(milliseconds(latency.quantile(0.5)), "ms"), len(p.accepted), beside)
		if unseen > 0 {
			note += fmt.Sprintf("; %d not seen and counted as %s", unseen, settle)
		}
		b.figure("visible", "accepted to seen in "+place.name+", p99", milliseconds(latency.quantile(0.99)), "ms", under(1000), note)
	}
	return nil
}

func (p *probes) all() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tail) >= len(p.accepted) && len(p.queries) >= len(p.accepted)
}

func (p *probes) latency(seen map[string]time.Time) (h histogram, unseen int) {
	for id, accepted := range p.accepted {
		at, ok := seen[id]
		if !ok {
			unseen++
			h.add(settle)
			continue
		}
		h.add(at.Sub(accepted))
	}
	return h, unseen
}

// probe sends one call at each interval.
func (s *server) probe(ctx context.Context, p *probes, duration time.Duration) error {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for n, end := 0, time.Now().Add(duration); time.Now().Before(end); n++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		id := fmt.Sprintf("probe-%d", n)
		body := fmt.Sprintf(`{"writeKey":%q,"messageId":%q,"userId":"prober","event":"Probe"}`, destinationKey, id)
		response, err := http.Post("http://"+s.address.String()+"/v1/track", "application/json", strings.NewReader(body))
		if err != nil {
			return fmt.Errorf("send a probe: %w", err)
		}
		_, _ = io.Copy(io.Discard, response.Body) // so that the connection is used again
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("a probe was answered %s", response.Status)
		}
		p.saw(p.accepted, id, time.Now())
	}
	return nil
}

// watch reads the live view until the context ends; it says on ready when it
// has begun.
func (s *server) watch(ctx context.Context, p *probes, ready chan<- error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address.String()+"/admin/v1/tail?kind=call&detail=true&q=Probe", nil)
	if err != nil {
		ready <- err
		return
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request)
	if err == nil && response.StatusCode != http.StatusOK {
		response.Body.Close()
		err = fmt.Errorf("the live view answers %s", response.Status)
	}
	ready <- err
	if err != nil {
		return
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, found := strings.CutPrefix(lines.Text(), "data: ")
		if !found {
			continue
		}
		at := time.Now()
		var item struct{ Detail struct{ MessageID string } }
		if json.Unmarshal([]byte(text), &item) == nil && item.Detail.MessageID != "" {
			p.saw(p.tail, item.Detail.MessageID, at)
		}
	}
}

// look asks for the newest probes again and again until the context ends.
func (s *server) look(ctx context.Context, p *probes) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		var page struct{ Items []struct{ ForeignID string } }
		err := s.get(ctx, fmt.Sprintf("%s/events?eventType=Probe&limit=%d", environment, probesPerLook), &page)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		at := time.Now()
		for _, item := range page.Items {
			p.saw(p.queries, item.ForeignID, at)
		}
	}
}
