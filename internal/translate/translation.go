package translate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// translation is one call on its way.
type translation struct {
	d      *Destination
	c      *Call
	root   segment.Value
	fields fields
	notes  notes
	result Result
}

// fields are the fields of a call that every kind of call may have, spelled
// exactly as Segment spells them (X3; Segment: Spec, Common fields).
type fields struct {
	callType, messageID                              segment.Value
	userID, anonymousID, groupID                     segment.Value
	name, properties, traits                         segment.Value
	timestamp, originalTimestamp, sentAt, receivedAt segment.Value
	context, integrations                            segment.Merged
}

// open reads the call and settles what every result has.
func (t *translation) open() {
	if t.c.Size == 0 {
		t.c.Size = len(t.c.JSON)
	}
	if t.c.Size > segment.MaxCallBytes {
		t.root, _ = segment.ParseTop(string(t.c.JSON), 1) // refused: only its id and type matter
	} else {
		t.root = t.c.Value()
	}
	f := &t.fields
	f.context.Shared, f.integrations.Shared = t.c.Context, t.c.Integrations
	for key, value := range t.root.Fields() {
		switch key {
		case "type":
			f.callType = value
		case "messageId":
			f.messageID = value
		case "userId":
			f.userID = value
		case "anonymousId":
			f.anonymousID = value
		case "groupId":
			f.groupID = value
		case "name":
			f.name = value
		case "properties":
			f.properties = value
		case "traits":
			f.traits = value
		case "timestamp":
			f.timestamp = value
		case "originalTimestamp":
			f.originalTimestamp = value
		case "sentAt":
			f.sentAt = value
		case "receivedAt":
			f.receivedAt = value
		case "context":
			f.context.Own = value
		case "integrations":
			f.integrations.Own = value
		}
	}
	r := &t.result
	r.Type = t.c.Type
	if r.Type == "" && f.callType.Kind() == segment.String {
		r.Type = short(f.callType.Text())
	}
	r.MessageID = t.messageID()
	r.CallID = fme.NewID("call", t.d.ID, r.MessageID)
}

// messageID is the call's own (X15), or else the one that was made for it, or
// else a hash of the call, so that a sender's retry is a repeat (R18).
func (t *translation) messageID() string {
	if id := t.fields.messageID.Text(); strings.TrimSpace(id) != "" {
		return id
	}
	if t.c.MadeID != nil {
		return t.c.MadeID()
	}
	sum := sha256.Sum256(t.c.JSON)
	return "causeway-" + hex.EncodeToString(sum[:16])
}

// refusal makes the checks that end a call before anything is made of it, in
// the order of X1. An empty code lets the call through.
func (t *translation) refusal() (code reason.Code, detail string) {
	d := t.d
	if t.c.Size > segment.MaxCallBytes {
		return reason.TooLarge, fmt.Sprintf("%d bytes", t.c.Size)
	}
	on, off := false, reason.Code("")
	switch t.result.Type {
	case segment.TypeIdentify, segment.TypeGroup:
		on, off = d.Identify, reason.IdentifyOff
	case segment.TypeTrack:
		on, off = d.Track, reason.TrackOff
	case segment.TypePage:
		on, off = d.Pages, reason.PageOff
	case segment.TypeScreen:
		on, off = d.Screens, reason.ScreenOff
	}
	if off == "" || t.root.Kind() != segment.Object {
		return reason.UnsupportedType, t.typeDetail()
	}
	if !d.AcceptOwnEcho && t.fromUs() {
		return reason.OwnEcho, ""
	}
	if detail := t.switchedOff(); detail != "" {
		return reason.IntegrationsOff, detail
	}
	if !on {
		return off, ""
	}
	switch t.result.Type {
	case segment.TypePage:
		if t.pageName() == "" {
			return reason.UnnamedPage, ""
		}
	case segment.TypeScreen:
		if t.pageName() == "" {
			return reason.UnnamedScreen, ""
		}
	case segment.TypeGroup:
		if d.GroupTrafficType == "" && !isMap(t.fields.traits.Field("split")) {
			return reason.GroupNotMapped, ""
		}
	}
	return "", ""
}

func (t *translation) typeDetail() string {
	switch {
	case t.root.Kind() != segment.Object:
		return "the call is " + kindName(t.root)
	case t.result.Type != "":
		return t.result.Type
	case !t.fields.callType.Exists():
		return "no type"
	case t.fields.callType.Kind() == segment.String:
		return "type is empty"
	}
	return "type is " + kindName(t.fields.callType)
}

// Library is the name that our own calls carry in context.library (R16, R42).
const Library = "causeway"

func (t *translation) fromUs() bool {
	name := t.fields.context.Field("library").Field("name")
	return name.Kind() == segment.String && name.Text() == Library
}

// switchedOff names the field of integrations that keeps the call from us (R17);
// "" is none. Only the boolean false is off (X13); a null says nothing.
func (t *translation) switchedOff() string {
	switch split := t.fields.integrations.Field("Split"); {
	case split.IsFalse():
		return "integrations.Split"
	case !split.Exists() && t.fields.integrations.Field("All").IsFalse():
		return "integrations.All"
	}
	return ""
}

// end ends the call: nothing of it is kept.
func (t *translation) end(code reason.Code, detail string) {
	t.result.Outcome = reason.Dropped
	if code.Ignores() {
		t.result.Outcome = reason.Ignored
	}
	t.result.Name = short(t.sentName())
	t.result.Reasons = []reason.Note{{Code: code, Detail: detail}}
}

// endWithoutIdentity ends a call that names nobody (R15), with what was wrong
// with the ids it has.
func (t *translation) endWithoutIdentity() {
	t.end(reason.NoIdentity, "")
	t.notes.add(reason.NoIdentity, "")
	// Until here nothing but ids was looked at, and whether there is an object
	// at all, which is told of stored calls only (X1).
	t.result.Reasons = slices.DeleteFunc(t.notes.list(), func(n reason.Note) bool { return n.Code == reason.NotAnObject })
}

// events makes the events of a track, page or screen call (R3).
func (t *translation) events() {
	properties := t.notes.object("properties", t.fields.properties)
	split := properties.Field("split")
	legs := t.identityLegs()
	if isMap(split) {
		legs.addPairs(t, "properties.split.", split)
	}
	if len(legs.list) == 0 {
		t.endWithoutIdentity()
		return
	}
	eventType, code, detail := t.eventType()
	if code != "" {
		t.end(code, detail)
		return
	}
	event := fme.Event{
		Environment:   t.d.Environment,
		EventType:     eventType,
		Properties:    t.notes.properties(properties, isMap(split)),
		Time:          t.time(),
		Source:        fme.SourceSegment,
		ForeignID:     foreignID(t.result.MessageID),
		ReceivedAt:    t.c.ReceivedAt,
		Configuration: t.d.ID,
	}
	if t.result.Type == segment.TypeTrack && t.d.Value != "" {
		event.Value = t.notes.value(t.at(t.d.Value), t.d.Value)
	}
	t.result.Events = make([]fme.Event, len(legs.list))
	for i, leg := range legs.list {
		event.TrafficType, event.Key = leg.trafficType, leg.key
		event.ID = fme.NewID("event", string(t.d.Environment), t.result.MessageID, leg.trafficType, leg.key)
		t.result.Events[i] = event
	}
	t.result.Name = eventType
	t.keep()
}

// identities makes what an identify or group call says of its keys (R11, R12).
func (t *translation) identities() {
	traits := t.notes.object("traits", t.fields.traits)
	split := traits.Field("split")
	var legs legs
	switch {
	case t.result.Type == segment.TypeIdentify:
		legs = t.identityLegs() // traits.split names no keys (X10)
	case isMap(split):
		legs.addPairs(t, "traits.split.", split) // final (X11)
	default:
		legs.addID(t, "groupId", t.fields.groupID, []string{t.d.GroupTrafficType})
	}
	if len(legs.list) == 0 {
		t.endWithoutIdentity()
		return
	}
	attributes := t.notes.attributes(traits, isMap(split))
	identity := fme.Identity{
		Environment: t.d.Environment,
		Time:        t.time(),
		ReceivedAt:  t.c.ReceivedAt,
		MessageID:   foreignID(t.result.MessageID),
	}
	t.result.Identities = make([]fme.Identity, len(legs.list))
	for i, leg := range legs.list {
		identity.TrafficType, identity.Key = leg.trafficType, leg.key
		identity.ID = fme.NewID("identity", string(t.d.Environment), t.result.MessageID, leg.trafficType, leg.key)
		identity.Attributes = make([]fme.Attribute, len(attributes))
		for j, attribute := range attributes {
			attribute.TrafficType, attribute.Key = leg.trafficType, leg.key
			identity.Attributes[j] = attribute
		}
		t.result.Identities[i] = identity
	}
	t.keep()
}

func (t *translation) keep() {
	t.result.Outcome = reason.Stored
	t.result.Reasons = t.notes.list()
}

// foreignID is a messageId as it is stored on events (R20, X15).
func foreignID(messageID string) string {
	cut, _ := cutText(messageID, 100)
	return cut
}

// receipt is when the call was received (X9): Causeway's own time, or, where
// Segment stands between the sender and us, when Segment received it.
func (t *translation) receipt() time.Time {
	if t.c.Route == Direct {
		if received, ok := t.fields.receivedAt.Time(); ok && !received.After(t.c.ReceivedAt) {
			return received
		}
	}
	return t.c.ReceivedAt.UTC().Truncate(time.Microsecond)
}
