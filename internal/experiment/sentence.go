package experiment

import (
	"fmt"

	"causeway/internal/store"
)

// explain gives a card its sentence and, where something is to be done, the fix.
func (c *conclusion) explain(j *judgement) {
	card := &j.card
	card.Sentence, card.Fix = c.sentence(j)
	if j.result.Funnel.Lost != "" && (card.State == NotAvailable && card.Reason != OtherTrafficType || card.State == ZeroVariance) {
		card.Sentence, card.Fix = card.Sentence+" "+j.result.Funnel.Sentence, j.result.Funnel.Fix
	}
}

func (c *conclusion) sentence(j *judgement) (sentence, fix string) {
	card, m := &j.card, j.metric
	switch card.State {
	case NotAvailable:
		return c.unavailable(j)
	case NotPossible:
		return fmt.Sprintf("The experiment takes any rule, and %s showed its treatments by %d rules: keys of different rules cannot be compared.", c.plan.Flag, len(c.ev.Exposures.Rules)),
			"Choose one rule in the experiment. The health shows which there are."
	case NoBaseline:
		if card.Reason == NoBaselineSet {
			return "The experiment names no baseline, so there is nothing to compare with.", "Name a baseline in the experiment."
		}
		return fmt.Sprintf("Nobody was shown the baseline %s.", c.plan.Baseline), "Check the flag's rollout, or choose another baseline."
	case NeedsMoreData:
		return fmt.Sprintf("%s more in each arm are needed: %s has %s, %s has %s, and the settings ask for %s.",
			things(card.MoreKeys, "key", "keys"), card.Baseline, grouped(j.baseline.N), card.Treatment, grouped(j.arm.N), grouped(c.minimum())), "Let the experiment run on."
	case ZeroVariance:
		if j.arm.Mean == j.baseline.Mean {
			return fmt.Sprintf("Every key of both arms has the value %s, so there is nothing to test.", amount(m.Query.Kind, j.arm.Mean)), ""
		}
		return fmt.Sprintf("No arm varies: every key has the value %s with %s and %s with %s. A test needs values that vary.",
			amount(m.Query.Kind, j.arm.Mean), card.Treatment, amount(m.Query.Kind, j.baseline.Mean), card.Baseline), "Check the metric's event and value."
	case Inconclusive:
		return fmt.Sprintf("No effect was found: with %s the metric %s. The true effect may be anything between %s.", card.Treatment, c.effect(j), c.between(j)), ""
	}
	sentence = fmt.Sprintf("With %s the metric %s; the true effect lies between %s (%s confidence).", card.Treatment, c.effect(j), c.between(j), level(card.AlphaCI))
	if card.SignificantSince != nil && !card.SignificantNow {
		sentence += fmt.Sprintf(" It reached significance on %s; the data since then alone would not show it.", day(*card.SignificantSince))
		if card.Diff != nil && *card.Diff**card.PDiff < 0 {
			sentence += " The difference has changed its direction since: find out what changed."
		}
	}
	return sentence, ""
}

func (c *conclusion) unavailable(j *judgement) (sentence, fix string) {
	card, m := &j.card, j.metric
	where := card.Treatment
	if j.arm.N > 0 {
		where = card.Baseline
	}
	switch card.Reason {
	case NoKeys:
		return fmt.Sprintf("Nobody was shown %s in this time.", where), fmt.Sprintf("Check that the flag %s gives out %s, and that its impressions arrive.", c.plan.Flag, where)
	case NoEvents:
		return fmt.Sprintf("No key with %s has a value to average.", where), "Check the metric's event and value."
	case NoDenominator:
		return fmt.Sprintf("No key with %s has the event %s, which the ratio divides by.", where, eventOf(m.Query.Denominator)), "Check the metric's denominator."
	case NoFilterMatch:
		return fmt.Sprintf("No key with %s has done %s, which the metric asks for.", where, eventOf(m.Query.HasDone)), "Check the metric's filter."
	case OutOfRange:
		if j.why != "" {
			return "The values cannot be compared: " + lowered(j.why), "Check the events' values, the metric's cap and the experiment's settings."
		}
		return "The values are too large or too far apart to compute with.", "Give the metric a cap, or check the events' values."
	case OtherTrafficType:
		return fmt.Sprintf("The metric is about keys of the traffic type %s, the flag about %s.", m.TrafficType, c.plan.TrafficType), "Use a metric of the flag's traffic type."
	}
	if card.Reason == NotCalculated {
		return j.measured.Missing, "It is computed by itself within a minute; Recalculate does it now."
	}
	return "The metric could not be computed at the last calculation: " + j.measured.Err + ".", "Recalculate. When it fails again, look into the server's log."
}

func eventOf(e *store.EventMatch) string {
	if e == nil {
		return "that"
	}
	return e.EventType
}

// effect is the size of an effect in words: relative where there is one.
func (c *conclusion) effect(j *judgement) string {
	card := &j.card
	now, then := amount(j.metric.Query.Kind, j.arm.Mean), amount(j.metric.Query.Kind, j.baseline.Mean)
	if card.Rel != nil {
		return fmt.Sprintf("changes by %s (%s instead of %s)", signed(percent(*card.Rel), *card.Rel), now, then)
	}
	return fmt.Sprintf("is %s instead of %s", now, then)
}

// between is the interval in words.
func (c *conclusion) between(j *judgement) string {
	card := &j.card
	switch {
	case card.RelCI != nil:
		return signed(percent(card.RelCI.Low), card.RelCI.Low) + " and " + signed(percent(card.RelCI.High), card.RelCI.High)
	case card.CI != nil:
		return change(j.metric.Query.Kind, card.CI.Low) + " and " + change(j.metric.Query.Kind, card.CI.High)
	}
	return "any two values"
}
