package stats

import "math"

// Direction is the direction in which a metric gets worse.
type Direction string

const (
	Increase Direction = "increase"
	Decrease Direction = "decrease"
)

// Margin says how the tolerated change follows the control mean.
type Margin int

const (
	// RatioMargin lets it vary with the control mean, whose noise then counts
	// as it should.
	RatioMargin Margin = iota
	// FixedMargin takes threshold·|control mean| for a known number. Harness FME
	// does (its printed alert examples follow from it).
	FixedMargin
)

// Degradation is a one-sided check of whether a metric became worse.
type Degradation struct {
	Status
	Excess    float64 // change for the worse beyond the threshold, unit of the metric
	Statistic float64 // Excess in standard errors
	DF        float64
	P         float64 // one-sided; of the hypothesis that it is not worse by more than the threshold
	Degraded  bool    // P < alpha
}

// CheckDegradation tests whether the treatment's mean is worse than the
// control's by more than threshold ≥ 0, a fraction of the absolute control mean.
// alpha is the level of this one check: over a window of k checks, pass the
// window's level divided by k.
func CheckDegradation(control, treatment Sample, worse Direction, threshold float64, margin Margin, alpha float64) Degradation {
	s := checkPair(control, treatment)
	if s.Ready() {
		s = checkAlpha(alpha)
	}
	switch {
	case !s.Ready():
	case !(threshold >= 0) || !finite(threshold) || (worse != Increase && worse != Decrease):
		s = Status{StateInvalid, "A threshold cannot be negative, and a direction must be named."}
	case threshold > 0 && control.Mean == 0:
		s = Status{StateZeroBaseline, "The control mean is zero; no threshold is relative to it."}
	}
	if !s.Ready() {
		return Degradation{Status: s, P: 1}
	}
	sign := 1.0
	if worse == Decrease {
		sign = -1
	}
	// The tested contrast is sign·(treatment − factor·control).
	factor := 1 + sign*math.Copysign(threshold, control.Mean)
	noise := factor
	if margin == FixedMargin {
		noise = 1
	}
	wc, wt := square(noise)*control.variance(), treatment.variance()
	d := Degradation{Status: ready, Excess: sign * (treatment.Mean - factor*control.Mean)}
	if wc+wt == 0 {
		return Degradation{Status: Status{StateZeroVariance, "All values of each arm are equal."}, P: 1}
	}
	d.Statistic = d.Excess / math.Sqrt(wc+wt)
	d.DF = satterthwaite(wc, control.N, wt, treatment.N)
	d.P = tUpper(d.Statistic, d.DF)
	if !finite(d.Excess, d.Statistic, d.DF, d.P) {
		return Degradation{Status: overflow, P: 1}
	}
	d.Degraded = d.P < alpha
	return d
}

// DetectableDegradation returns the treatment's proportion from which a
// one-sided alert fires with the given power, when an increase is worse: total
// units over two equal arms with the control at p, a relative threshold, and the
// level alpha shared by a number of checks. It reproduces the figures that Harness
// FME prints ("Alert policies", monitoring window). Unreachable above 1.
func DetectableDegradation(p, threshold float64, total int64, alpha float64, checks int, power float64) Detectable {
	if !fraction(p) || !(threshold >= 0) || total < 2 || checks < 1 || !level(alpha) || !fraction(power) {
		return Detectable{Status: Status{StateInvalid, "The proportion, the level and the power must lie between 0 and 1, and there must be units and checks."}}
	}
	// changed = p(1+threshold) + k·sqrt((p(1−p) + changed(1−changed))/(total/2)),
	// squared, is a quadratic equation of which the larger root is the answer.
	k := normalCritical(alpha/float64(checks)) - normalCritical(power)
	noise := k * k / (float64(total) / 2)
	edge := p * (1 + threshold)
	half := (edge + noise/2) / (1 + noise)
	root := half*half - (edge*edge-noise*p*(1-p))/(1+noise)
	changed := half + math.Copysign(math.Sqrt(max(root, 0)), k)
	if !(root >= 0 && changed >= 0 && changed <= 1) {
		return Detectable{Status: Status{StateUnreachable, "No proportion fires the alert with this power; more units are needed."}}
	}
	lift := changed/p - 1
	if !finite(lift) {
		return Detectable{Status: overflow}
	}
	return Detectable{Status: ready, Absolute: changed - p, Relative: &lift}
}
