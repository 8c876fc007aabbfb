package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"

	"causeway/internal/stats"
	"causeway/internal/store"
)

// Conclude says what the evidence shows. earlier are the results before these,
// nil when there are none; what they latched holds on where they are of the
// same basis. code is the version of Causeway.
func Conclude(plan Plan, ev Evidence, earlier *Results, code string) Results {
	r := Results{
		Project: plan.Project, ID: plan.ID, Experiment: plan.Name, Hypothesis: plan.Hypothesis, Owner: plan.Owner,
		Environment: plan.Environment.Name(), Flag: plan.Flag, TrafficType: plan.TrafficType, Rule: plan.Rule,
		Baseline: plan.Baseline, Treatments: append([]string{}, plan.Treatments...),
		Start: plan.Start, From: ev.From, To: ev.To, Version: ev.Version,
		ComputedAt: ev.At, Code: code, Settings: plan.Settings, Definition: plan.definition(), Basis: plan.basis(ev.Version), Groups: []Group{},
	}
	if !plan.End.IsZero() {
		end := plan.End
		r.End = &end
		r.Final = !ev.At.Before(end.Add(plan.buffer()))
	}
	if earlier != nil && earlier.Basis != r.Basis {
		earlier = nil
	}
	c := conclusion{plan: plan, ev: ev, earlier: earlier, possible: plan.Rule != "" || len(ev.Exposures.Rules) <= 1}
	if plan.Settings.Method == Sequential {
		c.tuning = stats.TuneAt(plan.Settings.Alpha, float64(plan.Settings.TunedFor))
	}
	for _, name := range []string{GroupKey, GroupGuardrail, GroupSupporting} {
		if g := c.group(name); len(g.Metrics) > 0 {
			r.Groups = append(r.Groups, g)
		}
	}
	r.Health = c.health()
	r.Recommendation = recommend(plan, &r)
	return r
}

// conclusion is one run of Conclude.
type conclusion struct {
	plan     Plan
	ev       Evidence
	earlier  *Results // of the same basis, or nil
	possible bool     // whether the arms may be compared at all
	tuning   stats.Tuning
}

var groupTitles = map[string]string{GroupKey: "Key metrics", GroupGuardrail: "Guardrail metrics", GroupSupporting: "Supporting metrics"}

// group computes the metrics that are corrected together.
func (c *conclusion) group(name string) Group {
	g := Group{Name: name, Title: groupTitles[name]}
	var judged []*judgement // of all treatments, metric by metric
	for i, m := range c.plan.Metrics {
		if m.Group != name {
			continue
		}
		result, js := c.metric(m, c.ev.Metrics[i])
		g.Metrics = append(g.Metrics, result)
		judged = append(judged, js...)
	}
	for _, treatment := range c.plan.Treatments {
		var family []*judgement
		for _, j := range judged {
			if j.treatment == treatment {
				family = append(family, j)
			}
		}
		c.decide(family)
	}
	next := 0
	for i := range g.Metrics {
		for range c.plan.Treatments {
			g.Metrics[i].Cards = append(g.Metrics[i].Cards, judged[next].card)
			next++
		}
	}
	return g
}

// metric computes what needs no other metric.
func (c *conclusion) metric(m Metric, measured Measured) (MetricResult, []*judgement) {
	result := MetricResult{
		ID: m.ID, Metric: m.Name, Description: m.Description, Kind: m.Query.Kind, Measure: measures[m.Query.Kind], Desired: m.Desired,
		Basis: digest(m.Query), Arms: []Arm{}, Cards: []Card{}, Values: []ValuePoint{}, Dimensions: []Dimension{},
	}
	alpha := c.plan.Settings.Alpha
	arms := c.plan.Arms()
	for i, treatment := range arms {
		result.Arms = append(result.Arms, showArm(armAt(measured.Result.Arms, i, treatment), alpha))
	}
	for _, past := range measured.Past {
		point := ValuePoint{At: past.At, Arms: []ValueArm{}}
		for i, treatment := range arms {
			a := showArm(armAt(past.Arms, i, treatment), alpha)
			point.Arms = append(point.Arms, ValueArm{treatment, a.N, a.Mean, a.Stdev, a.CI})
		}
		result.Values = append(result.Values, point)
	}
	for i, property := range m.Dimensions {
		if i < len(measured.Dimensions) {
			result.Dimensions = append(result.Dimensions, showDimension(property, measured.Dimensions[i], arms, alpha))
		}
	}
	result.Funnel = c.funnel(m, measured)
	var judged []*judgement
	for _, treatment := range c.plan.Treatments {
		judged = append(judged, c.judge(m, &result, measured, treatment))
	}
	return result, judged
}

// armAt is the i-th arm. Where a store left it out it is empty.
func armAt(arms []store.Arm, i int, treatment string) store.Arm {
	if i < len(arms) && arms[i].Treatment == treatment {
		return arms[i]
	}
	for _, a := range arms {
		if a.Treatment == treatment {
			return a
		}
	}
	return store.Arm{Treatment: treatment}
}

func showArm(a store.Arm, alpha float64) Arm {
	shown := Arm{Treatment: a.Treatment, InTreatment: a.InTotal, Excluded: a.Excluded, N: a.N}
	if a.N == 0 || a.Overflow {
		return shown
	}
	shown.Mean, shown.Total = finite(a.Mean), finite(a.Sum)
	shown.Min, shown.P50, shown.P95, shown.Max = finite(a.Min), finite(a.P50), finite(a.P95), finite(a.Max)
	sample := momentsOf(a).Sample()
	if a.N > 1 {
		shown.Stdev = finite(math.Sqrt(sample.Variance))
	}
	// Against a known zero, Welch's interval is that of the one mean.
	zero := stats.Moments{N: 2}.Sample()
	if alone := stats.Difference(zero, sample).Fixed(alpha); alone.Ready() {
		shown.CI = intervalOf(alone.CI)
	}
	return shown
}

func showDimension(property string, result store.MetricResult, arms []string, alpha float64) Dimension {
	d := Dimension{Property: property, Values: []DimensionValue{}}
	for _, value := range result.Dimensions {
		v := DimensionValue{Value: value.Value, Arms: []Arm{}}
		for i, treatment := range arms {
			v.Arms = append(v.Arms, showArm(armAt(value.Arms, i, treatment), alpha))
		}
		d.Values = append(d.Values, v)
	}
	return d
}

func momentsOf(a store.Arm) stats.Moments { return stats.Moments{N: a.N, Mean: a.Mean, M2: a.M2} }

// definition names what the experiment compares: equal texts, equal definitions.
// Settings that only say how to read the same numbers are not in it.
func (p *Plan) definition() string {
	s := p.Settings
	return digest([]any{
		p.Environment, p.Flag, p.TrafficType, p.Rule, p.Baseline, p.Treatments, p.Entry, p.AllVersions, p.Start,
		s.Method, s.Alpha, s.TunedFor, s.BufferMinutes,
	})
}

// basis names the definition and the flag's version that counts.
func (p *Plan) basis(version *int64) string { return digest([]any{p.definition(), version}) }

// digest names a definition: equal texts, equal definitions.
func digest(v any) string {
	encoded, err := json.Marshal(v)
	if err != nil {
		panic("experiment: a definition that JSON cannot carry: " + err.Error()) // numbers come from JSON or YAML, which have no NaN
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:8])
}

// finite is x where JSON can carry it, else null.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

func intervalOf(ci *stats.Interval) *Interval {
	if ci == nil || finite(ci.Low) == nil || finite(ci.High) == nil {
		return nil
	}
	return &Interval{ci.Low, ci.High}
}
