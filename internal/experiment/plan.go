package experiment

import (
	"causeway/internal/catalog"
	"causeway/internal/stats"
	"causeway/internal/store"
)

// bufferMinutes around a key's window is FME's; there only support can change it.
const bufferMinutes = 15

// PlanOf is an experiment of the catalog, ready to be computed.
func PlanOf(e *catalog.Experiment) Plan {
	spec := e.Spec
	p := Plan{
		Project: e.Environment.Project.Name, ID: e.ID, Name: spec.Name, Hypothesis: spec.Hypothesis, Owner: spec.Owner,
		Environment: e.Environment.ID, Flag: spec.Flag, TrafficType: e.TrafficType, Rule: spec.Rule,
		Baseline: spec.Baseline, Treatments: e.Treatments[1:], Shares: e.Shares,
		Start: e.Start, End: e.End, AllVersions: spec.Versions == catalog.AllVersions, Entry: matchOf(spec.Entry),
		Settings: Settings{
			Method: spec.Method, Alpha: spec.Significance, Power: spec.Power, MinSample: int64(spec.MinimumSample),
			ReviewDays: spec.ReviewPeriod, Correction: spec.MultipleComparison, TunedFor: int64(spec.Horizon),
			SampleRatioThreshold: stats.SampleRatioThreshold, BufferMinutes: bufferMinutes,
		},
	}
	if p.Shares == nil {
		p.NoShares = "neither the experiment nor the flag says which share of the keys each treatment was meant to get"
	}
	for _, g := range []struct {
		name    string
		metrics []*catalog.Metric
	}{{GroupKey, e.Key}, {GroupGuardrail, e.Guardrail}, {GroupSupporting, e.Supporting}} {
		for _, m := range g.metrics {
			p.Metrics = append(p.Metrics, metricOf(m, g.name))
		}
	}
	return p
}

func metricOf(m *catalog.Metric, group string) Metric {
	spec := m.Spec
	metric := Metric{ID: m.ID, Name: spec.Name, Description: spec.Description, Group: group, TrafficType: spec.TrafficType, Desired: spec.Desired, Query: QueryOf(spec)}
	if group == GroupKey { // FME splits key metrics only
		metric.Dimensions = spec.Dimensions
	}
	return metric
}

// QueryOf is what a metric asks of the store.
func QueryOf(spec catalog.MetricSpec) store.MetricQuery {
	q := store.MetricQuery{Kind: spec.Type, Value: spec.Value, Cap: spec.Cap, CapPerDay: spec.CapPer == catalog.PerDay,
		Denominator: matchOf(spec.Denominator), HasDone: matchOf(spec.HasDone), HasDoneBefore: spec.HasDoneBefore}
	if event := matchOf(spec.Event); event != nil {
		q.Event = *event
	}
	return q
}

func matchOf(spec *catalog.EventSpec) *store.EventMatch {
	if spec == nil {
		return nil
	}
	match := &store.EventMatch{EventType: spec.EventType}
	for _, f := range spec.Filters {
		match.Filters = append(match.Filters, store.PropertyFilter{Property: f.Property, Operator: f.Operator, Values: f.Values})
	}
	return match
}

// exposure is what the plan asks of the store about a version of the flag; nil
// is all versions.
func (p *Plan) exposure(version *int64) store.Exposure {
	return store.Exposure{
		Environment: p.Environment, TrafficType: p.TrafficType, Flag: p.Flag, Rule: p.Rule, ChangeNumber: version,
		From: p.Start, Buffer: p.buffer(), Treatments: p.Arms(), Entry: p.Entry,
	}
}
