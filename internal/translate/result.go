package translate

import (
	"encoding/json"
	"strconv"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// MarshalJSON writes the result as interface.md, "Result of translate", says.
func (r Result) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 512)
	b = append(b, `{"messageId":`...)
	b = segment.AppendString(b, r.MessageID)
	b = append(b, `,"type":`...)
	b = segment.AppendString(b, r.Type)
	b = append(b, `,"outcome":`...)
	b = segment.AppendString(b, string(r.Outcome))
	b = append(b, `,"events":[`...)
	for i := range r.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendEvent(b, &r.Events[i])
	}
	b = append(b, `],"attributes":[`...)
	first := true
	for i := range r.Identities {
		for j := range r.Identities[i].Attributes {
			if !first {
				b = append(b, ',')
			}
			first = false
			b = appendAttribute(b, &r.Identities[i].Attributes[j])
		}
	}
	b = append(b, `],"reasons":`...)
	return append(appendReasons(b, r.Reasons), '}'), nil
}

func appendEvent(b []byte, e *fme.Event) []byte {
	b = append(b, `{"trafficType":`...)
	b = segment.AppendString(b, e.TrafficType)
	b = append(b, `,"key":`...)
	b = segment.AppendString(b, e.Key)
	b = append(b, `,"eventType":`...)
	b = segment.AppendString(b, e.EventType)
	b = append(b, `,"value":`...)
	if e.Value == nil {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendFloat(b, *e.Value, 'g', -1, 64)
	}
	b = append(b, `,"time":`...)
	b = appendTime(b, e.Time)
	b = append(b, `,"properties":`...)
	b = append(b, e.Properties...)
	b = append(b, `,"source":`...)
	b = segment.AppendString(b, e.Source)
	b = append(b, `,"foreignId":`...)
	return append(segment.AppendString(b, e.ForeignID), '}')
}

func appendAttribute(b []byte, a *fme.Attribute) []byte {
	b = append(b, `{"trafficType":`...)
	b = segment.AppendString(b, a.TrafficType)
	b = append(b, `,"key":`...)
	b = segment.AppendString(b, a.Key)
	b = append(b, `,"id":`...)
	b = segment.AppendString(b, a.ID)
	b = append(b, `,"value":`...)
	if a.Value == nil {
		b = append(b, "null"...)
	} else {
		b = segment.AppendString(b, *a.Value)
	}
	b = append(b, `,"cut":`...)
	return append(strconv.AppendBool(b, a.Cut), '}')
}

// appendTime writes milliseconds, and microseconds only where there are any.
func appendTime(b []byte, t time.Time) []byte {
	layout := `"2006-01-02T15:04:05.000Z"`
	if t.Nanosecond()%1e6 != 0 {
		layout = `"2006-01-02T15:04:05.000000Z"`
	}
	return t.UTC().AppendFormat(b, layout)
}

func appendReasons(b []byte, notes []reason.Note) []byte {
	b = append(b, '[')
	for i, note := range notes {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"code":`...)
		b = segment.AppendString(b, string(note.Code))
		if note.Detail != "" {
			b = append(b, `,"detail":`...)
			b = segment.AppendString(b, note.Detail)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// MarshalJSON writes the result as interface.md, "translate --source", says.
func (s Sent) MarshalJSON() ([]byte, error) {
	b := append([]byte(nil), `{"key":`...)
	b = segment.AppendString(b, s.Key)
	b = append(b, `,"flag":`...)
	b = segment.AppendString(b, s.Flag)
	b = append(b, `,"outcome":`...)
	b = segment.AppendString(b, s.Outcome)
	b = append(b, `,"reasons":`...)
	b = appendReasons(b, s.Reasons)
	if s.Call != nil {
		b = append(b, `,"call":`...)
		b = append(b, s.Call...)
	}
	return append(b, '}'), nil
}

var (
	_ json.Marshaler = Result{}
	_ json.Marshaler = Sent{}
)
