package experiment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"causeway/internal/store"
)

// asker asks the store what an experiment needs, one question at a time.
type asker struct {
	store Store
	plan  Plan
	now   time.Time
	// earlier results, whose past need not be asked again; nil: ask all.
	earlier *Results
	// step is told before each question; of is how many there will be.
	step func(done, of int, doing string)
	// failed is told of questions that could not be answered.
	failed func(metric string, err error)

	done, of int
}

// evidence asks everything. An error is the whole calculation's: what fails of
// one metric stands with that metric.
func (a *asker) evidence(ctx context.Context) (Evidence, error) {
	ev := Evidence{At: a.now, From: a.plan.Start, To: a.now, Metrics: make([]Measured, len(a.plan.Metrics))}
	if !a.plan.End.IsZero() && a.plan.End.Before(ev.To) {
		ev.To = a.plan.End
	}
	if !ev.To.After(ev.From) { // it has not begun
		ev.To = ev.From
		return ev, nil
	}
	a.of = 2
	a.tell("who was exposed")
	exposure := a.plan.exposure(nil)
	exposure.To = ev.To
	report, err := a.store.Exposures(ctx, exposure)
	if err != nil {
		return ev, fmt.Errorf("ask who was exposed to %s: %w", a.plan.Flag, err)
	}
	if ev.Version = a.version(report); ev.Version != nil {
		exposure.ChangeNumber = ev.Version
		if len(report.Versions) > 1 {
			if report, err = a.store.Exposures(ctx, exposure); err != nil {
				return ev, fmt.Errorf("ask who was exposed to version %d of %s: %w", *ev.Version, a.plan.Flag, err)
			}
		}
	}
	ev.Exposures = report
	ends := cutoffs(later(ev.From, report.FirstImpression), ev.To)
	a.of += len(ends)
	if err := a.measure(ctx, &ev, exposure); err != nil {
		return ev, err
	}
	return ev, a.past(ctx, &ev, exposure, ends)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (a *asker) tell(doing string) {
	if a.step != nil {
		a.step(a.done, a.of, doing)
	}
	a.done++
}

// version is the one that counts: the latest that any key saw, unless all count
// together.
func (a *asker) version(report store.ExposureReport) *int64 {
	if a.plan.AllVersions {
		return nil
	}
	var latest *int64
	for _, v := range report.Versions {
		if v.Keys > 0 && (latest == nil || v.ChangeNumber > *latest) {
			latest = &v.ChangeNumber
		}
	}
	return latest
}

// question is one query and where its answer goes.
type question struct {
	metric int // of Plan.Metrics
	query  store.MetricQuery
	take   func(store.MetricResult)
}

// measure asks for the metrics and their dimensions as they stand now.
func (a *asker) measure(ctx context.Context, ev *Evidence, exposure store.Exposure) error {
	var questions []question
	for i, m := range a.plan.Metrics {
		if m.TrafficType != "" && m.TrafficType != a.plan.TrafficType {
			continue // the card says so
		}
		measured := &ev.Metrics[i]
		questions = append(questions, question{i, m.Query, func(r store.MetricResult) { measured.Result = r }})
		measured.Dimensions = make([]store.MetricResult, len(m.Dimensions))
		for d, property := range m.Dimensions {
			query := m.Query
			query.Dimension = property
			questions = append(questions, question{i, query, func(r store.MetricResult) { measured.Dimensions[d] = r }})
		}
	}
	a.tell("the metrics")
	return a.ask(ctx, ev, exposure, questions)
}

// past asks what the metrics were at earlier ends, but for what earlier results
// know.
func (a *asker) past(ctx context.Context, ev *Evidence, exposure store.Exposure, ends []time.Time) error {
	for i, m := range a.plan.Metrics {
		ev.Metrics[i].Past = a.kept(m, ends, ev.Version)
	}
	for _, end := range ends {
		var questions []question
		for i, m := range a.plan.Metrics {
			measured := &ev.Metrics[i]
			other := m.TrafficType != "" && m.TrafficType != a.plan.TrafficType
			if other || measured.Err != "" || slices.ContainsFunc(measured.Past, func(p PastArms) bool { return p.At.Equal(end) }) {
				continue
			}
			questions = append(questions, question{i, m.Query, func(r store.MetricResult) {
				measured.Past = append(measured.Past, PastArms{end, r.Arms})
			}})
		}
		a.tell("the metrics until " + end.UTC().Format("2 January 15:04"))
		exposure.To = end
		if err := a.ask(ctx, ev, exposure, questions); err != nil {
			return err
		}
	}
	for i := range ev.Metrics {
		slices.SortFunc(ev.Metrics[i].Past, func(x, y PastArms) int { return x.At.Compare(y.At) })
	}
	return nil
}

// ask asks questions together, because attribution costs more than a metric
// does. When the store cannot answer them it asks each alone, so that one
// metric does not take the others with it.
func (a *asker) ask(ctx context.Context, ev *Evidence, exposure store.Exposure, questions []question) error {
	if len(questions) == 0 {
		return ctx.Err()
	}
	queries := make([]store.MetricQuery, len(questions))
	for i, q := range questions {
		queries[i] = q.query
	}
	results, err := a.store.Analyze(ctx, exposure, queries)
	if err == nil && len(results) == len(questions) {
		for i, q := range questions {
			q.take(results[i])
		}
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if len(questions) > 1 {
		for _, q := range questions {
			if err := a.ask(ctx, ev, exposure, []question{q}); err != nil {
				return err
			}
		}
		return nil
	}
	m := questions[0].metric
	ev.Metrics[m].Err = "the store could not answer"
	if a.failed != nil {
		a.failed(a.plan.Metrics[m].Name, err)
	}
	return nil
}

// settled is how long an earlier end keeps being asked about: events that come
// late still change it.
const settled = 48 * time.Hour

// kept is what earlier results know of earlier ends, so that it need not be
// asked again.
func (a *asker) kept(m Metric, ends []time.Time, version *int64) []PastArms {
	if a.earlier == nil || a.earlier.Basis != a.plan.basis(version) {
		return nil
	}
	before := a.earlier.metric(m.Name, digest(m.Query))
	if before == nil {
		return nil
	}
	var kept []PastArms
	for _, v := range before.Values {
		if a.now.Sub(v.At) < settled || !slices.ContainsFunc(ends, v.At.Equal) {
			continue
		}
		past := PastArms{At: v.At}
		for _, arm := range v.Arms {
			past.Arms = append(past.Arms, arm.moments())
		}
		kept = append(kept, past)
	}
	return kept
}

// moments is the arm as the store gave it, as far as a comparison needs it.
func (v ValueArm) moments() store.Arm {
	arm := store.Arm{Treatment: v.Treatment, InTotal: v.N, N: v.N}
	if v.Mean == nil {
		arm.Overflow = v.N > 0
		return arm
	}
	arm.Mean = *v.Mean
	if v.Stdev != nil {
		arm.M2 = *v.Stdev * *v.Stdev * float64(v.N-1)
	}
	return arm
}

// metric is the result of a metric by its name and basis; nil: there is none.
func (r *Results) metric(name, basis string) *MetricResult {
	for _, g := range r.Groups {
		for i := range g.Metrics {
			if g.Metrics[i].Metric == name && g.Metrics[i].Basis == basis {
				return &g.Metrics[i]
			}
		}
	}
	return nil
}

// maxCutoffs bounds how many earlier ends a series has.
const maxCutoffs = 30

// cutoffs are the earlier ends at which impact and values are shown: whole
// hours or days, such that those of a longer step are among those of a shorter
// one and what was asked once stays of use.
func cutoffs(from, to time.Time) []time.Time {
	day := 24 * time.Hour
	for _, step := range []time.Duration{time.Hour, 6 * time.Hour, day, 2 * day, 4 * day, 8 * day, 16 * day, 32 * day, 64 * day} {
		if to.Sub(from) > maxCutoffs*step {
			continue
		}
		var list []time.Time
		for at := from.UTC().Truncate(step).Add(step); at.Before(to); at = at.Add(step) {
			list = append(list, at)
		}
		return list
	}
	return nil // over five years: nothing is kept so long
}
