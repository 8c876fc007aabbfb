package translate

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

func shop() *Destination {
	return &Destination{
		ID: "prod-events", Environment: "shop/production",
		TrafficTypes: []string{"user", "anonymous", "account"},
		UserID:       []string{"user"}, AnonymousID: []string{"anonymous"},
		Identify: true, Track: true, Pages: true, Screens: true,
		Value: "properties.revenue",
	}
}

func call(text string) Call {
	return Call{Item: segment.Item{JSON: []byte(text), Size: len(text)}, Route: Direct, ReceivedAt: received}
}

// R20 and R18: what the result's JSON does not show.
func TestAnEventCarriesWhatItIsStoredUnder(t *testing.T) {
	id := "m" + strings.Repeat("x", 200)
	r := shop().Call(call(`{"type":"track","messageId":"` + id + `","event":"Order Completed","userId":"u1","anonymousId":"a1",` +
		`"timestamp":"2026-01-02T03:04:05.006Z","receivedAt":"2026-02-01T00:00:00Z","properties":{"revenue":"5","a":1}}`))
	five := 5.0
	event := fme.Event{
		ID:          fme.NewID("event", "shop/production", id, "user", "u1"),
		Environment: "shop/production", TrafficType: "user", Key: "u1", EventType: "Order_Completed", Value: &five,
		Time:       time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC),
		Properties: json.RawMessage(`{"revenue":"5","a":1}`), Source: "Segment", ForeignID: id[:100],
		ReceivedAt: received, Configuration: "prod-events",
	}
	other := event
	other.TrafficType, other.Key, other.ID = "anonymous", "a1", fme.NewID("event", "shop/production", id, "anonymous", "a1")
	want := Result{
		MessageID: id, Type: "track", Name: "Order_Completed", Outcome: reason.Stored,
		Events: []fme.Event{event, other}, CallID: fme.NewID("call", "prod-events", id),
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestAnIdentityCarriesWhatItIsStoredUnder(t *testing.T) {
	r := shop().Call(call(`{"type":"identify","messageId":"m","userId":"u1","anonymousId":"a1","timestamp":"2026-01-02T03:04:05.006Z","traits":{"plan":"pro"}}`))
	pro := "pro"
	identity := func(trafficType, key string) fme.Identity {
		return fme.Identity{
			ID: fme.NewID("identity", "shop/production", "m", trafficType, key), Environment: "shop/production",
			TrafficType: trafficType, Key: key, Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), ReceivedAt: received, MessageID: "m",
			Attributes: []fme.Attribute{{TrafficType: trafficType, Key: key, ID: "plan", Value: &pro}},
		}
	}
	want := Result{
		MessageID: "m", Type: "identify", Outcome: reason.Stored,
		Identities: []fme.Identity{identity("user", "u1"), identity("anonymous", "a1")}, CallID: fme.NewID("call", "prod-events", "m"),
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestACallHasANameForLists(t *testing.T) {
	long := strings.Repeat("é", 300)
	tests := []struct{ call, want string }{
		{`{"type":"track","event":"Order Completed","userId":"u1"}`, "Order_Completed"},
		{`{"type":"track","event":" Order Completed "}`, "Order Completed"},
		{`{"type":"track","event":"` + long + `","userId":"u1"}`, strings.Repeat("é", 100) + "…"},
		{`{"type":"track","event":{"a":1},"userId":"u1"}`, ""},
		{`{"type":"page","name":"Home","userId":"u1"}`, "view_Home_page"},
		{`{"type":"page","name":" /a/b ","userId":"u1"}`, "/a/b"},
		{`{"type":"page","userId":"u1"}`, ""},
		{`{"type":"identify","userId":"u1"}`, ""},
		{`{"type":"alias","event":"Order"}`, ""},
	}
	for _, test := range tests {
		if got := shop().Call(call(test.call)).Name; got != test.want {
			t.Errorf("%s: %q, want %q", test.call, got, test.want)
		}
	}
}

// R18 by an id made of the call: a retry is a repeat, and the same call to
// another destination is another call of the same id.
func TestARetryWithoutAMessageIDIsARepeat(t *testing.T) {
	const text = `{"type":"track","event":"Order","userId":"u1"}`
	a, b := shop().Call(call(text)), shop().Call(call(text))
	if a.MessageID == "" || a.MessageID != b.MessageID || a.Events[0].ID != b.Events[0].ID || a.CallID != b.CallID {
		t.Errorf("%s and %s", a.MessageID, b.MessageID)
	}
	other := shop()
	other.ID = "other"
	if c := other.Call(call(text)); c.MessageID != a.MessageID || c.CallID == a.CallID {
		t.Error("another destination")
	}
}

func TestACallOverTheLimitIsStillKnownByItsID(t *testing.T) {
	big := `{"type":"track","userId":"u1","event":"Order","properties":{"p":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `},"messageId":"m1"}`
	r := shop().Call(call(big))
	if r.MessageID != "m1" || r.Type != "track" || r.Outcome != reason.Dropped || len(r.Reasons) != 1 || r.Reasons[0].Code != reason.TooLarge {
		t.Errorf("%+v", r)
	}
}

func TestTheDeepestCallIsTranslated(t *testing.T) {
	const head, tail = `{"type":"track","userId":"u1","event":"Order","messageId":"m","properties":`, `}`
	levels := (segment.MaxCallBytes - len(head) - len(tail) - 8) / 6
	for name, properties := range map[string]string{
		"objects": strings.Repeat(`{"a":`, levels) + "{}" + strings.Repeat("}", levels),
		"arrays":  `{"a":` + strings.Repeat("[", 3*levels) + strings.Repeat("]", 3*levels) + "}",
	} {
		start := time.Now()
		r := shop().Call(call(head + properties + tail))
		if r.Outcome != reason.Stored {
			t.Errorf("%s: %v", name, r.Reasons)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func TestTextThatIsNotJSONIsIgnored(t *testing.T) {
	for _, text := range []string{"", "{", `{"type":"track"`, "\x00"} {
		r := shop().Call(call(text))
		if r.Outcome != reason.Ignored || r.Reasons[0].Code != reason.UnsupportedType || r.MessageID == "" {
			t.Errorf("%q: %+v", text, r)
		}
	}
}

// X17: 0 does not count as absent, which a number alone cannot say.
func TestAChangeNumberOfZeroIsSentWhenTheSDKSaidIt(t *testing.T) {
	s := &Source{TrafficToIdentity: map[string]string{"user": IdentityUserID}}
	imp := fme.Impression{Flag: "f", Key: "u1", Treatment: "on", TrafficType: "user", Time: time.UnixMilli(1449947461152)}
	if sent := s.Impression("shop/production", "", imp); strings.Contains(string(sent.Call), "splitVersionNumber") {
		t.Errorf("not said: %s", sent.Call)
	}
	imp.ChangeNumberZero = true
	if sent := s.Impression("shop/production", "", imp); !strings.Contains(string(sent.Call), `"splitVersionNumber":0`) {
		t.Errorf("said: %s", sent.Call)
	}
}

func TestAnImpressionSaysWhereItWasMade(t *testing.T) {
	s := &Source{TrafficToIdentity: map[string]string{"user": IdentityUserID}, LibraryVersion: "1.2.3"}
	imp := fme.Impression{
		Flag: "f", Key: "u1", Treatment: "on", TrafficType: "user", Time: time.UnixMilli(1449947461152),
		SDK: "go", SDKVersion: "6.10.0", MachineName: "host-1", MachineIP: "10.0.0.1", Properties: `{"plan":"pro"}`,
	}
	sent := s.Impression("shop/production", "env-1", imp)
	const want = `"properties":{"split":"f","treatment":"on","environmentName":"production","environmentId":"env-1","trafficTypeName":"user",` +
		`"key":"u1","time":1449947461152,"sdk":"go","sdkVersion":"6.10.0","machineName":"host-1","machineIp":"10.0.0.1","plan":"pro"}`
	if !strings.Contains(string(sent.Call), want) {
		t.Errorf("%s\nlacks %s", sent.Call, want)
	}
	imp.MakeID() // of no environment: the source's own counts
	if again := s.Impression("shop/production", "env-1", imp); again.MessageID != sent.MessageID {
		t.Error("the id depends on what was set before")
	}
	if other := s.Impression("shop/staging", "env-1", imp); other.MessageID == sent.MessageID {
		t.Error("two environments, one id")
	}
}

// SDK events: the limits of R4, R6 without repair, R8-R10 and R19.
func TestAnSDKEventIsJudgedByTheSameLimits(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // the event as translate shows it; empty: not kept
		reasons    []reason.Code
	}{
		{"kept", `{"key":" u1 ","trafficTypeName":"user","eventTypeId":"Order Completed","value":5.5,"timestamp":1449947461152,"properties":{"a":{"b":1},"split":{"account":"x"}}}`,
			`{"trafficType":"user","key":"u1","eventType":"Order_Completed","value":5.5,"time":"2015-12-12T19:11:01.152Z","properties":{"a.b":1,"split.account":"x"},"source":"Split","foreignId":""}`, nil},
		{"nothing but what must be", `{"key":"u1","trafficTypeName":"USER","eventTypeId":"e"}`,
			`{"trafficType":"user","key":"u1","eventType":"e","value":null,"time":"2026-03-04T05:06:07.000008Z","properties":{},"source":"Split","foreignId":""}`, nil},
		{"nulls", `{"key":"u1","trafficTypeName":"user","eventTypeId":"e","value":null,"timestamp":null,"properties":null}`,
			`{"trafficType":"user","key":"u1","eventType":"e","value":null,"time":"2026-03-04T05:06:07.000008Z","properties":{},"source":"Split","foreignId":""}`, nil},
		{"noted", `{"key":"u1","trafficTypeName":"user","eventTypeId":"e","value":"x","timestamp":"soon","properties":[1]}`,
			`{"trafficType":"user","key":"u1","eventType":"e","value":null,"time":"2026-03-04T05:06:07.000008Z","properties":{},"source":"Split","foreignId":""}`,
			[]reason.Code{reason.ValueNotANumber, reason.TimeUnreadable, reason.NotAnObject}},
		{"in the future", `{"key":"u1","trafficTypeName":"user","eventTypeId":"e","timestamp":9999999999999}`,
			`{"trafficType":"user","key":"u1","eventType":"e","value":null,"time":"2026-03-04T05:06:07.000008Z","properties":{},"source":"Split","foreignId":""}`,
			[]reason.Code{reason.TimeInFuture}},
		{"seconds as text, as the documentation's own sample", `{"key":"u1","trafficTypeName":"user","eventTypeId":"e","timestamp":"1645557823"}`,
			`{"trafficType":"user","key":"u1","eventType":"e","value":null,"time":"2022-02-22T19:23:43.000Z","properties":{},"source":"Split","foreignId":""}`, nil},
		{"no key", `{"trafficTypeName":"user","eventTypeId":"e"}`, "", []reason.Code{reason.NoIdentity}},
		{"a long key", `{"key":"` + strings.Repeat("k", 251) + `","trafficTypeName":"user","eventTypeId":"e"}`, "", []reason.Code{reason.KeyTooLong}},
		{"an unknown traffic type", `{"key":"u1","trafficTypeName":"partner","eventTypeId":"e"}`, "", []reason.Code{reason.UnknownTrafficType}},
		{"no traffic type", `{"key":"u1","eventTypeId":"e"}`, "", []reason.Code{reason.UnknownTrafficType}},
		{"no event type", `{"key":"u1","trafficTypeName":"user","eventTypeId":" "}`, "", []reason.Code{reason.EventTypeMissing}},
		{"an illegal event type", `{"key":"u1","trafficTypeName":"user","eventTypeId":"Käufe"}`, "", []reason.Code{reason.EventTypeInvalid}},
		{"too large", `{"key":"u1","trafficTypeName":"user","eventTypeId":"e","properties":{"a":"` + strings.Repeat("x", segment.MaxCallBytes) + `"}}`, "", []reason.Code{reason.TooLarge}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			events, bad, err := fme.DecodeEvents([]byte("[" + test.body + "]"))
			if err != nil || len(bad) > 0 || len(events) != 1 {
				t.Fatalf("%v %v", err, bad)
			}
			event, notes, kept := SDKEvent(events[0], "shop/production", []string{"user", "account"}, received)
			got := ""
			if kept {
				got = string(appendEvent(nil, &event))
				if event.ID != (fme.ID{}) || event.Environment != "shop/production" || !event.ReceivedAt.Equal(received) {
					t.Errorf("%+v", event)
				}
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			var codes []reason.Code
			for _, note := range notes {
				codes = append(codes, note.Code)
			}
			if diff := cmp.Diff(test.reasons, codes); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// A typical track call of about 700 bytes, as the browser library sends it.
const typical = `{"type":"track","messageId":"ajs-next-1700000000000-0f8fad5b-d9cb-469f-a165-70867728950e","event":"Order Completed","userId":"u-12345","anonymousId":"23adfd82-aa0f-45a7-a756-24f2a7a4c895","timestamp":"2026-01-02T03:04:05.006Z","properties":{"revenue":39.95,"currency":"EUR","sku":"A-1","items":[{"id":1},{"id":2}],"cart":{"total":40,"coupon":null}},"context":{"library":{"name":"analytics.js","version":"next-1.84.1"},"page":{"path":"/checkout","referrer":"","search":"","title":"Checkout","url":"https://shop.example/checkout"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","locale":"en-US","timezone":"Europe/Berlin"},"integrations":{}}`

func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct{ name, call string }{
		{"track", typical},
		{"identify", `{"type":"identify","messageId":"m1","userId":"u-12345","timestamp":"2026-01-02T03:04:05.006Z","traits":{"plan":"pro","logins":5,"beta":true,"company":{"name":"Acme","id":7}}}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d, c := shop(), call(bench.call)
			b.SetBytes(int64(len(c.JSON)))
			b.ReportAllocs()
			for b.Loop() {
				if r := d.Call(c); r.Outcome != reason.Stored {
					b.Fatal(r.Reasons)
				}
			}
		})
	}
}

func BenchmarkImpression(b *testing.B) {
	s := &Source{TrafficToIdentity: map[string]string{"user": IdentityUserID}, LibraryVersion: "1.2.3"}
	imp := fme.Impression{Flag: "checkout_button", Key: "u-12345", Treatment: "on", Label: "in segment beta", ChangeNumber: 1580851834698,
		Time: time.UnixMilli(1449947461152), TrafficType: "user", SDK: "go", SDKVersion: "6.10.0"}
	b.ReportAllocs()
	for b.Loop() {
		if sent := s.Impression("shop/production", "", imp); sent.Outcome != OutcomeSent {
			b.Fatal(sent.Reasons)
		}
	}
}
