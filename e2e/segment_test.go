package e2e

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// shop is the configuration of the tests of what comes in from Segment.
const shop = `projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments:
      - {name: production}
    segment:
      destinations:
        - name: events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          groupTrafficType: account
          track: {eventType: event, value: properties.revenue}
          apiKey: ` + writeKey + `
`

// sample is a call of clients/calls.json: what every client sends.
type sample struct {
	Type        string         `json:"type"`
	Event       string         `json:"event,omitempty"`
	Name        string         `json:"name,omitempty"`
	UserID      string         `json:"userId,omitempty"`
	AnonymousID string         `json:"anonymousId,omitempty"`
	GroupID     string         `json:"groupId,omitempty"`
	PreviousID  string         `json:"previousId,omitempty"`
	MessageID   string         `json:"messageId,omitempty"`
	Timestamp   *time.Time     `json:"timestamp,omitempty"`
	Properties  map[string]any `json:"properties,omitempty"`
	Traits      map[string]any `json:"traits,omitempty"`
}

func samples(t *testing.T) []sample {
	t.Helper()
	text, err := os.ReadFile("clients/calls.json")
	if err != nil {
		t.Fatal(err)
	}
	var calls []sample
	if err := json.Unmarshal(text, &calls); err != nil {
		t.Fatal(err)
	}
	return calls
}

// library is a client of Segment's tracking API. send sends the calls to the
// host and returns the messageId of each, in order, or "" where the library
// told its caller that the call was not delivered.
type library struct {
	name   string
	scheme string // how its requests prove themselves
	send   func(t *testing.T, host string, calls []sample) ([]string, error)
	// adds are properties that the library writes by itself, by event type.
	adds map[string]map[string]any
}

// libraries are all that are tested.
func libraries() []library {
	return []library{
		{name: "analytics-go", scheme: "basic", send: sendWithGo},
		{name: "analytics-node 3", scheme: "basic", send: segmentNode("@segment/analytics-node")},
		{name: "analytics-node 2", scheme: "body", send: segmentNode("analytics-node-2")},
		{name: "rudder-sdk-node", scheme: "basic", send: sendWithRudder},
		{name: "analytics-next, standard", scheme: "basic", send: segmentBrowser(nil), adds: browserAdds},
		{name: "analytics-next, batching", scheme: "basic", send: segmentBrowser(batching), adds: browserAdds},
	}
}

// segmentNode sends with Segment's library for Node, as the package is called here.
func segmentNode(name string) func(*testing.T, string, []sample) ([]string, error) {
	return func(t *testing.T, host string, calls []sample) (ids []string, err error) {
		err = tryNode(t, "segment-node.mjs", map[string]any{"package": name, "host": host, "writeKey": writeKey, "calls": calls, "flushInterval": 100}, &ids)
		return ids, err
	}
}

func sendWithRudder(t *testing.T, host string, calls []sample) (ids []string, err error) {
	err = tryNode(t, "rudder-node.mjs", map[string]any{"host": host, "writeKey": writeKey, "calls": calls}, &ids)
	return ids, err
}

// Every library sends each call type it has, and each call becomes what the
// rulings say, down to every field.
func TestEveryCallTypeOfEveryLibraryArrivesWhole(t *testing.T) {
	for _, l := range libraries() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, shop)
			calls := samples(t)
			ids, err := l.send(t, s.URL, calls)
			if err != nil {
				t.Fatal(err)
			}
			if len(ids) != len(calls) || slices.Contains(ids, "") {
				t.Fatalf("of %d calls the library says it delivered %q", len(calls), ids)
			}
			decided := s.waitForCalls(ids)
			checkCalls(t, l, calls, decided)
			checkEvents(t, s, l, ids)
			checkAttributes(t, s, ids)
		})
	}
}

func checkCalls(t *testing.T, l library, calls []sample, decided []call) {
	t.Helper()
	for i, c := range decided {
		want := call{Environment: "shop/production", Configuration: "events", Route: "tracking", Scheme: l.scheme, MessageID: c.MessageID, Type: calls[i].Type, Name: c.Name, Outcome: "stored"}
		switch calls[i].Type {
		case "identify":
			want.Attributes = 12 // six traits of two keys; one of them removes a value
		case "group":
			want.Attributes = 2
		case "alias":
			want.Outcome, want.Reasons = "ignored", []struct{ Code string }{{"unsupported_type"}}
		case "track":
			want.Events = 2 // of userId and anonymousId
			if calls[i].Event == "Seat Added" {
				want.Events = 3 // and of the split
			}
		default:
			want.Events = 2
		}
		if diff := cmp.Diff(want, c, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", calls[i].Type, diff)
		}
	}
}

func checkEvents(t *testing.T, s *server, l library, ids []string) {
	t.Helper()
	revenue := 39.95
	start := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	var want []event
	add := func(n int, eventType string, value *float64, properties map[string]any, legs ...string) {
		properties = maps.Clone(properties)
		maps.Copy(properties, l.adds[eventType])
		for i := 0; i < len(legs); i += 2 {
			want = append(want, event{
				Environment: "production", TrafficType: legs[i], Key: legs[i+1], EventType: eventType, Value: value,
				Time: start.Add(time.Duration(n) * time.Second), Properties: properties, Source: "Segment", ForeignID: ids[n], Configuration: "events",
			})
		}
	}
	add(1, "Order_Completed", &revenue, map[string]any{
		"revenue": 39.95, "currency": "EUR", "items": 3.0, "gift": true, "note": nil,
		"shipping.method": "air", "shipping.days": 2.0, "skus": `["a","b"]`, "city": "Zürich & <Köln>",
	}, "anonymous", "a1", "user", "u1")
	add(2, "Seat_Added", nil, map[string]any{"seats": 2.0}, "account", "acme", "anonymous", "a1", "user", "u1")
	add(3, "view_Home_Page_page", nil, map[string]any{"variant": "b"}, "anonymous", "a1", "user", "u1")
	add(4, "viewed_Cart_screen", nil, map[string]any{"variant": "c"}, "anonymous", "a1", "user", "u1")

	got := s.events()
	for _, e := range got {
		for name, value := range l.adds[e.EventType] {
			if _, found := e.Properties[name]; found && value == present {
				e.Properties[name] = present
			}
		}
	}
	if diff := cmp.Diff(want, got, closeBy); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// present stands for a property that the library makes of its surroundings.
const present = "[present]"

// closeBy compares times: between sentAt and receipt pass some milliseconds,
// which the correction of clocks adds to the time of a call (R10).
var closeBy = cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() < 10*time.Second })

func checkAttributes(t *testing.T, s *server, ids []string) {
	t.Helper()
	person := map[string]attribute{
		"plan": {Value: "pro", MessageID: ids[0]}, "age": {Value: "42", MessageID: ids[0]}, "vip": {Value: "true", MessageID: ids[0]},
		"address": {Value: `{"city":"Zürich"}`, MessageID: ids[0]}, "first_name": {Value: "Ada", MessageID: ids[0]},
	}
	for trafficType, want := range map[string]struct {
		key    string
		values map[string]attribute
	}{
		"user":      {"u1", person},
		"anonymous": {"a1", person},
		"account":   {"acme", map[string]attribute{"industry": {Value: "retail", MessageID: ids[5]}, "employees": {Value: "329", MessageID: ids[5]}}},
	} {
		if diff := cmp.Diff(want.values, s.attributes(trafficType, want.key)); diff != "" {
			t.Errorf("attributes of %s %s (-want +got):\n%s", trafficType, want.key, diff)
		}
	}
}
