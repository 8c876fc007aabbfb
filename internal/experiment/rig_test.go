package experiment

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"causeway/internal/stats"
	"causeway/internal/store"
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// aPlan is an experiment as most are: two even arms, one key metric.
func aPlan(method string, metrics ...Metric) Plan {
	if len(metrics) == 0 {
		metrics = []Metric{aMetric("orders", GroupKey)}
	}
	return Plan{
		Project: "shop", ID: "checkout", Name: "checkout", Environment: "shop/production", Flag: "button", TrafficType: "user",
		Baseline: "off", Treatments: []string{"on"}, Shares: map[string]float64{"off": 50, "on": 50},
		Start: start, Metrics: metrics,
		Settings: Settings{Method: method, Alpha: 0.05, Power: 0.8, MinSample: 10, ReviewDays: 14, TunedFor: stats.DefaultTuning, SampleRatioThreshold: stats.SampleRatioThreshold, BufferMinutes: 15},
	}
}

func aMetric(name, group string) Metric {
	return Metric{ID: name, Name: name, Group: group, TrafficType: "user", Desired: Increase, Query: store.MetricQuery{Kind: store.MetricPercent, Event: store.EventMatch{EventType: name}}}
}

// hits is an arm of a percentage.
func hits(treatment string, n, hits int64) store.Arm {
	m := stats.Proportion(n, hits)
	return store.Arm{Treatment: treatment, InTotal: n, N: n, Mean: m.Mean, M2: m.M2, Max: 1, Sum: float64(hits)}
}

// values is an arm of the values given.
func values(treatment string, x ...float64) store.Arm {
	m := stats.MomentsOf(x)
	a := store.Arm{Treatment: treatment, InTotal: m.N, N: m.N, Mean: m.Mean, M2: m.M2, Min: math.Inf(1), Max: math.Inf(-1)}
	for _, v := range x {
		a.Min, a.Max, a.Sum = min(a.Min, v), max(a.Max, v), a.Sum+v
	}
	return a
}

// evidence of metrics after some days, exposures as the first metric's arms.
func evidence(days int, arms ...[]store.Arm) Evidence {
	version := int64(7)
	end := start.AddDate(0, 0, days)
	ev := Evidence{At: end, From: start, To: end, Version: &version}
	report := store.ExposureReport{
		Rules: []store.RuleCount{{Rule: "default rule"}}, FirstImpression: start, LastSeen: end,
		Versions: []store.VersionCount{{ChangeNumber: version, First: start, Last: end}},
	}
	for i, a := range arms {
		m := Measured{Result: store.MetricResult{Arms: a}}
		for _, arm := range a {
			m.Result.Events += int64(arm.Sum)
			if i == 0 {
				report.Keys += arm.InTotal
				report.Arms = append(report.Arms, store.ArmExposure{Treatment: arm.Treatment, Keys: arm.InTotal, Impressions: arm.InTotal})
			}
		}
		m.Result.EventsOfExposed, m.Result.EventsInWindow = m.Result.Events, m.Result.Events
		ev.Metrics = append(ev.Metrics, m)
	}
	report.WithEvents, report.EventsOfKeys = report.Keys, report.Keys
	ev.Exposures = report
	return ev
}

// conclude concludes and holds what must hold of any results.
func conclude(t *testing.T, plan Plan, ev Evidence, earlier *Results) Results {
	t.Helper()
	r := Conclude(plan, ev, earlier, "test")
	sound(t, &r)
	return r
}

// sound fails on results that would show a wrong or empty card.
func sound(t *testing.T, r *Results) {
	t.Helper()
	encoded, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("results that JSON cannot carry: %v", err)
	}
	var back Results
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	if r.Recommendation.Sentence == "" || r.Recommendation.Tone == "" {
		t.Errorf("no recommendation: %+v", r.Recommendation)
	}
	for _, g := range r.Groups {
		for _, m := range g.Metrics {
			if len(m.Cards) != len(r.Treatments) {
				t.Errorf("%s: %d cards for %d treatments", m.Metric, len(m.Cards), len(r.Treatments))
			}
			for i := range m.Cards {
				soundCard(t, r, &m.Cards[i])
			}
		}
	}
}

func soundCard(t *testing.T, r *Results, c *Card) {
	t.Helper()
	if c.State.Title() == "" || c.Title != c.State.Title() || c.Sentence == "" {
		t.Errorf("%s, %s: state %q, title %q, sentence %q", c.Metric, c.Treatment, c.State, c.Title, c.Sentence)
	}
	if found := c.State.Significant() || c.State == Inconclusive; !found {
		if c.P != nil || c.CI != nil || c.PAdjusted != nil || c.Reason == "" {
			t.Errorf("%s: state %s shows p %v, interval %v, reason %q", c.Metric, c.State, c.P, c.CI, c.Reason)
		}
		return
	}
	if c.P == nil || c.PAdjusted == nil || c.CI == nil || c.Diff == nil || c.SE == nil {
		t.Fatalf("%s: a verdict without its numbers: %+v", c.Metric, c)
	}
	if *c.PAdjusted < *c.P || c.State.Significant() != (*c.PAdjusted < c.Alpha) {
		t.Errorf("%s: %s with p %v, adjusted %v, alpha %v", c.Metric, c.State, *c.P, *c.PAdjusted, c.Alpha)
	}
	excludes := c.CI.Low > 0 || c.CI.High < 0
	if excludes != c.SignificantNow {
		t.Errorf("%s: interval %v, but significant now is %v", c.Metric, *c.CI, c.SignificantNow)
	}
	if c.RelCI != nil && (c.RelCI.Low > 0 || c.RelCI.High < 0) != excludes {
		t.Errorf("%s: relative interval %v and absolute %v do not agree", c.Metric, *c.RelCI, *c.CI)
	}
	if c.Method == Fixed && c.SignificantNow != c.State.Significant() {
		t.Errorf("%s: %s, but the interval excludes zero: %v", c.Metric, c.State, c.SignificantNow)
	}
	if c.RelCI == nil && c.RelReason == "" {
		t.Errorf("%s: no relative interval and no reason", c.Metric)
	}
	if len(c.Working.Steps) == 0 || c.Working.R == "" || c.Working.Python == "" {
		t.Errorf("%s: no working", c.Metric)
	}
}

// only is the one card of one metric and one treatment.
func only(t *testing.T, r Results) Card {
	t.Helper()
	if len(r.Groups) != 1 || len(r.Groups[0].Metrics) != 1 || len(r.Groups[0].Metrics[0].Cards) != 1 {
		t.Fatalf("not one card: %+v", r.Groups)
	}
	return r.Groups[0].Metrics[0].Cards[0]
}
