package stats

import (
	"math"
	"math/rand/v2"
	"testing"
)

// Promises about chances, checked by counting. Runs are many and seeds fixed;
// bounds are what a binomial count leaves only once in thousands of seeds.

const runs = 1000

// bounds returns between which counts of runs a chance p stays, at about 3.5
// standard deviations.
func bounds(p float64) (low, high float64) {
	sd := math.Sqrt(runs * p * (1 - p))
	return runs*p - 3.5*sd, runs*p + 3.5*sd
}

// skewed draws a value such as revenue: mostly nothing, else lognormal.
func skewed(r *rand.Rand) float64 {
	if r.IntN(3) > 0 {
		return 0
	}
	return math.Exp(r.NormFloat64())
}

func TestWithoutEffectTheFixedTestErrsAsOftenAsItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	found := 0
	for range runs {
		var control, treatment Moments
		for range 500 {
			control.Add(skewed(r))
			treatment.Add(skewed(r))
		}
		if Difference(control.Sample(), treatment.Sample()).Fixed(0.05).P < 0.05 {
			found++
		}
	}
	low, high := bounds(0.05)
	t.Logf("%d of %d looks at the end found an effect", found, runs)
	if float64(found) < low || float64(found) > high {
		t.Errorf("expected between %.0f and %.0f", low, high)
	}
}

func TestWithoutEffectNoNumberOfLooksMakesTheSequentialTestErrMoreThanItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	tuning := TuneAt(0.05, DefaultTuning)
	sequential, fixed, missed := 0, 0, 0
	for range runs {
		var control, treatment Moments
		var running Running
		peeked := false
		for range 40 {
			for range 60 {
				control.Add(skewed(r))
				treatment.Add(skewed(r))
			}
			c := Difference(control.Sample(), treatment.Sample())
			look := c.Sequential(0.05, tuning)
			running = running.Next(look.P, look.CI)
			peeked = peeked || c.Fixed(0.05).P < 0.05
		}
		if running.P < 0.05 {
			sequential++
		}
		if running.Empty || !running.CI.Contains(0) {
			missed++
		}
		if peeked {
			fixed++
		}
	}
	_, high := bounds(0.05)
	t.Logf("any of 40 looks: sequential %d, intervals that miss %d, fixed %d, of %d", sequential, missed, fixed, runs)
	if float64(sequential) > high || float64(missed) > high {
		t.Errorf("expected at most %.0f", high)
	}
	if sequential != missed {
		t.Errorf("the p-value and the interval disagree")
	}
	if fixed < 4*sequential || float64(fixed) < 0.15*runs {
		t.Errorf("the fixed test erred only %d times: the simulation does not peek hard enough to show anything", fixed)
	}
}

func TestAnEffectIsFoundSequentially(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 26))
	tuning := TuneAt(0.05, DefaultTuning)
	found := 0
	for range 100 {
		var control, treatment Moments
		running := Running{}
		for range 20 {
			for range 200 {
				control.Add(r.NormFloat64())
				treatment.Add(0.15 + r.NormFloat64())
			}
			look := Difference(control.Sample(), treatment.Sample()).Sequential(0.05, tuning)
			running = running.Next(look.P, look.CI)
		}
		if running.P < 0.05 {
			found++
		}
	}
	if found < 95 {
		t.Errorf("an effect of 6.7 standard errors at the end was found %d times of 100", found)
	}
}

func TestTheRelativeIntervalCoversTheTruthAsOftenAsItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(27, 28))
	covered := 0
	for range runs {
		var control, treatment Moments
		for range 400 {
			control.Add(skewed(r))
			treatment.Add(1.2 * skewed(r))
		}
		c := Difference(control.Sample(), treatment.Sample()).Fixed(0.05)
		if !c.Relative.Ready() || c.Relative.CI.Contains(0.2) {
			covered++
		}
	}
	low, high := bounds(0.95)
	t.Logf("covered %d of %d", covered, runs)
	if float64(covered) < low || float64(covered) > high {
		t.Errorf("expected between %.0f and %.0f", low, high)
	}
}

func TestAFairSplitIsRarelyCalledAMismatchHoweverOftenOneLooks(t *testing.T) {
	r := rand.New(rand.NewPCG(29, 30))
	sequential, fixed := 0, 0
	for range runs {
		counts := []int64{0, 0}
		var running Running
		last := SampleRatio{}
		for range 60 {
			for range 50 {
				counts[min(1, r.IntN(4))]++
			}
			running = running.Next(CheckSampleRatioSequentially(counts, []float64{1, 3}, 100).P, nil)
			last = CheckSampleRatio(counts, []float64{1, 3}, 0.05)
		}
		if running.P < 0.05 {
			sequential++
		}
		if last.Mismatch {
			fixed++
		}
	}
	low, high := bounds(0.05)
	t.Logf("mismatch called: sequential %d, fixed at the end %d, of %d", sequential, fixed, runs)
	if float64(sequential) > high || float64(fixed) < low || float64(fixed) > high {
		t.Errorf("expected at most %.0f, and between %.0f and %.0f", high, low, high)
	}
}

func TestOnTheThresholdADegradationAlertFiresAsOftenAsItSays(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	ratio, fixed := 0, 0
	for range runs {
		var control, treatment Moments
		for range 400 {
			control.Add(2 + r.NormFloat64())
			treatment.Add(1.5 * (2 + r.NormFloat64()))
		}
		if CheckDegradation(control.Sample(), treatment.Sample(), Increase, 0.5, RatioMargin, 0.05).Degraded {
			ratio++
		}
		if CheckDegradation(control.Sample(), treatment.Sample(), Increase, 0.5, FixedMargin, 0.05).Degraded {
			fixed++
		}
	}
	low, high := bounds(0.05)
	t.Logf("fired: margin as a ratio %d, fixed %d, of %d", ratio, fixed, runs)
	if float64(ratio) < low || float64(ratio) > high {
		t.Errorf("expected between %.0f and %.0f", low, high)
	}
}

func TestFalseDiscoveriesAreAsRareAsTheCorrectionSays(t *testing.T) {
	r := rand.New(rand.NewPCG(33, 34))
	share := 0.0
	for range runs {
		p := make([]float64, 10)
		for i := range p {
			z := r.NormFloat64()
			if i < 5 {
				z += 3
			}
			p[i] = 2 * normalUpper(math.Abs(z))
		}
		f := BenjaminiHochberg(p, 0.1)
		wrong := 0
		for i := 5; i < 10; i++ {
			if f.Rejected[i] {
				wrong++
			}
		}
		share += float64(wrong) / float64(max(1, f.Rejections)) / runs
	}
	t.Logf("share of false discoveries %.4f", share)
	// Exactly 0.1 times the share of true nulls for independent tests.
	if share < 0.03 || share > 0.065 {
		t.Errorf("expected about 0.05")
	}
}
