package stream

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// fill appends records of 50 KiB until the stream refuses, and returns how
// many it took.
func fill(t *testing.T, s *Streams) (accepted int) {
	t.Helper()
	for range 1000 {
		err := s.Append(t.Context(), Calls, sized(50<<10))
		if errors.Is(err, ErrFull) {
			return accepted
		}
		if err != nil {
			t.Fatal(err)
		}
		accepted++
	}
	t.Fatal("the budget does not bound the stream")
	return 0
}

func TestAFullStreamRefusesAndKeepsWhatNobodyProcessed(t *testing.T) {
	s := openTest(t, Options{Budget: Budget{Calls: 1 << 20}})
	accepted := fill(t, s)
	if accepted < 15 {
		t.Errorf("1 MiB took %d records of 50 KiB", accepted)
	}
	if got := len(readAll(t, s, Calls, 0)); got != accepted {
		t.Errorf("%d frames are there, %d were acknowledged", got, accepted)
	}
	if err := s.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "none of it is processed") {
		t.Errorf("health: %v", err)
	}
	if err := s.Append(t.Context(), Impressions, numbered(1)); err != nil {
		t.Errorf("the other stream: %v", err)
	}
}

func TestAFullStreamDropsTheOldestProcessedFramesToTakeMore(t *testing.T) {
	s := openTest(t, Options{Budget: Budget{Calls: 1 << 20}})
	accepted := uint64(fill(t, s))
	s.Processed(Calls, accepted-4)
	s.Processed(Calls, 1) // older: changes nothing
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("health although there is room to be made: %v", err)
	}
	more := uint64(fill(t, s))
	if more < accepted-5 {
		t.Errorf("took %d more after %d of %d were processed", more, accepted-4, accepted)
	}
	first, last, _, err := s.Bounds(t.Context(), Calls)
	if err != nil || first > accepted-3 || last != accepted+more {
		t.Errorf("frames %d to %d (%v), want every one after %d", first, last, err, accepted-4)
	}
	var gap *GapError
	if _, err := s.Read(t.Context(), Calls, 1); !errors.As(err, &gap) || !errors.Is(err, ErrGone) {
		t.Fatalf("reading what was dropped: %v, want a GapError", err)
	}
	if got := readAll(t, s, Calls, gap.Next-1); uint64(len(got)) != last-first+1 {
		t.Errorf("%d frames after the gap, want %d", len(got), last-first+1)
	}
	if got := readAll(t, s, Calls, 0); got[0].Sequence != first {
		t.Errorf("the beginning is %d, want %d", got[0].Sequence, first)
	}
	if _, err := s.Frame(t.Context(), Calls, 1); !errors.Is(err, ErrGone) {
		t.Errorf("a dropped frame: %v, want ErrGone", err)
	}
}

func TestAReaderThatWasOvertakenByTrimmingIsTold(t *testing.T) {
	s := openTest(t, Options{})
	appendTest(t, s, numbered(1), numbered(2), numbered(3))
	r, err := s.Read(t.Context(), Calls, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.purgeBefore(t.Context(), string(Calls), 3); err != nil {
		t.Fatal(err)
	}
	_, err = r.Next(t.Context(), 1<<20, time.Second)
	var gap *GapError
	if !errors.As(err, &gap) || gap.After != 1 || gap.Next != 3 {
		t.Errorf("%v, want a gap from 2 to 2", err)
	}
}

func TestProcessedFramesAreDroppedByAge(t *testing.T) {
	s := openTest(t, Options{KeepProcessed: 50 * time.Millisecond})
	appendTest(t, s, numbered(1), numbered(2), numbered(3))
	s.Processed(Calls, 2)
	time.Sleep(60 * time.Millisecond)
	appendTest(t, s, numbered(4))
	s.journals[Calls].keepHouse()
	first, last, _, err := s.Bounds(t.Context(), Calls)
	if err != nil || first != 3 || last != 4 {
		t.Errorf("frames %d to %d, %v; want 3 to 4: old but not processed stays", first, last, err)
	}
	s.Processed(Calls, 4)
	time.Sleep(60 * time.Millisecond)
	s.journals[Calls].keepHouse()
	if first, last, _, err := s.Bounds(t.Context(), Calls); err != nil || first != 5 || last != 4 {
		t.Errorf("frames %d to %d, %v; want none", first, last, err)
	}
	appendTest(t, s, numbered(5))
	if got := readAll(t, s, Calls, 4); len(got) != 1 || got[0].Sequence != 5 {
		t.Errorf("after everything was dropped: %v", got)
	}
}

func TestALoweredBudgetDiscardsNothing(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	for range 40 {
		appendTest(t, s, sized(50<<10))
	}
	s.Close()
	o.Budget.Calls = 1 << 20
	s = openTest(t, o)
	if err := s.Append(t.Context(), Calls, numbered(1)); !errors.Is(err, ErrFull) {
		t.Errorf("%v, want ErrFull", err)
	}
	if got := len(readAll(t, s, Calls, 0)); got != 40 {
		t.Errorf("%d of 40 frames are there", got)
	}
}

func TestANearlyFullDiskRefusesEverythingUntilThereIsRoom(t *testing.T) {
	var free atomic.Int64
	free.Store(100 << 30)
	s := openTest(t, Options{free: func(string) (int64, error) { return free.Load(), nil }})
	appendTest(t, s, numbered(1), numbered(2))
	s.Processed(Calls, 1)
	free.Store(100 << 20)
	s.watchDisk()
	if err := s.Append(t.Context(), Calls, numbered(3)); !errors.Is(err, ErrFull) {
		t.Errorf("append: %v, want ErrFull", err)
	}
	if err := s.SetAside(t.Context(), "x", []DeadLetter{{Source: "a", Reason: "b", Body: []byte("{}")}}); !errors.Is(err, ErrFull) {
		t.Errorf("set aside: %v, want ErrFull", err)
	}
	if err := s.Health(t.Context()); err == nil || !strings.Contains(err.Error(), "disk") {
		t.Errorf("health: %v", err)
	}
	if first, last, _, _ := s.Bounds(t.Context(), Calls); first != 2 || last != 2 {
		t.Errorf("frames %d to %d: the processed one must go, the other stay", first, last)
	}
	free.Store(100 << 30)
	s.watchDisk()
	appendTest(t, s, numbered(4))
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
}

func TestBudgetsFitTheDisk(t *testing.T) {
	s := openTest(t, Options{Budget: Budget{Dead: 5 << 20}, free: func(string) (int64, error) { return 1 << 30, nil }})
	room := int64(1<<30 - 256<<20)
	b := s.options.Budget
	if b.Calls > room*30/100 || b.Outbound > room*15/100 {
		t.Errorf("budgets %+v for a disk with %d bytes", b, room)
	}
	if b.Dead != 5<<20 {
		t.Errorf("dead letters got %d, 5 MiB were asked for and fit", b.Dead)
	}
}

func TestTheServerIsRestartedAfterItFailed(t *testing.T) {
	s := openTest(t, Options{AppendWait: time.Second})
	publishTest(t, s, "a", 1, calls("x", 1))
	o := outboundTest(t, s, "a")
	appendTest(t, s, numbered(1))
	if err := s.embedded.running().ShutdownJetStream(); err != nil { // as a full disk would
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), Calls, numbered(2)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("%v, want ErrUnavailable", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Health(ctx); err == nil || !strings.Contains(err.Error(), "met an error") {
		t.Errorf("health: %v", err)
	}
	s.revive()
	// Whoever was answered 503 sends again; on a busy machine the server may
	// need more than AppendWait to come back.
	for again := time.Now().Add(20 * time.Second); ; {
		err := s.Append(t.Context(), Calls, numbered(3))
		if err == nil {
			break
		}
		if time.Now().After(again) {
			t.Fatal(err)
		}
	}
	got := bodies(readAll(t, s, Calls, 0))
	if len(got) < 2 || got[0] != `{"n":1}` || got[len(got)-1] != `{"n":3}` {
		t.Errorf("%q", got)
	}
	if got := drain(t, o); len(got) != 1 {
		t.Errorf("the outbound queue gives %q", got)
	}
	if err := s.Health(t.Context()); err != nil {
		t.Errorf("health: %v", err)
	}
}

// A server that cannot open a stream while it starts, as on a full disk, goes
// on without it.
func TestAStreamThatARestartDidNotOpenIsOpenedByTheNext(t *testing.T) {
	s := openTest(t, Options{AppendWait: time.Second})
	publishTest(t, s, "a", 1, calls("x", 1))
	appendTest(t, s, numbered(1))
	meta := filepath.Join(s.options.Dir, "jetstream", "$G", "streams", outboundPrefix+"a", "meta.inf")
	if err := os.Rename(meta, meta+".away"); err != nil {
		t.Fatal(err)
	}
	s.embedded.shutdown()
	s.revive()
	if !s.broken() {
		t.Error("nobody noticed that a stream is missing")
	}
	if err := os.Rename(meta+".away", meta); err != nil {
		t.Fatal(err)
	}
	s.revive()
	if !s.broken() {
		t.Error("restarted again at once: a stream that can never be opened would stop the others all the time")
	}
	s.revived = time.Now().Add(-2 * reviveEvery)
	s.revive()
	for end := time.Now().Add(20 * time.Second); s.Health(t.Context()) != nil; time.Sleep(10 * time.Millisecond) { // the client connects again
		if time.Now().After(end) {
			t.Fatal(s.Health(t.Context()))
		}
	}
	if got := drain(t, outboundTest(t, s, "a")); len(got) != 1 {
		t.Errorf("the outbound queue gives %q", got)
	}
}

func TestMetricsCountWhatHappened(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := openTest(t, Options{Metrics: registry, Budget: Budget{Impressions: 1 << 20}})
	appendTest(t, s, numbered(1), numbered(2), numbered(3))
	s.Processed(Calls, 2)
	_ = s.Append(t.Context(), Impressions, sized(2<<20))
	for _, j := range s.journals {
		j.keepHouse()
	}
	if got := testutil.ToFloat64(s.metrics.records.WithLabelValues("calls")); got != 3 {
		t.Errorf("records: %v", got)
	}
	if got := testutil.ToFloat64(s.metrics.unprocessed.WithLabelValues("calls")); got != 1 {
		t.Errorf("unprocessed: %v", got)
	}
	if got := testutil.ToFloat64(s.metrics.refused.WithLabelValues("impressions", "full")); got != 1 {
		t.Errorf("refused: %v", got)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
