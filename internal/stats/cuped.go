package stats

import "math"

// Adjustment is what a covariate took out of a metric's variance.
type Adjustment struct {
	Status
	Theta              float64 // metric's units per covariate's unit
	Control, Treatment Sample  // adjusted arms
	Reduction          float64 // share of the variance explained, 0 to 1, both arms together
}

// Adjusted compares two arms after removing what the units' values before the
// experiment (X) predict of the metric (Y): CUPED (Deng, Xu, Kohavi, Walker 2013,
// "Improving the sensitivity of online controlled experiments by utilizing
// pre-experiment data"). θ is taken from both arms together about their joint
// mean. The relative effect is over the control's plain mean. A covariate that
// does not vary changes nothing.
func Adjusted(control, treatment CrossMoments) (Contrast, Adjustment) {
	for _, arm := range []CrossMoments{control, treatment} {
		if s := arm.check(); !s.Ready() {
			return Contrast{Status: s}, Adjustment{Status: s}
		}
	}
	both := control.Merge(treatment)
	a := Adjustment{Status: ready}
	if !both.x().varies() {
		control, treatment = control.plain(), treatment.plain()
	} else if both.M2X > 0 {
		a.Theta = both.C / both.M2X
		a.Reduction = square(both.correlation())
	}
	a.Control, a.Treatment = control.adjust(a.Theta, both.MeanX), treatment.adjust(a.Theta, both.MeanX)
	if s := checkPair(a.Control, a.Treatment); !s.Ready() || !finite(a.Theta, a.Reduction) {
		if s.Ready() {
			s = overflow
		}
		return Contrast{Status: s}, Adjustment{Status: s}
	}
	contrast := newContrast(a.Control, a.Treatment, control.adjustedBaseline(a))
	return contrast, a
}

// varies reports whether the values differ by more than rounding.
func (m Moments) varies() bool { return m.Sample().variance() > 0 }

// plain returns the pairs without their covariate.
func (c CrossMoments) plain() CrossMoments {
	return CrossMoments{N: c.N, MeanY: c.MeanY, M2Y: c.M2Y}
}

// adjust returns the estimate of Y − θ(X − center).
func (c CrossMoments) adjust(theta, center float64) Sample {
	free := float64(c.N - 1)
	y, x := math.Sqrt(c.M2Y/free), theta*math.Sqrt(c.M2X/free)
	v := y*y + x*x - 2*c.correlation()*y*x
	if v <= (y*y+x*x)*1e-14 {
		v = 0 // X predicts Y exactly; what is left is rounding
	}
	return Sample{N: c.N, Mean: c.MeanY - theta*(c.MeanX-center), Variance: v}
}

// adjustedBaseline is the control's plain mean, whose noise is only partly in
// the adjusted difference.
func (c CrossMoments) adjustedBaseline(a Adjustment) baseline {
	n := float64(c.N)
	b := baseline{mean: c.MeanY, variance: c.y().Sample().variance(), slope: -1}
	b.rest = a.Treatment.variance() + a.Control.variance()
	if b.variance == 0 {
		return b
	}
	r := c.correlation()
	b.slope = -(1 - a.Theta*c.C/c.M2Y)
	b.rest = a.Treatment.variance() + square(a.Theta)*c.M2X/(n-1)/n*(1-r*r)
	return b
}
