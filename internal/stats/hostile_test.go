package stats

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// Whatever goes in, no number that is not one comes out, and what could not be
// computed says so and looks like nothing.

// hostile are the values that break arithmetic.
var hostile = []float64{
	math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, 1e300, -1e300, 1e200, 1e154, 1e100,
	1, -1, 0.5, 2, 1e-9, 1e-100, 1e-154, 1e-200, 1e-300, -1e-300, math.SmallestNonzeroFloat64, 0, math.Copysign(0, -1),
}

var hostileCounts = []int64{math.MinInt64, -1, 0, 1, 2, 3, 1000, 1 << 53, math.MaxInt64}

// checkHonest walks a result: all numbers finite, and the rest as the package
// comment promises.
func checkHonest(t *testing.T, what string, result any) {
	t.Helper()
	walk(t, what, reflect.ValueOf(result))
}

func walk(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Float64:
		if !finite(v.Float()) {
			t.Errorf("%s is %v", path, v.Float())
		}
	case reflect.Pointer:
		if !v.IsNil() {
			walk(t, path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			walk(t, path, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			walk(t, path, v.Field(i))
		}
		checkState(t, path, v)
	}
}

// checkState holds a struct with a state, a p-value or an interval to its promise.
func checkState(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	status, stateful := Status{State: StateReady}, false
	if f := v.FieldByName("Status"); f.IsValid() {
		status, stateful = f.Interface().(Status), true
	}
	if stateful && (status.State == "" || status.Ready() != (status.Reason == "")) {
		t.Errorf("%s: %+v", path, status)
	}
	if p := v.FieldByName("P"); p.IsValid() && p.Kind() == reflect.Float64 {
		if p.Float() < 0 || p.Float() > 1 || !status.Ready() && p.Float() != 1 {
			t.Errorf("%s: p is %v in state %q", path, p.Float(), status.State)
		}
	}
	if ci := v.FieldByName("CI"); ci.IsValid() && stateful && ci.IsNil() == status.Ready() {
		t.Errorf("%s: interval %v in state %q", path, ci, status.State)
	}
	for _, verdict := range []string{"Mismatch", "Degraded"} {
		if f := v.FieldByName(verdict); f.IsValid() && f.Bool() && !status.Ready() {
			t.Errorf("%s: %s in state %q", path, verdict, status.State)
		}
	}
	if v.Type() == reflect.TypeFor[Interval]() && !(v.Field(0).Float() <= v.Field(1).Float()) {
		t.Errorf("%s: interval %v", path, v)
	}
}

// checkArms runs everything that takes two arms.
func checkArms(t *testing.T, control, treatment Moments, alpha, other float64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%+v %+v alpha %v other %v", control, treatment, alpha, other)
		}
	}()
	c, x := control.Sample(), treatment.Sample()
	contrast := Difference(c, x)
	fixed := contrast.Fixed(alpha)
	checkHonest(t, "fixed", fixed)
	checkHonest(t, "sequential", contrast.Sequential(alpha, TuneAt(alpha, other)))
	greater, less := contrast.Tails()
	checkHonest(t, "tails", []float64{greater, less, contrast.LiftSE(), contrast.Diff, contrast.SE, contrast.DF})
	checkHonest(t, "detectable", contrast.Detectable(alpha, other))
	checkHonest(t, "degradation", CheckDegradation(c, x, Increase, other, RatioMargin, alpha))
	checkHonest(t, "degradation", CheckDegradation(c, x, Decrease, other, FixedMargin, alpha))
	if ci, ok := LogInterval(c, x, 2); ok {
		checkHonest(t, "log interval", ci)
	}
	if s, ok := Statsig(c, x, alpha); ok {
		checkHonest(t, "statsig", s)
	}
	if z, se, p, ok := PooledZ(control, treatment); ok {
		checkHonest(t, "pooled", []float64{z, se, p})
	}
	if fixed.Ready() && !fixed.CI.Contains(fixed.Diff) {
		t.Errorf("interval %v without the difference %v", *fixed.CI, fixed.Diff)
	}
	equal := c.Variance <= c.noise() && x.Variance <= x.noise()
	if fixed.Ready() && (control.N < 2 || treatment.N < 2 || equal) {
		t.Error("ready without variation")
	}
}

// checkPairs runs everything that takes two arms of pairs.
func checkPairs(t *testing.T, control, treatment CrossMoments, alpha float64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%+v %+v alpha %v", control, treatment, alpha)
		}
	}()
	checkHonest(t, "ratio", Difference(control.Ratio(), treatment.Ratio()).Fixed(alpha))
	contrast, adjustment := Adjusted(control, treatment)
	checkHonest(t, "adjusted", contrast.Fixed(alpha))
	checkHonest(t, "adjusted", []float64{adjustment.Theta, adjustment.Reduction, adjustment.Control.Mean, adjustment.Control.Variance})
}

// checkPlan runs everything that plans or counts.
func checkPlan(t *testing.T, a, b, c, alpha, power float64, n, m int64) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log(a, b, c, alpha, power, n, m)
		}
	}()
	checkHonest(t, "size", SampleSizeMean(a, b, c, alpha, power))
	checkHonest(t, "size", SampleSizeProportion(a, b, alpha, power, n%2 == 0))
	checkHonest(t, "effect", DetectableEffect(a, b, n, m, alpha, power))
	checkHonest(t, "lift", DetectableLift(a, b, n, alpha, power))
	checkHonest(t, "alert", DetectableDegradation(a, b, n, alpha, int(m), power))
	tuning := TuneAt(alpha, a)
	if critical, ok := tuning.OneSidedCritical(n, power); ok {
		checkHonest(t, "one-sided", critical)
	}
	checkHonest(t, "tuning", []float64{tuning.Rho(), tuning.Lambda(m), EppoRho(tuning)})
	if p, ok := Power(a, b, alpha); ok && !(p >= 0 && p <= 1) {
		t.Errorf("power %v", p)
	}
	if low, high, ok := QuantileRanks(n, a, alpha); ok {
		checkHonest(t, "ranks", Interval{low, high})
	}
	if se, ok := QuantileSE(a, b, alpha); ok {
		checkHonest(t, "quantile", se)
	}
	if tau2, ok := MixtureVariance(alpha, a, b); ok {
		checkHonest(t, "mixture", tau2)
	}
	checkHonest(t, "ratio", CheckSampleRatio([]int64{n, m}, []float64{a, b}, alpha))
	checkHonest(t, "ratio", CheckSampleRatioSequentially([]int64{n, m}, []float64{a, b}, c))
	p := []float64{a, b, c, alpha, power}
	checkHonest(t, "family", BenjaminiHochberg(p, alpha).AlphaCI)
	checkHonest(t, "family", [][]float64{BenjaminiHochberg(p, alpha).P, Holm(p), Bonferroni(p)})
}

func TestHostileNumbersBecomeAStateAndAReason(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	value := func() float64 { return hostile[r.IntN(len(hostile))] }
	count := func() int64 { return hostileCounts[r.IntN(len(hostileCounts))] }
	moments := func() Moments { return Moments{count(), value(), value()} }
	pairs := func() CrossMoments { return CrossMoments{count(), value(), value(), value(), value(), value()} }
	level := func() float64 {
		if r.IntN(2) == 0 {
			return 0.05
		}
		return value()
	}
	for range 3000 {
		checkArms(t, moments(), moments(), level(), value())
		checkPairs(t, pairs(), pairs(), level())
		checkPlan(t, value(), value(), value(), level(), level(), count(), count())
		if t.Failed() {
			return
		}
	}
}

func TestEveryWayToHaveNothingToCompareHasItsState(t *testing.T) {
	good := Moments{N: 100, Mean: 5, M2: 300}
	huge := make([]float64, 1_000_000)
	for i := range huge {
		huge[i] = 1e300
	}
	equalHuge := MomentsOf(huge)
	for i := range huge {
		huge[i] *= float64(1 + i%2)
	}
	tenth := Moments{N: 1, Mean: 0.1}
	for range 20 { // a shuffled tree of merges, as a database does it
		tenth = tenth.Merge(Moments{N: 3, Mean: 0.1}).Merge(tenth)
	}
	for _, c := range []struct {
		name               string
		control, treatment Moments
		alpha              float64
		want, relative     State
	}{
		{"both good", good, good, 0.05, StateReady, StateReady},
		{"empty arm", good, Moments{}, 0.05, StateTooFew, StateTooFew},
		{"single unit", Moments{N: 1, Mean: 3}, good, 0.05, StateTooFew, StateTooFew},
		{"all values equal", Moments{N: 9, Mean: 3}, Moments{N: 8, Mean: 4}, 0.05, StateZeroVariance, StateZeroVariance},
		{"one arm equal", Moments{N: 9, Mean: 3}, good, 0.05, StateReady, StateReady},
		{"no event at all", Proportion(1000, 0), Proportion(900, 0), 0.05, StateZeroVariance, StateZeroVariance},
		{"no event in control", Proportion(1000, 0), Proportion(900, 9), 0.05, StateReady, StateZeroBaseline},
		{"uncertain baseline", Moments{N: 100, Mean: 0.01, M2: 300}, good, 0.05, StateReady, StateUnbounded},
		{"a million of 1e300", equalHuge, equalHuge, 0.05, StateZeroVariance, StateZeroVariance},
		{"a million of 1e300 and 2e300", MomentsOf(huge), MomentsOf(huge), 0.05, StateOutOfRange, StateOutOfRange},
		{"opposite ends", MomentsOf([]float64{-math.MaxFloat64, math.MaxFloat64}), good, 0.05, StateOutOfRange, StateOutOfRange},
		{"denormal", MomentsOf([]float64{1e-310, 2e-310, 3e-310}), MomentsOf([]float64{1e-310, 2e-310}), 0.05, StateZeroVariance, StateZeroVariance},
		{"squares underflow", MomentsOf([]float64{1e-145, 2e-145}), good, 0.05, StateOutOfRange, StateOutOfRange},
		{"not a number", MomentsOf([]float64{1, math.NaN()}), good, 0.05, StateOutOfRange, StateOutOfRange},
		{"rounding of equal values", tenth, Moments{N: 50, Mean: 0.1 + 0x1p-55, M2: 1e-32}, 0.05, StateZeroVariance, StateZeroVariance},
		{"level 0", good, good, 0, StateInvalid, StateInvalid},
		{"level 1", good, good, 1, StateInvalid, StateInvalid},
		{"more hits than units", Proportion(10, 12), good, 0.05, StateInvalid, StateInvalid},
		{"negative size", Moments{N: -4}, good, 0.05, StateInvalid, StateInvalid},
	} {
		contrast := Difference(c.control.Sample(), c.treatment.Sample())
		for method, got := range map[string]Comparison{"fixed": contrast.Fixed(c.alpha), "sequential": contrast.Sequential(c.alpha, TuneAt(0.05, 5000))} {
			if got.State != c.want || got.Relative.State != c.relative {
				t.Errorf("%s, %s: %q, relative %q; want %q, %q", c.name, method, got.State, got.Relative.State, c.want, c.relative)
			}
			checkHonest(t, c.name, got)
		}
	}
	if got := Difference(good.Sample(), good.Sample()).Sequential(0.05, Tuning{}); got.State != StateInvalid {
		t.Errorf("sequential without tuning: %+v", got.Status)
	}
	if got := Difference(Moments{N: 9, Mean: 3}.Sample(), Moments{N: 8, Mean: 4}.Sample()).Fixed(0.05); got.Diff != 1 || got.P != 1 {
		t.Errorf("without variation the difference is still one: %+v", got)
	}
}

func TestSampleRatioSaysWhenItDoesNotApply(t *testing.T) {
	for _, c := range []struct {
		observed []int64
		shares   []float64
		want     State
	}{
		{[]int64{10, 12}, []float64{1, 1}, StateReady},
		{[]int64{10, 0}, []float64{1, 1}, StateNotApplicable},
		{[]int64{0, 0}, []float64{1, 1}, StateNotApplicable},
		{[]int64{10, 3}, []float64{1, 0}, StateNotApplicable},
		{[]int64{10}, []float64{1}, StateNotApplicable},
		{nil, nil, StateNotApplicable},
		{[]int64{10, 12}, []float64{1}, StateInvalid},
		{[]int64{10, -1}, []float64{1, 1}, StateInvalid},
		{[]int64{10, 12}, []float64{1, -1}, StateInvalid},
		{[]int64{10, 12}, []float64{1, math.NaN()}, StateInvalid},
		{[]int64{10, 12}, []float64{math.MaxFloat64, math.MaxFloat64}, StateOutOfRange},
	} {
		fixed, sequential := CheckSampleRatio(c.observed, c.shares, 0.001), CheckSampleRatioSequentially(c.observed, c.shares, 100)
		if fixed.State != c.want || sequential.State != c.want {
			t.Errorf("%v of %v: %q and %q, want %q", c.observed, c.shares, fixed.State, sequential.State, c.want)
		}
		checkHonest(t, "fixed", fixed)
		checkHonest(t, "sequential", sequential)
	}
}

func FuzzTwoArms(f *testing.F) {
	f.Add(int64(100), 5.0, 300.0, int64(120), 5.5, 310.0, 0.05, 5000.0)
	f.Add(int64(2), 0.0, 5e-324, int64(1<<53), 1e308, 1e300, 1e-300, 0.8)
	f.Fuzz(func(t *testing.T, nc int64, meanC, m2c float64, nt int64, meanT, m2t, alpha, other float64) {
		checkArms(t, Moments{nc, meanC, m2c}, Moments{nt, meanT, m2t}, alpha, other)
	})
}

func FuzzPairs(f *testing.F) {
	f.Add(int64(100), 5.0, 2.0, 300.0, 80.0, 100.0, 5.5, 2.5, 310.0, 90.0, -20.0, 0.05)
	f.Add(int64(2), 1e-300, 1e300, 1e-300, 1e290, 1.0, 1.0, 5e-324, 1.0, 1.0, 1.0, 0.5)
	f.Fuzz(func(t *testing.T, n int64, y, x, m2y, m2x, c, ty, tx, tm2y, tm2x, tc, alpha float64) {
		checkPairs(t, CrossMoments{n, y, x, m2y, m2x, c}, CrossMoments{n, ty, tx, tm2y, tm2x, tc}, alpha)
	})
}

func FuzzPlans(f *testing.F) {
	f.Add(0.5, 0.5, 100.0, 0.05, 0.8, int64(100), int64(52))
	f.Add(1e308, 5e-324, 1e-300, 1e-17, 1-1e-16, int64(2), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, a, b, c, alpha, power float64, n, m int64) {
		checkPlan(t, a, b, c, alpha, power, n, m)
	})
}
