package storetest

import (
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// world is what happened, in the order in which it was written.
type world struct {
	impressions []fme.Impression
	events      []fme.Event
}

// unit is what a key is compared as.
type unit struct{ rule, treatment string }

// stay is a key's time in one arm.
type stay struct {
	treatment   string
	first       time.Time // its first impression there
	exposedFrom time.Time // what it does counts from here ...
	from, until time.Time // ... or, with an entry event, from here
	excluded    bool
	impressions int64
	lastSeen    time.Time
	labels      map[string]bool
}

// exposed is one key of the flag's.
type exposed struct {
	key     string
	stays   []stay
	changes int
	several bool // saw more than one treatment
}

// The reference reads all rows for each question, as the text of store.Exposure
// and store.MetricQuery says, without any thought of speed.

func (w world) seen(e store.Exposure, anyVersion bool) []fme.Impression {
	var list []fme.Impression
	for _, i := range w.impressions {
		if i.Environment == e.Environment && i.Flag == e.Flag && (i.TrafficType == e.TrafficType || i.TrafficType == "") &&
			i.Treatment != fme.Control && !i.Time.Before(e.From) && i.Time.Before(e.To) &&
			(anyVersion || e.ChangeNumber == nil || *e.ChangeNumber == i.ChangeNumber) {
			list = append(list, i)
		}
	}
	return list
}

func (w world) exposed(e store.Exposure) []exposed {
	byKey := map[string][]fme.Impression{}
	var keys []string
	for _, i := range w.seen(e, false) {
		if byKey[i.Key] == nil {
			keys = append(keys, i.Key)
		}
		byKey[i.Key] = append(byKey[i.Key], i)
	}
	var all []exposed
	for _, key := range keys {
		x := exposedKey(key, byKey[key], e)
		x.stays = slices.DeleteFunc(x.stays, func(s stay) bool { return !slices.Contains(e.Treatments, s.treatment) })
		if e.Entry != nil {
			x.stays = slices.DeleteFunc(x.stays, func(s stay) bool { return w.firstTime(e, key, *e.Entry, s.from, s.until).IsZero() })
			for i := range x.stays {
				s := &x.stays[i]
				s.from = w.firstTime(e, key, *e.Entry, s.from, s.until)
			}
		}
		if len(x.stays) > 0 {
			all = append(all, x)
		}
	}
	return all
}

// exposedKey is where a key was, by its own impressions.
func exposedKey(key string, imps []fme.Impression, e store.Exposure) exposed {
	x := exposed{key: key}
	firsts := map[unit]time.Time{}
	treatments := map[string]bool{}
	for _, i := range imps {
		u := unit{i.Label, i.Treatment}
		treatments[i.Treatment] = true
		if first, ok := firsts[u]; !ok || i.Time.Before(first) {
			firsts[u] = i.Time
		}
	}
	x.several = len(treatments) > 1
	old, changes := history(imps)
	x.changes = changes
	end := e.To.Add(e.Buffer)
	arms := map[string]*stay{}
	for _, i := range imps {
		u := unit{i.Label, i.Treatment}
		if e.Rule != "" && u.rule != e.Rule {
			continue
		}
		from, until := firsts[u].Add(-e.Buffer), end
		if changes == 1 && u == old {
			for other, first := range firsts {
				if other != old {
					until = first.Add(e.Buffer)
				}
			}
		}
		s := arms[u.treatment]
		if s == nil {
			s = &stay{treatment: u.treatment, first: firsts[u], from: from, until: until, excluded: changes > 1, labels: map[string]bool{}}
			arms[u.treatment] = s
		}
		if from.Before(s.from) {
			s.from, s.first = from, firsts[u]
		}
		if until.After(s.until) {
			s.until = until
		}
		s.exposedFrom = s.from
		s.impressions++
		s.labels[u.rule] = true
		if i.Time.After(s.lastSeen) {
			s.lastSeen = i.Time
		}
	}
	for _, s := range arms {
		x.stays = append(x.stays, *s)
	}
	slices.SortFunc(x.stays, func(a, b stay) int { return strings.Compare(a.treatment, b.treatment) })
	return x
}

// history counts how often a key changed its unit, impressions of one moment
// in the order that has the fewest changes, and says which unit it began in
// (of two that are possible, the one that was written first).
func history(imps []fme.Impression) (first unit, changes int) {
	sorted := slices.Clone(imps)
	slices.SortStableFunc(sorted, func(a, b fme.Impression) int { return a.Time.Compare(b.Time) })
	// fewest[u] is the fewest changes that end in unit u, with what it began in.
	type path struct {
		changes int
		began   unit
		written int
	}
	fewest := map[unit]path{}
	written := map[unit]int{}
	for place, i := range imps {
		u := unit{i.Label, i.Treatment}
		if _, ok := written[u]; !ok {
			written[u] = place
		}
	}
	better := func(a, b path) bool {
		return a.changes < b.changes || a.changes == b.changes && a.written < b.written
	}
	for at := 0; at < len(sorted); {
		end := at
		var here []unit
		for ; end < len(sorted) && sorted[end].Time.Equal(sorted[at].Time); end++ {
			if u := (unit{sorted[end].Label, sorted[end].Treatment}); !slices.Contains(here, u) {
				here = append(here, u)
			}
		}
		next := map[unit]path{}
		for _, enter := range here {
			for _, leave := range here {
				if (enter == leave) != (len(here) == 1) {
					continue
				}
				before := map[unit]path{enter: {0, enter, written[enter]}}
				if at > 0 {
					before = fewest
				}
				for from, p := range before {
					if from != enter {
						p.changes++
					}
					p.changes += len(here) - 1
					if known, ok := next[leave]; !ok || better(p, known) {
						next[leave] = p
					}
				}
			}
		}
		fewest, at = next, end
	}
	var best *path
	for _, p := range fewest {
		if best == nil || better(p, *best) {
			best = &p
		}
	}
	return best.began, best.changes
}

// eventsOf lists what a key did, of events that match.
func (w world) eventsOf(e store.Exposure, key string, m store.EventMatch) []fme.Event {
	var list []fme.Event
	for _, ev := range w.events {
		if ev.Environment == e.Environment && ev.TrafficType == e.TrafficType && ev.Key == key && matches(ev, m) {
			list = append(list, ev)
		}
	}
	return list
}

func (w world) firstTime(e store.Exposure, key string, m store.EventMatch, from, until time.Time) time.Time {
	var first time.Time
	for _, ev := range w.eventsOf(e, key, m) {
		if within(ev, from, until) && (first.IsZero() || ev.Time.Before(first)) {
			first = ev.Time
		}
	}
	return first
}

func within(e fme.Event, from, until time.Time) bool {
	return !e.Time.Before(from) && e.Time.Before(until)
}

func matches(e fme.Event, m store.EventMatch) bool {
	if e.EventType != m.EventType {
		return false
	}
	for _, f := range m.Filters {
		if !holds(e, f) {
			return false
		}
	}
	return true
}

// textOf is a property as text; false: the event lacks it.
func textOf(e fme.Event, property string) (string, bool) {
	if property == "value" {
		if e.Value == nil {
			return "", false
		}
		if v := *e.Value; v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatInt(int64(v), 10), true
		}
		return strconv.FormatFloat(*e.Value, 'g', -1, 64), true
	}
	var all map[string]any
	if json.Unmarshal(e.Properties, &all) != nil {
		return "", false
	}
	switch v := all[property].(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	}
	return "", false
}

var plainDecimal = regexp.MustCompile(`^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// numberOf is a property as a number, as R8 reads one.
func numberOf(e fme.Event, property string) (float64, bool) {
	if property == "value" {
		if e.Value == nil {
			return 0, false
		}
		return *e.Value, true
	}
	text, ok := textOf(e, property)
	if text = strings.TrimSpace(text); !ok || !plainDecimal.MatchString(text) {
		return 0, false
	}
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil
}

func holds(e fme.Event, f store.PropertyFilter) bool {
	text, present := textOf(e, f.Property)
	switch f.Operator {
	case "present":
		return present
	case "absent":
		return !present
	case "is":
		return present && slices.Contains(f.Values, text)
	case "is_not":
		return !present || !slices.Contains(f.Values, text)
	case "matches":
		return present && regexp.MustCompile(f.Values[0]).MatchString(text)
	case "matches_not":
		return !present || !regexp.MustCompile(f.Values[0]).MatchString(text)
	}
	number, ok := numberOf(e, f.Property)
	limit, err := strconv.ParseFloat(f.Values[0], 64)
	if !ok || err != nil {
		return false
	}
	switch f.Operator {
	case "equal":
		return number == limit
	case "greater":
		return number > limit
	case "greater_or_equal":
		return number >= limit
	case "less":
		return number < limit
	case "less_or_equal":
		return number <= limit
	}
	panic("no such operator: " + f.Operator)
}
