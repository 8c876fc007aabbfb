package storetest

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func eventsRoundTrip(t *testing.T, open Open) {
	f := newFixture(t, open)
	want := event("m1", "user", "u1")
	bare := fme.Event{ID: fme.NewID("bare"), Environment: env, TrafficType: "user", Key: "u2", EventType: "e", Time: noon.Add(-time.Hour), ReceivedAt: noon}
	call := track("m1", "u1")
	call.Events = []fme.Event{want, bare}
	f.write(store.Batch{Calls: []store.Call{call}})
	f.reopen()
	bare.Properties = json.RawMessage("{}")
	got := f.events(store.EventQuery{Environment: env})
	if diff := cmp.Diff([]fme.Event{want, bare}, got, cmpopts.IgnoreFields(fme.Event{}, "ID")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got[0].Time.Location() != time.UTC {
		t.Errorf("the time's zone is %s, want UTC", got[0].Time.Location())
	}
	// A zone of the sender's changes nothing of the instant.
	zoned := event("m2", "user", "zoned")
	zoned.Time = zoned.Time.In(time.FixedZone("", 5*60*60+30*60))
	call = track("m2", "zoned")
	call.Events = []fme.Event{zoned}
	f.write(store.Batch{Calls: []store.Call{call}})
	if got := f.events(store.EventQuery{Key: "zoned"})[0].Time; !got.Equal(zoned.Time) {
		t.Errorf("time %s, want %s", got, zoned.Time)
	}
}

func impressionsRoundTrip(t *testing.T, open Open) {
	f := newFixture(t, open)
	full := impression("checkout", "u1", "on", noon.Truncate(time.Millisecond))
	bare := fme.Impression{ID: fme.NewID("bare"), Environment: env, Flag: "checkout", Key: "u2", Treatment: fme.Control, Time: noon.Add(-time.Hour), ReceivedAt: noon}
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{full, bare},
		Telemetry: []fme.Telemetry{{Environment: env, Kind: "usage", SDK: "go", SDKVersion: "6", Body: []byte(`{}`), ReceivedAt: noon}}})
	f.reopen()
	got := f.impressions(store.ImpressionQuery{Environment: env})
	if diff := cmp.Diff([]fme.Impression{full, bare}, got, cmpopts.IgnoreFields(fme.Impression{}, "ID")); diff != "" {
		t.Errorf("impressions (-want +got):\n%s", diff)
	}
}

func callsRoundTrip(t *testing.T, open Open) {
	f := newFixture(t, open)
	call := track("m1", "u1")
	call.MessageID = strings.Repeat("long ", 100)
	call.Frame = 1 << 62
	call.Events = append(call.Events, event("m1", "anonymous", "a1"))
	call.Reasons = []reason.Note{{Code: reason.ValueNotANumber}, {Code: reason.PropertyCut, Detail: `properties.note, 300 characters, "quoted"`}}
	f.write(store.Batch{Calls: []store.Call{call}})
	f.reopen()
	want := store.CallRow{
		Environment: env, Configuration: "prod-events", Route: "tracking", Scheme: "basic", MessageID: call.MessageID, Type: "track",
		Name: "Order_Completed", ReceivedAt: noon, Outcome: reason.Stored, Reasons: call.Reasons, Events: 2, Frame: 1 << 62, Index: 3,
	}
	if diff := cmp.Diff([]store.CallRow{want}, f.calls(store.CallQuery{Environment: env})); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	f.write(store.Batch{Calls: []store.Call{track("m2", "u2")}})
	if got := f.calls(store.CallQuery{MessageID: "m2"})[0].Reasons; got == nil || len(got) != 0 {
		t.Errorf("reasons %#v of a call without any, want an empty list", got)
	}
}

func deliveriesRoundTrip(t *testing.T, open Open) {
	f := newFixture(t, open)
	full := store.Delivery{ID: "d1", Source: "prod", Attempt: 2, StartedAt: noon, Duration: 1234567 * time.Nanosecond, Calls: 100, Bytes: 70000,
		Status: 429, Outcome: "retry", Answer: "slow down", Error: "429", Sample: json.RawMessage(`{"type":"track"}`)}
	bare := store.Delivery{ID: "d2", Source: "prod", Attempt: 1, StartedAt: noon.Add(-time.Hour), Outcome: "delivered"}
	elsewhere := store.Delivery{ID: "d3", Source: "other", Attempt: 1, StartedAt: noon.Add(-2 * time.Hour), Outcome: "dead"}
	if err := f.store.WriteDeliveries(t.Context(), []store.Delivery{elsewhere, full, bare}); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	for _, c := range []struct {
		query store.DeliveryQuery
		want  []store.Delivery
	}{
		{store.DeliveryQuery{}, []store.Delivery{full, bare, elsewhere}},
		{store.DeliveryQuery{Source: "prod"}, []store.Delivery{full, bare}},
		{store.DeliveryQuery{Source: "prod", Outcome: "retry"}, []store.Delivery{full}},
		{store.DeliveryQuery{Span: store.Span{From: noon.Add(-time.Hour), To: noon}}, []store.Delivery{bare}},
	} {
		page, err := f.store.Deliveries(t.Context(), c.query)
		if diff := cmp.Diff(c.want, page.Items); err != nil || diff != "" {
			t.Errorf("deliveries %+v (-want +got): %v\n%s", c.query, err, diff)
		}
	}
}

func hostileText(t *testing.T, open Open) {
	f := newFixture(t, open)
	texts := []string{
		"it's", `"quoted"`, "'; DROP TABLE events; --", `back\slash`, "line\nbreak\ttab\r", "\x01\x1f\x7f",
		"ключ", "鍵", "👩‍👩‍👧‍👦", "e\u0301", "\u202eright to left", "\ufeff", "\U0010ffff", "NULL", "%", "_", "? $1 ?", "{}", " padded ",
		strings.Repeat("x", 70_000),
	}
	var calls []store.Call
	for _, text := range texts {
		call := track(text, text)
		e := &call.Events[0]
		e.EventType, e.TrafficType, e.Configuration = text, text, text
		properties, err := json.Marshal(map[string]string{text: text})
		if err != nil {
			t.Fatal(err)
		}
		e.Properties = properties
		call.Name, call.Type = text, text
		call.Identities = identify(text, text, noon, text, text).Identities
		call.Reasons = []reason.Note{{Code: reason.PropertyCut, Detail: text}}
		calls = append(calls, call)
	}
	f.write(store.Batch{Calls: calls})
	f.reopen()
	for i, text := range texts {
		got := f.events(store.EventQuery{Environment: env, TrafficType: text, Key: text, EventType: text, MessageID: text})
		if len(got) != 1 || got[0].Key != text || got[0].EventType != text || string(got[0].Properties) != string(calls[i].Events[0].Properties) {
			t.Errorf("%.40q: %d events: %.300v", text, len(got), got)
		}
		rows := f.calls(store.CallQuery{MessageID: text, Type: text})
		if len(rows) != 1 || rows[0].MessageID != text || rows[0].Reasons[0].Detail != text {
			t.Errorf("%.40q: calls %.300v", text, rows)
		}
		if customer, found := f.customer("user", text); !found || customer.Attributes[text].Value != text {
			t.Errorf("%.40q: customer %.300v", text, customer)
		}
	}
	// No code is found that was not asked for, whatever the details say.
	for _, code := range []reason.Code{"it's", `"`, "%", "_", "detail", reason.TraitCut, `x","detail":"y`} {
		if got := f.calls(store.CallQuery{Reason: code}); len(got) != 0 {
			t.Errorf("reason %q: %d calls", code, len(got))
		}
	}

	// What no store can keep as it is must not stop the batch it came in.
	broken := impression("nul\x00flag", "bad\xffutf8", "on", noon)
	broken.Properties = "\x00"
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{broken}})
	got := f.impressions(store.ImpressionQuery{})
	if len(got) != 1 || got[0].Flag != "nulflag" || got[0].Key != "bad\uFFFDutf8" || got[0].Properties != "" {
		t.Errorf("impressions %+v, want NUL removed and bad UTF-8 replaced", got)
	}
}

func extremes(t *testing.T, open Open) {
	f := newFixture(t, open)
	negativeZero := math.Copysign(0, -1)
	values := []float64{0, negativeZero, 1e300, -1e300, 5e-324, math.MaxFloat64, 0.1, 1 << 53, -39.95}
	times := []time.Time{
		time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(0, 0).UTC(), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(1582, 10, 10, 0, 0, 0, 0, time.UTC), time.Date(2016, 12, 31, 23, 59, 59, 0, time.UTC), noon,
	}
	call := track("m", "")
	call.Events = nil
	for i := range values {
		e := event("m", "user", names("k", len(values))[i])
		e.Value, e.Time = &values[i], times[i]
		call.Events = append(call.Events, e)
	}
	null := event("m", "user", "null")
	null.Value = nil
	call.Events = append(call.Events, null)
	f.write(store.Batch{Calls: []store.Call{call}})
	f.reopen()
	for i, want := range call.Events[:len(values)] {
		got := f.events(store.EventQuery{Key: want.Key})
		if len(got) != 1 || got[0].Value == nil {
			t.Fatalf("%s: %+v", want.Key, got)
		}
		if math.Float64bits(*got[0].Value) != math.Float64bits(values[i]) {
			t.Errorf("value %v, want %v", *got[0].Value, values[i])
		}
		if !got[0].Time.Equal(times[i]) {
			t.Errorf("time %s, want %s", got[0].Time, times[i])
		}
		span := store.Span{From: times[i]}
		if got := f.events(store.EventQuery{Key: want.Key, Span: span}); len(got) != 1 {
			t.Errorf("%s was not found by its own time %s", want.Key, times[i])
		}
	}
	if got := f.events(store.EventQuery{Key: "null"}); got[0].Value != nil {
		t.Errorf("no value became %v (R8)", *got[0].Value)
	}

	// Times that JSON cannot say come back as the nearest it can: one wrong
	// clock must not make a page unreadable.
	wild := []fme.Impression{
		impression("f", "past", "on", time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC)),
		impression("f", "future", "on", time.UnixMilli(math.MaxInt64/1000).UTC()),
	}
	f.write(store.Batch{Consumer: "impressions", Impressions: wild,
		Counts: []fme.ImpressionCount{
			{Environment: env, Flag: "f", Hour: noon, Count: math.MaxInt64, ReceivedAt: noon},
			{Environment: env, Flag: "f", Hour: noon, Count: math.MaxInt64, ReceivedAt: noon}}})
	page, err := f.store.Impressions(t.Context(), store.ImpressionQuery{})
	if err != nil || len(page.Items) != 2 {
		t.Fatalf("%d impressions, %v", len(page.Items), err)
	}
	if _, err := json.Marshal(page); err != nil {
		t.Errorf("the page has no JSON: %v", err)
	}
	flags, err := f.store.Flags(t.Context(), env, time.Time{})
	if err != nil || len(flags) != 1 || flags[0].Evaluations != math.MaxInt64 {
		t.Errorf("flags %+v, %v, want evaluations to stop at the largest number", flags, err)
	}
}
