package experiment

import (
	"math"
	"slices"
	"time"

	"causeway/internal/stats"
	"causeway/internal/store"
)

// judgement is one card in the making.
type judgement struct {
	metric    Metric
	result    *MetricResult
	measured  Measured
	treatment string
	card      Card
	contrast  stats.Contrast
	baseline  store.Arm
	arm       store.Arm
	comparing bool // there is a p-value, and it counts among those of the group
	looks     []look
	why       string // there is none, in the words of stats
	before    *Card  // of the earlier results, when it is of the same basis
}

// look is one time at which a sequential comparison was looked at.
type look struct {
	at   time.Time
	p    float64
	diff float64
}

// judge computes a card as far as it needs no other metric.
func (c *conclusion) judge(m Metric, result *MetricResult, measured Measured, treatment string) *judgement {
	s := c.plan.Settings
	j := &judgement{metric: m, result: result, measured: measured, treatment: treatment, arm: armAt(measured.Result.Arms, slices.Index(c.plan.Arms(), treatment), treatment)}
	j.card = Card{Metric: m.Name, Treatment: treatment, Baseline: c.plan.Baseline, Method: s.Method, Alpha: s.Alpha, AlphaCI: s.Alpha, Series: []EffectPoint{}, Working: Working{Steps: []WorkingStep{}}}
	if c.plan.Baseline != "" {
		j.baseline = armAt(measured.Result.Arms, 0, c.plan.Baseline)
		j.contrast = stats.Difference(momentsOf(j.baseline).Sample(), momentsOf(j.arm).Sample())
	}
	now := c.compare(j.contrast, s.Alpha)
	j.card.State, j.card.Reason = c.undecided(m, measured, j, now)
	if j.card.State == NotAvailable || j.card.State == NoBaseline || j.card.State == NotPossible {
		return j
	}
	j.before = c.before(result, treatment)
	j.describe(s)
	if j.card.State == "" {
		j.comparing = true
		j.card.PNow = finite(now.P)
		j.card.SE, j.card.Statistic = finite(now.SE), finite(now.Statistic)
		if s.Method == Fixed {
			j.card.DF = finite(now.DF)
		}
	}
	c.series(j, measured.Past, now)
	return j
}

// undecided is the state of a card that has no comparison; "" where it has one.
func (c *conclusion) undecided(m Metric, measured Measured, j *judgement, now stats.Comparison) (State, Reason) {
	switch {
	case measured.Missing != "":
		return NotAvailable, NotCalculated
	case measured.Err != "":
		return NotAvailable, Failed
	case m.TrafficType != "" && m.TrafficType != c.plan.TrafficType:
		return NotAvailable, OtherTrafficType
	case j.arm.InTotal == 0:
		return NotAvailable, NoKeys
	case j.arm.Overflow || j.baseline.Overflow:
		return NotAvailable, OutOfRange
	case j.arm.N == 0:
		return NotAvailable, noneLeft(m)
	case !c.possible:
		return NotPossible, SeveralRules
	case c.plan.Baseline == "":
		return NoBaseline, NoBaselineSet
	case j.baseline.InTotal == 0:
		return NoBaseline, NoBaselineKeys
	case j.baseline.N == 0:
		return NotAvailable, noneLeft(m)
	}
	if lacks := c.minimum() - min(j.arm.N, j.baseline.N); lacks > 0 {
		j.card.MoreKeys = lacks
		return NeedsMoreData, BelowMinimum
	}
	switch now.State {
	case stats.StateReady:
		return "", ""
	case stats.StateZeroVariance:
		return ZeroVariance, AllValuesEqual
	}
	j.why = now.Reason
	return NotAvailable, OutOfRange
}

// noneLeft is why no key of an arm counts.
func noneLeft(m Metric) Reason {
	switch {
	case m.Query.HasDone != nil:
		return NoFilterMatch
	case m.Query.Kind == store.MetricRatio:
		return NoDenominator
	case m.Query.Kind == store.MetricAverage:
		return NoEvents
	}
	return NoKeys
}

// minimum is how many keys each arm needs. Below these floors of FME neither
// method keeps its promise, whatever the settings say.
func (c *conclusion) minimum() int64 {
	if c.plan.Settings.Method == Sequential {
		return max(c.plan.Settings.MinSample, 100)
	}
	return max(c.plan.Settings.MinSample, 10)
}

// before is the card of the earlier results that this one follows.
func (c *conclusion) before(result *MetricResult, treatment string) *Card {
	if c.earlier == nil {
		return nil
	}
	m := c.earlier.metric(result.Metric, result.Basis)
	if m == nil {
		return nil
	}
	for i := range m.Cards {
		if m.Cards[i].Treatment == treatment {
			return &m.Cards[i]
		}
	}
	return nil
}

// describe fills what can be said without a test.
func (j *judgement) describe(s Settings) {
	j.card.Diff = finite(j.contrast.Diff)
	if !j.contrast.Ready() {
		j.card.Diff = finite(j.arm.Mean - j.baseline.Mean)
	}
	if mean := j.baseline.Mean; mean != 0 && j.card.Diff != nil {
		j.card.Rel = finite(*j.card.Diff / math.Abs(mean))
	} else {
		j.card.RelReason = "The baseline's value is zero, so nothing is relative to it; the absolute difference holds."
	}
	if d := j.contrast.Detectable(s.Alpha, s.Power); d.Ready() {
		j.card.MLDEAbs = finite(d.Absolute)
		if d.Relative != nil {
			j.card.MLDERel = finite(*d.Relative)
		}
	}
}

// compare is one look at a contrast by the experiment's method.
func (c *conclusion) compare(contrast stats.Contrast, alpha float64) stats.Comparison {
	if c.plan.Settings.Method == Sequential {
		return contrast.Sequential(alpha, c.tuning)
	}
	return contrast.Fixed(alpha)
}

// series computes the effect at earlier ends. Where the method is sequential
// each of them is a look.
func (c *conclusion) series(j *judgement, past []PastArms, now stats.Comparison) {
	s := c.plan.Settings
	for _, point := range past {
		b, t := armAt(point.Arms, 0, c.plan.Baseline), armAt(point.Arms, slices.Index(c.plan.Arms(), j.treatment), j.treatment)
		shown := EffectPoint{At: point.At, NBaseline: b.N, NTreatment: t.N}
		if !b.Overflow && !t.Overflow && min(b.N, t.N) >= c.minimum() {
			look := c.compare(stats.Difference(momentsOf(b).Sample(), momentsOf(t).Sample()), s.Alpha)
			if look.Ready() {
				shown.show(look)
				j.look(point.At, look)
			}
		}
		j.card.Series = append(j.card.Series, shown)
	}
	if j.before != nil && j.before.P != nil && j.before.PDiff != nil && c.earlier.ComputedAt.Before(c.ev.At) {
		j.looks = append(j.looks, look{c.earlier.ComputedAt, *j.before.P, *j.before.PDiff})
	}
	if j.comparing {
		j.look(c.ev.At, now)
		last := EffectPoint{At: c.ev.At, NBaseline: j.baseline.N, NTreatment: j.arm.N}
		last.show(now)
		j.card.Series = append(j.card.Series, last)
	}
	slices.SortStableFunc(j.looks, func(a, b look) int { return a.at.Compare(b.at) })
}

func (j *judgement) look(at time.Time, now stats.Comparison) {
	j.looks = append(j.looks, look{at, now.P, now.Diff})
}

func (p *EffectPoint) show(look stats.Comparison) {
	p.Diff, p.CI, p.P = finite(look.Diff), intervalOf(look.CI), finite(look.P)
	if look.Relative.Ready() {
		p.Rel, p.RelCI = finite(look.Relative.Lift), intervalOf(look.Relative.CI)
	}
}
