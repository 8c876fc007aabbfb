//go:build linux

package main

import (
	"math/bits"
	"time"
)

// subBits is how many bits of a duration a histogram keeps: its values are at
// most 1/64 too large.
const subBits = 6

// histogram counts durations in buckets whose width grows with them. The zero
// value is empty and ready.
type histogram struct {
	counts [64 << subBits]uint64
	total  uint64
	most   time.Duration
}

// bucket is where a duration is counted. Negative ones count as zero.
func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < 1<<subBits {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - subBits
	return (shift+1)<<subBits + int(v>>shift) - 1<<subBits
}

// upper is the largest duration of a bucket.
func upper(bucket int) time.Duration {
	if bucket < 1<<subBits {
		return time.Duration(bucket)
	}
	shift := bucket>>subBits - 1
	sub := uint64(bucket)&(1<<subBits-1) | 1<<subBits
	return time.Duration((sub+1)<<shift - 1)
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
	h.most = max(h.most, d)
}

// merge adds everything that another histogram counted.
func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.most = max(h.most, other.most)
}

// quantile is the duration that a share q of all (0 to 1) does not exceed; 0
// when nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q*float64(h.total) + 0.5)
	rank = min(max(rank, 1), h.total)
	seen := uint64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= rank {
			return min(upper(i), h.most)
		}
	}
	return 0
}
