package experiment

import (
	"math"
	"slices"
	"time"

	"causeway/internal/stats"
)

// decide gives the cards of one treatment in one group their states, corrected
// for each other where the settings say so.
func (c *conclusion) decide(family []*judgement) {
	s := c.plan.Settings
	p := make([]float64, len(family))
	for i, j := range family {
		p[i] = math.NaN() // does not count
		if !j.comparing {
			continue
		}
		j.settle(s.Method)
		p[i] = *j.card.P
	}
	corrected := c.correct(p)
	since := c.since(family)
	for i, j := range family {
		if j.comparing {
			c.conclude(j, corrected.P[i], corrected.AlphaCI[i], since[i])
		}
		j.card.Title = j.card.State.Title()
		c.explain(j)
		j.card.Working = c.working(j, corrected, i)
	}
}

// settle says which look the card's p-value is of: the last one, or where the
// method is sequential the one with the smallest. Every look of a sequential
// comparison keeps its promise together with all others, so the smallest
// p-value is as valid as the last.
func (j *judgement) settle(method string) {
	last := j.looks[len(j.looks)-1]
	if method == Sequential {
		for _, l := range j.looks {
			if l.p < last.p {
				last = l
			}
		}
		j.card.Looks = len(j.looks)
		if j.before != nil {
			j.card.Looks = max(j.before.Looks+1, j.card.Looks)
		}
	}
	j.card.P, j.card.PDiff = finite(last.p), finite(last.diff)
}

// correct adjusts the p-values of one group for each other, or leaves each
// alone. A NaN does not count.
func (c *conclusion) correct(p []float64) stats.Family {
	alpha := c.plan.Settings.Alpha
	if c.plan.Settings.Correction {
		return stats.BenjaminiHochberg(p, alpha)
	}
	var each stats.Family
	for _, one := range p {
		f := stats.BenjaminiHochberg([]float64{one}, alpha)
		each.P, each.Rejected, each.AlphaCI = append(each.P, f.P...), append(each.Rejected, f.Rejected...), append(each.AlphaCI, f.AlphaCI...)
		each.Tests, each.Rejections = each.Tests+f.Tests, each.Rejections+f.Rejections
	}
	return each
}

// since is when each sequential card became significant: at the first look, of
// any card of the group, after which the smallest p-values so far were.
func (c *conclusion) since(family []*judgement) []*time.Time {
	since := make([]*time.Time, len(family))
	if c.plan.Settings.Method != Sequential {
		return since
	}
	var times []time.Time
	smallest := make([]float64, len(family))
	for i, j := range family {
		smallest[i] = math.NaN()
		if j.before != nil {
			since[i] = j.before.SignificantSince
		}
		for _, l := range j.looks {
			times = append(times, l.at)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range slices.CompactFunc(times, time.Time.Equal) {
		for i, j := range family {
			for _, l := range j.looks {
				if j.comparing && l.at.Equal(at) && !(l.p >= smallest[i]) { // also when there was none
					smallest[i] = l.p
				}
			}
		}
		for i, rejected := range c.correct(smallest).Rejected {
			if rejected && since[i] == nil {
				since[i] = &at
			}
		}
	}
	return since
}

// conclude gives a card with a comparison its state and its intervals.
func (c *conclusion) conclude(j *judgement, adjusted, alphaCI float64, since *time.Time) {
	card := &j.card
	card.PAdjusted, card.AlphaCI = finite(adjusted), alphaCI
	shown := c.compare(j.contrast, alphaCI)
	if card.CI, card.Critical = intervalOf(shown.CI), finite(shown.Critical); card.CI == nil {
		j.withdraw()
		return
	}
	switch shown.Relative.State {
	case stats.StateReady:
		card.Rel, card.RelCI = finite(shown.Relative.Lift), intervalOf(shown.Relative.CI)
	case stats.StateUnbounded:
		card.Rel, card.RelUnbounded = finite(shown.Relative.Lift), true
		card.RelReason = "The baseline's value is so uncertain that any relative effect fits; the absolute difference holds."
	case stats.StateZeroBaseline:
		card.Rel = nil
		card.RelReason = "The baseline's value is zero, so nothing is relative to it; the absolute difference holds."
	default:
		card.RelReason = shown.Relative.Reason
	}
	card.SignificantNow = *card.PNow < alphaCI
	if adjusted >= c.plan.Settings.Alpha {
		card.State = Inconclusive
		return
	}
	if c.plan.Settings.Method == Sequential {
		card.SignificantSince = since
	}
	up := *card.PDiff > 0
	if up == (j.metric.Desired == Increase) {
		card.State = Desired
	} else {
		card.State = Undesired
	}
}

// withdraw makes a card of what could be tested but has no interval: its ends
// leave the range of float64.
func (j *judgement) withdraw() {
	j.comparing = false
	j.card.State, j.card.Reason = NotAvailable, OutOfRange
	j.card.P, j.card.PNow, j.card.PDiff, j.card.PAdjusted, j.card.Critical = nil, nil, nil, nil, nil
}
