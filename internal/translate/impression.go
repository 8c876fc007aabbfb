package translate

import (
	"encoding/json"

	"causeway/internal/fme"
	"causeway/internal/reason"
)

// The values of Source.TrafficToIdentity.
const (
	IdentityUserID      = "userId"
	IdentityAnonymousID = "anonymousId"
)

// What became of an impression.
const (
	OutcomeSent    = "sent"
	OutcomeSkipped = "skipped"
)

// Source is the part of a source's configuration that decides what an
// impression becomes.
type Source struct {
	ID string
	// TrafficToIdentity maps a traffic type to IdentityUserID or
	// IdentityAnonymousID (R40). What is not in it is not sent.
	TrafficToIdentity  map[string]string
	Event              string // empty: DefaultTrackEvent
	SendControl        bool   // R43
	DefaultTrafficType string // of flags the catalog does not know (R44); empty: none
	LibraryVersion     string // of Causeway, for context.library; empty: left out
}

// Sent is what became of one impression.
type Sent struct {
	Key, Flag   string
	Outcome     string // OutcomeSent or OutcomeSkipped
	Reasons     []reason.Note
	TrafficType string          // the one that decided; empty: unknown
	Call        json.RawMessage // the track call; nil when skipped
	MessageID   string          // its messageId (R42), made for skipped ones too
}

// MarshalJSON writes the result as interface.md, "translate --source", says.
func (s Sent) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Impression makes the track call of an impression (R40-R44).
func (s *Source) Impression(environment fme.EnvironmentID, environmentAPIID string, imp fme.Impression) Sent {
	return Sent{}
}
