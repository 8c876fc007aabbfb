package experiment

import (
	"math"
	"strings"
	"testing"

	"causeway/internal/store"
)

func TestEveryStateComesWithItsReason(t *testing.T) {
	typed := func(kind string) Metric {
		m := aMetric("orders", GroupKey)
		m.Query.Kind = kind
		return m
	}
	empty := func(treatment string, excluded int64) store.Arm {
		return store.Arm{Treatment: treatment, InTotal: excluded, Excluded: excluded}
	}
	two := func(b, t store.Arm) []store.Arm { return []store.Arm{b, t} }
	huge := values("on", 1, 2, 3)
	huge.Overflow, huge.Mean, huge.M2 = true, 0, 0
	big := func(treatment string, n int64) store.Arm {
		return store.Arm{Treatment: treatment, InTotal: n, N: n, Mean: 1e300, M2: math.Inf(1), Max: 1e300, Sum: math.Inf(1)}
	}
	for _, c := range []struct {
		name   string
		change func(p *Plan, ev *Evidence)
		metric Metric
		arms   []store.Arm
		state  State
		reason Reason
		says   string
	}{
		{"nothing was computed", func(_ *Plan, ev *Evidence) { ev.Metrics[0] = Measured{Missing: "Nothing was computed yet."} }, typed(store.MetricPercent), two(hits("off", 1, 1), hits("on", 1, 1)), NotAvailable, NotCalculated, "Nothing was computed yet."},
		{"the store fails", func(_ *Plan, ev *Evidence) { ev.Metrics[0] = Measured{Err: "the store could not answer"} }, typed(store.MetricPercent), two(hits("off", 1, 1), hits("on", 1, 1)), NotAvailable, Failed, "the store could not answer"},
		{"another traffic type", func(p *Plan, _ *Evidence) { p.Metrics[0].TrafficType = "account" }, typed(store.MetricPercent), two(hits("off", 500, 100), hits("on", 500, 100)), NotAvailable, OtherTrafficType, "traffic type account"},
		{"the treatment is empty", nil, typed(store.MetricPercent), two(hits("off", 500, 100), empty("on", 0)), NotAvailable, NoKeys, "Nobody was shown on"},
		{"the baseline is empty", nil, typed(store.MetricPercent), two(empty("off", 0), hits("on", 500, 100)), NoBaseline, NoBaselineKeys, "Nobody was shown the baseline off"},
		{"no baseline is named", func(p *Plan, _ *Evidence) { p.Baseline = "" }, typed(store.MetricPercent), two(hits("off", 500, 100), hits("on", 500, 100)), NoBaseline, NoBaselineSet, "names no baseline"},
		{"an average without events", nil, typed(store.MetricAverage), two(empty("off", 500), empty("on", 500)), NotAvailable, NoEvents, "No key with on has a value to average"},
		{"an average without events in the baseline", nil, typed(store.MetricAverage), two(empty("off", 500), hits("on", 500, 100)), NotAvailable, NoEvents, "No key with off has a value to average"},
		{"division by zero", func(p *Plan, _ *Evidence) {
			p.Metrics[0].Query.Denominator = &store.EventMatch{EventType: "visit"}
		}, typed(store.MetricRatio), two(empty("off", 500), empty("on", 500)), NotAvailable, NoDenominator, "the event visit"},
		{"nobody has done it", func(p *Plan, _ *Evidence) { p.Metrics[0].Query.HasDone = &store.EventMatch{EventType: "signup"} }, typed(store.MetricCount), two(empty("off", 500), empty("on", 500)), NotAvailable, NoFilterMatch, "done signup"},
		{"a million values of 1e300", nil, typed(store.MetricSum), two(big("off", 1e6), big("on", 1e6)), NotAvailable, OutOfRange, "cannot be compared"},
		{"a sum that overflowed", nil, typed(store.MetricSum), two(values("off", 1, 2, 3), huge), NotAvailable, OutOfRange, "too large"},
		{"several rules, any of them", func(_ *Plan, ev *Evidence) {
			ev.Exposures.Rules = []store.RuleCount{{Rule: "a", Keys: 500}, {Rule: "b", Keys: 500}}
		}, typed(store.MetricPercent), two(hits("off", 500, 100), hits("on", 500, 200)), NotPossible, SeveralRules, "2 rules"},
		{"too few keys", nil, typed(store.MetricPercent), two(hits("off", 9, 3), hits("on", 500, 200)), NeedsMoreData, BelowMinimum, "1 key more"},
		{"one key", nil, typed(store.MetricPercent), two(hits("off", 500, 3), hits("on", 1, 1)), NeedsMoreData, BelowMinimum, "9 keys more"},
		{"sequential needs a hundred whatever is set", func(p *Plan, _ *Evidence) { p.Settings.Method = Sequential }, typed(store.MetricPercent), two(hits("off", 500, 3), hits("on", 60, 1)), NeedsMoreData, BelowMinimum, "40 keys more"},
		{"all values are equal", nil, typed(store.MetricPercent), two(hits("off", 500, 0), hits("on", 500, 0)), ZeroVariance, AllValuesEqual, "Nobody sent an event orders"},
		{"the arms are equal in themselves", nil, typed(store.MetricPercent), two(hits("off", 500, 0), hits("on", 500, 500)), ZeroVariance, AllValuesEqual, "No arm varies"},
		{"only one arm varies", nil, typed(store.MetricPercent), two(hits("off", 500, 0), hits("on", 500, 200)), Desired, "", "40% instead of 0%"},
		{"more orders", nil, typed(store.MetricPercent), two(hits("off", 500, 100), hits("on", 500, 200)), Desired, "", "+100%"},
		{"fewer orders", nil, typed(store.MetricPercent), two(hits("off", 500, 200), hits("on", 500, 100)), Undesired, "", "-50%"},
		{"fewer errors", func(p *Plan, _ *Evidence) { p.Metrics[0].Desired = Decrease }, typed(store.MetricPercent), two(hits("off", 500, 200), hits("on", 500, 100)), Desired, "", "-50%"},
		{"as many orders", nil, typed(store.MetricPercent), two(hits("off", 500, 100), hits("on", 500, 105)), Inconclusive, "", "No effect was found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, ev := aPlan(Fixed, c.metric), evidence(14, c.arms)
			if c.change != nil {
				c.change(&plan, &ev)
			}
			card := only(t, conclude(t, plan, ev, nil))
			if card.State != c.state || card.Reason != c.reason {
				t.Errorf("%s (%s), want %s (%s)", card.State, card.Reason, c.state, c.reason)
			}
			if !strings.Contains(card.Sentence, c.says) {
				t.Errorf("it says %q, want %q in it", card.Sentence, c.says)
			}
		})
	}
}

func TestABaselineOfZeroShowsTheAbsoluteDifference(t *testing.T) {
	card := only(t, conclude(t, aPlan(Fixed), evidence(14, []store.Arm{hits("off", 500, 0), hits("on", 500, 200)}), nil))
	if card.Rel != nil || card.RelCI != nil || card.CI == nil || !strings.Contains(card.Sentence, "percentage points") {
		t.Errorf("relative %v %v, absolute %v, %q", card.Rel, card.RelCI, card.CI, card.Sentence)
	}
}

func TestAnUncertainBaselineHasNoRelativeInterval(t *testing.T) {
	card := only(t, conclude(t, aPlan(Fixed), evidence(14, []store.Arm{
		values("off", -9, 8, -7, 6, -5, 4, -3, 2, -1, 6), values("on", 9, 8, 7, 6, 5, 4, 3, 2, 1, 10),
	}), nil))
	if !card.RelUnbounded || card.RelCI != nil || card.CI == nil || card.Rel == nil {
		t.Errorf("unbounded %v, relative %v %v, absolute %v", card.RelUnbounded, card.Rel, card.RelCI, card.CI)
	}
}

func TestAnEmptyMetricSaysWhichStepHadNothing(t *testing.T) {
	for _, c := range []struct {
		lost   string
		change func(ev *Evidence)
	}{
		{"keys", func(ev *Evidence) {
			ev.Metrics[0].Result = store.MetricResult{Arms: []store.Arm{{Treatment: "off"}, {Treatment: "on"}}}
		}},
		{"events", func(ev *Evidence) { ev.Metrics[0].Result.Events = 0 }},
		{"of_exposed", func(ev *Evidence) { ev.Metrics[0].Result.EventsOfExposed = 0 }},
		{"in_window", func(ev *Evidence) { ev.Metrics[0].Result.EventsInWindow = 0 }},
		{"counted", func(ev *Evidence) {
			for i := range ev.Metrics[0].Result.Arms {
				a := &ev.Metrics[0].Result.Arms[i]
				a.N, a.Excluded = 0, a.InTotal
			}
		}},
		{"", func(*Evidence) {}},
	} {
		t.Run("lost at "+c.lost, func(t *testing.T) {
			ev := evidence(14, []store.Arm{hits("off", 500, 100), hits("on", 500, 100)})
			ev.Metrics[0].Result.Events, ev.Metrics[0].Result.EventsOfExposed, ev.Metrics[0].Result.EventsInWindow = 400, 300, 200
			c.change(&ev)
			r := conclude(t, aPlan(Fixed), ev, nil)
			f := r.Groups[0].Metrics[0].Funnel
			if f.Lost != c.lost || (f.Sentence == "") != (c.lost == "") || (f.Fix == "") != (c.lost == "") || len(f.Steps) != 5 {
				t.Errorf("lost at %q: %+v", f.Lost, f)
			}
		})
	}
}

// Whatever a store gives, results are sound.
func TestHostileNumbersNeverReachTheResults(t *testing.T) {
	odd := []float64{0, 1, -1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 1e300}
	counts := []int64{-1, 0, 1, 500, math.MaxInt64}
	cases := 0
	for _, method := range []string{Fixed, Sequential} {
		for _, mean := range odd {
			for _, m2 := range odd {
				for _, n := range counts {
					arm := func(treatment string) store.Arm {
						return store.Arm{Treatment: treatment, InTotal: n, N: n, Mean: mean, M2: m2, Min: mean, Max: m2, Sum: mean * float64(n), P50: mean, P95: m2}
					}
					ev := evidence(14, []store.Arm{hits("off", 500, 100), arm("on")}, []store.Arm{arm("off"), hits("on", 500, 100)}, []store.Arm{arm("off"), arm("on")})
					for i := range ev.Metrics {
						ev.Metrics[i].Past = []PastArms{{At: start.AddDate(0, 0, 1), Arms: ev.Metrics[i].Result.Arms}}
					}
					plan := aPlan(method, aMetric("one", GroupKey), aMetric("two", GroupKey), aMetric("three", GroupKey))
					plan.Settings.Correction = true
					conclude(t, plan, ev, nil)
					cases++
				}
			}
		}
	}
	if cases != 1000 {
		t.Errorf("%d cases", cases)
	}
}

func TestSettingsWithoutMeaningGiveAState(t *testing.T) {
	for _, s := range []Settings{{}, {Method: Sequential}, {Method: Fixed, Alpha: -1}, {Method: Sequential, Alpha: 2, TunedFor: -1}, {Method: "bayes", Alpha: 0.05}} {
		plan := aPlan(Fixed)
		plan.Settings = s
		card := only(t, conclude(t, plan, evidence(14, []store.Arm{hits("off", 500, 100), hits("on", 500, 200)}), nil))
		if s.Method != "bayes" && card.State.Significant() {
			t.Errorf("%+v: %s", s, card.State)
		}
	}
}
