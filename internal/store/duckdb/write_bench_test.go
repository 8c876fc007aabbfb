package duckdb

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// BenchmarkWrite writes batches of 20,000 calls with one event each into a
// store that remembers a million ids. calls/s is the figure of design 9.
func BenchmarkWrite(b *testing.B) {
	s, err := Open(b.Context(), Options{Path: filepath.Join(b.TempDir(), "bench.duckdb")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if _, err := s.writer.ExecContext(b.Context(), "INSERT INTO recent SELECT uuid(), TIMESTAMP '2026-01-01 00:00:00' FROM range(1000000)"); err != nil {
		b.Fatal(err)
	}
	if err := s.known.load(b.Context(), s.writer, s.raw); err != nil {
		b.Fatal(err)
	}
	const size = 20_000
	var batch store.Batch
	written := 0
	cpu := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		batch = benchBatch(written, size)
		b.StartTimer()
		before := processorTime(b)
		if _, err := s.Write(b.Context(), &batch, nil); err != nil {
			b.Fatal(err)
		}
		cpu += processorTime(b) - before
		written += size
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(written), "cpu-µs/call")
	b.ReportMetric(float64(written)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(0, "ns/op")
	bytes, err := s.Size()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes)/float64(written), "bytes/call")
}

// processorTime of the process, DuckDB's threads included: what other work on
// the machine does not blur.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func benchBatch(from, size int) store.Batch {
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	batch := store.Batch{Consumer: "calls", From: uint64(from), To: uint64(from + size), Calls: make([]store.Call, size)}
	for i := range batch.Calls {
		n := from + i
		id := fmt.Sprintf("4b0e2d6c-8a3f-4d6e-9b1a-%012d", n)
		key, value, now := fmt.Sprintf("user-%07d", n*7919%1_000_000), float64(n%500)/10, at.Add(time.Duration(n)*time.Millisecond)
		batch.Calls[i] = store.Call{
			Environment: "shop/production", Configuration: "prod-events", Route: "tracking", Scheme: "basic", MessageID: id,
			Type: "track", Name: "Order_Completed", ReceivedAt: now, Frame: uint64(n / 100), Index: n % 100, Outcome: reason.Stored,
			Events: []fme.Event{{
				ID: fme.NewID("event", "shop/production", id, "user", key), Environment: "shop/production", TrafficType: "user", Key: key,
				EventType: "Order_Completed", Value: &value, Time: now, ReceivedAt: now, Source: fme.SourceSegment, ForeignID: id, Configuration: "prod-events",
				Properties: fmt.Appendf(nil, `{"sku":"sku-%d","revenue":%g,"currency":"EUR","coupon":null,"plan":"pro"}`, n%1000, value),
			}},
		}
	}
	return batch
}
