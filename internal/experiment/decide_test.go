package experiment

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/store"
)

// grown is evidence of the 50-percent-effect metric after some days.
func grown(days int, baseline, treatment int64) Evidence {
	n := int64(1000 * days)
	return evidence(days, []store.Arm{hits("off", n, baseline), hits("on", n, treatment)})
}

func TestOnceSignificantASequentialResultSaysSoEverAfter(t *testing.T) {
	plan := aPlan(Sequential)
	first := conclude(t, plan, grown(1, 100, 105), nil)
	if c := only(t, first); c.State != Inconclusive || c.SignificantSince != nil || c.Looks != 1 {
		t.Fatalf("first look: %s since %v, %d looks", c.State, c.SignificantSince, c.Looks)
	}
	second := conclude(t, plan, grown(2, 200, 320), &first)
	found := only(t, second)
	if found.State != Desired || found.SignificantSince == nil || !found.SignificantSince.Equal(second.ComputedAt) || found.Looks != 2 || !found.SignificantNow {
		t.Fatalf("second look: %s since %v, %d looks", found.State, found.SignificantSince, found.Looks)
	}
	third := conclude(t, plan, grown(3, 450, 460), &second)
	c := only(t, third)
	if c.State != Desired || !c.SignificantSince.Equal(second.ComputedAt) || c.SignificantNow || *c.P != *found.P || *c.PNow <= *c.P || c.Looks != 3 {
		t.Errorf("third look: %s since %v, now %v, p %v (now %v), %d looks", c.State, c.SignificantSince, c.SignificantNow, *c.P, *c.PNow, c.Looks)
	}
	if c.CI.Low > 0 || c.CI.High < 0 {
		t.Errorf("the interval %v is not the current one", *c.CI)
	}

	t.Run("the direction is that of the look that found it", func(t *testing.T) {
		turned := only(t, conclude(t, plan, grown(4, 700, 640), &third))
		if turned.State != Desired || *turned.Diff >= 0 {
			t.Errorf("%s with a difference of %v", turned.State, *turned.Diff)
		}
	})
	for name, change := range map[string]func(*Plan, *Evidence){
		"another version of the flag begins anew":   func(_ *Plan, ev *Evidence) { v := int64(8); ev.Version = &v },
		"another rule begins anew":                  func(p *Plan, _ *Evidence) { p.Rule = "default rule" },
		"another definition of a metric begins it":  func(p *Plan, _ *Evidence) { p.Metrics[0].Query.Cap = 3 },
		"another tuning begins anew":                func(p *Plan, _ *Evidence) { p.Settings.TunedFor = 900 },
		"a fixed horizon knows only the last look":  func(p *Plan, _ *Evidence) { p.Settings.Method = Fixed },
		"another metric of that name begins it new": func(p *Plan, _ *Evidence) { p.Metrics[0].Query.Event.EventType = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			plan, ev := aPlan(Sequential), grown(3, 450, 460)
			change(&plan, &ev)
			if c := only(t, conclude(t, plan, ev, &third)); c.State != Inconclusive || c.SignificantSince != nil {
				t.Errorf("%s since %v", c.State, c.SignificantSince)
			}
		})
	}
}

func TestEarlierEndsAreLooksToo(t *testing.T) {
	ev := grown(3, 450, 460)
	for days, on := range map[int]int64{1: 105, 2: 320} {
		then := grown(days, int64(100*days), on)
		ev.Metrics[0].Past = append(ev.Metrics[0].Past, PastArms{then.At, then.Metrics[0].Result.Arms})
	}
	slices.SortFunc(ev.Metrics[0].Past, func(a, b PastArms) int { return a.At.Compare(b.At) })
	r := conclude(t, aPlan(Sequential), ev, nil)
	c := only(t, r)
	if c.State != Desired || c.SignificantSince == nil || !c.SignificantSince.Equal(start.AddDate(0, 0, 2)) || c.Looks != 3 {
		t.Errorf("%s since %v after %d looks", c.State, c.SignificantSince, c.Looks)
	}
	if len(c.Series) != 3 || c.Series[0].NTreatment != 1000 || c.Series[2].NTreatment != 3000 || c.Series[1].CI == nil {
		t.Errorf("series: %+v", c.Series)
	}
	if values := r.Groups[0].Metrics[0].Values; len(values) != 2 || len(values[1].Arms) != 2 || *values[1].Arms[1].Mean != 0.16 {
		t.Errorf("values over time: %+v", values)
	}
}

// The rule that keeps every card consistent: BH within a group and treatment,
// intervals at the level that goes with it.
func TestMetricsAreCorrectedWithinTheirGroupAndTreatmentOnly(t *testing.T) {
	arms := func(on, red int64) []store.Arm {
		return []store.Arm{hits("off", 10000, 1000), hits("on", 10000, on), hits("red", 10000, red)}
	}
	plan := aPlan(Fixed, aMetric("a", GroupKey), aMetric("b", GroupKey), aMetric("c", GroupKey), aMetric("g", GroupGuardrail))
	plan.Treatments, plan.Settings.Correction = []string{"on", "red"}, true
	ev := evidence(14, arms(1150, 1000), arms(1090, 1000), arms(1000, 1000), arms(1090, 1000))
	r := conclude(t, plan, ev, nil)
	card := func(group, metric, treatment int) Card { return r.Groups[group].Metrics[metric].Cards[treatment] }
	a, b, c, g := card(0, 0, 0), card(0, 1, 0), card(0, 2, 0), card(1, 0, 0)
	// p: a 0.0006, b 0.037, c 1. BH of three: a 0.0018, b 0.056.
	if a.State != Desired || a.AlphaCI != 0.05/3 {
		t.Errorf("a: %s at %v", a.State, a.AlphaCI)
	}
	if b.State != Inconclusive || b.AlphaCI != 2*0.05/3 || *b.P > 0.05 || *b.PAdjusted < 0.05 {
		t.Errorf("b: %s at %v, p %v, adjusted %v", b.State, b.AlphaCI, *b.P, *b.PAdjusted)
	}
	if g.State != Desired || *g.P != *b.P || *g.PAdjusted != *g.P {
		t.Errorf("the guardrail alone is not corrected: %s, p %v, adjusted %v", g.State, *g.P, *g.PAdjusted)
	}
	if *c.PAdjusted != 1 {
		t.Errorf("c: %v", *c.PAdjusted)
	}
	if red := card(0, 0, 1); red.State != Inconclusive || red.AlphaCI != 0.05/3 {
		t.Errorf("the other treatment is corrected by itself: %s at %v", red.State, red.AlphaCI)
	}

	t.Run("a metric without a p-value does not count", func(t *testing.T) {
		none := ev
		none.Metrics = slices.Clone(ev.Metrics)
		none.Metrics[2] = Measured{Err: "the store could not answer"}
		r := conclude(t, plan, none, nil)
		if b := r.Groups[0].Metrics[1].Cards[0]; b.State != Desired {
			t.Errorf("b among two: %s, adjusted %v", b.State, *b.PAdjusted)
		}
	})
	t.Run("without correction each stands alone", func(t *testing.T) {
		plan := plan
		plan.Settings.Correction = false
		r := conclude(t, plan, ev, nil)
		if b := r.Groups[0].Metrics[1].Cards[0]; b.State != Desired || b.AlphaCI != 0.05 || *b.P != *b.PAdjusted {
			t.Errorf("b: %s at %v", b.State, b.AlphaCI)
		}
	})
}

// Invariants of any comparison, through the whole room.
func TestInvariants(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 60 {
		method := []string{Fixed, Sequential}[round%2]
		off, on := make([]float64, 110+rng.IntN(200)), make([]float64, 110+rng.IntN(200))
		for _, list := range [][]float64{off, on} {
			for i := range list {
				list[i] = math.Exp(rng.NormFloat64())
			}
		}
		shift := rng.NormFloat64() / 2
		for i := range on {
			on[i] += shift
		}
		card := func(off, on []float64) Card {
			return only(t, conclude(t, aPlan(method), evidence(14, []store.Arm{values("off", off...), values("on", on...)}), nil))
		}
		each := func(list []float64, f func(float64) float64) []float64 {
			out := make([]float64, len(list))
			for i, x := range list {
				out[i] = f(x)
			}
			return out
		}
		plain := card(off, on)
		shuffled := slices.Clone(on)
		rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		same := func(what string, got, want *float64) {
			t.Helper()
			if got == nil || want == nil || math.Abs(*got-*want) > 1e-9*max(1, math.Abs(*want)) {
				t.Errorf("%s, %s: %v, want %v", method, what, got, want)
			}
		}
		order := card(off, shuffled)
		same("another order, p", order.P, plain.P)
		scaled := card(each(off, func(x float64) float64 { return 7 * x }), each(on, func(x float64) float64 { return 7 * x }))
		same("another unit, p", scaled.P, plain.P)
		same("another unit, relative", scaled.Rel, plain.Rel)
		moved := card(each(off, func(x float64) float64 { return x + 40 }), each(on, func(x float64) float64 { return x + 40 }))
		same("a shift of both, p", moved.P, plain.P)
		same("a shift of both, difference", moved.Diff, plain.Diff)
		swapped := card(on, off)
		same("swapped arms, p", swapped.P, plain.P)
		negative := -*plain.Diff
		same("swapped arms, difference", swapped.Diff, &negative)
		if opposite := (plain.State == Desired) != (swapped.State == Undesired); opposite {
			t.Errorf("swapped arms: %s and %s", plain.State, swapped.State)
		}
	}
}

func TestARecommendationFollowsTheCardsAndTheHealth(t *testing.T) {
	good, bad, none := hits("on", 5000, 700), hits("on", 5000, 300), hits("on", 5000, 505)
	off := hits("off", 5000, 500)
	ended := func(p *Plan) { p.End = start.AddDate(0, 0, 13) }
	for _, c := range []struct {
		name           string
		key, guardrail store.Arm
		change         func(*Plan)
		days           int
		want           Verdict
	}{
		{"a winner", good, none, nil, 14, RollOut},
		{"a loser", bad, none, nil, 14, RollBack},
		{"a guardrail is hurt", none, bad, nil, 14, RollBack},
		{"good and bad", good, bad, nil, 14, Weigh},
		{"nothing yet", none, none, nil, 14, KeepRunning},
		{"nothing, and it is over", none, none, ended, 14, NoEffect},
		{"a fixed horizon is not looked at early", good, none, nil, 3, KeepRunning},
		{"a sequential one may be", good, none, func(p *Plan) { p.Settings.Method = Sequential }, 3, RollOut},
		{"uneven arms", hits("on", 4000, 700), none, nil, 14, DoNotTrust},
		{"nobody", hits("on", 0, 0), hits("on", 0, 0), nil, 14, CannotSay},
		{"too few", good, none, func(p *Plan) { p.Settings.MinSample = 6000 }, 14, KeepRunning},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := aPlan(Fixed, aMetric("orders", GroupKey), aMetric("returns", GroupGuardrail))
			if c.change != nil {
				c.change(&plan)
			}
			off := off
			if c.want == CannotSay {
				off = hits("off", 0, 0)
			}
			r := conclude(t, plan, evidence(c.days, []store.Arm{off, c.key}, []store.Arm{off, c.guardrail}), nil)
			if r.Recommendation.Verdict != c.want {
				t.Errorf("%s: %q, want %s", r.Recommendation.Verdict, r.Recommendation.Sentence, c.want)
			}
		})
	}
}

func TestASampleRatioThatWasEverOffSequentiallyStaysOff(t *testing.T) {
	plan := aPlan(Sequential)
	first := conclude(t, plan, evidence(1, []store.Arm{hits("off", 6000, 500), hits("on", 4000, 500)}), nil)
	if first.Health.SampleRatios[0].State != RatioMismatch {
		t.Fatalf("%+v", first.Health.SampleRatios[0])
	}
	second := conclude(t, plan, evidence(2, []store.Arm{hits("off", 10000, 500), hits("on", 10000, 500)}), &first)
	if r := second.Health.SampleRatios[0]; r.State != RatioMismatch || *r.P < 0.001 || r.Looks != 2 {
		t.Errorf("%s, p %v, %d looks", r.State, *r.P, r.Looks)
	}
}

func TestSampleRatiosSayWhenTheyDoNotApply(t *testing.T) {
	for name, change := range map[string]func(*Plan, *Evidence){
		"no shares":        func(p *Plan, _ *Evidence) { p.Shares, p.NoShares = nil, "nobody said" },
		"no baseline":      func(p *Plan, _ *Evidence) { p.Baseline = "" },
		"several rules":    func(_ *Plan, ev *Evidence) { ev.Exposures.Rules = make([]store.RuleCount, 2) },
		"an empty arm":     func(_ *Plan, ev *Evidence) { ev.Exposures.Arms = ev.Exposures.Arms[:1] },
		"several versions": func(_ *Plan, ev *Evidence) { ev.Version, ev.Exposures.Versions = nil, make([]store.VersionCount, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			plan, ev := aPlan(Fixed), grown(14, 100, 100)
			change(&plan, &ev)
			if r := conclude(t, plan, ev, nil).Health.SampleRatios[0]; r.State != RatioNotApplicable || r.Reason == "" || r.P != nil {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestTheReviewPeriodCountsWholeDays(t *testing.T) {
	for days, complete := range map[int]bool{1: false, 13: false, 14: true, 20: true, 28: true} {
		r := conclude(t, aPlan(Fixed), grown(days, 100, 100), nil).Health.Review
		if r.Running != days || r.Complete != complete || r.Sentence == "" {
			t.Errorf("day %d: %+v", days, r)
		}
	}
}

func TestCutoffsOfALongerStepAreAmongThoseOfAShorterOne(t *testing.T) {
	begun := time.Date(2026, 3, 1, 7, 13, 0, 0, time.UTC)
	var before []time.Time
	for hours := 1; hours < 24*400; hours += 5 {
		to := begun.Add(time.Duration(hours) * time.Hour)
		list := cutoffs(begun, to)
		if len(list) > maxCutoffs || hours > 1 && len(list) == 0 {
			t.Fatalf("%d cutoffs after %d hours", len(list), hours)
		}
		for _, at := range list {
			if !at.After(begun) || !at.Before(to) {
				t.Fatalf("cutoff %v is not within %v to %v", at, begun, to)
			}
			if len(before) > 0 && at.Before(before[len(before)-1]) && !slices.ContainsFunc(before, at.Equal) {
				t.Fatalf("after %d hours %v is new among what was asked", hours, at)
			}
		}
		before = list
	}
}

func TestARuleThatNobodyCameByIsSaidSo(t *testing.T) {
	plan, ev := aPlan(Fixed), grown(14, 100, 100)
	plan.Rule = "beta users"
	if r := conclude(t, plan, ev, nil).Health.Rules; r.Tone != Warn || !strings.Contains(r.Sentence, "beta users") {
		t.Errorf("%+v", r)
	}
}
