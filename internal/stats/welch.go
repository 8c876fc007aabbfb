package stats

import "math"

// Contrast is the difference of two arms with what every method needs to judge
// it: [Contrast.Fixed] looks at it once, [Contrast.Sequential] as often as one
// likes.
type Contrast struct {
	Status
	N    int64   // units of both arms
	Diff float64 // treatment − control, unit of the metric
	SE   float64 // standard error of Diff
	DF   float64 // Welch–Satterthwaite degrees of freedom

	base baseline
}

// baseline is the denominator of the relative effect. slope and rest split the
// variance of the difference into what comes from the baseline's own noise and
// what does not: Diff = slope·(noise of the baseline) + independent noise.
type baseline struct {
	mean     float64
	variance float64 // of mean
	slope    float64 // −1, but for an adjusted difference
	rest     float64 // variance of the independent noise
}

// Difference compares the means of two arms whose units are independent.
func Difference(control, treatment Sample) Contrast {
	if s := checkPair(control, treatment); !s.Ready() {
		return Contrast{Status: s}
	}
	wc, wt := control.variance(), treatment.variance()
	return newContrast(control, treatment, baseline{mean: control.Mean, variance: wc, slope: -1, rest: wt})
}

// checkPair is the first status of the two that is not ready.
func checkPair(control, treatment Sample) Status {
	if s := control.check(); !s.Ready() {
		return s
	}
	return treatment.check()
}

// newContrast fills in the difference of two checked samples.
func newContrast(control, treatment Sample, base baseline) Contrast {
	c := Contrast{Status: ready, N: control.N + treatment.N, Diff: treatment.Mean - control.Mean, base: base}
	wc, wt := control.variance(), treatment.variance()
	c.SE = math.Sqrt(wc + wt)
	if c.SE == 0 && finite(c.Diff) {
		c.Status = Status{StateZeroVariance, "All values of each arm are equal; there is no variation to compare the difference with."}
		return c
	}
	if !finite(c.Diff, c.SE, c.Diff/c.SE) {
		return Contrast{Status: overflow}
	}
	c.DF = satterthwaite(wc, control.N, wt, treatment.N)
	return c
}

// satterthwaite returns the degrees of freedom of a sum of two estimated
// variances, not both zero (Satterthwaite 1946, "An approximate distribution of
// estimates of variance components"; Welch 1947, "The generalization of
// 'Student's' problem when several different population variances are involved").
func satterthwaite(wc float64, nc int64, wt float64, nt int64) float64 {
	u, v := wc/(wc+wt), wt/(wc+wt)
	return 1 / (u*u/float64(nc-1) + v*v/float64(nt-1))
}

// Comparison is the verdict on a contrast at one significance level.
type Comparison struct {
	Status
	Diff      float64   // treatment − control, unit of the metric; also set when no arm varies
	SE        float64   // standard error of Diff
	Statistic float64   // Diff/SE
	DF        float64   // degrees of freedom; 0 when sequential
	Critical  float64   // half the interval's width in standard errors
	P         float64   // two-sided; below alpha if and only if CI does not contain 0
	CI        *Interval // of Diff, at level 1 − alpha
	Relative  Relative  // the same effect relative to the control mean, by the same critical value
}

// Fixed is Welch's two-sided t-test, for data looked at once, at the planned
// end. alpha is the significance level, 0 to 1, and only decides the intervals.
func (c Contrast) Fixed(alpha float64) Comparison {
	s := c.usable(alpha)
	if !s.Ready() {
		return c.undecided(s)
	}
	t := c.Diff / c.SE
	r := c.compare(tCritical(alpha/2, c.DF), 2*tUpper(math.Abs(t), c.DF))
	if r.Ready() {
		r.DF = c.DF
	}
	return r
}

// Tails returns the one-sided p-values of Welch's test: of the hypotheses that
// the treatment's mean is not greater, and that it is not less. Both are 1 when
// the contrast is not ready.
func (c Contrast) Tails() (greater, less float64) {
	if !c.Ready() {
		return 1, 1
	}
	t := c.Diff / c.SE
	return tUpper(t, c.DF), tUpper(-t, c.DF)
}

// usable is the status of a comparison before any number.
func (c Contrast) usable(alpha float64) Status {
	if !c.Ready() {
		return c.Status
	}
	return checkAlpha(alpha)
}

// undecided is the comparison that could not be made.
func (c Contrast) undecided(s Status) Comparison {
	return Comparison{Status: s, Diff: c.Diff, P: 1, Relative: Relative{Status: s}}
}

// compare builds a ready contrast's comparison around a critical value.
func (c Contrast) compare(critical, p float64) Comparison {
	r := Comparison{
		Status: ready, Diff: c.Diff, SE: c.SE, Statistic: c.Diff / c.SE,
		Critical: critical, P: p, CI: around(c.Diff, critical*c.SE), Relative: c.relative(critical),
	}
	if !finite(r.Statistic, r.Critical, r.P, r.CI.Low, r.CI.High) {
		return c.undecided(overflow)
	}
	return r
}
