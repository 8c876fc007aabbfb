package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"causeway/internal/pipeline"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// BenchmarkCalls takes batches of 100 calls of 700 bytes from the stream to a
// store. cpu-µs/call is the share of design 9 that lies behind the door: with a
// real store, and with one that keeps nothing, which is what reading and
// translating cost.
func BenchmarkCalls(b *testing.B) {
	for _, real := range []bool{false, true} {
		b.Run(map[bool]string{false: "without a store", true: "with the store"}[real], func(b *testing.B) {
			const records, callsInRecord = 2000, 100
			var cpu time.Duration
			calls := 0
			for b.Loop() {
				b.StopTimer()
				r := newRig(b)
				r.apply(oneLeg)
				for i := range records {
					record := stream.Record{Kind: stream.Tracking, Environment: string(production), Configuration: "events", Scheme: "basic",
						Seed: [16]byte{byte(i), byte(i >> 8)}, ReceivedAt: time.Now().UTC(), Body: batchBody(i*callsInRecord, callsInRecord)}
					if err := r.streams.Append(b.Context(), stream.Calls, record); err != nil {
						b.Fatal(err)
					}
				}
				done := &countingStore{want: records * callsInRecord, done: make(chan struct{})}
				if real {
					done.real = r.store
				}
				r.options.Store = done
				b.StartTimer()
				before := processorTime(b)
				r.start()
				<-done.done
				cpu += processorTime(b) - before
				calls += records * callsInRecord
				b.StopTimer()
				r.halt()
				b.StartTimer()
			}
			b.ReportMetric(float64(cpu.Nanoseconds())/1e3/float64(calls), "cpu-µs/call")
		})
	}
}

// countingStore says when it has seen so many calls.
type countingStore struct {
	real pipeline.Store // nil: nothing is kept
	want int
	done chan struct{}
}

func (s *countingStore) Position(ctx context.Context, consumer string) (uint64, error) {
	if s.real != nil {
		return s.real.Position(ctx, consumer)
	}
	return 0, nil
}

func (s *countingStore) Write(ctx context.Context, batch *store.Batch, beforeCommit func(store.Written) error) (store.Written, error) {
	var written store.Written
	var err error
	if s.real != nil {
		if written, err = s.real.Write(ctx, batch, beforeCommit); err != nil {
			return written, err
		}
	} else {
		for i := range batch.Calls {
			written.Calls = append(written.Calls, batch.Calls[i].Outcome)
		}
	}
	if s.want -= len(batch.Calls); s.want == 0 {
		close(s.done)
	}
	return written, nil
}

// processorTime of the process, DuckDB's threads included.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// batchBody is a batch as analytics.js writes it.
func batchBody(first, calls int) []byte {
	const call = `{"type":"track","messageId":"ajs-next-0123456789abcdef-%012d","timestamp":"2026-11-01T12:00:00.000Z","userId":"user-%06d",` +
		`"anonymousId":"5f0f8b9e-3c1d-4c1e-9a57-000000%06[2]d","event":"Order Completed",` +
		`"properties":{"orderId":"order-%012[1]d","revenue":39.95,"currency":"USD","coupon":"WINTER","products":3,"affiliation":"web shop"},` +
		`"context":{"library":{"name":"analytics.js","version":"next-1.70.0"},"ip":"203.0.113.7","locale":"en-US","timezone":"Europe/Berlin",` +
		`"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",` +
		`"page":{"path":"/checkout","referrer":"","search":"","title":"Checkout","url":"https://shop.example/checkout"}},"integrations":{}}`
	var body bytes.Buffer
	body.WriteString(`{"batch":[`)
	for i := range calls {
		if i > 0 {
			body.WriteByte(',')
		}
		n := first + i
		fmt.Fprintf(&body, call, n, n*7919%100_000)
	}
	body.WriteString("]}")
	return body.Bytes()
}

// oneLeg is the configuration of the bench: a call becomes one event.
var oneLeg = strings.Replace(configuration, "{userId: [user], anonymousId: [anonymous]}", "{userId: [user]}", 1)
