package translate

import (
	"encoding/json"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// SDKEvent judges an event that a Split SDK sent by the limits of Segment's
// (R4, R6 without repair, R8-R10); its traffic type must be one of the
// project's (R19). kept is false when nothing of it can be kept, and then the
// notes say why. The event has no ID: there is nothing to tell two apart by.
func SDKEvent(e fme.WireEvent, environment fme.EnvironmentID, trafficTypes []string, receivedAt time.Time) (event fme.Event, list []reason.Note, kept bool) {
	dropped := func(code reason.Code, detail string) (fme.Event, []reason.Note, bool) {
		return fme.Event{}, []reason.Note{{Code: code, Detail: detail}}, false
	}
	if size := len(e.Properties); size > segment.MaxCallBytes {
		return dropped(reason.TooLarge, "properties")
	}
	trafficType, ok := known(trafficTypes, e.TrafficType)
	if !ok {
		return dropped(reason.UnknownTrafficType, short(e.TrafficType))
	}
	key := strings.TrimSpace(e.Key)
	if _, long := cutText(key, maxKey); long {
		return dropped(reason.KeyTooLong, length("key", key))
	}
	if key == "" {
		return dropped(reason.NoIdentity, "key")
	}
	name := strings.TrimSpace(e.EventType)
	if name == "" {
		return dropped(reason.EventTypeMissing, "eventTypeId")
	}
	eventType, ok := eventTypeOf(name, false)
	if !ok {
		return dropped(reason.EventTypeInvalid, short(name))
	}
	var n notes
	receivedAt = receivedAt.UTC().Truncate(time.Microsecond)
	event = fme.Event{
		Environment: environment,
		TrafficType: trafficType,
		Key:         key,
		EventType:   eventType,
		Value:       n.value(read(e.Value), "value"),
		Time:        receivedAt,
		Properties:  n.properties(n.object("properties", read(e.Properties)), false),
		Source:      fme.SourceSplit,
		ReceivedAt:  receivedAt,
	}
	if v := read(e.Timestamp); said(v) {
		at, ok := v.Time()
		event.Time = n.judge(at, ok, "timestamp", v, receivedAt, func() time.Time { return receivedAt })
	}
	return event, n.list(), true
}

// read opens a field of an SDK event.
func read(raw json.RawMessage) segment.Value {
	v, _ := segment.ParseJSON(string(raw))
	return v
}
