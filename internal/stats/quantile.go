package stats

import "math"

// QuantileRanks returns between which two order statistics (ranks from 1, to be
// rounded to existing ones) the q-quantile of n independent values lies with
// confidence 1 − alpha. ok is false when the normal approximation has too few
// values: below 4q/(1−q) or 4(1−q)/q (Deng, Knoblich, Lu 2018).
func QuantileRanks(n int64, q, alpha float64) (low, high float64, ok bool) {
	size := float64(n)
	if !fraction(q) || !level(alpha) || size <= 4*max(q/(1-q), (1-q)/q) {
		return 0, 0, false
	}
	half := normalCritical(alpha/2) * math.Sqrt(size*q*(1-q))
	return size*q - half, size*q + half, true
}

// QuantileSE returns the quantile's standard error from the values at the two
// ranks of [QuantileRanks] with the same alpha. ok is false unless low ≤ high.
func QuantileSE(low, high, alpha float64) (se float64, ok bool) {
	if !level(alpha) || !(low <= high) || !finite(low, high, high-low) {
		return 0, false
	}
	return (high - low) / (2 * normalCritical(alpha/2)), true
}
