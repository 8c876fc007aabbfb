//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
	"causeway/internal/store/duckdb"
)

// The experiment of the row query: three arms, 28 days, two impressions and a
// half for each key, eight types of events, of which a third of the keys that
// do them never saw the flag.
const (
	queryFlag  = "checkout_button"
	queryTypes = 8
	queryDays  = 28
	queryBatch = 50_000
	// fullEvents is what the target speaks of, with a quarter as many impressions.
	fullEvents = 20_000_000
	asked      = 5 // times, of which the median counts
)

var (
	queryEnvironment = fme.NewEnvironmentID("shop", "production")
	queryArms        = []string{"off", "small", "large"}
	queryStart       = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
)

// history makes the rows of the row query, the same each time.
type history struct{ impressions, events int }

func (h history) keys() uint64 { return uint64(h.impressions) * 2 / 5 }

// scattered is a number that tells nothing of n (splitmix64).
func scattered(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func keyName(n uint64) string { return fmt.Sprintf("user-%08d", n) }

func timeOf(i, n int) time.Time {
	return queryStart.Add(time.Duration(float64(i) / float64(n) * queryDays * 24 * float64(time.Hour))).Truncate(time.Millisecond)
}

func (h history) impression(i int) (key, arm string, at time.Time) {
	n := scattered(uint64(i)) % h.keys()
	return keyName(n), queryArms[scattered(n+1<<40)%uint64(len(queryArms))], timeOf(i, h.impressions)
}

func (h history) event(i int) (key, eventType string, value float64, at time.Time) {
	n := scattered(uint64(i) + 1<<41)
	return keyName(n % (h.keys() * 3 / 2)), fmt.Sprintf("event_%d", n>>40%queryTypes), float64(scattered(n)%10_000) / 100, timeOf(i, h.events)
}

// write puts the rows into the store, through the same door as the pipeline:
// batches in transactions, ids remembered.
func (h history) write(b *bench, s *duckdb.Store) error {
	position := map[string]uint64{}
	put := func(batch *store.Batch) error {
		batch.From = position[batch.Consumer]
		batch.To = batch.From + 1
		position[batch.Consumer]++
		_, err := s.Write(b.ctx, batch, nil)
		return err
	}
	for at := 0; at < h.impressions; at += queryBatch {
		batch := &store.Batch{Consumer: "impressions"}
		for i := at; i < min(at+queryBatch, h.impressions); i++ {
			key, arm, when := h.impression(i)
			id := fme.ID{}
			for j := range 8 {
				id[j], id[8+j] = byte(i>>(8*j)), 1
			}
			batch.Impressions = append(batch.Impressions, fme.Impression{ID: id, Environment: queryEnvironment, Flag: queryFlag, Key: key, Treatment: arm,
				Label: "default rule", ChangeNumber: 1, Time: when, TrafficType: "user", SDK: "go", SDKVersion: "6.10.0", ReceivedAt: when})
		}
		if err := put(batch); err != nil {
			return err
		}
	}
	for at := 0; at < h.events; at += queryBatch {
		if err := put(h.batch(at, min(at+queryBatch, h.events))); err != nil {
			return err
		}
	}
	return nil
}

// batch is the events of some places, to be written.
func (h history) batch(from, to int) *store.Batch {
	batch := &store.Batch{Consumer: "calls", Events: make([]fme.Event, 0, to-from)}
	for i := from; i < to; i++ {
		key, eventType, value, when := h.event(i)
		batch.Events = append(batch.Events, fme.Event{Environment: queryEnvironment, TrafficType: "user", Key: key, EventType: eventType, Value: &value,
			Time: when, Properties: []byte(`{"plan":"gold","currency":"EUR","items":3}`), Source: fme.SourceSegment, ReceivedAt: when})
	}
	return batch
}

func queryExposure() store.Exposure {
	return store.Exposure{Environment: queryEnvironment, TrafficType: "user", Flag: queryFlag, From: queryStart, To: queryStart.Add(queryDays * 24 * time.Hour),
		Buffer: 15 * time.Minute, Treatments: queryArms}
}

// queryMetrics are five; the first is the one that is asked by itself.
func queryMetrics() []store.MetricQuery {
	of := func(n int) store.EventMatch { return store.EventMatch{EventType: fmt.Sprintf("event_%d", n)} }
	denominator := of(2)
	return []store.MetricQuery{
		{Kind: store.MetricSum, Event: of(0), Value: "value"}, {Kind: store.MetricPercent, Event: of(0)}, {Kind: store.MetricAverage, Event: of(0), Value: "value"},
		{Kind: store.MetricCount, Event: of(1)}, {Kind: store.MetricRatio, Event: of(0), Denominator: &denominator},
	}
}

// query measures an experiment on generated rows, in this process, and beside
// it PostgreSQL on the same rows where the machine has it.
func (b *bench) query() (err error) {
	const name = "query"
	h := history{impressions: b.history / 4, events: b.history}
	full := func(t *target) *target { // the target speaks of one size
		if b.history < fullEvents {
			return nil
		}
		return t
	}
	folder, err := os.MkdirTemp(b.folder, "query-")
	if err != nil {
		return err
	}
	s, err := duckdb.Open(b.ctx, duckdb.Options{Path: filepath.Join(folder, "store.duckdb")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fmt.Fprintf(b.progress, "  writing %d impressions and %d events\n", h.impressions, h.events)
	began := time.Now()
	if err := h.write(b, s); err != nil {
		return err
	}
	size, err := s.Size()
	if err != nil {
		return err
	}
	b.figure(name, "rows written into the store", perSecond(h.impressions+h.events, time.Since(began)), "/s", nil,
		fmt.Sprintf("%s events, %s impressions, %s", amount(float64(h.events), ""), amount(float64(h.impressions), ""), amount(megabytes(size), "MB")))
	one, arms, err := b.ask(s, queryMetrics()[:1])
	if err != nil {
		return err
	}
	five, _, err := b.ask(s, queryMetrics())
	if err != nil {
		return err
	}
	b.figure(name, "one metric, three arms", one.Seconds(), "s", full(under(1.5)), fmt.Sprintf("median of %d; %d keys", asked, arms[0].N+arms[1].N+arms[2].N))
	b.figure(name, "five metrics, three types of events", five.Seconds(), "s", nil, "")
	if err := b.besideWrites(s, h, five, full); err != nil {
		return err
	}
	fmt.Fprintln(b.progress, "  the same in PostgreSQL")
	theirs, note, err := b.postgres(h, arms)
	if err != nil {
		return err
	}
	if theirs == 0 {
		b.figure(name, "PostgreSQL", 0, "s", nil, note)
		return nil
	}
	b.figure(name, "PostgreSQL, the sum alone", theirs.Seconds(), "s", nil, note)
	b.figure(name, "PostgreSQL's time over ours", theirs.Seconds()/one.Seconds(), "", full(atLeast(10)), "")
	return nil
}

// ask measures metrics several times.
func (b *bench) ask(s *duckdb.Store, queries []store.MetricQuery) (median time.Duration, arms []store.Arm, err error) {
	var times []time.Duration
	for range asked {
		began := time.Now()
		results, err := s.Analyze(b.ctx, queryExposure(), queries)
		if err != nil {
			return 0, nil, err
		}
		times, arms = append(times, time.Since(began)), results[0].Arms
	}
	slices.Sort(times)
	return times[asked/2], arms, nil
}

// besideWrites measures how much slower batches are written while five metrics
// are measured again and again.
func (b *bench) besideWrites(s *duckdb.Store, h history, five time.Duration, full func(*target) *target) error {
	const size = 5_000
	batch := h.batch(0, size)
	position, err := s.Position(b.ctx, batch.Consumer)
	if err != nil {
		return err
	}
	writes := func(until func() bool) (float64, error) {
		rows, began := 0, time.Now()
		for !until() {
			batch.From, batch.To = position, position+1
			if _, err := s.Write(b.ctx, batch, nil); err != nil {
				return 0, err
			}
			position++
			rows += size
		}
		return perSecond(rows, time.Since(began)), nil
	}
	end := time.Now().Add(3 * time.Second)
	alone, err := writes(func() bool { return time.Now().After(end) })
	if err != nil {
		return err
	}
	var asking atomic.Bool
	asking.Store(true)
	failed := make(chan error, 1)
	go func() {
		_, _, err := b.ask(s, queryMetrics())
		asking.Store(false)
		failed <- err
	}()
	beside, err := writes(func() bool { return !asking.Load() })
	if err := errors.Join(err, <-failed); err != nil {
		return err
	}
	slower := 100 * (1 - beside/alone)
	b.figure("query", "rows written while it is measured", beside, "/s", nil, fmt.Sprintf("alone %s: %s less", amount(alone, "/s"), amount(slower, "%")))
	b.figure("query", "of a minute's writing, one recalculation takes", max(slower, 0)*min(five.Seconds()*alone/max(beside, 1), 60)/60, "%", full(atMost(10)), "five metrics")
	return nil
}
