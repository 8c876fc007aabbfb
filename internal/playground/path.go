package playground

import (
	"fmt"
	"strconv"
	"strings"

	"causeway/internal/segment"
	"causeway/internal/translate"
)

// Calls are looked at as they stand, so the fill rates are those of the
// sender's data and not of what was kept.

// tracks are the track calls among calls, opened once.
func tracks(calls []translate.Call) []*translate.Opened {
	var list []*translate.Opened
	for i := range calls {
		if o := translate.Open(calls[i]); o.Type() == segment.TypeTrack {
			list = append(list, o)
		}
	}
	return list
}

// Line is a line of a call as it is shown for picking a path.
type Line struct {
	Indent int
	Text   string // what stands before the value: a key, a bracket
	// Value is the value as it is shown; empty on lines without one.
	Value string
	Path  string // of the value; empty: it cannot be picked
	// Names says in how many of the calls looked at the path finds an event's
	// name, Numbers in how many a number.
	Names, Numbers int
	// Name and Number say whether this value is one.
	Name, Number bool
	End          string // a comma or bracket behind the value
}

// Bounds of what a picker shows.
const (
	pickerLines = 200
	pickerDepth = 8
	shownValue  = 60
)

// Picker lays a call out line by line, with what each place holds in the other
// calls. of is how many track calls were looked at; the newest is shown.
func Picker(calls []translate.Call) (lines []Line, of int) {
	opened := tracks(calls)
	if len(opened) == 0 {
		return nil, 0
	}
	p := picker{calls: opened}
	p.value(opened[0].Root(), "", "", 0, "")
	return p.lines, len(opened)
}

type picker struct {
	calls []*translate.Opened
	lines []Line
}

func (p *picker) add(l Line) {
	if len(p.lines) < pickerLines {
		p.lines = append(p.lines, l)
	}
}

func (p *picker) value(v segment.Value, label, path string, depth int, end string) {
	switch {
	case v.Kind() == segment.Object && !v.Empty() && depth < pickerDepth:
		p.add(Line{Indent: depth, Text: label + "{"})
		for key, field := range v.Fields() {
			p.value(field, strconv.Quote(short(key))+": ", joined(path, key), depth+1, ",")
		}
		p.add(Line{Indent: depth, Text: "}" + end})
	case v.Kind() == segment.Array && !v.Empty() && depth < pickerDepth:
		p.add(Line{Indent: depth, Text: label + "["})
		i := 0
		for element := range v.Elements() {
			p.value(element, "", joined(path, strconv.Itoa(i)), depth+1, ",")
			i++
		}
		p.add(Line{Indent: depth, Text: "]" + end})
	default:
		p.leaf(v, Line{Indent: depth, Text: label, Value: cut(v.Raw(), shownValue), End: end}, path)
	}
}

func (p *picker) leaf(v segment.Value, l Line, path string) {
	if len(p.lines) >= pickerLines {
		return
	}
	// A key with a dot may be shadowed; then no path leads to it.
	if text := v.Kind() == segment.String || v.Kind() == segment.Number; text && p.calls[0].At(path).Raw() == v.Raw() {
		l.Path = path
		_, l.Name = translate.EventType(v.Text(), true)
		_, l.Number = translate.Number(v)
		for _, call := range p.calls {
			found := call.At(path)
			if _, ok := translate.EventType(found.Text(), true); ok {
				l.Names++
			}
			if _, ok := translate.Number(found); ok {
				l.Numbers++
			}
		}
	}
	p.add(l)
}

func joined(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func cut(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

// PathCheck says what a path finds in calls that came already.
type PathCheck struct {
	State State
	Text  string // with what stood in calls between backticks
	Fixes []Fix
	// Found and Of count the track calls that it finds something usable in.
	Found, Of int
}

// Wrong reports whether the path would lose every call.
func (c PathCheck) Wrong() bool { return c.State == Lost }

// CheckEventType judges the path of the event's name. That the name itself is
// written there is the mistake that people make most.
func CheckEventType(path string, repair bool, calls []translate.Call) PathCheck {
	if path == "" {
		path = translate.DefaultEventTypePath
	}
	opened := tracks(calls)
	c := PathCheck{Of: len(opened)}
	var example, refused string
	for _, call := range opened {
		text := strings.TrimSpace(call.At(path).Text())
		eventType, ok := translate.EventType(text, repair)
		switch {
		case ok:
			if c.Found++; example == "" {
				example = eventType
			}
		case text != "" && refused == "":
			refused = text
		}
	}
	switch {
	case c.Found > 0 && c.Found == c.Of:
		c.State, c.Text = Fine, fmt.Sprintf("`%s` in all of the last %s, for example.", short(example), counted(c.Of, "track call"))
	case c.Found > 0:
		c.State, c.Text = Fine, fmt.Sprintf("`%s`, for example: found in %d of the last %s. The others are dropped.", short(example), c.Found, counted(c.Of, "track call"))
	case refused != "":
		c.State, c.Text = Lost, fmt.Sprintf("It finds `%s` in the last calls, which is no name that FME takes: a letter or digit, then up to 79 letters, digits, dots, dashes, underscores or colons.", short(refused))
		c.Fixes = []Fix{{"Repair names", "repairNames", "true"}}
	case isAName(path, opened):
		c.State, c.Text = Lost, fmt.Sprintf("You typed `%s`, which is an event’s name. This field wants the place where the name stands, usually `event`.", short(path))
		c.Fixes = []Fix{{"Use event", "eventType", translate.DefaultEventTypePath}}
	case c.Of > 0:
		c.State, c.Text = Lost, fmt.Sprintf("`%s` finds nothing in the last %s: each would be dropped. The field wants the place where the event’s name stands, usually `event`, and not the name itself.", short(path), counted(c.Of, "track call"))
		c.Fixes = []Fix{{"Use event", "eventType", translate.DefaultEventTypePath}}
	case !isKnownPlace(path):
		c.State, c.Text = Lost, fmt.Sprintf("Segment’s calls have no field `%s` of their own. If that is an event’s name: this field wants the place where the name stands, usually `event`.", short(path))
		c.Fixes = []Fix{{"Use event", "eventType", translate.DefaultEventTypePath}}
	default:
		c.State, c.Text = Plain, "No track call has come yet that this could be tried on."
	}
	return c
}

// isAName reports whether what stands in place of a path is what an event was
// called, as it was sent or as it shows in FME.
func isAName(path string, calls []*translate.Opened) bool {
	asType, _ := translate.EventType(path, true)
	for _, call := range calls {
		name := strings.TrimSpace(call.At(translate.DefaultEventTypePath).Text())
		if name == "" {
			continue
		}
		if eventType, _ := translate.EventType(name, true); strings.EqualFold(name, path) || strings.EqualFold(eventType, asType) {
			return true
		}
	}
	return false
}

// isKnownPlace reports whether a path begins with a field that Segment's calls
// have (Segment: Spec, Common).
func isKnownPlace(path string) bool {
	first, _, _ := strings.Cut(path, ".")
	switch first {
	case "event", "name", "type", "userId", "anonymousId", "groupId", "messageId", "properties", "traits", "context", "integrations",
		"timestamp", "originalTimestamp", "sentAt", "receivedAt", "channel", "category", "version", "projectId":
		return true
	}
	return false
}

// CheckValue judges the path of the event's value. An event without one is
// kept with null, so nothing is lost.
func CheckValue(path string, calls []translate.Call) PathCheck {
	opened := tracks(calls)
	c := PathCheck{Of: len(opened), State: Plain}
	if path == "" {
		c.Text = "Without a path the value is null. Sum and average metrics need one."
		return c
	}
	var example, refused string
	for _, call := range opened {
		v := call.At(path)
		number, ok := translate.Number(v)
		switch {
		case ok:
			if c.Found++; example == "" {
				example = strconv.FormatFloat(number, 'g', -1, 64)
			}
		case v.Exists() && refused == "":
			refused = v.Raw()
		}
	}
	switch {
	case c.Found > 0 && c.Found == c.Of:
		c.State, c.Text = Fine, fmt.Sprintf("`%s`, for example: a number in all of the last %s.", example, counted(c.Of, "track call"))
	case c.Found > 0:
		c.State, c.Text = Fine, fmt.Sprintf("`%s`, for example: a number in %d of the last %s. In the others the value is null.", example, c.Found, counted(c.Of, "track call"))
	case refused != "":
		c.State, c.Text = Notable, fmt.Sprintf("It finds `%s` in the last calls, which is no plain number, so the value is null.", short(refused))
	case c.Of > 0:
		c.State, c.Text = Notable, fmt.Sprintf("`%s` finds nothing in the last %s, so the value is null.", short(path), counted(c.Of, "track call"))
	default:
		c.Text = "No track call has come yet that this could be tried on."
	}
	return c
}
