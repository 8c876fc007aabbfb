package fme

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"causeway/internal/reason"
)

// WireEvent is an event as a Split SDK sends it (events/bulk), not yet judged.
type WireEvent struct {
	// Key is trimmed, a number as its source text (R4). Empty: absent.
	Key string
	// TrafficType and EventType are as sent; an EventType that is a JSON number
	// is its source text (R6). Empty: absent or of another type.
	TrafficType, EventType string
	// Value, Timestamp and Properties are JSON as it stood; nil: absent.
	Value, Timestamp, Properties json.RawMessage
}

// DecodeEvents reads the body of events/bulk: a list of events. An item that
// is no object, or whose key is neither text nor a number, is bad; all else is
// for translate to judge.
func DecodeEvents(body []byte) ([]WireEvent, []Bad, error) {
	list, err := openList(body)
	if err != nil {
		return nil, nil, err
	}
	var events []WireEvent
	var c collector
	c.each(list, func(item gjson.Result) {
		if !item.IsObject() {
			c.reject(reason.ItemUnreadable, "event %d is not an object", c.index)
			return
		}
		event, ok := wireEvent(item)
		if !ok {
			c.reject(reason.IDNotAString, "key of event %d", c.index)
			return
		}
		events = append(events, event)
	})
	return events, c.bad, nil
}

// wireEvent reads one event; ok is false when its key is of a wrong type.
func wireEvent(item gjson.Result) (e WireEvent, ok bool) {
	ok = true
	item.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "key":
			e.Key, ok = keyText(value)
			e.Key = strings.TrimSpace(e.Key)
		case "trafficTypeName":
			e.TrafficType = text(value)
		case "eventTypeId":
			e.EventType, _ = keyText(value)
		case "value":
			e.Value = raw(value)
		case "timestamp":
			e.Timestamp = raw(value)
		case "properties":
			e.Properties = raw(value)
		}
		return true
	})
	return e, ok
}
