package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// What must hold for any data, tried on arms of random size, level, spread and
// skew. The seed is fixed: a failure repeats.

const propertyRuns = 400

// forAny runs a property on many random pairs of arms.
func forAny(t *testing.T, property func(t *testing.T, r *rand.Rand, control, treatment []float64)) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for run := range propertyRuns {
		if t.Failed() {
			t.Fatalf("failed in run %d", run)
		}
		control := randomArm(r)
		treatment := randomArm(r)
		property(t, r, control, treatment)
	}
}

// randomArm returns 3 to 200 values, skewed or not, of any sign and size.
func randomArm(r *rand.Rand) []float64 {
	values := make([]float64, 3+r.IntN(198))
	level, spread := r.NormFloat64()*3, math.Exp(r.NormFloat64())
	for i := range values {
		values[i] = level + spread*r.NormFloat64()
		if r.IntN(2) == 0 {
			values[i] = level + spread*math.Exp(r.NormFloat64())
		}
	}
	return values
}

func compareValues(control, treatment []float64) Contrast {
	return Difference(MomentsOf(control).Sample(), MomentsOf(treatment).Sample())
}

func mapped(values []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(values))
	for i, x := range values {
		out[i] = f(x)
	}
	return out
}

// near12 asks for relative agreement, or absolute of what is small against scale.
func near12(a, b, scale float64) bool {
	return math.Abs(a-b) <= 1e-10*max(math.Abs(a), math.Abs(b), scale)
}

func equalMoments(t *testing.T, what string, a, b Moments) {
	t.Helper()
	if a.N != b.N || !near12(a.Mean, b.Mean, 1) || !near12(a.M2, b.M2, 0) {
		t.Errorf("%s: %+v and %+v", what, a, b)
	}
}

// checkDuality holds a comparison to the promise that p, the interval and the
// relative interval never contradict each other.
func checkDuality(t *testing.T, c Comparison, alpha float64) {
	t.Helper()
	if !c.Ready() {
		t.Fatalf("%+v", c.Status)
	}
	if math.Abs(math.Abs(c.Statistic)/c.Critical-1) < 1e-7 {
		return // on the border rounding decides
	}
	significant := c.P < alpha
	if significant == c.CI.Contains(0) {
		t.Errorf("p = %v at %v, interval %v", c.P, alpha, *c.CI)
	}
	if c.Relative.Ready() && significant == c.Relative.CI.Contains(0) {
		t.Errorf("p = %v at %v, relative interval %v", c.P, alpha, *c.Relative.CI)
	}
	if c.Relative.Ready() && !c.Relative.CI.Contains(c.Relative.Lift) {
		t.Errorf("relative interval %v without its own lift %v", *c.Relative.CI, c.Relative.Lift)
	}
}

func TestPAndBothIntervalsAgree(t *testing.T) {
	bounded := 0
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		alpha := math.Exp(-6*r.Float64()*r.Float64()) / 2
		c := compareValues(control, treatment)
		fixed := c.Fixed(alpha)
		checkDuality(t, fixed, alpha)
		tuning := TuneAt(0.05, 1+999*r.Float64())
		checkDuality(t, c.Sequential(alpha, tuning), alpha)
		if fixed.Relative.Ready() {
			bounded++
		}

		pairs := pairsOf(r, control, treatment)
		checkDuality(t, Difference(pairs[0].Ratio(), pairs[1].Ratio()).Fixed(alpha), alpha)
		adjusted, _ := Adjusted(pairs[0], pairs[1])
		checkDuality(t, adjusted.Fixed(alpha), alpha)
	})
	if bounded < propertyRuns/2 {
		t.Errorf("only %d of %d relative intervals were bounded", bounded, propertyRuns)
	}
}

// pairsOf gives each value a positive partner that goes along with it.
func pairsOf(r *rand.Rand, arms ...[]float64) []CrossMoments {
	out := make([]CrossMoments, len(arms))
	for i, values := range arms {
		for _, y := range values {
			out[i].Add(y, 5+math.Tanh(y)+r.Float64())
		}
	}
	return out
}

func TestOrderOfValuesDoesNotMatter(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, _ []float64) {
		shuffled := slices.Clone(control)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		equalMoments(t, "shuffled", MomentsOf(control), MomentsOf(shuffled))
	})
}

func TestMergedPartsAreTheWhole(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, _ []float64) {
		var one Moments
		for _, x := range control {
			one.Add(x)
		}
		equalMoments(t, "one by one", MomentsOf(control), one)
		cut := r.IntN(len(control) + 1)
		a, b := MomentsOf(control[:cut]), MomentsOf(control[cut:])
		equalMoments(t, "merged", MomentsOf(control), a.Merge(b))
		equalMoments(t, "merged the other way round", MomentsOf(control), b.Merge(a))

		var whole, left, right CrossMoments
		for i, y := range control {
			x := r.NormFloat64() + y
			whole.Add(y, x)
			if i < cut {
				left.Add(y, x)
			} else {
				right.Add(y, x)
			}
		}
		both := left.Merge(right)
		if both.N != whole.N || !near12(both.C, whole.C, math.Sqrt(whole.M2X*whole.M2Y)) || !near12(both.M2X, whole.M2X, 0) {
			t.Errorf("merged pairs: %+v and %+v", both, whole)
		}
	})
}

func TestAReplacedValueIsAsIfItHadBeenThere(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		m := MomentsOf(control)
		for range 20 {
			i := r.IntN(len(control))
			m = m.Replace(control[i], treatment[0])
			control[i] = treatment[0]
			treatment[0] = r.NormFloat64()
		}
		equalMoments(t, "replaced", MomentsOf(control), m)
	})
}

func TestAnotherUnitChangesNeitherPNorLift(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		factor := math.Exp(40 * r.NormFloat64())
		scale := func(x float64) float64 { return factor * x }
		a := compareValues(control, treatment).Fixed(0.05)
		b := compareValues(mapped(control, scale), mapped(treatment, scale)).Fixed(0.05)
		if !near12(a.P, b.P, 0) || !near12(a.Statistic, b.Statistic, 1) || !near12(a.DF, b.DF, 0) ||
			!near12(a.Relative.Lift, b.Relative.Lift, 1) || a.Relative.State != b.Relative.State || !near12(a.Diff*factor, b.Diff, factor) {
			t.Errorf("times %g: %+v became %+v", factor, a, b)
		}
	})
}

func TestAShiftOfBothArmsChangesNeitherDifferenceNorP(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		by := 100 * r.NormFloat64()
		shift := func(x float64) float64 { return x + by }
		a := compareValues(control, treatment).Fixed(0.05)
		b := compareValues(mapped(control, shift), mapped(treatment, shift)).Fixed(0.05)
		if !near12(a.Diff, b.Diff, 1) || math.Abs(a.P-b.P) > 1e-9 || !near12(a.SE, b.SE, 0) {
			t.Errorf("plus %g: %+v became %+v", by, a, b)
		}
	})
}

func TestSwappedArmsGiveTheOppositeDifferenceAndTheSameP(t *testing.T) {
	forAny(t, func(t *testing.T, _ *rand.Rand, control, treatment []float64) {
		c, d := compareValues(control, treatment), compareValues(treatment, control)
		a, b := c.Fixed(0.05), d.Fixed(0.05)
		if a.Diff != -b.Diff || a.P != b.P || !near12(a.DF, b.DF, 0) || a.CI.Low != -b.CI.High {
			t.Errorf("%+v and %+v", a, b)
		}
		greater, less := c.Tails()
		greaterSwapped, lessSwapped := d.Tails()
		if !near12(greater, lessSwapped, 0) || !near12(less, greaterSwapped, 0) || math.Abs(greater+less-1) > 1e-12 {
			t.Errorf("tails %v %v, swapped %v %v", greater, less, greaterSwapped, lessSwapped)
		}
	})
}

func TestAPercentageIsTheMeanOfZerosAndOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range propertyRuns {
		values := make([]float64, 2+r.IntN(500))
		hits := int64(0)
		for i := range values {
			if r.IntN(5) == 0 {
				values[i] = 1
				hits++
			}
		}
		equalMoments(t, "zeros and ones", Proportion(int64(len(values)), hits), MomentsOf(values))
	}
}

func TestARatioOverOnesIsTheMean(t *testing.T) {
	forAny(t, func(t *testing.T, _ *rand.Rand, control, _ []float64) {
		var pairs CrossMoments
		for _, y := range control {
			pairs.Add(y, 1)
		}
		ratio, mean := pairs.Ratio(), MomentsOf(control).Sample()
		if ratio.N != mean.N || !near12(ratio.Mean, mean.Mean, 1) || !near12(ratio.Variance, mean.Variance, 0) {
			t.Errorf("%+v and %+v", ratio, mean)
		}
	})
}

func TestACovariateThatDoesNotVaryChangesNothing(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		for _, constant := range []float64{0, 0.1, -7} {
			var arms [2]CrossMoments
			for i, values := range [][]float64{control, treatment} {
				for _, y := range values {
					arms[i].Add(y, constant)
				}
			}
			c, a := Adjusted(arms[0], arms[1])
			got, want := c.Fixed(0.05), compareValues(control, treatment).Fixed(0.05)
			if a.Theta != 0 || a.Reduction != 0 || !near12(got.Diff, want.Diff, 1) || !near12(got.P, want.P, 1e-9) || !near12(got.DF, want.DF, 0) ||
				got.Relative.State != want.Relative.State || !near12(got.Relative.Baseline, want.Relative.Baseline, 0) {
				t.Errorf("adjusted %+v, plain %+v", got, want)
			}
		}
	})
}

func TestACovariateOnlyEverNarrowsWhatBothArmsShare(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, _, _ []float64) {
		var arms [2]CrossMoments
		for i := range arms {
			for range 200 {
				before := r.NormFloat64()
				arms[i].Add(3+before+0.3*r.NormFloat64(), before)
			}
		}
		c, a := Adjusted(arms[0], arms[1])
		plain := Difference(arms[0].y().Sample(), arms[1].y().Sample())
		if c.SE > plain.SE/2 || a.Reduction < 0.8 || math.Abs(a.Theta-1) > 0.2 {
			t.Errorf("standard error %v, plain %v; %+v", c.SE, plain.SE, a)
		}
	})
}

func TestOneMetricNeedsNoCorrection(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range propertyRuns {
		p, alpha := r.Float64(), 0.001+0.2*r.Float64()
		f := BenjaminiHochberg([]float64{math.NaN(), p, -1}, alpha)
		if f.Tests != 1 || f.P[1] != p || f.AlphaCI[1] != alpha || f.Rejected[1] != (p < alpha) || f.P[0] != 1 || f.Rejected[0] || f.Rejected[2] {
			t.Errorf("p %v at %v: %+v", p, alpha, f)
		}
	}
}

func TestACorrectedMetricIsSignificantWhenItsIntervalExcludesZero(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	rejections := 0
	for range 200 {
		const alpha = 0.05
		contrasts, p := make([]Contrast, 1+r.IntN(12)), []float64(nil)
		tuning := TuneAt(alpha, 5000)
		sequential := r.IntN(2) == 0
		judge := func(c Contrast, alpha float64) Comparison {
			if sequential {
				return c.Sequential(alpha, tuning)
			}
			return c.Fixed(alpha)
		}
		for i := range contrasts {
			effect := float64(r.IntN(3)) * r.Float64() * 0.3
			contrasts[i] = Difference(Sample{N: 900, Mean: 1, Variance: 1}, Sample{N: 700, Mean: 1 + effect, Variance: 2})
			p = append(p, judge(contrasts[i], alpha).P)
		}
		f := BenjaminiHochberg(p, alpha)
		rejections += f.Rejections
		for i, c := range contrasts {
			verdict := judge(c, f.AlphaCI[i])
			if f.Rejected[i] == verdict.CI.Contains(0) || verdict.Relative.Ready() && f.Rejected[i] == verdict.Relative.CI.Contains(0) {
				t.Errorf("adjusted p %v, interval %v at %v", f.P[i], *verdict.CI, f.AlphaCI[i])
			}
		}
	}
	if rejections < 100 {
		t.Errorf("only %d rejections", rejections)
	}
}

func TestPublishedSequentialFormsAreOneFamily(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range propertyRuns {
		alpha, n, z := 0.001+0.3*r.Float64(), 10+r.Int64N(1e9), 8*r.NormFloat64()
		tuning := TuneAt(alpha, 1+1e5*r.Float64())
		lambda, rho2, size := tuning.Lambda(n), square(tuning.Rho()), float64(n)
		// The confidence sequence and its p as gbstats writes them.
		critical := math.Sqrt(size) * math.Sqrt(2*(size*rho2+1)/(size*size*rho2)*math.Log(math.Sqrt(size*rho2+1)/alpha))
		p := min(1, math.Sqrt(size*rho2+1)*math.Exp(-rho2*size*z*z/(2*(size*rho2+1))))
		eppo := math.Sqrt((size + EppoRho(tuning)) / size * math.Log((size+EppoRho(tuning))/(EppoRho(tuning)*alpha*alpha)))
		ours := sequentialCritical(lambda, alpha)
		if !near12(critical, ours, 0) || !near12(eppo, ours, 0) || math.Abs(p-alwaysValidP(z, lambda)) > 1e-9*p {
			t.Errorf("n %d: %v, gbstats %v, Eppo %v; p %v and %v", n, ours, critical, eppo, alwaysValidP(z, lambda), p)
		}
		if one, ok := tuning.OneSidedCritical(n, alpha); !ok || one >= ours || one <= normalCritical(alpha) || ours <= normalCritical(alpha/2) {
			t.Errorf("one-sided %v, two-sided %v at alpha %v", one, ours, alpha)
		}
	}
}

func TestOnceSignificantStaysSignificant(t *testing.T) {
	var running Running
	for _, p := range []float64{math.NaN(), 0.7, 0.04, 0.2, math.Inf(1)} {
		running = running.Next(p, &Interval{0.1, 0.9})
	}
	if running.P != 0.04 || running.Looks != 5 || *running.CI != (Interval{0.1, 0.9}) {
		t.Errorf("%+v", running)
	}
	running = running.Next(0.3, &Interval{0.95, 2}).Next(0.5, &Interval{0, 1})
	if !running.Empty || running.CI != nil || running.P != 0.04 {
		t.Errorf("after intervals that do not meet: %+v", running)
	}
	if first := (Running{}).Next(1, nil); first.P != 1 || first.CI != nil {
		t.Errorf("nothing to see: %+v", first)
	}
}

func TestASampleOfThePlannedSizeHasThePlannedPower(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range propertyRuns {
		alpha, power, ratio := 0.01+0.1*r.Float64(), 0.5+0.49*r.Float64(), 0.2+3*r.Float64()
		sd, effect := math.Exp(r.NormFloat64()), 0.05*math.Exp(r.NormFloat64())
		n := SampleSizeMean(sd, effect, ratio, alpha, power)
		d := DetectableEffect(1, sd, n.Control, n.Treatment, alpha, power)
		if !n.Ready() || d.Absolute > effect || d.Absolute < effect*0.9 && n.Control > 20 {
			t.Fatalf("%+v detects %v, planned %v", n, d, effect)
		}
		reached, ok := Power(effect, sd*math.Sqrt(1/n.ExactControl+1/n.ExactTreatment), alpha)
		if !ok || reached < power-1e-12 || reached > power+alpha/2 {
			t.Errorf("power %v, planned %v", reached, power)
		}
		if lift := DetectableLift(1, sd, n.Control, alpha, power); lift.Ready() {
			se := math.Sqrt(sd * sd / float64(n.Control) * (1 + square(1+*lift.Relative)))
			if k, _ := reach(alpha, power); !near12(*lift.Relative, k*se, 0) {
				t.Errorf("lift %v, %v standard errors are %v", *lift.Relative, k, k*se)
			}
		}
	}
}

func TestDegradationWithoutThresholdIsTheOneSidedTest(t *testing.T) {
	forAny(t, func(t *testing.T, r *rand.Rand, control, treatment []float64) {
		c, x := MomentsOf(control).Sample(), MomentsOf(treatment).Sample()
		greater, less := Difference(c, x).Tails()
		for _, margin := range []Margin{RatioMargin, FixedMargin} {
			up, down := CheckDegradation(c, x, Increase, 0, margin, 0.05), CheckDegradation(c, x, Decrease, 0, margin, 0.05)
			if !near12(up.P, greater, 0) || !near12(down.P, less, 0) {
				t.Errorf("%v %v, tails %v %v", up, down, greater, less)
			}
			threshold := r.Float64()
			if more := CheckDegradation(c, x, Increase, threshold, FixedMargin, 0.05); more.P < up.P || more.Excess > up.Excess {
				t.Errorf("a threshold of %v made %+v of %+v", threshold, more, up)
			}
		}
		// A mirrored metric degrades in the mirrored direction.
		mirror := func(s Sample) Sample { return Sample{N: s.N, Mean: -s.Mean, Variance: s.Variance} }
		a := CheckDegradation(c, x, Increase, 0.1, RatioMargin, 0.05)
		b := CheckDegradation(mirror(c), mirror(x), Decrease, 0.1, RatioMargin, 0.05)
		if !near12(a.P, b.P, 0) || !near12(a.Excess, b.Excess, 1) {
			t.Errorf("%+v mirrored is %+v", a, b)
		}
	})
}

func TestSampleRatioDoesNotMindTheOrderOfArmsOrUnusedOnes(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range propertyRuns {
		n, m := 1+r.Int64N(1e6), 1+r.Int64N(1e6)
		w := 0.05 + 0.9*r.Float64()
		a := CheckSampleRatio([]int64{n, m}, []float64{w, 1 - w}, SampleRatioThreshold)
		b := CheckSampleRatio([]int64{m, 0, n}, []float64{7 * (1 - w), 0, 7 * w}, SampleRatioThreshold)
		if !a.Ready() || !near12(a.ChiSquared, b.ChiSquared, 1) || a.DF != 1 || b.DF != 1 || a.Mismatch != b.Mismatch {
			t.Errorf("%+v and %+v", a, b)
		}
		c := CheckSampleRatioSequentially([]int64{n, m}, []float64{w, 1 - w}, 100)
		d := CheckSampleRatioSequentially([]int64{m, 0, n}, []float64{1 - w, 0, w}, 100)
		if !c.Ready() || !near12(c.LogEvidence, d.LogEvidence, 1) {
			t.Errorf("%+v and %+v", c, d)
		}
	}
}

// TestSequentialSampleRatioIsTheProductOfItsSteps compares the closed form with
// the factors unit by unit, which is how the method is defined.
func TestSequentialSampleRatioIsTheProductOfItsSteps(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 50 {
		shares := []float64{0.2, 0.5, 0.3}
		concentration := math.Exp(3 * r.NormFloat64())
		var counts [3]int64
		log, all := 0.0, concentration
		for range 300 {
			arm := r.IntN(3)
			log += math.Log((concentration*shares[arm] + float64(counts[arm])) / all / shares[arm])
			counts[arm]++
			all++
		}
		got := CheckSampleRatioSequentially(counts[:], shares, concentration)
		if !got.Ready() || math.Abs(got.LogEvidence-log) > 1e-9 {
			t.Errorf("%v, step by step %v", got, log)
		}
	}
}
