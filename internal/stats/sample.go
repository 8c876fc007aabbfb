package stats

// Sample is what an arm comes down to: an estimate and how much one unit
// varies about it. The estimate's own variance is Variance/N.
//
// [Moments.Sample] makes one of a mean (of a count, a sum, a ratio per key, or
// zeros and ones for a percentage), [CrossMoments.Ratio] of a ratio of sums.
type Sample struct {
	Status           // zero unless the maker of the sample could not make it
	N        int64   // units
	Mean     float64 // unit of the metric
	Variance float64 // of one unit, denominator N−1; unit of the metric squared
}

// Variances outside these bounds would lose digits in squares further on.
const (
	smallestVariance = 1e-280
	largestVariance  = 1e290
)

// check is the status of the sample.
func (s Sample) check() Status {
	switch {
	case s.State != "" && !s.Ready():
		return s.Status
	case s.N < 0 || s.N == 0 && (s.Mean != 0 || s.Variance != 0):
		return Status{StateInvalid, "The number of units contradicts the values."}
	case s.N == 0:
		return Status{StateTooFew, "An arm is empty."}
	case s.N == 1:
		return Status{StateTooFew, "An arm has a single unit; its variance is unknown."}
	case !finite(s.Mean, s.Variance) || s.Variance > largestVariance:
		return overflow
	case s.Variance < -s.noise():
		return Status{StateInvalid, "A variance is negative."}
	case s.Variance > s.noise() && s.Variance < smallestVariance:
		return overflow
	}
	return ready
}

// noise is the variance that rounding alone can leave when all values are
// equal and were summed in an unlucky order: a standard deviation of a few
// units in the last place of the mean. Nothing that float64 values really do
// is below it, and a test would call it significant.
func (s Sample) noise() float64 {
	const ulps = 8 * 0x1p-52
	return (ulps * s.Mean) * (ulps * s.Mean)
}

// variance returns the variance of the estimate, 0 when the values do not vary.
func (s Sample) variance() float64 {
	if s.Variance <= s.noise() {
		return 0
	}
	return s.Variance / float64(s.N)
}
