// Package translate holds the rulings: what a Segment call becomes in FME under
// a destination's configuration (R1-R22, X1-X16), and what an impression
// becomes in Segment under a source's (R40-R44, X17). It is the only room that
// knows both vocabularies.
//
// Contract:
//   - Pure: no clock, no I/O, no state. The same call, configuration and
//     receipt time give the same result, ids included, however often it runs.
//   - It never fails: whatever comes in, there is a Result with an outcome, and
//     whatever was not kept has a reason.
//   - A Destination and a Source are plain values that are not changed once in
//     use, so any number of goroutines may share one.
package translate

import (
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// What a configuration means when it leaves a key out (interface.md, R1).
const (
	DefaultEventTypePath  = "event"
	DefaultPageTemplate   = "view_{name}_page"
	DefaultScreenTemplate = "viewed_{name}_screen"
	DefaultTrackEvent     = "get_treatment"
)

// Destination is the part of a destination's configuration that decides what a
// call becomes.
type Destination struct {
	ID           string // configuration id, stored on events
	Environment  fme.EnvironmentID
	TrafficTypes []string // all of the project: data never creates one (R19)

	// UserID and AnonymousID name the traffic types that each identity maps
	// to, in configuration order (R3).
	UserID, AnonymousID []string

	Identify, Track, Pages, Screens bool // the switches (R14); Identify rules group too

	EventType        string // path (R7); empty: DefaultEventTypePath
	Value            string // path (R7); empty: no value
	PageTemplate     string // with {name} in it (R1); empty: DefaultPageTemplate
	ScreenTemplate   string // likewise; empty: DefaultScreenTemplate
	GroupTrafficType string // empty: none (R12)
	RepairNames      bool   // R6
	AcceptOwnEcho    bool   // R16
}

// Route says by which kind of door a call came.
type Route uint8

// The routes.
const (
	// Tracking is the tracking API: the sender's clock is corrected (R10).
	Tracking Route = iota
	// Direct is the destination, the webhook, and the translate command: the
	// time is used as it came, and the call's receivedAt counts (X9).
	Direct
)

// Call is one Segment call and what only the door knew about it.
type Call struct {
	segment.Item
	Type       string // decided by the path; empty: the call's own
	Route      Route
	ReceivedAt time.Time // by our own clock, which "the future" is measured against too
	// MadeID makes the messageId of a call that has none; nil: a hash of the call (R18).
	MadeID func() string
}

// Result is what became of a call.
type Result struct {
	MessageID  string // whole; the made one when the call has none
	Type       string
	Name       string // the event type, or else the name as sent, cut; for lists
	Outcome    reason.Outcome
	Events     []fme.Event
	Identities []fme.Identity // keys that were told of, with their attributes
	Reasons    []reason.Note  // in the order of the rulings, one entry a code
	CallID     fme.ID         // of (destination, messageId)
}

// Call translates a call.
func (d *Destination) Call(c Call) Result {
	t := translation{d: d, c: &c}
	t.open()
	if code, detail := t.refusal(); code != "" {
		t.end(code, detail)
		return t.result
	}
	switch t.result.Type {
	case segment.TypeIdentify, segment.TypeGroup:
		t.identities()
	default:
		t.events()
	}
	return t.result
}
