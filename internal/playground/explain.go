package playground

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/translate"
)

// Step is one sentence of how a call was understood. Texts put what stood in
// the call or the settings between backticks.
type Step struct {
	State State
	What  string // Received, Identity, Event type, Value, Noted or Result
	Text  string
	Fixes []Fix // that would do better, the best first
}

// State says how a step went.
type State string

// The states.
const (
	Fine    State = "good"
	Plain   State = "dim"  // nothing good or bad
	Notable State = "warn" // kept, but not as the sender may have hoped
	Lost    State = "bad"  // what ends the call
)

// Fix is a setting of the destination that would do better.
type Fix struct {
	Label, Setting, Value string // Setting: eventType, value or repairNames
}

// Explain tells how a destination understood a call, and what would do better.
func Explain(d *translate.Destination, item segment.Item, result translate.Result) []Step {
	e := explanation{d: d, item: item, result: result}
	e.add(Fine, "Received", "As a Segment `%s` call.", result.Type)
	for _, note := range result.Reasons {
		info, _ := reason.Lookup(note.Code)
		if info.Stage != reason.Ends || note.Code == reason.NoIdentity || note.Code == reason.EventTypeMissing || note.Code == reason.EventTypeInvalid {
			continue // told where it belongs, below
		}
		e.steps[0].State, e.steps[0].Text = Lost, e.steps[0].Text+" "+info.Meaning
		return e.end()
	}
	e.identity("userId", d.UserID)
	e.identity("anonymousId", d.AnonymousID)
	switch result.Type {
	case segment.TypeTrack:
		e.eventType()
		e.value()
	case segment.TypePage, segment.TypeScreen:
		e.named()
		e.value()
	}
	return e.end()
}

type explanation struct {
	d      *translate.Destination
	item   segment.Item
	result translate.Result
	steps  []Step
}

func (e *explanation) add(state State, what, format string, args ...any) *Step {
	e.steps = append(e.steps, Step{State: state, What: what, Text: fmt.Sprintf(format, args...)})
	return &e.steps[len(e.steps)-1]
}

func (e *explanation) at(path string) segment.Value { return translate.At(e.item, path) }

func (e *explanation) has(code reason.Code) (reason.Note, bool) {
	i := slices.IndexFunc(e.result.Reasons, func(n reason.Note) bool { return n.Code == code })
	if i < 0 {
		return reason.Note{}, false
	}
	return e.result.Reasons[i], true
}

func (e *explanation) identity(field string, trafficTypes []string) {
	v := e.at(field)
	switch {
	case len(trafficTypes) == 0 && v.Exists():
		e.add(Notable, "Identity", "`%s` is there, but this destination maps it to no traffic type.", field)
	case len(trafficTypes) == 0:
	case !v.Exists():
		e.add(Plain, "Identity", "`%s` is not in the call, so nothing is made for %s.", field, strings.Join(trafficTypes, ", "))
	default:
		e.add(Fine, "Identity", "`%s` is `%s`: the key of %s.", field, short(textOf(v)), strings.Join(trafficTypes, ", "))
	}
}

// eventType tells how the name was found. That a name stands where a path
// belongs is the mistake that people make most.
func (e *explanation) eventType() {
	path := e.d.EventType
	if path == "" {
		path = translate.DefaultEventTypePath
	}
	v := e.at(path)
	_, missing := e.has(reason.EventTypeMissing)
	_, invalid := e.has(reason.EventTypeInvalid)
	switch {
	case missing && e.at(translate.DefaultEventTypePath).Text() == path:
		s := e.add(Lost, "Event type", "`%s` is the event's name. The setting eventType wants the place where the name stands, which is `event`.", path)
		s.Fixes = []Fix{{"Use event", "eventType", "event"}}
	case missing:
		s := e.add(Lost, "Event type", "The path `%s` finds nothing usable, so the call is dropped.", path)
		for _, place := range []string{"event", "properties.eventName", "properties.event", "properties.name", "eventName", "name"} {
			if place != path && e.at(place).Kind() == segment.String && e.at(place).Text() != "" {
				s.Fixes = append(s.Fixes, Fix{fmt.Sprintf("Use %s (%s)", place, short(e.at(place).Text())), "eventType", place})
			}
		}
	case invalid:
		s := e.add(Lost, "Event type", "The path `%s` finds `%s`, which is no name that FME takes: a letter or digit, then up to 79 letters, digits, dots, dashes, underscores or colons.", path, short(textOf(v)))
		s.Fixes = []Fix{{"Repair names", "repairNames", "true"}}
	case len(e.result.Events) > 0:
		name := e.result.Events[0].EventType
		text := fmt.Sprintf("The path `%s` finds `%s`", path, short(textOf(v)))
		if name != textOf(v) {
			text += fmt.Sprintf(", which becomes `%s`: blanks become underscores", name)
			if e.d.RepairNames {
				text += ", other characters are repaired"
			}
		}
		e.add(Fine, "Event type", "%s.", text)
	}
}

func (e *explanation) named() {
	if len(e.result.Events) == 0 {
		return
	}
	template := e.d.PageTemplate
	if e.result.Type == segment.TypeScreen {
		template = e.d.ScreenTemplate
	}
	e.add(Fine, "Event type", "The name `%s` in the template `%s` makes `%s`.", short(e.at("name").Text()), template, e.result.Events[0].EventType)
}

// numeric are properties that usually hold an event's value.
var numeric = []string{"revenue", "value", "total", "price", "amount", "subtotal", "quantity"}

func (e *explanation) value() {
	if len(e.result.Events) == 0 {
		return
	}
	found := e.result.Events[0].Value
	var s *Step
	switch note, notNumber := e.has(reason.ValueNotANumber); {
	case found != nil:
		e.add(Fine, "Value", "The path `%s` finds %s.", e.d.Value, strconv.FormatFloat(*found, 'g', -1, 64))
		return
	case notNumber:
		s = e.add(Notable, "Value", "Something stands at `%s`, but it is no plain number, so the value is null. %s", e.d.Value, note.Detail)
	case e.d.Value != "":
		s = e.add(Notable, "Value", "The path `%s` finds nothing, so the value is null.", e.d.Value)
	default:
		s = e.add(Plain, "Value", "The destination has no value path, so the value is null. Sum and average metrics need one.")
	}
	for _, name := range numeric {
		place := "properties." + name
		if v := e.at(place); place != e.d.Value && v.Kind() == segment.Number {
			s.Fixes = append(s.Fixes, Fix{fmt.Sprintf("Use %s (%s)", place, v.Raw()), "value", place})
		}
	}
}

// end adds what the call became and what was noted on the way.
func (e *explanation) end() []Step {
	for _, note := range e.result.Reasons {
		info, _ := reason.Lookup(note.Code)
		if info.Stage == reason.Notes && note.Code != reason.ValueNotANumber {
			text := info.Meaning
			if note.Detail != "" {
				text += " (`" + note.Detail + "`)"
			}
			e.add(Notable, "Noted", "%s", text)
		}
	}
	if note, ok := e.has(reason.NoIdentity); ok {
		info, _ := reason.Lookup(note.Code)
		e.add(Lost, "Identity", "%s %s", info.Meaning, info.Fix)
	}
	attributes := 0
	for _, identity := range e.result.Identities {
		attributes += len(identity.Attributes)
	}
	state := Fine
	switch e.result.Outcome {
	case reason.Dropped:
		state = Lost
	case reason.Ignored:
		state = Notable
	}
	text := fmt.Sprintf("%s: %s", e.result.Outcome, counted(len(e.result.Events), "event"))
	if attributes > 0 || len(e.result.Identities) > 0 {
		text += fmt.Sprintf(" and %s of %s", counted(attributes, "attribute"), counted(len(e.result.Identities), "customer"))
	}
	e.add(state, "Result", "%s.", text)
	return e.steps
}

func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// textOf is a value as a person reads it: a text without quotes.
func textOf(v segment.Value) string {
	if v.Kind() == segment.String {
		return v.Text()
	}
	return v.Raw()
}

// short cuts what would fill the page.
func short(text string) string {
	if runes := []rune(text); len(runes) > 120 {
		return string(runes[:119]) + "…"
	}
	return text
}
