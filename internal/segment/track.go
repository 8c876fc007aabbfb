package segment

import (
	"encoding/json"
	"time"
)

// Track is an outgoing track call (R40, R42; Segment: Spec, Track).
type Track struct {
	Event               string
	UserID, AnonymousID string    // an empty one is left out; exactly one is to be set
	MessageID           string    // what Segment drops repeats by
	Timestamp           time.Time // written in UTC with milliseconds; zero: left out
	// Properties is one JSON object, written as it is; nil is an empty one.
	Properties json.RawMessage
	// Library and LibraryVersion become context.library; an empty version is
	// left out.
	Library, LibraryVersion string
}

// JSON writes the call as it goes over the wire. The order of the fields is
// always the same. MarshalJSON would not do: encoding/json escapes what it
// gives for HTML.
func (t *Track) JSON() json.RawMessage {
	b := make([]byte, 0, 320+len(t.Properties))
	b = append(b, `{"type":"track"`...)
	b = appendText(b, "event", t.Event)
	if t.UserID != "" {
		b = appendText(b, "userId", t.UserID)
	}
	if t.AnonymousID != "" {
		b = appendText(b, "anonymousId", t.AnonymousID)
	}
	b = appendText(b, "messageId", t.MessageID)
	if !t.Timestamp.IsZero() {
		b = append(b, `,"timestamp":"`...)
		b = append(t.Timestamp.UTC().AppendFormat(b, timeLayout), '"')
	}
	b = append(b, `,"properties":`...)
	if t.Properties == nil {
		b = append(b, '{', '}')
	} else {
		b = append(b, t.Properties...)
	}
	b = append(b, `,"context":{"library":{"name":`...)
	b = AppendString(b, t.Library)
	if t.LibraryVersion != "" {
		b = appendText(b, "version", t.LibraryVersion)
	}
	return append(b, '}', '}', '}')
}

// appendText appends a comma and a field that holds a text.
func appendText(b []byte, name, text string) []byte {
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return AppendString(b, text)
}

// batchHead and what follows surround the calls of an outgoing batch.
const (
	batchHead  = `{"batch":[`
	batchTail  = `],"sentAt":"`
	batchClose = `"}`
	timeLayout = "2006-01-02T15:04:05.000Z07:00"
)

// BatchBaseBytes is the size of a BatchBody without calls.
const BatchBaseBytes = len(batchHead) + len(batchTail) + len("2006-01-02T15:04:05.000Z") + len(batchClose)

// BatchCost is how many bytes a call adds to a BatchBody: BatchBaseBytes and
// the costs of its calls are never less than its size.
func BatchCost(call json.RawMessage) int { return len(call) + 1 }

// BatchBody writes the body of POST /v1/batch: {"batch":[...],"sentAt":...}
// (R45). The calls are taken as they are. sentAt is written in UTC with
// milliseconds.
func BatchBody(calls []json.RawMessage, sentAt time.Time) []byte {
	size := BatchBaseBytes
	for _, call := range calls {
		size += BatchCost(call)
	}
	b := append(make([]byte, 0, size), batchHead...)
	for i, call := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, call...)
	}
	b = append(b, batchTail...)
	b = sentAt.UTC().AppendFormat(b, timeLayout)
	return append(b, batchClose...)
}
