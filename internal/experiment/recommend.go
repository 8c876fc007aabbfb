package experiment

import (
	"fmt"
	"strings"
)

// recommend says what to do, by FME's states and the experiment's health.
func recommend(plan Plan, r *Results) Recommendation {
	b := banner{plan: plan, r: r, moved: map[string]*movement{}}
	for _, t := range plan.Treatments {
		b.moved[t] = &movement{}
	}
	for _, g := range r.Groups {
		for _, m := range g.Metrics {
			for i := range m.Cards {
				b.count(g.Name, &m.Cards[i])
			}
		}
	}
	rec := b.verdict()
	if rec.Reasons == nil {
		rec.Reasons = []string{}
	}
	return rec
}

// banner collects what the recommendation is made of.
type banner struct {
	plan  Plan
	r     *Results
	moved map[string]*movement // by treatment
	cards int                  // key metrics' cards
	ready int                  // of them, those with a finding or inconclusive
	short int64                // most keys that any key metric's arm still lacks
}

// movement is what a treatment moved.
type movement struct {
	good, bad []string // sentences about key metrics and guardrails
}

func (b *banner) count(group string, card *Card) {
	line := fmt.Sprintf("%s: %s", card.Metric, card.Sentence)
	m := b.moved[card.Treatment]
	switch {
	case card.State == Undesired && group != GroupSupporting:
		m.bad = append(m.bad, line)
	case card.State == Desired && group == GroupKey:
		m.good = append(m.good, line)
	}
	if group == GroupKey {
		b.cards++
		if card.State.Significant() || card.State == Inconclusive {
			b.ready++
		}
		b.short = max(b.short, card.MoreKeys)
	}
}

func (b *banner) verdict() Recommendation {
	r := b.r
	for _, ratio := range r.Health.SampleRatios {
		if ratio.State == RatioMismatch {
			return Recommendation{DoNotTrust, Bad, "Do not trust these results: the arms do not have the sizes they were meant to have. Find the cause first.", []string{ratio.Sentence}}
		}
	}
	switch {
	case r.Health.Exposures.Keys == 0:
		return Recommendation{CannotSay, Neutral, "Nothing can be said yet: nobody was exposed to the flag.", nil}
	case b.cards == 0:
		return Recommendation{CannotSay, Neutral, "Nothing can be said: the experiment has no key metric.", nil}
	case r.Health.Rules.Tone == Bad:
		return Recommendation{CannotSay, Warn, "Nothing can be said: " + lowered(r.Health.Rules.Sentence), nil}
	}
	if !b.due() {
		return b.early()
	}
	winners, losers := b.sides()
	switch {
	case len(winners) > 0:
		best := winners[0]
		rec := Recommendation{RollOut, Good, fmt.Sprintf("Roll out %s: it moved a key metric as desired, and no key metric or guardrail the wrong way.", best), b.moved[best].good}
		if !r.Health.Review.Complete {
			rec.Reasons = append(rec.Reasons, r.Health.Review.Sentence)
		}
		return rec
	case len(losers) > 0:
		t := losers[0]
		m := b.moved[t]
		if len(m.good) > 0 {
			return Recommendation{Weigh, Warn, fmt.Sprintf("Weigh it: %s moved some metrics as desired and others the wrong way.", t), append(append([]string{}, m.bad...), m.good...)}
		}
		if len(losers) == len(b.plan.Treatments) {
			return Recommendation{RollBack, Bad, fmt.Sprintf("Keep %s: %s moved a metric the wrong way.", b.plan.Baseline, strings.Join(losers, " and ")), m.bad}
		}
		return Recommendation{KeepRunning, Warn, fmt.Sprintf("Stop showing %s, which moved a metric the wrong way; the others have shown nothing yet.", strings.Join(losers, " and ")), m.bad}
	}
	return b.nothingMoved()
}

// due reports whether the results may be acted on: a sequential result always,
// a fixed one at its planned end only.
func (b *banner) due() bool {
	if b.plan.Settings.Method == Sequential || b.r.Final {
		return true
	}
	return b.plan.End.IsZero() && b.r.Health.Review.Complete
}

// early is what a fixed-horizon experiment says before its planned end.
func (b *banner) early() Recommendation {
	when := "at the end of its review period"
	if !b.plan.End.IsZero() {
		when = "on " + day(b.plan.End)
	}
	rec := Recommendation{KeepRunning, Neutral, fmt.Sprintf("Keep it running: a fixed-horizon result holds once, %s. Stopping when it looks good finds effects that are not there.", when), nil}
	for _, t := range b.plan.Treatments {
		if len(b.moved[t].bad) > 0 {
			rec.Tone = Warn
			rec.Reasons = append(rec.Reasons, b.moved[t].bad...)
		}
	}
	return rec
}

// sides are the treatments that only won, and those that lost anything.
func (b *banner) sides() (winners, losers []string) {
	for _, t := range b.plan.Treatments {
		switch m := b.moved[t]; {
		case len(m.bad) > 0:
			losers = append(losers, t)
		case len(m.good) > 0:
			winners = append(winners, t)
		}
	}
	return winners, losers
}

func (b *banner) nothingMoved() Recommendation {
	switch {
	case b.ready == 0 && b.short > 0:
		return Recommendation{KeepRunning, Neutral, fmt.Sprintf("Keep it running: %s more in each arm are needed.", things(b.short, "key", "keys")), nil}
	case b.ready == 0:
		return Recommendation{CannotSay, Warn, "Nothing can be said: no key metric could be computed. Each card says why.", nil}
	case b.r.Final:
		return Recommendation{NoEffect, Neutral, "No effect was found. The intervals say how large one could still be.", nil}
	}
	return Recommendation{KeepRunning, Neutral, "Keep it running: no key metric has moved so far.", []string{b.r.Health.Review.Sentence}}
}

func lowered(sentence string) string {
	if sentence == "" {
		return sentence
	}
	return strings.ToLower(sentence[:1]) + sentence[1:]
}
