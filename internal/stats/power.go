package stats

import "math"

// Sizes and effects are by the normal approximation (Lachin 1981, "Introduction
// to sample size determination and power analysis for clinical trials"), two-sided
// at significance level alpha, with power the chance to find an effect of that size.

// reach is how many standard errors an effect must have to be found with the
// given power, two-sided.
func reach(alpha, power float64) (float64, Status) {
	if s := checkAlpha(alpha); !s.Ready() {
		return 0, s
	}
	if !(power > alpha/2 && power < 1) {
		return 0, Status{StateInvalid, "The power must lie between half the significance level and 1."}
	}
	return normalCritical(alpha/2) - normalCritical(power), ready
}

// Detectable is the smallest effect that would be found with the chosen power.
type Detectable struct {
	Status
	Absolute float64  // unit of the metric
	Relative *float64 // fraction of the absolute control mean; nil when that is zero
}

// Detectable returns the minimum detectable effect at the contrast's present
// size. It says what the data could have shown, not what they did.
func (c Contrast) Detectable(alpha, power float64) Detectable {
	if !c.Ready() {
		return Detectable{Status: c.Status}
	}
	return detectable(c.SE, c.base.mean, alpha, power)
}

// DetectableEffect is [Contrast.Detectable] before there are data: n units per
// arm, each arm with the same mean and standard deviation sd > 0.
func DetectableEffect(mean, sd float64, control, treatment int64, alpha, power float64) Detectable {
	if !(sd > 0) || control < 1 || treatment < 1 {
		return Detectable{Status: Status{StateInvalid, "The arms need units, and values that vary."}}
	}
	return detectable(sd*math.Sqrt(1/float64(control)+1/float64(treatment)), mean, alpha, power)
}

func detectable(se, mean, alpha, power float64) Detectable {
	k, s := reach(alpha, power)
	if !s.Ready() {
		return Detectable{Status: s}
	}
	d := Detectable{Status: ready, Absolute: k * se}
	if !finite(d.Absolute, mean) {
		return Detectable{Status: overflow}
	}
	if relative := d.Absolute / math.Abs(mean); finite(relative) {
		d.Relative = &relative
	}
	return d
}

// DetectableLift is the minimum detectable relative effect when the noise of the
// control mean counts too: the δ > 0 with δ = k·LiftSE(δ) for arms of n units
// each (the equation of GrowthBook's power calculator; its printed solution has a
// 1 where 2 belongs). Unreachable when the mean is within k standard errors of 0.
func DetectableLift(mean, sd float64, n int64, alpha, power float64) Detectable {
	k, s := reach(alpha, power)
	if s.Ready() && (!(sd > 0) || n < 1 || !finite(mean, sd)) {
		s = Status{StateInvalid, "The arms need units, and values that vary."}
	}
	if !s.Ready() {
		return Detectable{Status: s}
	}
	if mean == 0 {
		return Detectable{Status: Status{StateZeroBaseline, "The control mean is zero; no effect is relative to it."}}
	}
	g := square(k * sd / math.Sqrt(float64(n)) / mean)
	if !(g < 1) {
		return Detectable{Status: Status{StateUnreachable, "The control mean is too uncertain to find any relative effect; collect more units."}}
	}
	lift := (g + math.Sqrt(g*(2-g))) / (1 - g)
	if !finite(lift * mean) {
		return Detectable{Status: overflow}
	}
	return Detectable{Status: ready, Absolute: lift * math.Abs(mean), Relative: &lift}
}

// Power returns the chance that a two-sided test at significance level alpha
// finds an effect whose estimate has standard error se, in either direction. ok is
// false when an input has no meaning.
func Power(effect, se, alpha float64) (power float64, ok bool) {
	if !level(alpha) || !(se > 0) || !finite(effect, se) {
		return 0, false
	}
	z, shift := normalCritical(alpha/2), math.Abs(effect/se)
	return normalUpper(z-shift) + normalUpper(z+shift), true
}

// SampleSize is how many units a test needs.
type SampleSize struct {
	Status
	Control, Treatment           int64   // rounded up
	ExactControl, ExactTreatment float64 // before rounding
}

// SampleSizeMean returns the units needed to find a difference of effect between
// means of values with standard deviation sd > 0. ratio is treatment units per
// control unit, 1 for equal arms.
func SampleSizeMean(sd, effect, ratio, alpha, power float64) SampleSize {
	k, s := reach(alpha, power)
	if s.Ready() && (!(sd > 0) || !(ratio > 0) || effect == 0 || !finite(sd, ratio, effect)) {
		s = Status{StateInvalid, "The standard deviation and the ratio must be positive, and the effect not zero."}
	}
	if !s.Ready() {
		return SampleSize{Status: s}
	}
	return sampleSize((1+1/ratio)*square(k*sd/effect), ratio)
}

// SampleSizeProportion returns the units per arm needed to find that a
// proportion p became p·(1+lift). pooled takes the variance under no effect from
// both arms together, as R's power.prop.test does; without it the test is Welch's.
func SampleSizeProportion(p, lift, alpha, power float64, pooled bool) SampleSize {
	k, s := reach(alpha, power)
	changed := p * (1 + lift)
	switch {
	case !s.Ready():
		return SampleSize{Status: s}
	case !fraction(p) || lift == 0 || !finite(lift):
		return SampleSize{Status: Status{StateInvalid, "The proportion must lie between 0 and 1, and the effect not be zero."}}
	case !(changed >= 0 && changed <= 1):
		return SampleSize{Status: Status{StateUnreachable, "The changed proportion would not lie between 0 and 1."}}
	}
	spread := p*(1-p) + changed*(1-changed)
	reached := k * math.Sqrt(spread)
	if pooled {
		middle := (p + changed) / 2
		reached = normalCritical(alpha/2)*math.Sqrt(2*middle*(1-middle)) - normalCritical(power)*math.Sqrt(spread)
	}
	return sampleSize(square(reached/(p*lift)), 1)
}

// sampleSize rounds up, the treatment from the rounded control so that the
// ratio is kept.
func sampleSize(exact, ratio float64) SampleSize {
	const most = 1 << 53
	treatment := math.Ceil(math.Ceil(exact) * ratio)
	if !(exact < most && treatment < most) {
		return SampleSize{Status: Status{StateUnreachable, "The effect is too small to be found with any number of units."}}
	}
	return SampleSize{
		Status: ready, Control: int64(max(1, math.Ceil(exact))), Treatment: int64(max(1, treatment)),
		ExactControl: exact, ExactTreatment: exact * ratio,
	}
}
