package duckdb_test

import (
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
	"causeway/internal/store/duckdb"
)

// The limit is far below what the tables of the analysis take: it goes to the
// disk, and what comes in meanwhile is written.
func TestAnAnalysisKeepsToTheMemoryLimitAndWritesGoOn(t *testing.T) {
	s, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(t.TempDir(), "causeway.duckdb"), MemoryLimit: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	const keys, perBatch = 300_000, 20_000
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	position := map[string]uint64{}
	write := func(b *store.Batch) {
		t.Helper()
		b.From = position[b.Consumer]
		b.To = b.From + 1
		position[b.Consumer]++
		if _, err := s.Write(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
	}
	key := func(i int) string { return fmt.Sprintf("a key as long as a UUID is, %08d", i) }
	event := func(i int) fme.Event {
		value := float64(i % 10)
		return fme.Event{Environment: "shop/production", TrafficType: "user", Key: key(i), EventType: "buy", Value: &value, Time: start.Add(time.Hour), ReceivedAt: start}
	}
	for at := 0; at < keys; at += perBatch {
		impressions, events := &store.Batch{Consumer: "impressions"}, &store.Batch{Consumer: "calls"}
		for i := at; i < at+perBatch; i++ {
			impressions.Impressions = append(impressions.Impressions, fme.Impression{ID: fme.NewID(key(i)), Environment: "shop/production", Flag: "button", Key: key(i),
				Treatment: []string{"on", "off"}[i%2], Label: "rule", Time: start, TrafficType: "user", ReceivedAt: start})
			events.Events = append(events.Events, event(i))
		}
		write(impressions)
		write(events)
	}
	e := store.Exposure{Environment: "shop/production", TrafficType: "user", Flag: "button", From: start, To: start.Add(24 * time.Hour), Buffer: 15 * time.Minute, Treatments: []string{"off", "on"}}
	q := store.MetricQuery{Kind: store.MetricSum, Event: store.EventMatch{EventType: "buy"}, Value: "value"}
	var analyses sync.WaitGroup
	var results []store.MetricResult
	analyses.Go(func() {
		if results, err = s.Analyze(t.Context(), e, []store.MetricQuery{q}); err != nil {
			t.Errorf("analyze: %v", err)
		}
	})
	for i := range 10 {
		write(&store.Batch{Consumer: "calls", Events: []fme.Event{event(keys + i)}}) // of keys that saw nothing
	}
	analyses.Wait()
	if t.Failed() {
		return
	}
	off, on := results[0].Arms[0], results[0].Arms[1]
	if off.N != keys/2 || on.N != keys/2 || off.Sum != 5*keys/2 || on.Sum != 4*keys/2 || math.Abs(off.M2-8*keys/2) > 1e-3 {
		t.Errorf("off %+v, on %+v", off, on)
	}
}
