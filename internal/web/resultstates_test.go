package web_test

import (
	"strings"
	"testing"
	"time"

	"causeway/internal/experiment"
	"causeway/internal/store"
)

// Each state that a card can be in, as the pages show it.
func TestEveryStateOfACardIsShownInWords(t *testing.T) {
	equal := func(treatment string, v float64) store.Arm {
		return store.Arm{Treatment: treatment, InTotal: 500, N: 500, Mean: v, Min: v, Max: v, P50: v, P95: v, Sum: 500 * v}
	}
	for _, c := range []struct {
		name   string
		change func(*experiment.Plan, *experiment.Evidence)
		state  experiment.State
		want   []string
	}{
		{"desired", func(*experiment.Plan, *experiment.Evidence) {}, experiment.Desired, []string{"▲ Desired", "+16.8%", "Roll out"}},
		{"undesired", func(p *experiment.Plan, _ *experiment.Evidence) { p.Metrics[0].Desired = experiment.Decrease }, experiment.Undesired,
			[]string{"▼ Undesired", "decrease is better"}},
		{"inconclusive", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = measured(14, hits("off", 5000, 1000), hits("on", 5050, 1010))
		}, experiment.Inconclusive, []string{"◆ Inconclusive", "Impact lies between"}},
		{"needs more data", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = measured(14, hits("off", 50, 10), hits("on", 50, 12))
		}, experiment.NeedsMoreData, []string{"◌ Needs more data", "305 keys more in each arm"}},
		{"not available", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = experiment.Measured{Err: "the disk is on fire"}
		}, experiment.NotAvailable, []string{"– Not available", "could not be computed", "Recalculate"}},
		{"not possible", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Exposures.Rules = []store.RuleCount{{Rule: "beta testers", Keys: 9}, {Rule: "default rule", Keys: 10000}}
		}, experiment.NotPossible, []string{"– Not possible", "Choose one rule"}},
		{"no baseline", func(p *experiment.Plan, _ *experiment.Evidence) { p.Baseline = "" }, experiment.NoBaseline, []string{"– No baseline", "Name a baseline"}},
		{"variance is zero", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = measured(14, equal("off", 1), equal("on", 1))
		}, experiment.ZeroVariance, []string{"= Variance is zero", "nothing to test"}},
		{"baseline is zero", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = measured(14, equal("off", 0), spread("on", 500, .4, .5))
		}, experiment.Desired, []string{"▲ Desired", "+40 pp", "(absolute)", "nothing is relative to it"}},
		{"an uncertain baseline", func(_ *experiment.Plan, e *experiment.Evidence) {
			e.Metrics[0] = measured(14, spread("off", 500, .01, 2), spread("on", 500, .02, 2))
		}, experiment.Inconclusive, []string{"◆ Inconclusive", "(absolute)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got experiment.State
			r := withExperiment(t, func(plan experiment.Plan) []*experiment.Results {
				plan.Treatments, plan.Metrics = []string{"on"}, plan.Metrics[:1]
				ev := someEvidence(14)
				ev.Metrics = ev.Metrics[:1]
				ev.Metrics[0] = measured(14, hits("off", 5000, 1000), hits("on", 5050, 1180))
				c.change(&plan, &ev)
				results := conclude(plan, ev, nil)
				got = results.Groups[0].Metrics[0].Cards[0].State
				return []*experiment.Results{results}
			})
			if got != c.state {
				t.Fatalf("the state is %s", got)
			}
			at := "?at=" + began.AddDate(0, 0, 14).Format(time.RFC3339)
			r.get("/experiments/checkout-button"+at).shows(200, c.want...).sound()
			r.get("/experiments/checkout-button"+at+"&show=absolute").shows(200, c.want[0]).sound()
			r.get("/experiments/checkout-button/metrics/orders"+at).shows(200, c.want[0], "How events became numbers").sound()
			r.get("/experiments/checkout-button/health"+at).shows(200, "Sample ratio").sound()
			r.get("/experiments/checkout-button/file/results.svg" + at).sound()
		})
	}
}

func TestASampleRatioThatIsOffIsSaidFirst(t *testing.T) {
	r := withExperiment(t, func(plan experiment.Plan) []*experiment.Results {
		ev := someEvidence(14)
		ev.Exposures.Arms[1].Keys = 4000
		return []*experiment.Results{conclude(plan, ev, nil)}
	})
	page := r.get("/experiments/checkout-button").shows(200, "Do not trust these results").sound()
	if strings.Index(page.body, "Do not trust") > strings.Index(page.body, "Key metrics") {
		t.Error("the warning is not first")
	}
	r.get("/experiments").shows(200, "sample ratio")
	r.get("/").shows(200, "The sample ratio of the experiment Checkout button is off")
	r.get("/experiments/checkout-button/health").shows(200, "Likely causes").sound()
}

func TestALatchedSignificanceSaysSo(t *testing.T) {
	var latched experiment.Results
	r := withExperiment(t, func(plan experiment.Plan) []*experiment.Results {
		plan.Settings.Method = experiment.Sequential
		early := conclude(plan, someEvidence(9), nil)
		ev := someEvidence(14)
		ev.Metrics[0] = experiment.Measured{Result: store.MetricResult{Arms: []store.Arm{hits("off", 9000, 1800), hits("on", 9000, 1830), hits("blue", 9000, 1800)}}}
		latched = *conclude(plan, ev, early)
		return []*experiment.Results{early, &latched}
	})
	card := latched.Groups[0].Metrics[0].Cards[0]
	if card.SignificantSince == nil || card.SignificantNow {
		t.Fatalf("%+v", card)
	}
	at := "?at=" + latched.ComputedAt.Format(time.RFC3339Nano)
	r.get("/experiments/checkout-button"+at).shows(200, "It reached significance on", "however often one looks").sound()
	r.get("/experiments/checkout-button/metrics/orders"+at).shows(200, "the present data alone would not be").sound()
}
