package stats

import "math"

// Always-valid inference: p-values and intervals that keep their promise
// however often, and whenever, one looks. One family serves all published
// forms. With V the variance of the difference, z = Diff/√V, and a normal
// mixture of variance τ² over the effects that might be true, λ = τ²/V:
//
//	ln Λ = −½·ln(1+λ) + λz²/(2(1+λ)),   p = min(1, 1/Λ)
//	critical = sqrt( (1 + 1/λ)·(ln(1+λ) − 2·ln α) )
//
// A constant τ² is the mixture sequential probability ratio test (Robbins 1970,
// "Statistical methods related to the law of the iterated logarithm"; Johari,
// Koomen, Pekelis, Walsh 2017, "Peeking at A/B tests"). λ = N·ρ², with N the units
// of both arms, is the asymptotic confidence sequence (Waudby-Smith, Arbour,
// Sinha, Kennedy, Ramdas 2021, "Time-uniform central limit theory and asymptotic
// confidence sequences"), which needs no guess of the effect's size; this is what
// Causeway uses. It is asymptotic: use it from about 100 units per arm on.

// DefaultTuning is the number of units, both arms together, at which the
// sequential interval is tightest unless an experiment says otherwise. The
// promise holds for any choice; far from it the interval is a little wider.
const DefaultTuning = 5000

// Tuning is the mixture's ρ². Choose it when the experiment starts and keep it:
// looks made with different tunings share no promise. Its zero value is invalid.
type Tuning struct{ rho2 float64 }

// TuneAt returns the tuning whose interval at significance level alpha is
// tightest near the given number of units, both arms together. Later changes of
// the level (for many metrics) keep the tuning. Inputs without meaning (alpha not
// within 0 to 1, units < 1) give the zero value, which no result accepts.
func TuneAt(alpha, units float64) Tuning {
	if !level(alpha) || !(units >= 1) {
		return Tuning{}
	}
	l := -2 * math.Log(alpha)
	return Tuning{(l + math.Log1p(l)) / units}
}

// Lambda returns λ for n units of both arms, 0 for the zero tuning.
func (t Tuning) Lambda(n int64) float64 { return float64(n) * t.rho2 }

// Rho returns ρ, the form in which the literature gives the tuning.
func (t Tuning) Rho() float64 { return math.Sqrt(t.rho2) }

// logEvidence returns ln Λ, the logarithm of the evidence against no effect,
// for an effect of z standard errors and λ > 0.
func logEvidence(z, lambda float64) float64 {
	return (lambda/(1+lambda)*z*z - math.Log1p(lambda)) / 2
}

// alwaysValidP returns the p-value that belongs to logEvidence.
func alwaysValidP(z, lambda float64) float64 { return pOfEvidence(logEvidence(z, lambda)) }

// pOfEvidence is min(1, e^−log), by which large evidence cannot overflow.
func pOfEvidence(log float64) float64 { return math.Exp(-max(log, 0)) }

// sequentialCritical returns half the always-valid interval's width in
// standard errors, at significance level alpha and λ > 0.
func sequentialCritical(lambda, alpha float64) float64 {
	return math.Sqrt((1 + 1/lambda) * (math.Log1p(lambda) - 2*math.Log(alpha)))
}

// OneSidedCritical returns how many standard errors below (or above) the
// difference of n units, both arms together, the always-valid bound on that side
// alone lies (Waudby-Smith et al. 2021, appendix). Tune at 2·alpha. ok is false
// without a tuning, units or a level.
func (t Tuning) OneSidedCritical(n int64, alpha float64) (critical float64, ok bool) {
	lambda := t.Lambda(n)
	if !(lambda > 0) || !level(alpha) {
		return 0, false
	}
	critical = math.Sqrt(2 * (1 + 1/lambda) * math.Log1p(math.Sqrt(1+lambda)/(2*alpha)))
	return critical, finite(critical)
}

// Sequential judges the contrast so that the chance that any look ever finds
// an effect where there is none is at most alpha.
func (c Contrast) Sequential(alpha float64, tuning Tuning) Comparison {
	s := c.usable(alpha)
	if !s.Ready() {
		return c.undecided(s)
	}
	lambda := tuning.Lambda(c.N)
	if !(lambda > 0) || !finite(lambda) {
		return c.undecided(Status{StateInvalid, "The sequential test has no tuning."})
	}
	return c.compare(sequentialCritical(lambda, alpha), alwaysValidP(c.Diff/c.SE, lambda))
}

// Running is what a series of looks at one sequential comparison has shown.
// Because every look's promise holds together with all others', the smallest
// p-value and the intersection of the intervals are as valid as the last ones:
// once significant, always significant. The zero value has seen nothing.
type Running struct {
	Looks int
	P     float64   // smallest so far; without meaning while Looks is 0
	CI    *Interval // intersection so far; nil before any, and when Empty
	Empty bool      // intervals of two looks do not meet: the effect changed over time
}

// Next returns the series with one more look. A p that is not in 0 to 1 counts
// as 1, a nil interval as no look at the interval.
func (r Running) Next(p float64, ci *Interval) Running {
	if r.Looks == 0 {
		r.P = 1
	}
	r.Looks++
	if p >= 0 {
		r.P = min(r.P, p)
	}
	switch {
	case ci == nil || r.Empty:
	case r.CI == nil:
		r.CI = &Interval{ci.Low, ci.High}
	default:
		met := Interval{max(r.CI.Low, ci.Low), min(r.CI.High, ci.High)}
		r.CI, r.Empty = &met, met.Low > met.High
	}
	if r.Empty {
		r.CI = nil
	}
	return r
}
