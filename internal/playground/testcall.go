package playground

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/segment"
	"causeway/internal/translate"
)

// testKey marks what a person sent to see that it arrives.
const testKey = "causeway-test"

// TestImpression is the call that a source sends for an invented impression of
// the key "causeway-test". An error is an *Error.
func TestImpression(source *catalog.Source, now time.Time) (translate.Sent, error) {
	mapped := slices.Sorted(maps.Keys(source.Translate.TrafficToIdentity))
	if len(mapped) == 0 || len(source.Environments) == 0 {
		return translate.Sent{}, refuse("source_sends_nothing", "The source maps no traffic type to an identity, so it sends nothing. Map one first.")
	}
	environment := source.Environments[0]
	sent := source.Translate.Impression(environment.ID, environment.APIID, fme.Impression{
		Flag: "causeway_test", Key: testKey, Treatment: "on", Label: "test impression", TrafficType: mapped[0],
		Time: now.UTC().Truncate(time.Millisecond), ReceivedAt: now, SDK: "causeway",
	})
	return sent, nil
}

// TestCall is a call of the key "causeway-test" that a destination keeps: an
// event where its paths expect one, or else what it takes.
func TestCall(d *translate.Destination, now time.Time) json.RawMessage {
	at := now.UTC().Format("2006-01-02T15:04:05.000Z")
	call := map[string]any{
		"messageId": fmt.Sprintf("%s-%d", testKey, now.UnixNano()), "timestamp": at, "originalTimestamp": at,
	}
	if len(d.UserID) > 0 || len(d.AnonymousID) == 0 {
		call["userId"] = testKey
	} else {
		call["anonymousId"] = testKey
	}
	switch {
	case d.Track:
		call["type"] = segment.TypeTrack
		call["properties"] = map[string]any{"test": true}
		put(call, or(d.EventType, translate.DefaultEventTypePath), "Causeway Test")
		if d.Value != "" {
			put(call, d.Value, 1)
		}
	case d.Identify:
		call["type"], call["traits"] = segment.TypeIdentify, map[string]any{"causeway_test": at}
	case d.Pages:
		call["type"], call["name"] = segment.TypePage, "Causeway Test"
	default:
		call["type"], call["name"] = segment.TypeScreen, "Causeway Test"
	}
	text, err := json.Marshal(call)
	if err != nil {
		return nil // texts, numbers and objects of them always marshal
	}
	return text
}

// put sets what stands at a dotted path, unless something of another kind
// stands in the way.
func put(call map[string]any, path string, value any) {
	step, rest, more := strings.Cut(path, ".")
	if !more {
		call[step] = value
		return
	}
	inner, ok := call[step].(map[string]any)
	if !ok {
		if call[step] != nil {
			return
		}
		inner = map[string]any{}
		call[step] = inner
	}
	put(inner, rest, value)
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}
