package experiment

import "fmt"

// funnel says how many events came how far into a metric, and where the last
// was lost when none counted.
func (c *conclusion) funnel(m Metric, measured Measured) Funnel {
	r := measured.Result
	var keys, counted int64
	for i, treatment := range c.plan.Arms() {
		a := armAt(r.Arms, i, treatment)
		keys, counted = keys+a.InTotal, counted+a.N
	}
	event := m.Query.Event.EventType
	f := Funnel{Steps: []FunnelStep{
		{"keys", "Keys exposed", keys},
		{"events", fmt.Sprintf("Events %s that match", event), r.Events},
		{"of_exposed", "of exposed keys", r.EventsOfExposed},
		{"in_window", "after the exposure", r.EventsInWindow},
		{"counted", "Keys that count", counted},
	}}
	if measured.Err != "" || measured.Missing != "" {
		return Funnel{Steps: []FunnelStep{}}
	}
	for _, step := range f.Steps {
		if step.Count == 0 {
			f.Lost = step.Name
			break
		}
	}
	environment := c.plan.Environment.Name()
	switch f.Lost {
	case "keys":
		f.Sentence = fmt.Sprintf("No impression of %s with these treatments came in between %s and %s.", c.plan.Flag, day(c.ev.From), day(c.ev.To))
		f.Fix = fmt.Sprintf("Check that an SDK evaluates %s in %s with the key's traffic type %s, and that its impressions arrive (Live tail).", c.plan.Flag, environment, c.plan.TrafficType)
	case "events":
		f.Sentence = fmt.Sprintf("Nobody sent an event %s that matches the metric.", event)
		f.Fix = "See under Event types whether it arrives and how it is spelt, and check the metric's filters."
	case "of_exposed":
		f.Sentence = fmt.Sprintf("%s came in, but none of a key that saw the flag.", things(r.Events, "event "+event, "events "+event))
		f.Fix = fmt.Sprintf("The flag and the events probably use different ids. Both must be about the traffic type %s: look at the identities of the Segment destination and the key given to the SDK.", c.plan.TrafficType)
	case "in_window":
		f.Sentence = fmt.Sprintf("%s of exposed keys came in, all of them before the exposure.", things(r.EventsOfExposed, "event", "events"))
		f.Fix = "Events count from 15 minutes before a key's first impression. Evaluate the flag before the event can happen, and check the clocks of those who send."
	case "counted":
		f.Sentence = fmt.Sprintf("%s counted, but no key passes what the metric asks for.", things(r.EventsInWindow, "event", "events"))
		f.Fix = "Check the metric's value, its denominator and its \"has done\" filter."
	}
	return f
}
