package translate

import (
	"fmt"
	"strings"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// maxEventType is how long an event type may be (R6).
const maxEventType = 80

// pageName is the name of a page or screen call (R2); "" is none.
func (t *translation) pageName() string {
	if t.fields.name.Kind() != segment.String {
		return ""
	}
	return strings.TrimSpace(t.fields.name.Text())
}

// sentName is what the sender called the event, page or screen.
func (t *translation) sentName() string {
	switch t.result.Type {
	case segment.TypeTrack:
		return strings.TrimSpace(t.at(t.eventPath()).Text())
	case segment.TypePage, segment.TypeScreen:
		return t.pageName()
	}
	return ""
}

func (t *translation) eventPath() string { return or(t.d.EventType, DefaultEventTypePath) }

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

// eventType is the event type of a track, page or screen call (R1, R6), or the
// code of what is wrong with it.
func (t *translation) eventType() (eventType string, code reason.Code, detail string) {
	name := t.sentName()
	switch t.result.Type {
	case segment.TypePage:
		name = strings.TrimSpace(strings.ReplaceAll(or(t.d.PageTemplate, DefaultPageTemplate), "{name}", name))
	case segment.TypeScreen:
		name = strings.TrimSpace(strings.ReplaceAll(or(t.d.ScreenTemplate, DefaultScreenTemplate), "{name}", name))
	}
	if name == "" {
		return "", reason.EventTypeMissing, t.missingDetail()
	}
	eventType, ok := eventTypeOf(name, t.d.RepairNames)
	if !ok {
		return "", reason.EventTypeInvalid, short(name)
	}
	return eventType, "", ""
}

// missingDetail says where the event's name was looked for, and points out the
// one mistake that everybody makes (the seed: "Why is the Segment integration
// not showing desired events?").
func (t *translation) missingDetail() string {
	path := t.eventPath()
	if event := t.root.Field("event"); event.Kind() == segment.String && event.Text() == path {
		return fmt.Sprintf("eventType is %q, which is the event's name; the path to it is %q", path, "event")
	}
	return "nothing usable at " + short(path)
}

// eventTypeOf makes an event type of a trimmed name (R6). With repair every
// name that is not empty becomes one.
func eventTypeOf(name string, repair bool) (eventType string, ok bool) {
	eventType = strings.ReplaceAll(name, " ", "_")
	if IsEventType(eventType) {
		return eventType, true
	}
	if !repair {
		return "", false
	}
	var b strings.Builder
	for _, r := range eventType {
		switch {
		case b.Len() == maxEventType:
			return b.String(), true
		case r < 0x80 && legal(byte(r), b.Len() == 0):
			b.WriteByte(byte(r))
		case b.Len() == 0:
			b.WriteByte('0')
		default:
			b.WriteByte('_')
		}
	}
	return b.String(), b.Len() > 0
}

// IsEventType reports a match of ^[a-zA-Z0-9][-_.:a-zA-Z0-9]{0,79}$.
func IsEventType(name string) bool {
	if name == "" || len(name) > maxEventType {
		return false
	}
	for i := range len(name) {
		if !legal(name[i], i == 0) {
			return false
		}
	}
	return true
}

// legal reports whether a character may stand in an event type.
func legal(c byte, first bool) bool {
	if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
		return true
	}
	return !first && (c == '-' || c == '_' || c == '.' || c == ':')
}
