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
