package experiment

import (
	"fmt"
	"slices"
	"time"

	"causeway/internal/store"
)

// From these shares on a check warns.
const (
	severalWarns  = 0.01 // keys in several treatments; GrowthBook's default too
	excludedWarns = 0.01
	identityWarns = 0.20 // below it
	lateWarns     = 0.05
)

func (c *conclusion) health() Health {
	report := c.ev.Exposures
	h := Health{SampleRatios: []SampleRatio{}, Exposures: c.exposures(), Review: c.review(), Versions: c.versions(), Rules: c.rules()}
	for i := range c.plan.Treatments {
		h.SampleRatios = append(h.SampleRatios, c.sampleRatio(i))
	}
	h.Several = shareOf(report.InSeveral, report.Keys)
	h.Several.Sentence = fmt.Sprintf("%s saw more than one treatment.", things(report.InSeveral, "key", "keys"))
	if h.Several.above(severalWarns) {
		h.Several.Tone = Warn
		h.Several.Fix = "Keys keep their treatment only when every SDK evaluates with the same key: look for places that use another id, or the same id for many people."
	}
	h.Excluded = shareOf(report.Excluded, report.Keys)
	h.Excluded.Sentence = fmt.Sprintf("%s changed rule or treatment twice and %s left out.", things(report.Excluded, "key", "keys"), wasOrWere(report.Excluded))
	if h.Excluded.above(excludedWarns) {
		h.Excluded.Tone = Warn
		h.Excluded.Fix = "See which rules the flag has, and why attributes that decide between them change."
	}
	h.Identity = shareOf(report.WithEvents, report.Keys)
	h.Identity.Sentence = fmt.Sprintf("%s of %s exposed keys did anything at all that came in as an event.", grouped(report.WithEvents), grouped(report.Keys))
	if report.Keys > 0 && !h.Identity.above(identityWarns) {
		h.Identity.Tone = Warn
		h.Identity.Fix = fmt.Sprintf("The flag and the events may use different ids. Both must be about the traffic type %s.", c.plan.TrafficType)
		if report.WithEvents == 0 {
			h.Identity.Tone = Bad
		}
	}
	h.Before = shareOf(report.EventsBefore, report.EventsOfKeys)
	h.Before.Sentence = fmt.Sprintf("%s of exposed keys came before the exposure and %s not count.", things(report.EventsBefore, "event", "events"), doesOrDo(report.EventsBefore))
	h.Late = shareOf(report.LateEvents, report.EventsOfKeys)
	h.Late.Sentence = fmt.Sprintf("%s of exposed keys came in more than an hour after %s happened.", things(report.LateEvents, "event", "events"), itOrThey(report.LateEvents))
	if h.Late.above(lateWarns) {
		h.Late.Tone = Warn
		h.Late.Fix = "The latest days will still change. Wait for them before you decide."
	}
	return h
}

func wasOrWere(n int64) string { return pick(n, "was", "were") }
func doesOrDo(n int64) string  { return pick(n, "does", "do") }
func itOrThey(n int64) string  { return pick(n, "it", "they") }

func pick(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// shareOf is a check that found nothing yet.
func shareOf(count, of int64) HealthCheck {
	h := HealthCheck{Tone: Good, Count: count, Of: of}
	if of > 0 {
		h.Share = finite(float64(count) / float64(of))
	} else {
		h.Tone = Neutral
	}
	return h
}

func (h HealthCheck) above(share float64) bool { return h.Share != nil && *h.Share >= share }

func (c *conclusion) exposures() Exposures {
	report := c.ev.Exposures
	e := Exposures{Keys: report.Keys, Arms: c.plan.Arms(), Days: []DayOfKeys{}, First: moment(report.FirstImpression), Last: moment(report.LastSeen)}
	for _, a := range report.Arms {
		e.Impressions += a.Impressions
	}
	for _, d := range report.Days {
		e.Days = append(e.Days, DayOfKeys{d.Day, d.Keys})
	}
	return e
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// review says whether the experiment ran for whole review periods. It changes
// no number.
func (c *conclusion) review() ReviewPeriod {
	p := ReviewPeriod{Days: c.plan.Settings.ReviewDays, Tone: Neutral}
	started, ended := c.ev.From, c.ev.To
	if first := c.ev.Exposures.FirstImpression; first.After(started) {
		started = first
	}
	if ended.After(c.ev.At) {
		ended = c.ev.At
	}
	if ended.After(started) && c.ev.Exposures.Keys > 0 {
		p.Running = int(ended.Sub(started) / (24 * time.Hour))
	}
	if p.Days <= 0 {
		p.Complete, p.Sentence = true, "No review period is set."
		return p
	}
	p.Complete = p.Running >= p.Days
	period := fmt.Sprintf("review period of %s", things(int64(p.Days), "day", "days"))
	switch {
	case !p.Complete:
		p.Tone = Warn
		p.Sentence = fmt.Sprintf("Day %d of the %s. Until it is complete, some kinds of days are in the data more often than others.", p.Running, period)
	case p.Running%p.Days == 0:
		p.Tone = Good
		p.Sentence = fmt.Sprintf("The %s is complete: the experiment ran for %s.", period, things(int64(p.Running), "day", "days"))
	default:
		p.Tone = Good
		next := (p.Running/p.Days + 1) * p.Days
		p.Sentence = fmt.Sprintf("The %s is complete: the experiment ran for %s. The next one is complete on day %d.", period, things(int64(p.Running), "day", "days"), next)
	}
	return p
}

func (c *conclusion) versions() Versions {
	v := Versions{Tone: Good, Seen: []Version{}}
	for _, seen := range c.ev.Exposures.Versions {
		v.Seen = append(v.Seen, Version{seen.ChangeNumber, seen.First, seen.Last, seen.Keys, c.ev.Version == nil || *c.ev.Version == seen.ChangeNumber})
	}
	switch {
	case len(v.Seen) <= 1:
		v.Sentence = "One version of the flag was seen."
		if len(v.Seen) == 0 {
			v.Tone, v.Sentence = Neutral, "No version of the flag was seen."
		}
	case c.ev.Version != nil:
		v.Sentence = fmt.Sprintf("The flag changed: only what its latest of %d versions showed counts.", len(v.Seen))
	default:
		v.Tone = Warn
		v.Sentence = fmt.Sprintf("%d versions of the flag count together. Where one of them gave a treatment to everybody, or changed the shares, the comparison is not valid.", len(v.Seen))
	}
	return v
}

func (c *conclusion) rules() Rules {
	r := Rules{Tone: Good, Seen: []Rule{}}
	for _, seen := range c.ev.Exposures.Rules {
		r.Seen = append(r.Seen, Rule{seen.Rule, seen.Keys, c.plan.Rule == "" || c.plan.Rule == seen.Rule})
	}
	switch {
	case len(r.Seen) == 0:
		r.Tone, r.Sentence = Neutral, "No rule of the flag was seen."
	case c.plan.Rule != "" && !slices.ContainsFunc(c.ev.Exposures.Rules, func(seen store.RuleCount) bool { return seen.Rule == c.plan.Rule }):
		r.Tone = Warn
		r.Sentence = fmt.Sprintf("No key came by the rule %q, which is the experiment's. Seen were other rules: compare the names.", c.plan.Rule)
	case c.plan.Rule != "":
		r.Sentence = fmt.Sprintf("Only keys of the rule %q count.", c.plan.Rule)
	case len(r.Seen) == 1:
		r.Sentence = fmt.Sprintf("Every key came by the rule %q.", r.Seen[0].Rule)
	default:
		r.Tone = Bad
		r.Sentence = fmt.Sprintf("Keys came by %d rules, and the experiment takes any: they cannot be compared. Choose one rule.", len(r.Seen))
	}
	return r
}
