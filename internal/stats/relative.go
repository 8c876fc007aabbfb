package stats

import "math"

// Relative is an effect as a fraction of the absolute control mean.
type Relative struct {
	Status             // StateUnbounded: Lift holds, but every interval would be infinite
	Lift     float64   // Diff/|control mean|
	CI       *Interval // excludes 0 if and only if the interval of Diff does
	Baseline float64   // Fieller's g: (critical value / control mean in standard errors)²; unbounded from 1 on
}

// relative is Fieller's interval (Fieller 1954, "Some problems in interval
// estimation"): all ratios ρ for which the test with this critical value does not
// reject Diff = ρ·|control mean|. At ρ = 0 that is the test of the difference
// itself, so both always agree; intervals by the delta method or of scaled
// absolute ones do not, and cover too rarely with skewed data.
//
// With D = |mean|, r = Diff/D, g = q²·Var(D)/D² and β = Cov(Diff,D)/Var(D) the set is
//
//	(r − gβ ± sqrt( g(r−β)² + (1−g)·q²·rest/D² )) / (1−g)
//
// a form of the roots whose discriminant is a sum of positive terms.
func (c Contrast) relative(q float64) Relative {
	d := math.Abs(c.base.mean)
	if d == 0 {
		return Relative{Status: Status{StateZeroBaseline, "The control mean is zero; only the absolute difference can be shown."}}
	}
	r, beta := c.Diff/d, math.Copysign(1, c.base.mean)*c.base.slope
	g := square(q * math.Sqrt(c.base.variance) / d)
	rest := square(q * math.Sqrt(c.base.rest) / d)
	if !finite(r, beta) {
		return Relative{Status: overflow}
	}
	if !(g < 1) {
		unbounded := Status{StateUnbounded, "The control mean is too uncertain to divide by; only the absolute difference can be shown."}
		if !finite(g) {
			return Relative{Status: overflow}
		}
		return Relative{Status: unbounded, Lift: r, Baseline: g}
	}
	half := math.Hypot(math.Sqrt(g)*(r-beta), math.Sqrt((1-g)*rest))
	ci := Interval{(r - g*beta - half) / (1 - g), (r - g*beta + half) / (1 - g)}
	if !finite(ci.Low, ci.High) {
		return Relative{Status: overflow}
	}
	return Relative{Status: ready, Lift: r, CI: &ci, Baseline: g}
}

func square(x float64) float64 { return x * x }

// LiftSE returns the standard error of the relative effect by the delta method,
// in which the interval is Lift ± critical·LiftSE. It is what most other engines
// show, and can contradict the p-value of the difference; Causeway shows
// [Relative]. 0 when there is no lift or float64 cannot carry it.
func (c Contrast) LiftSE() float64 { return c.liftSE(c.Diff / math.Abs(c.base.mean)) }

// liftSE is the delta method's error with the gradient taken at lift.
func (c Contrast) liftSE(lift float64) float64 {
	d := math.Abs(c.base.mean)
	beta := math.Copysign(1, c.base.mean) * c.base.slope
	se := math.Hypot(math.Sqrt(c.base.rest)/d, math.Sqrt(c.base.variance)/d*(beta-lift))
	if !c.Ready() || !finite(se) {
		return 0
	}
	return se
}

// LogInterval returns the relative effect's interval by the delta method on
// the logarithm of the ratio, as shown for rates by some engines. ok is false
// unless both means are positive and the result is finite. critical is the
// critical value, in standard errors.
func LogInterval(control, treatment Sample, critical float64) (ci Interval, ok bool) {
	if !checkPair(control, treatment).Ready() || control.Mean <= 0 || treatment.Mean <= 0 {
		return Interval{}, false
	}
	half := critical * math.Hypot(math.Sqrt(control.variance())/control.Mean, math.Sqrt(treatment.variance())/treatment.Mean)
	center := math.Log1p((treatment.Mean - control.Mean) / control.Mean)
	ci = Interval{math.Expm1(center - half), math.Expm1(center + half)}
	return ci, finite(ci.Low, ci.High)
}
