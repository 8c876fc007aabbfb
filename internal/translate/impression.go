package translate

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
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

// uncertain are the labels under which control says nothing of the flag (R43).
var uncertain = []string{"not ready", "definition not found", "exception"}

// Impression makes the track call of an impression (R40-R44). The environment's
// id in Harness FME is environmentAPIID; empty: left out (X17). imp.TrafficType
// is the flag's, empty when the catalog does not know the flag.
func (s *Source) Impression(environment fme.EnvironmentID, environmentAPIID string, imp fme.Impression) Sent {
	imp.Environment = environment
	imp.MakeID()
	sent := Sent{
		Key: imp.Key, Flag: imp.Flag,
		Outcome:     OutcomeSkipped,
		TrafficType: or(imp.TrafficType, s.DefaultTrafficType),
		MessageID:   s.messageID(imp.ID),
	}
	// The order is X17's.
	identity, mapped := s.TrafficToIdentity[sent.TrafficType]
	switch {
	case imp.Treatment == fme.Control && !s.SendControl && slices.Contains(uncertain, imp.Label):
		return sent.skip(reason.ControlNotSent, imp.Label)
	case sent.TrafficType == "":
		return sent.skip(reason.TrafficTypeUnknown, short(imp.Flag))
	case !mapped:
		return sent.skip(reason.TrafficTypeNotMapped, short(sent.TrafficType))
	}
	track := segment.Track{
		Event:     or(s.Event, DefaultTrackEvent),
		MessageID: sent.MessageID,
		Timestamp: imp.Time,
		Library:   Library, LibraryVersion: s.LibraryVersion,
	}
	if identity == IdentityAnonymousID {
		track.AnonymousID = imp.Key
	} else {
		track.UserID = imp.Key
	}
	own := sent.ownProperties(imp.Properties)
	builtIn := appendBuiltIn(make([]byte, 0, 256+len(imp.Properties)), &imp, sent.TrafficType, environmentAPIID)
	track.Properties = append(appendOwn(builtIn, own), '}')
	sent.Call = track.JSON()
	if own.Exists() && len(sent.Call) > segment.MaxCallBytes {
		// Segment would refuse the call as a whole.
		sent.Reasons = []reason.Note{{Code: reason.PropertiesUnreadable, Detail: fmt.Sprintf("too large: the call would have %d bytes", len(sent.Call))}}
		track.Properties = append(builtIn[:len(builtIn):len(builtIn)], '}')
		sent.Call = track.JSON()
	}
	sent.Outcome = OutcomeSent
	return sent
}

// messageID is the messageId of an impression's call (R42). Beside the fields
// of R42, which make the impression's id, it holds the source's: Segment drops
// a messageId that it saw anywhere in the last day, so two sources that send
// one impression to two workspaces must not share one.
func (s *Source) messageID(impression fme.ID) string {
	id := fme.NewID("get_treatment", s.ID, string(impression[:]))
	return Library + "-" + hex.EncodeToString(id[:])
}

func (s Sent) skip(code reason.Code, detail string) Sent {
	s.Reasons = []reason.Note{{Code: code, Detail: detail}}
	return s
}

// ownProperties reads the impression's own properties; absent when there are
// none or they are no JSON object, which is noted (X17).
func (s *Sent) ownProperties(text string) segment.Value {
	if text == "" {
		return segment.Value{}
	}
	if own, ok := segment.ParseJSON(text); ok && own.Kind() == segment.Object {
		return own
	}
	s.Reasons = []reason.Note{{Code: reason.PropertiesUnreadable, Detail: short(text)}}
	return segment.Value{}
}

// The names of the built-in properties (R41). They are reserved even when the
// impression does not have them (X17).
const (
	splitProperty              = "split"
	treatmentProperty          = "treatment"
	labelProperty              = "label"
	environmentNameProperty    = "environmentName"
	environmentIDProperty      = "environmentId"
	trafficTypeNameProperty    = "trafficTypeName"
	keyProperty                = "key"
	bucketingKeyProperty       = "bucketingKey"
	splitVersionNumberProperty = "splitVersionNumber"
	timeProperty               = "time"
	sdkProperty                = "sdk"
	sdkVersionProperty         = "sdkVersion"
	machineNameProperty        = "machineName"
	machineIPProperty          = "machineIp"
)

func builtIn(name string) bool {
	switch name {
	case splitProperty, treatmentProperty, labelProperty, environmentNameProperty, environmentIDProperty,
		trafficTypeNameProperty, keyProperty, bucketingKeyProperty, splitVersionNumberProperty, timeProperty,
		sdkProperty, sdkVersionProperty, machineNameProperty, machineIPProperty:
		return true
	}
	return false
}

// appendBuiltIn appends an object of the built-in properties without its end.
// What is absent is left out: an empty text, but not a 0 that was sent.
func appendBuiltIn(b []byte, imp *fme.Impression, trafficType, environmentAPIID string) []byte {
	b = append(b, '{')
	text := func(name, value string) {
		if value != "" {
			b = segment.AppendString(appendName(b, name), value)
		}
	}
	text(splitProperty, imp.Flag)
	text(treatmentProperty, imp.Treatment)
	text(labelProperty, imp.Label)
	text(environmentNameProperty, imp.Environment.Name())
	text(environmentIDProperty, environmentAPIID)
	text(trafficTypeNameProperty, trafficType)
	text(keyProperty, imp.Key)
	text(bucketingKeyProperty, imp.BucketingKey)
	if imp.ChangeNumber != 0 || imp.ChangeNumberZero {
		b = strconv.AppendInt(appendName(b, splitVersionNumberProperty), imp.ChangeNumber, 10)
	}
	if !imp.Time.IsZero() {
		b = strconv.AppendInt(appendName(b, timeProperty), imp.Time.UnixMilli(), 10)
	}
	text(sdkProperty, imp.SDK)
	text(sdkVersionProperty, imp.SDKVersion)
	text(machineNameProperty, imp.MachineName)
	text(machineIPProperty, imp.MachineIP)
	return b
}

// appendOwn appends the impression's own properties, as they came but for
// blanks and the built-in names.
func appendOwn(b []byte, own segment.Value) []byte {
	for name, value := range own.Fields() {
		if !builtIn(name) {
			b = value.AppendCompact(appendName(b, name))
		}
	}
	return b
}

// appendName appends what stands before a value in an object that was begun.
func appendName(b []byte, name string) []byte {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	return append(segment.AppendString(b, name), ':')
}
