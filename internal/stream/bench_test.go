package stream

import (
	"testing"
)

// BenchmarkAppend is the door's share of design 9: durable single calls of 700
// bytes from 64 callers.
func BenchmarkAppend(b *testing.B) {
	s := openTest(b, Options{})
	b.SetParallelism(32) // times GOMAXPROCS
	r := sized(700)
	b.SetBytes(700)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Append(b.Context(), Calls, r); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkRead follows a stream of frames of 100 calls.
func BenchmarkRead(b *testing.B) {
	s := openTest(b, Options{})
	const frames = 500
	for range frames {
		if err := s.Append(b.Context(), Calls, sized(70_000)); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(frames * 70_000)
	for b.Loop() {
		if got := len(readAll(b, s, Calls, 0)); got != frames {
			b.Fatalf("%d of %d frames", got, frames)
		}
	}
}
