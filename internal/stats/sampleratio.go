package stats

import "math"

// SampleRatioThreshold is the p-value below which a sample ratio is called a
// mismatch: low, because the check runs at every calculation (Harness FME,
// "Sample ratio check").
const SampleRatioThreshold = 0.001

// SampleRatio says whether the arms' sizes fit the shares they were meant to get.
type SampleRatio struct {
	Status
	ChiSquared float64
	DF         int
	P          float64
	Expected   []float64 // units per arm, in the order given
	Mismatch   bool      // P below the threshold: do not trust the experiment
}

// CheckSampleRatio is Pearson's chi-squared test of fit (Pearson 1900). shares
// need not sum to one. Arms that were meant to get nothing and got nothing are
// left out. Not applicable: an arm without a unit, an arm with units that was
// meant to get none (individual targets, a rule that changed), fewer than two arms.
func CheckSampleRatio(observed []int64, shares []float64, threshold float64) SampleRatio {
	arms, s := fitArms(observed, shares)
	if s.Ready() && !fraction(threshold) {
		s = Status{StateInvalid, "The threshold must lie between 0 and 1."}
	}
	if !s.Ready() {
		return SampleRatio{Status: s, P: 1}
	}
	r := SampleRatio{Status: ready, DF: arms.used - 1, Expected: make([]float64, len(observed))}
	for i, share := range arms.shares {
		if share > 0 {
			r.Expected[i] = arms.total * share
			r.ChiSquared += square(float64(observed[i])-r.Expected[i]) / r.Expected[i]
		}
	}
	r.P = chiSquaredUpper(r.ChiSquared, r.DF)
	if !finite(r.ChiSquared, r.P) {
		return SampleRatio{Status: overflow, P: 1}
	}
	r.Mismatch = r.P < threshold
	return r
}

// arms are the checked inputs of a sample-ratio check.
type arms struct {
	shares []float64 // normalised
	used   int       // arms with a share
	total  float64   // units
}

// fitArms checks and normalises what the sample-ratio checks share.
func fitArms(observed []int64, shares []float64) (arms, Status) {
	if len(observed) != len(shares) {
		return arms{}, Status{StateInvalid, "Every arm needs a number of units and a share."}
	}
	var a arms
	sum := 0.0
	for i, share := range shares {
		switch {
		case !(share >= 0) || !finite(share) || observed[i] < 0:
			return arms{}, Status{StateInvalid, "Shares and numbers of units cannot be negative."}
		case share == 0 && observed[i] > 0:
			return arms{}, Status{StateNotApplicable, "An arm has units though its share is zero, such as by individual targets."}
		case share > 0 && observed[i] == 0:
			return arms{}, Status{StateNotApplicable, "An arm has no units."}
		case share > 0:
			a.used++
		}
		sum += share
		a.total += float64(observed[i])
	}
	if a.used < 2 {
		return arms{}, Status{StateNotApplicable, "A ratio needs two arms that get a share."}
	}
	if !finite(sum) {
		return arms{}, overflow
	}
	for _, share := range shares {
		a.shares = append(a.shares, share/sum)
	}
	return a, ready
}

// SequentialSampleRatio is one look of an always-valid sample-ratio check.
type SequentialSampleRatio struct {
	Status
	LogEvidence float64 // ln of the Bayes factor against the meant shares
	P           float64 // of this look; keep the smallest with [Running]
}

// CheckSampleRatioSequentially is the sample-ratio check one may look at after
// every unit (Lindon, Malek 2022, "Anytime-valid inference for multinomial count
// data"): the Bayes factor of a Dirichlet prior about the shares against the
// shares themselves. concentration > 0 is the prior's weight in units; 100 notices
// deviations of a few percent early, more suits smaller ones. Keep it for the
// whole experiment. Not applicable as in [CheckSampleRatio].
func CheckSampleRatioSequentially(observed []int64, shares []float64, concentration float64) SequentialSampleRatio {
	arms, s := fitArms(observed, shares)
	if s.Ready() && (!(concentration > 0) || !finite(concentration)) {
		s = Status{StateInvalid, "The prior's concentration must be positive."}
	}
	if !s.Ready() {
		return SequentialSampleRatio{Status: s, P: 1}
	}
	// With a = κ·share, x = a + units and e = x/((κ+N)·share) = 1+ε the logarithm
	// of the factor, written with Stirling's formula and its remainder δ, is
	//
	//	½(arms−1)·ln(κ/(κ+N)) + Σ(x−½)·ln e + δ(κ) − δ(κ+N) + Σδ(x) − Σδ(a)
	//
	// in which the terms N·ln N of the usual form, and their rounding, are gone.
	k, all := concentration, concentration+arms.total
	log := float64(arms.used-1)/2*math.Log(k/all) + stirlingRemainder(k) - stirlingRemainder(all)
	for i, share := range arms.shares {
		if share == 0 {
			continue
		}
		a, expected := k*share, all*share
		epsilon := (float64(observed[i]) - arms.total*share) / expected
		log += expected*entropyTerm(epsilon) - math.Log1p(epsilon)/2
		log += stirlingRemainder(a+float64(observed[i])) - stirlingRemainder(a)
	}
	if !finite(log) {
		return SequentialSampleRatio{Status: overflow, P: 1}
	}
	return SequentialSampleRatio{Status: ready, LogEvidence: log, P: pOfEvidence(log)}
}

// stirlingRemainder returns lnΓ(x) − ((x−½)·ln x − x + ½·ln 2π), for x > 0.
func stirlingRemainder(x float64) float64 {
	if x < 10 {
		log, _ := math.Lgamma(x)
		return log - ((x-0.5)*math.Log(x) - x + math.Log(2*math.Pi)/2)
	}
	y := 1 / (x * x)
	return (1./12 - y*(1./360-y*(1./1260-y*(1./1680-y*(1./1188-y*691./360360))))) / x
}

// entropyTerm returns (1+ε)·ln(1+ε) − ε, for ε > −1, without cancellation near 0.
func entropyTerm(e float64) float64 {
	if math.Abs(e) > 0.1 {
		return (1+e)*math.Log1p(e) - e
	}
	sum, power := 0.0, e
	for j := 2.0; j < 18; j++ {
		power *= -e
		sum -= power / (j * (j - 1))
	}
	return sum
}
