package playground

import (
	"bytes"
	"slices"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/translate"
)

// Fate says how a call would fare under changed settings.
type Fate string

// The fates.
const (
	Same         Fate = "same"
	Changed      Fate = "changed"       // kept before and after, not as the same
	NewlyKept    Fate = "newly_kept"    // nothing of it is kept now
	NewlyDropped Fate = "newly_dropped" // nothing of it would be kept
)

// Preview is what changed settings would do to calls that came already.
type Preview struct {
	Calls        int `json:"calls"`
	Same         int `json:"same"`
	Changed      int `json:"changed"`
	NewlyKept    int `json:"newlyKept"`
	NewlyDropped int `json:"newlyDropped"`
	// Examples are some of the calls that fare differently, of each fate.
	Examples []Compared `json:"examples"`
}

// Compared is one call under both settings.
type Compared struct {
	MessageID string           `json:"messageId"`
	Type      string           `json:"type"`
	Name      string           `json:"name,omitempty"`
	Fate      Fate             `json:"fate"`
	Before    translate.Result `json:"before"`
	After     translate.Result `json:"after"`
}

// Compare runs calls through both settings. At most so many examples of each
// fate are kept. Nothing is stored, and what is stored does not change.
func Compare(before, after *translate.Destination, calls []translate.Call, examples int) *Preview {
	p := &Preview{Calls: len(calls), Examples: []Compared{}}
	for _, call := range calls {
		is, would := before.Call(call), after.Call(call)
		fate := fateOf(is, would)
		n := p.count(fate)
		if *n++; fate != Same && *n <= examples {
			p.Examples = append(p.Examples, Compared{is.MessageID, is.Type, is.Name, fate, is, would})
		}
	}
	return p
}

func (p *Preview) count(fate Fate) *int {
	switch fate {
	case Changed:
		return &p.Changed
	case NewlyKept:
		return &p.NewlyKept
	case NewlyDropped:
		return &p.NewlyDropped
	}
	return &p.Same
}

func fateOf(is, would translate.Result) Fate {
	kept, keeps := is.Outcome == reason.Stored, would.Outcome == reason.Stored
	switch {
	case kept && !keeps:
		return NewlyDropped
	case !kept && keeps:
		return NewlyKept
	case kept && !(slices.EqualFunc(is.Events, would.Events, sameEvent) && slices.EqualFunc(is.Identities, would.Identities, sameIdentity)):
		return Changed
	}
	return Same
}

func sameEvent(a, b fme.Event) bool {
	return a.Environment == b.Environment && a.TrafficType == b.TrafficType && a.Key == b.Key && a.EventType == b.EventType &&
		samePointer(a.Value, b.Value) && a.Time.Equal(b.Time) && bytes.Equal(a.Properties, b.Properties)
}

func sameIdentity(a, b fme.Identity) bool {
	return a.Environment == b.Environment && a.TrafficType == b.TrafficType && a.Key == b.Key &&
		slices.EqualFunc(a.Attributes, b.Attributes, func(a, b fme.Attribute) bool {
			return a.ID == b.ID && samePointer(a.Value, b.Value) && a.Cut == b.Cut
		})
}

func samePointer[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

// Samples are invented calls, one of each kind that can be mapped, for a
// destination that nothing has reached yet.
func Samples(now time.Time) []translate.Call {
	var calls []translate.Call
	for _, text := range []string{
		`{"type":"track","event":"Order Completed","userId":"user-42","anonymousId":"anon-7","messageId":"sample-1","properties":{"revenue":49.9,"currency":"USD"}}`,
		`{"type":"identify","userId":"user-42","anonymousId":"anon-7","messageId":"sample-2","traits":{"plan":"pro","seats":5}}`,
		`{"type":"page","name":"signup","userId":"user-42","anonymousId":"anon-7","messageId":"sample-3","properties":{"path":"/signup"}}`,
		`{"type":"screen","name":"signup","userId":"user-42","anonymousId":"anon-7","messageId":"sample-4"}`,
		`{"type":"group","groupId":"acme","userId":"user-42","messageId":"sample-5","traits":{"employees":329}}`,
	} {
		calls = append(calls, translate.Call{Item: segment.Item{JSON: []byte(text), Size: len(text)}, Route: translate.Direct, ReceivedAt: now})
	}
	return calls
}
