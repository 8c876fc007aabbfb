package translate

import (
	"strings"

	"causeway/internal/segment"
)

// Opened is a call that was read once, for looking at many of its places.
type Opened struct{ t translation }

// Open reads a call. One that is no JSON has nothing anywhere.
func Open(c Call) *Opened {
	o := &Opened{translation{d: &Destination{}, c: &c}}
	o.t.open()
	return o
}

// At is what stands at a path, as the settings eventType and value read it
// (R7). It is for showing how a path was understood.
func (o *Opened) At(path string) segment.Value { return o.t.at(path) }

// Root is the call itself.
func (o *Opened) Root() segment.Value { return o.t.root }

// Type is the call's type as its door would read it.
func (o *Opened) Type() string { return o.t.result.Type }

// At is what stands at a path of a call.
func At(item segment.Item, path string) segment.Value { return Open(Call{Item: item}).At(path) }

// EventType is the event type that a name becomes (R6); ok is false for one
// that FME does not take.
func EventType(name string, repair bool) (eventType string, ok bool) {
	return eventTypeOf(strings.TrimSpace(name), repair)
}

// Templated is the event type that a page's or screen's name becomes (R1).
func Templated(template, name string, repair bool) (eventType string, ok bool) {
	return EventType(strings.ReplaceAll(template, "{name}", strings.TrimSpace(name)), repair)
}

// Number is the number that a value is for an event (R8); ok is false when it
// is none.
func Number(v segment.Value) (f float64, ok bool) {
	var n notes
	if found := n.value(v, ""); found != nil {
		return *found, true
	}
	return 0, false
}
