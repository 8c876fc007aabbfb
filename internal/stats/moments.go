package stats

import "math"

// Moments is what is left of one arm's values: their number, their mean and
// their squared deviations from it. The zero value is an empty arm.
//
// Values are added and parts merged without ever subtracting two large sums
// (Welford 1962, "Note on a method for calculating corrected sums of squares
// and products"; Chan, Golub, LeVeque 1983, "Algorithms for computing the
// sample variance"): the variance of {1e9+4, 1e9+7, 1e9+13, 1e9+16} is 30.
// What overflows or was no number stays so in the fields; every result made of
// it is StateOutOfRange.
type Moments struct {
	N    int64   // units; exact below 2^53
	Mean float64 // unit of the metric
	M2   float64 // Σ(x−Mean)², unit of the metric squared; var_pop·n in SQL
}

// MomentsOf returns the moments of values at hand, in two passes and corrected
// for the rounding of the mean, which is more exact than adding one by one when
// the mean is a billion times the deviations.
func MomentsOf(values []float64) Moments {
	if len(values) == 0 {
		return Moments{}
	}
	n, mean := float64(len(values)), values[0]
	for range 2 { // the second round repairs what the first one's size lost
		sum := 0.0
		for _, x := range values {
			sum += x - mean
		}
		mean += sum / n
	}
	sum, squares := 0.0, 0.0
	for _, x := range values {
		sum += x - mean
		squares += (x - mean) * (x - mean)
	}
	return Moments{N: int64(len(values)), Mean: mean, M2: max(squares-sum*sum/n, 0)}
}

// Add takes in one value.
func (m *Moments) Add(x float64) { *m = m.Merge(Moments{N: 1, Mean: x}) }

// Merge returns the moments of both parts together. The parts must not share
// a unit: rows of two days cannot be merged when a key is in both.
func (m Moments) Merge(o Moments) Moments {
	switch {
	case o.N == 0:
		return m
	case m.N == 0:
		return o
	}
	n := m.N + o.N
	delta, share := o.Mean-m.Mean, float64(o.N)/float64(n)
	return Moments{N: n, Mean: m.Mean + delta*share, M2: m.M2 + o.M2 + delta*delta*share*float64(m.N)}
}

// Replace returns the moments after one unit's value changed from before to
// after: the way to keep a running total per key. Rounding adds up over many
// replacements; recompute now and then.
func (m Moments) Replace(before, after float64) Moments {
	if m.N < 1 {
		return m
	}
	delta := after - before
	mean := m.Mean + delta/float64(m.N)
	m2 := m.M2 + delta*(after-mean+before-m.Mean)
	return Moments{N: m.N, Mean: mean, M2: max(m2, 0)}
}

// Variance returns the unbiased variance M2/(N−1), 0 for less than two units.
func (m Moments) Variance() float64 {
	if m.N < 2 {
		return 0
	}
	return m.M2 / float64(m.N-1)
}

// Sample returns the arm's mean as an estimate.
func (m Moments) Sample() Sample { return Sample{N: m.N, Mean: m.Mean, Variance: m.Variance()} }

// Proportion returns the moments of n units of which hits have the value 1 and
// the others 0, the same as adding them one by one. hits outside 0..n gives
// moments that no result accepts.
func Proportion(n, hits int64) Moments {
	if n < 1 {
		return Moments{N: min(n, 0)}
	}
	p := float64(hits) / float64(n)
	return Moments{N: n, Mean: p, M2: p * float64(n-hits)}
}

// CrossMoments is what is left of one arm's pairs of values: numerator (Y) and
// denominator (X) of a ratio of sums, or a metric (Y) and the same unit's value
// before the experiment (X). The zero value is an empty arm.
type CrossMoments struct {
	N            int64   // units; exact below 2^53
	MeanY, MeanX float64 // each in its own unit
	M2Y, M2X     float64 // Σ(y−MeanY)², Σ(x−MeanX)²
	C            float64 // Σ(y−MeanY)(x−MeanX); covar_pop·n in SQL
}

// Add takes in one pair.
func (c *CrossMoments) Add(y, x float64) {
	*c = c.Merge(CrossMoments{N: 1, MeanY: y, MeanX: x})
}

// Merge returns the moments of both parts together; see [Moments.Merge].
func (c CrossMoments) Merge(o CrossMoments) CrossMoments {
	y, x := c.y().Merge(o.y()), c.x().Merge(o.x())
	merged := CrossMoments{N: y.N, MeanY: y.Mean, MeanX: x.Mean, M2Y: y.M2, M2X: x.M2, C: c.C + o.C}
	if c.N > 0 && o.N > 0 {
		weight := float64(o.N) / float64(y.N) * float64(c.N)
		merged.C += (o.MeanY - c.MeanY) * (o.MeanX - c.MeanX) * weight
	}
	return merged
}

func (c CrossMoments) y() Moments { return Moments{c.N, c.MeanY, c.M2Y} }
func (c CrossMoments) x() Moments { return Moments{c.N, c.MeanX, c.M2X} }

// Covariance returns the unbiased covariance C/(N−1), 0 for less than two units.
func (c CrossMoments) Covariance() float64 {
	if c.N < 2 {
		return 0
	}
	return c.C / float64(c.N-1)
}

// check is the status of the pairs: like [Sample]'s for both halves, and the
// covariance may not exceed what the variances allow.
func (c CrossMoments) check() Status {
	for _, half := range []Moments{c.y(), c.x()} {
		if s := half.Sample().check(); !s.Ready() {
			return s
		}
	}
	switch limit := math.Sqrt(c.M2Y) * math.Sqrt(c.M2X); {
	case !finite(c.C, limit):
		return overflow
	case math.Abs(c.C) > limit*(1+1e-6):
		return Status{StateInvalid, "The covariance is larger than the variances allow."}
	}
	return ready
}
