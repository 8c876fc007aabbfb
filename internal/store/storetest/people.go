package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func (f *fixture) erase(trafficType, key string) store.Erased {
	f.t.Helper()
	erased, err := f.store.Erase(f.t.Context(), env, trafficType, key)
	if err != nil {
		f.t.Fatalf("erase: %v", err)
	}
	return erased
}

// everything writes what can be known of u1, and things beside it that must
// stay.
func everything(f *fixture) (batches []store.Batch) {
	f.t.Helper()
	both := track("m2", "u1")
	both.Events = append(both.Events, event("m2", "anonymous", "a1"))
	repeated := track("m1", "u1")
	sdk := event("", "user", "u1")
	sdk.Source, sdk.ID = fme.SourceSplit, fme.NewID("sdk", "1")
	unknown := impression("gone", "u1", "on", noon)
	unknown.TrafficType = ""
	ofAccount := impression("plan", "u1", "on", noon)
	ofAccount.TrafficType = "account"
	elsewhere := track("m9", "u1")
	elsewhere.Environment, elsewhere.Events[0].Environment = other, other
	elsewhere.Events[0].ID = fme.NewID("event", "elsewhere")
	batches = []store.Batch{
		{Calls: []store.Call{track("m1", "u1"), both, repeated, identify("m3", "u1", noon, "plan", "pro"), identify("m4", "u1", noon.Add(time.Hour), "plan", "free"),
			identify("m5", "u1", noon), track("m6", "u2"), identify("m7", "u2", noon, "plan", "pro"), dropped("m8", reason.EventTypeMissing), elsewhere}},
		{Consumer: "impressions", Impressions: []fme.Impression{impression("button", "u1", "on", noon), unknown, ofAccount, impression("button", "u2", "on", noon)},
			Events: []fme.Event{sdk}, UniqueKeys: []fme.UniqueKey{{Environment: env, Flag: "button", Key: "u1", ReceivedAt: noon}, {Environment: env, Flag: "button", Key: "u2", ReceivedAt: noon}},
			Skips: []store.Skip{{Environment: env, Configuration: "out", Type: "impression", Code: reason.ControlNotSent, Count: 1, Sample: "button u1", Time: noon},
				{Environment: env, Configuration: "out", Type: "impression", Code: reason.TrafficTypeUnknown, Count: 1, Sample: "button xu1", Time: noon}}},
	}
	for _, b := range batches {
		f.write(b)
	}
	attempts := []store.Delivery{
		{ID: "d1", Source: "out", Attempt: 1, StartedAt: noon, Outcome: "delivered", Sample: []byte(`{"userId":"u1","properties":{"key":"u1","treatment":"on"}}`)},
		{ID: "d2", Source: "out", Attempt: 1, StartedAt: noon, Outcome: "delivered", Sample: []byte(`{"userId":"u10","properties":{"key":"u10","note":"u1"}}`)},
	}
	if err := f.store.WriteDeliveries(f.t.Context(), attempts); err != nil {
		f.t.Fatal(err)
	}
	return batches
}

func erasing(t *testing.T, open Open) {
	f := newFixture(t, open)
	batches := everything(f)
	before := f.reasons()
	got := f.erase("user", "u1")
	// m1, m2, its repeat, m3, m4; m5 set nothing, so no row names its call.
	want := store.Erased{Events: 3, Impressions: 2, UniqueKeys: 1, Attributes: 3, Calls: 5, Samples: got.Samples}
	if diff := cmp.Diff(want, got); diff != "" || got.Samples < 3 {
		t.Errorf("erased (-want +got):\n%s", diff)
	}
	for _, when := range []string{"at once", "after reopening", "after retention", "after the frames came again"} {
		if _, found := f.customer("user", "u1"); found {
			t.Errorf("%s: u1 is still known", when)
		}
		if events := f.events(store.EventQuery{Environment: env, Key: "u1"}); len(events) != 0 {
			t.Errorf("%s: events of u1: %v", when, events)
		}
		if events := f.events(store.EventQuery{Environment: env}); len(events) != 2 {
			t.Errorf("%s: %d events of others, want 2", when, len(events))
		}
		if events := f.events(store.EventQuery{Environment: other}); len(events) != 1 {
			t.Errorf("%s: %d events elsewhere, want 1", when, len(events))
		}
		if seen := f.impressions(store.ImpressionQuery{Environment: env, Key: "u1"}); len(seen) != 1 || seen[0].TrafficType != "account" {
			t.Errorf("%s: impressions of u1: %v", when, seen)
		}
		if customer, found := f.customer("user", "u2"); !found || customer.Attributes["plan"].Value != "pro" {
			t.Errorf("%s: u2 is %v", when, customer)
		}
		for _, id := range []string{"m1", "m2", "m3", "m4"} {
			if calls := f.calls(store.CallQuery{Environment: env, MessageID: id}); when != "after the frames came again" && len(calls) != 0 {
				t.Errorf("%s: %s still leads to the call: %v", when, id, calls)
			}
		}
		if when != "after the frames came again" {
			for _, c := range f.calls(store.CallQuery{Environment: env}) {
				if (c.MessageID == "") != (c.Frame == 0 && c.Index == 0) {
					t.Errorf("%s: half erased: %+v", when, c)
				}
			}
			if diff := cmp.Diff(before, f.reasons()); diff != "" {
				t.Errorf("%s: counts changed (-before +after):\n%s", when, diff)
			}
		}
		counts, err := f.store.Reasons(t.Context(), env, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if when == "at once" && (strings.HasSuffix(c.Sample, " u1") || c.Sample == "m1" || c.Sample == "m2" || c.Sample == "m3" || c.Sample == "m4") {
				t.Errorf("%s: a sample is %q", when, c.Sample)
			}
			if c.Code == reason.TrafficTypeUnknown && c.Sample != "button xu1" {
				t.Errorf("%s: the sample of another key is %q", when, c.Sample)
			}
		}
		deliveries, err := f.store.Deliveries(t.Context(), store.DeliveryQuery{})
		if err != nil || len(deliveries.Items) != 2 {
			t.Fatalf("deliveries: %v %v", deliveries.Items, err)
		}
		for _, d := range deliveries.Items {
			if (len(d.Sample) > 0) != (d.ID == "d2") {
				t.Errorf("%s: the sample of %s is %q", when, d.ID, d.Sample)
			}
		}
		switch when {
		case "at once":
			f.reopen()
		case "after reopening":
			if err := f.store.Retain(t.Context(), store.Retention{}, noon); err != nil {
				t.Fatal(err)
			}
		case "after retention":
			for _, b := range batches { // the same content in new frames
				b.Skips, b.UniqueKeys = nil, nil
				f.write(b)
			}
		}
	}
	if again := f.erase("user", "u1"); again.Events+again.Impressions+again.Attributes+again.UniqueKeys != 0 {
		t.Errorf("erased twice: %+v", again)
	}
	if nothing := f.erase("nothing", "nobody"); nothing.Total() != 0 {
		t.Errorf("erased of nobody: %+v", nothing)
	}
}

func erasingHostileKeys(t *testing.T, open Open) {
	f := newFixture(t, open)
	for i, key := range []string{`<b>"&'\`, "%", "_", "' OR '1'='1", strings.Repeat("k", 250), "日本 語"} {
		stays := "stays" + fmt.Sprint(i)
		seen := impression("button", key, "on", noon)
		f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{seen},
			Skips: []store.Skip{{Environment: env, Type: "impression", Code: reason.ControlNotSent, Count: 1, Sample: "button " + key, Time: noon}}})
		f.write(store.Batch{Calls: []store.Call{track("h"+fmt.Sprint(i), key), track("s"+fmt.Sprint(i), stays)}})
		if got := f.erase("user", key); got.Events != 1 || got.Impressions != 1 || got.Calls != 1 {
			t.Errorf("%q: erased %+v", key, got)
		}
		if events := f.events(store.EventQuery{Environment: env, Key: stays}); len(events) != 1 {
			t.Errorf("%q took %s with it", key, stays)
		}
		counts, err := f.store.Reasons(t.Context(), env, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range counts {
			if c.Code == reason.ControlNotSent && c.Sample != "" {
				t.Errorf("%q: the sample is %q", key, c.Sample)
			}
		}
	}
}

func links(t *testing.T, open Open) {
	f := newFixture(t, open)
	login := identify("m1", "u1", noon, "plan", "free")
	anonymous := login.Identities[0]
	anonymous.ID, anonymous.TrafficType, anonymous.Key = fme.NewID("identity", "anonymous"), "anonymous", "a1"
	login.Identities = append(login.Identities, anonymous)
	order := track("m2", "u1")
	order.Events = append(order.Events, event("m2", "anonymous", "a1"), event("m2", "account", "acme"))
	late := track("m3", "u1")
	late.Events[0].Time = noon.Add(time.Hour)
	later := event("m3", "anonymous", "a2")
	later.Time = noon.Add(time.Hour)
	late.Events = append(late.Events, later)
	alone := track("m4", "u1")
	f.write(store.Batch{Calls: []store.Call{login, order, late, alone, track("m5", "u2")}})
	got, err := f.store.Links(t.Context(), env, "user", "u1")
	if err != nil {
		t.Fatal(err)
	}
	want := []store.Link{
		{TrafficType: "anonymous", Key: "a2", Calls: 1, LastSeen: noon.Add(time.Hour), MessageID: "m3"},
		{TrafficType: "anonymous", Key: "a1", Calls: 2, LastSeen: noon, MessageID: "m1"},
		{TrafficType: "account", Key: "acme", Calls: 1, LastSeen: noon.Add(-time.Minute), MessageID: "m2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	back, err := f.store.Links(t.Context(), env, "anonymous", "a1")
	if err != nil || len(back) != 2 || back[0].Key != "u1" || back[0].Calls != 2 {
		t.Errorf("links of a1: %v %v", back, err)
	}
	for _, nobody := range []string{"u2", "nobody"} {
		if none, err := f.store.Links(t.Context(), env, "user", nobody); err != nil || none == nil || len(none) != 0 {
			t.Errorf("links of %s: %v %v", nobody, none, err)
		}
	}
	if none, err := f.store.Links(t.Context(), other, "user", "u1"); err != nil || len(none) != 0 {
		t.Errorf("links elsewhere: %v %v", none, err)
	}
}

func found(trafficType, key string) store.KeyFound {
	return store.KeyFound{TrafficType: trafficType, Key: key}
}

func keys(t *testing.T, open Open) {
	f := newFixture(t, open)
	account := track("m3", "ada-gmbh")
	account.Events[0].TrafficType = "account"
	calls := []store.Call{track("m1", "ada"), identify("m2", "ada%", noon, "plan", "pro"), account, identify("m4", "adam", noon), track("m5", "bob")}
	for i := range store.MostKeys + 5 {
		calls = append(calls, track(fmt.Sprintf("n%d", i), fmt.Sprintf("many-%03d", i)))
	}
	f.write(store.Batch{Calls: calls})
	for _, c := range []struct {
		trafficType, prefix string
		want                []store.KeyFound
	}{
		{"", "ada", []store.KeyFound{found("user", "ada"), found("user", "ada%"), found("account", "ada-gmbh"), found("user", "adam")}},
		{"user", "ada%", []store.KeyFound{found("user", "ada%")}},
		{"account", "ada", []store.KeyFound{found("account", "ada-gmbh")}},
		{"user", "Ada", []store.KeyFound{}},
		{"no such", "ada", []store.KeyFound{}},
		{"", "", []store.KeyFound{}},
	} {
		got, err := f.store.Keys(t.Context(), env, c.trafficType, c.prefix)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s %q: %v (-want +got):\n%s", c.trafficType, c.prefix, err, diff)
		}
	}
	if many, err := f.store.Keys(t.Context(), env, "user", "many"); err != nil || len(many) != store.MostKeys || many[0].Key != "many-000" {
		t.Errorf("%d keys, %v", len(many), err)
	}
}

func attributeUses(t *testing.T, open Open) {
	f := newFixture(t, open)
	long := identify("m4", "u2", noon.Add(time.Hour), "bio", "long")
	long.Identities[0].Attributes[0].Cut = true
	account := identify("m6", "acme", noon, "plan", "enterprise")
	account.Identities[0].TrafficType = "account"
	f.write(store.Batch{Calls: []store.Call{
		identify("m1", "u1", noon, "plan", "pro", "bio", "short", "gone", "x"), identify("m2", "u1", noon.Add(-time.Hour), "plan", "old"),
		identify("m3", "u2", noon.Add(2*time.Hour), "plan", "free"), long, identify("m5", "u1", noon.Add(time.Minute), "gone", "<null>"), account, identify("m7", "u3", noon),
	}})
	got, err := f.store.AttributeUses(t.Context(), env, "user")
	want := []store.AttributeUse{
		{ID: "bio", Keys: 2, Cut: 1, LastSeen: noon.Add(time.Hour), Example: "long"},
		{ID: "plan", Keys: 2, LastSeen: noon.Add(2 * time.Hour), Example: "free"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if none, err := f.store.AttributeUses(t.Context(), env, "no such"); err != nil || none == nil || len(none) != 0 {
		t.Errorf("of no traffic type: %v %v", none, err)
	}
}

func eventTypeDays(t *testing.T, open Open) {
	f := newFixture(t, open)
	at := func(id string, received time.Time, valued bool) store.Call {
		call := track(id, "u1")
		call.Events[0].ReceivedAt = received
		if !valued {
			call.Events[0].Value = nil
		}
		return call
	}
	day := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	f.write(store.Batch{Calls: []store.Call{at("m1", noon, true), at("m2", noon, false), at("m3", day.Add(-time.Second), true)}})
	f.write(store.Batch{Calls: []store.Call{at("m4", noon, true), at("m5", day.AddDate(0, 0, -9), true)}})
	for _, when := range []string{"at once", "after retention"} {
		got, err := f.store.EventTypeDays(t.Context(), env, "Order_Completed", noon.AddDate(0, 0, -2), noon)
		want := []store.EventTypeDay{{Day: day.AddDate(0, 0, -1), Events: 1, WithValue: 1}, {Day: day, Events: 3, WithValue: 2}}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", when, err, diff)
		}
		if err := f.store.Retain(t.Context(), store.Retention{}, noon); err != nil {
			t.Fatal(err)
		}
	}
	if none, err := f.store.EventTypeDays(t.Context(), env, "other", noon, noon); err != nil || none == nil || len(none) != 0 {
		t.Errorf("of no event type: %v %v", none, err)
	}
}
