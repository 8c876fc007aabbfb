package stats

import "math"

// Ratio returns the arm's ratio of sums ΣY/ΣX, such as revenue per order, as an
// estimate, with the delta method's variance per unit (Deng, Knoblich, Lu 2018,
// "Applying the delta method in metric analytics"). The same formula is the
// variance of a mean over clusters: Y a cluster's sum, X its size.
//
// A mean of per-key ratios is no ratio of sums: take its values as [Moments].
func (c CrossMoments) Ratio() Sample {
	s := Sample{Status: c.check(), N: c.N}
	if !s.Ready() {
		return s
	}
	if c.MeanX == 0 {
		s.Status = Status{StateZeroBaseline, "The denominator's sum is zero."}
		return s
	}
	// The variance of the residual Y − R·X over the denominator's mean: the three
	// terms of the usual form, in which nothing overflows that should not.
	s.Mean = c.MeanY / c.MeanX
	free := float64(c.N - 1)
	y, x := math.Sqrt(c.M2Y/free)/c.MeanX, math.Sqrt(c.M2X/free)/c.MeanX
	rx := s.Mean * x
	cross := c.correlation() * y * rx
	s.Variance = y*y + rx*rx - 2*cross
	if s.Variance <= (y*y+rx*rx)*1e-14 {
		s.Variance = 0 // Y is proportional to X; what is left is rounding
	}
	if !finite(s.Mean, s.Variance) {
		return Sample{Status: overflow, N: c.N}
	}
	return s
}

// correlation returns the correlation of Y and X, 0 when one does not vary.
func (c CrossMoments) correlation() float64 {
	scale := math.Sqrt(c.M2Y) * math.Sqrt(c.M2X)
	if scale == 0 {
		return 0
	}
	return max(-1, min(1, c.C/scale))
}
