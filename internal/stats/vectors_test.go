package stats

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"os"
	"slices"
	"testing"
)

// The vectors were made with 50 digits by another program. Each kind has a
// function that computes, with this package, everything the case may expect;
// keys the function does not compute fail the test, as do unknown kinds.

type vector struct {
	ID     string
	Kind   string
	Input  json.RawMessage
	Expect map[string]any
}

type object = map[string]any

var kinds = map[string]func(t *testing.T, v vector) object{
	"welch_sums": welchSums, "welch_proportion": welchProportion, "welch_raw": welchRaw, "ratio_delta": ratioDelta,
	"clustered_mean": clusteredMean, "cuped": cuped, "moments_merge": momentsMerge,
	"srm_chi2": srmChi2, "sequential_srm": sequentialSRM, "p_adjust": pAdjust,
	"msprt": msprt, "msprt_sequence": msprtSequence, "msprt_equal_n": msprtEqualN, "msprt_opt_tau2": msprtOptTau2,
	"asymptotic_cs": asymptoticCS, "asymptotic_cs_one_sided": asymptoticCSOneSided, "asymptotic_cs_pipeline": asymptoticCSPipeline,
	"eppo_cs": eppoCS, "statsig_sequential": statsigSequential,
	"sample_size_mean": sampleSizeMean, "sample_size_prop": sampleSizeProp, "mde_relative": mdeRelative,
	"degradation_one_sided": degradationOneSided, "harness_alert_prop": harnessAlertProp,
	"quantile_se": quantileSE, "student_t": studentT, "normal": normal, "chi2": chi2,
}

func TestVectorsOfEveryKindComeOut(t *testing.T) {
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Meta  struct{ Count int }
		Cases []vector
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 || len(file.Cases) != file.Meta.Count {
		t.Fatalf("%d cases, the file promises %d", len(file.Cases), file.Meta.Count)
	}
	seen := map[string]int{}
	for _, c := range file.Cases {
		seen[c.Kind]++
		t.Run(c.ID, func(t *testing.T) {
			compute, known := kinds[c.Kind]
			if !known {
				t.Fatalf("unknown kind %q", c.Kind)
			}
			same(t, c.ID, compute(t, c), c.Expect)
		})
	}
	for _, kind := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%2d %s", seen[kind], kind)
	}
}

// same compares what was computed with what is expected, leaf by leaf.
func same(t *testing.T, path string, got, want any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(object)
		if !ok {
			t.Fatalf("%s: got %v, want an object", path, got)
		}
		for key, w := range want {
			if value, ok := g[key]; ok {
				same(t, path+"."+key, value, w)
			} else {
				t.Errorf("%s.%s is expected but not computed", path, key)
			}
		}
	case []any:
		g := list(got)
		if len(g) != len(want) {
			t.Fatalf("%s: got %v, want %v", path, got, want)
		}
		for i := range want {
			same(t, fmt.Sprintf("%s[%d]", path, i), g[i], want[i])
		}
	case json.Number:
		w, err := want.Float64()
		if err != nil {
			t.Fatal(path, err)
		}
		g, ok := number(got)
		if !ok || !near(g, w) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	default: // null, true, false
		if pair, ok := got.(*Interval); ok && pair == nil {
			got = nil
		}
		if got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

// near asks for nine digits; next to zero for twelve decimals, but not of what
// is small by nature, such as a p-value.
func near(got, want float64) bool {
	if want == 0 {
		return math.Abs(got) <= 1e-12
	}
	return math.Abs(got-want) <= 1e-9*math.Abs(want) || math.Abs(want) < 1e-300 && math.Abs(got) < 1e-300
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case int:
		return float64(v), true
	}
	return 0, false
}

func list(v any) []any {
	var out []any
	switch v := v.(type) {
	case *Interval:
		if v != nil {
			out = []any{v.Low, v.High}
		}
	case []float64:
		for _, x := range v {
			out = append(out, x)
		}
	case []any:
		out = v
	}
	return out
}

func read[T any](t *testing.T, input json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(input, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// decimal is a number meant as the printed decimal, not as its nearest float64.
type decimal struct{ big.Rat }

func (d *decimal) UnmarshalJSON(b []byte) error {
	if _, ok := d.SetString(string(b)); !ok {
		return fmt.Errorf("%s is no number", b)
	}
	return nil
}

// centred returns Σab − ΣaΣb/n exactly, and Σa/n.
func centred(n int64, ab, a, b *decimal) (m2, mean float64) {
	size := new(big.Rat).SetInt64(n)
	product := new(big.Rat).Mul(&a.Rat, &b.Rat)
	m2, _ = product.Sub(&ab.Rat, product.Quo(product, size)).Float64()
	mean, _ = new(big.Rat).Quo(&a.Rat, size).Float64()
	return m2, mean
}

type sums struct {
	N          int64
	Sum        decimal
	SumSquares decimal `json:"sum_squares"`
}

func (s sums) moments() Moments {
	m2, mean := centred(s.N, &s.SumSquares, &s.Sum, &s.Sum)
	return Moments{s.N, mean, m2}
}

// twoArms is everything the two-arm kinds expect. fieller of a negative
// baseline is expected of treatment/control − 1, whose sign is ours reversed.
func twoArms(control, treatment Sample, c Contrast, alpha float64) object {
	f := c.Fixed(alpha)
	greater, less := c.Tails()
	fieller := f.Relative.CI
	if fieller != nil && control.Mean < 0 {
		fieller = &Interval{-fieller.High, -fieller.Low}
	}
	var log *Interval
	if ci, ok := LogInterval(control, treatment, f.Critical); ok {
		log = &ci
	}
	lift, liftSE := f.Relative.Lift, c.LiftSE()
	base := math.Abs(control.Mean)
	return object{
		"diff": f.Diff, "se": f.SE, "t": f.Statistic, "df": f.DF, "p_two_sided": f.P, "p_greater": greater, "p_less": less,
		"t_crit": f.Critical, "ci_abs": f.CI, "z_p_two_sided": 2 * normalUpper(math.Abs(f.Statistic)),
		"rel": lift, "rel_se_delta": liftSE, "ci_rel_delta": around(lift, f.Critical*liftSE),
		"p_rel_delta":       2 * tUpper(math.Abs(lift/liftSE), f.DF),
		"ci_rel_scaled_abs": &Interval{f.CI.Low / base, f.CI.High / base},
		"fieller_g":         f.Relative.Baseline, "ci_rel_fieller": fieller, "ci_rel_log": log,
		"mean_c": control.Mean, "var_c": control.Variance, "mean_t": treatment.Mean, "var_t": treatment.Variance,
	}
}

func welchSums(t *testing.T, v vector) object {
	in := read[struct {
		Alpha              float64
		Control, Treatment sums
	}](t, v.Input)
	c, x := in.Control.moments().Sample(), in.Treatment.moments().Sample()
	return twoArms(c, x, Difference(c, x), in.Alpha)
}

func welchRaw(t *testing.T, v vector) object {
	in := read[struct {
		Alpha              float64
		Control, Treatment []float64
	}](t, v.Input)
	c, x := MomentsOf(in.Control), MomentsOf(in.Treatment)
	out := twoArms(c.Sample(), x.Sample(), Difference(c.Sample(), x.Sample()), in.Alpha)
	out["m2_c"], out["m2_t"] = c.M2, x.M2
	return out
}

func welchProportion(t *testing.T, v vector) object {
	in := read[struct {
		Alpha              float64
		Control, Treatment struct{ N, X int64 }
	}](t, v.Input)
	c, x := Proportion(in.Control.N, in.Control.X), Proportion(in.Treatment.N, in.Treatment.X)
	population := func(m Moments) Sample {
		return Sample{N: m.N, Mean: m.Mean, Variance: m.Mean * (1 - m.Mean)}
	}
	z, se, p, _ := PooledZ(c, x)
	return object{
		"p_c": c.Mean, "p_t": x.Mean,
		"unbiased_var":   twoArms(c.Sample(), x.Sample(), Difference(c.Sample(), x.Sample()), in.Alpha),
		"population_var": twoArms(population(c), population(x), Difference(population(c), population(x)), in.Alpha),
		"pooled_z":       object{"z": z, "se": se, "p_two_sided": p},
	}
}

type pairSums struct {
	N         int64
	SumNum    decimal `json:"sum_num"`
	SumsqNum  decimal `json:"sumsq_num"`
	SumDen    decimal `json:"sum_den"`
	SumsqDen  decimal `json:"sumsq_den"`
	SumNumDen decimal `json:"sum_num_den"`
}

func (s pairSums) moments() CrossMoments {
	m2y, y := centred(s.N, &s.SumsqNum, &s.SumNum, &s.SumNum)
	m2x, x := centred(s.N, &s.SumsqDen, &s.SumDen, &s.SumDen)
	c, _ := centred(s.N, &s.SumNumDen, &s.SumNum, &s.SumDen)
	return CrossMoments{N: s.N, MeanY: y, MeanX: x, M2Y: m2y, M2X: m2x, C: c}
}

func ratioDelta(t *testing.T, v vector) object {
	in := read[struct {
		Alpha              float64
		Control, Treatment pairSums
	}](t, v.Input)
	mc, mt := in.Control.moments(), in.Treatment.moments()
	c, x := mc.Ratio(), mt.Ratio()
	out := twoArms(c, x, Difference(c, x), in.Alpha)
	out["ratio_c"], out["unit_var_c"], out["cov_c"] = c.Mean, c.Variance, mc.Covariance()
	out["ratio_t"], out["unit_var_t"], out["cov_t"] = x.Mean, x.Variance, mt.Covariance()
	return out
}

func clusteredMean(t *testing.T, v vector) object {
	in := read[struct {
		K      int64
		SumS   decimal `json:"sum_s"`
		SumsqS decimal `json:"sumsq_s"`
		SumN   decimal `json:"sum_n"`
		SumsqN decimal `json:"sumsq_n"`
		SumSN  decimal `json:"sum_sn"`
	}](t, v.Input)
	s := pairSums{in.K, in.SumS, in.SumsqS, in.SumN, in.SumsqN, in.SumSN}.moments().Ratio()
	return object{"mean": s.Mean, "var_mean": s.variance(), "se": math.Sqrt(s.variance())}
}

func cuped(t *testing.T, v vector) object {
	type arm struct {
		N      int64
		SumY   decimal `json:"sum_y"`
		SumsqY decimal `json:"sumsq_y"`
		SumX   decimal `json:"sum_x"`
		SumsqX decimal `json:"sumsq_x"`
		SumXY  decimal `json:"sum_xy"`
	}
	in := read[struct {
		Alpha              float64
		Control, Treatment arm
	}](t, v.Input)
	moments := func(a arm) CrossMoments { return pairSums{a.N, a.SumY, a.SumsqY, a.SumX, a.SumsqX, a.SumXY}.moments() }
	mc, mt := moments(in.Control), moments(in.Treatment)
	c, a := Adjusted(mc, mt)
	out := twoArms(a.Control, a.Treatment, c, in.Alpha)
	out["theta"], out["var_reduction_pooled"] = a.Theta, a.Reduction
	out["adj_mean_c"], out["adj_var_c"] = a.Control.Mean, a.Control.Variance
	out["adj_mean_t"], out["adj_var_t"] = a.Treatment.Mean, a.Treatment.Variance
	out["rel_se_gbstats"] = c.liftSE((mt.MeanY - mc.MeanY) / math.Abs(mc.MeanY))
	return out
}

func momentsMerge(t *testing.T, v vector) object {
	in := read[struct{ Parts [][]float64 }](t, v.Input)
	var whole Moments
	var parts []any
	describe := func(m Moments) object { return object{"n": m.N, "mean": m.Mean, "m2": m.M2} }
	for _, values := range in.Parts {
		part := MomentsOf(values)
		whole = whole.Merge(part)
		parts = append(parts, describe(part))
	}
	out := describe(whole)
	out["parts"] = parts
	return out
}

func srmChi2(t *testing.T, v vector) object {
	in := read[struct {
		Observed  []int64
		Weights   []float64
		Threshold float64
	}](t, v.Input)
	r := CheckSampleRatio(in.Observed, in.Weights, in.Threshold)
	return object{"chi2": r.ChiSquared, "df": r.DF, "p": r.P, "expected": r.Expected, "mismatch": r.Mismatch}
}

func sequentialSRM(t *testing.T, v vector) object {
	in := read[struct {
		Counts []int64
		Theta  []float64
		Prior  float64 `json:"prior_concentration"`
	}](t, v.Input)
	r := CheckSampleRatioSequentially(in.Counts, in.Theta, in.Prior)
	return object{"log_bf": r.LogEvidence, "p": r.P, "posterior_odds": math.Exp(r.LogEvidence)}
}

func pAdjust(t *testing.T, v vector) object {
	in := read[struct {
		P     []float64
		Alpha float64
	}](t, v.Input)
	bh := BenjaminiHochberg(in.P, in.Alpha)
	out := object{"bh": bh.P, "holm": Holm(in.P), "bonferroni": Bonferroni(in.P), "bh_rejections": bh.Rejections, "fcr_adjusted_alpha": nil}
	if i := slices.Index(bh.Rejected, true); i >= 0 {
		out["fcr_adjusted_alpha"] = bh.AlphaCI[i]
	}
	return out
}
