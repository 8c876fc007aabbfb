package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func filters(t *testing.T, open Open) {
	f := newFixture(t, open)
	long := strings.Repeat("é", 150)
	a, b, c := track("m1", "u1"), track(long, "u2"), track("m3", "u1")
	b.Events[0].EventType = "Signed_Up"
	b.Events[0].ForeignID = long // longer than an event keeps (X15)
	c.Environment, c.Events[0].Environment, c.Events[0].Time, c.Configuration = other, other, noon.Add(-time.Hour), "staging-events"
	c.Reasons = []reason.Note{{Code: reason.TimeUnreadable}}
	f.write(store.Batch{Calls: []store.Call{a, b, c, dropped("m4", reason.NoIdentity)}})
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{
		impression("f", "u1", "on", noon), impression("f", "u2", "off", noon), impression("g", "u1", "on", noon.Add(-time.Hour))}})

	for _, test := range []struct {
		query store.EventQuery
		want  int
	}{
		{store.EventQuery{}, 3},
		{store.EventQuery{Environment: env}, 2},
		{store.EventQuery{Environment: other}, 1},
		{store.EventQuery{Key: "u1"}, 2},
		{store.EventQuery{Environment: env, Key: "u1", TrafficType: "user", EventType: "Order_Completed"}, 1},
		{store.EventQuery{TrafficType: "account"}, 0},
		{store.EventQuery{EventType: "Signed_Up"}, 1},
		{store.EventQuery{MessageID: long}, 1},
		{store.EventQuery{MessageID: long[:len("é")*100]}, 1},
		{store.EventQuery{MessageID: "m"}, 0},
		{store.EventQuery{Span: store.Span{From: noon.Add(-time.Minute)}}, 2},
		{store.EventQuery{Span: store.Span{To: noon.Add(-time.Minute)}}, 1},
		{store.EventQuery{Span: store.Span{From: noon.Add(-time.Hour), To: noon}}, 3},
	} {
		if got := len(f.events(test.query)); got != test.want {
			t.Errorf("events %+v: %d, want %d", test.query, got, test.want)
		}
	}
	for _, test := range []struct {
		query store.CallQuery
		want  int
	}{
		{store.CallQuery{}, 4},
		{store.CallQuery{Environment: env}, 3},
		{store.CallQuery{Outcome: reason.Dropped}, 1},
		{store.CallQuery{Outcome: reason.Stored, Type: "track", Configuration: "prod-events"}, 2},
		{store.CallQuery{Reason: reason.NoIdentity}, 1},
		{store.CallQuery{Reason: reason.TimeUnreadable, Configuration: "staging-events"}, 1},
		{store.CallQuery{Reason: reason.TimeInFuture}, 0},
		{store.CallQuery{Type: "identify"}, 0},
		{store.CallQuery{MessageID: long}, 1},
		{store.CallQuery{Span: store.Span{From: noon, To: noon.Add(time.Microsecond)}}, 4},
		{store.CallQuery{Span: store.Span{To: noon}}, 0},
	} {
		if got := len(f.calls(test.query)); got != test.want {
			t.Errorf("calls %+v: %d, want %d", test.query, got, test.want)
		}
	}
	for _, test := range []struct {
		query store.ImpressionQuery
		want  int
	}{
		{store.ImpressionQuery{Environment: env}, 3},
		{store.ImpressionQuery{Environment: other}, 0},
		{store.ImpressionQuery{Flag: "f"}, 2},
		{store.ImpressionQuery{Flag: "f", Treatment: "off"}, 1},
		{store.ImpressionQuery{Key: "u1"}, 2},
		{store.ImpressionQuery{Key: "u1", Span: store.Span{From: noon}}, 1},
	} {
		if got := len(f.impressions(test.query)); got != test.want {
			t.Errorf("impressions %+v: %d, want %d", test.query, got, test.want)
		}
	}
}

func paging(t *testing.T, open Open) {
	f := newFixture(t, open)
	const rows = 1200
	batch := func(prefix string, n int, at time.Time) store.Batch {
		var b store.Batch
		for i := range n {
			call := track(fmt.Sprintf("%s%d", prefix, i), fmt.Sprintf("%s%d", prefix, i))
			// Runs of 100 rows share one time: the page boundary falls inside.
			call.Events[0].Time = at.Add(time.Duration(i/100) * time.Second)
			call.ReceivedAt = call.Events[0].Time
			b.Calls = append(b.Calls, call)
		}
		return b
	}
	f.write(batch("row", rows, noon))
	var keys, ids []string
	var events, calls string
	for pages := 0; pages < 2 || events != "" || calls != ""; pages++ {
		e, err := f.store.Events(t.Context(), store.EventQuery{Environment: env, Span: store.Span{Limit: 70, Cursor: events}})
		if err != nil {
			t.Fatal(err)
		}
		c, err := f.store.Calls(t.Context(), store.CallQuery{Span: store.Span{Limit: 70, Cursor: calls}})
		if err != nil {
			t.Fatal(err)
		}
		if pages > 20 {
			t.Fatal("paging does not end")
		}
		for _, item := range e.Items {
			keys = append(keys, item.Key)
		}
		for _, item := range c.Items {
			ids = append(ids, item.MessageID)
		}
		events, calls = e.NextCursor, c.NextCursor
		// Newer rows, and rows of the very times that are being paged through.
		if pages < 10 {
			f.write(batch(fmt.Sprintf("new%d-", pages), 20, noon.Add(time.Hour)))
			f.reopenSometimes(pages)
		}
	}
	for what, got := range map[string][]string{"events": keys, "calls": ids} {
		if len(got) != rows || len(slices.Compact(slices.Sorted(slices.Values(got)))) != rows {
			t.Errorf("%s: %d items, %d distinct, want %d", what, len(got), len(slices.Compact(slices.Sorted(slices.Values(got)))), rows)
		}
		if got[0] != "row1199" || got[rows-1] != "row0" {
			t.Errorf("%s: from %s to %s, want newest first", what, got[0], got[rows-1])
		}
	}
}

// reopenSometimes: a cursor outlives the process that made it.
func (f *fixture) reopenSometimes(i int) {
	if i == 4 {
		f.reopen()
	}
}

func limits(t *testing.T, open Open) {
	f := newFixture(t, open)
	var b store.Batch
	for _, key := range names("k", 600) {
		b.Calls = append(b.Calls, track(key, key))
	}
	f.write(b)
	for limit, want := range map[int]int{0: 50, -1: 50, 1: 1, 500: 500, 501: 500, 1 << 40: 500} {
		if got := len(f.events(store.EventQuery{Span: store.Span{Limit: limit}})); got != want {
			t.Errorf("limit %d gave %d, want %d", limit, got, want)
		}
	}
	exact, err := f.store.Events(t.Context(), store.EventQuery{Key: "k1", Span: store.Span{Limit: 1}})
	if err != nil || len(exact.Items) != 1 || exact.NextCursor != "" {
		t.Errorf("a full last page: %d items, cursor %q, %v", len(exact.Items), exact.NextCursor, err)
	}
	page, err := f.store.Events(t.Context(), store.EventQuery{})
	if err != nil || page.NextCursor == "" {
		t.Fatalf("cursor %q, %v", page.NextCursor, err)
	}
	mangled := []byte(page.NextCursor)
	mangled[5] ^= 1
	for _, cursor := range []string{"x", "not base64!", string(mangled), page.NextCursor + "AA", page.NextCursor[:8], "'; DROP TABLE events"} {
		if _, err := f.store.Events(t.Context(), store.EventQuery{Span: store.Span{Cursor: cursor}}); !errors.Is(err, store.ErrCursor) {
			t.Errorf("cursor %q: err %v, want ErrCursor", cursor, err)
		}
	}
	if _, err := f.store.Calls(t.Context(), store.CallQuery{Span: store.Span{Cursor: page.NextCursor}}); !errors.Is(err, store.ErrCursor) {
		t.Errorf("a cursor of events on calls: err %v, want ErrCursor", err)
	}
}

func eventTypes(t *testing.T, open Open) {
	f := newFixture(t, open)
	add := func(id, trafficType, eventType string, received time.Time, value *float64) store.Call {
		call := track(id, id)
		e := event(id, trafficType, id)
		e.EventType, e.ReceivedAt, e.Value = eventType, received, value
		call.Events = []fme.Event{e}
		return call
	}
	one := 1.0
	day := 24 * time.Hour
	f.write(store.Batch{Calls: []store.Call{
		add("1", "user", "Bought", noon, &one), add("2", "user", "Bought", noon.Add(-time.Hour), nil), add("3", "account", "Bought", noon.Add(-6*day), &one),
		add("4", "user", "Bought", noon.Add(-7*day), &one), add("5", "user", "Seen", noon.Add(-100*day), nil)}})
	f.write(store.Batch{Calls: []store.Call{add("6", "user", "Bought", noon.Add(time.Second), &one), add("1", "user", "Bought", noon.Add(time.Hour), &one)}})
	want := []store.EventType{
		{Name: "Bought", TrafficTypes: []string{"account", "user"}, SevenDayCount: 4, FirstSeen: noon.Add(-7 * day), LastSeen: noon.Add(time.Second), ShareWithValue: 0.8},
		{Name: "Seen", TrafficTypes: []string{"user"}, FirstSeen: noon.Add(-100 * day), LastSeen: noon.Add(-100 * day)},
	}
	expect := func(when string, want []store.EventType) {
		t.Helper()
		got, err := f.store.EventTypes(t.Context(), env, noon)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", when, err, diff)
		}
	}
	expect("at once", want)
	if err := f.store.Retain(t.Context(), store.Retention{Events: time.Hour}, noon.Add(10*day)); err != nil {
		t.Fatal(err)
	}
	expect("once the events are gone", want)
	if err := f.store.Retain(t.Context(), store.Retention{EventTypes: 90 * day}, noon); err != nil {
		t.Fatal(err)
	}
	expect("once the listing is cut", want[:1])
}

func reasons(t *testing.T, open Open) {
	f := newFixture(t, open)
	old := dropped("old", reason.NoIdentity)
	old.ReceivedAt = noon.Add(-2 * time.Hour)
	twice := track("m1", "u1")
	twice.Reasons = []reason.Note{{Code: reason.PropertyCut}, {Code: reason.TraitCut}}
	f.write(store.Batch{Calls: []store.Call{old, twice}})
	f.write(store.Batch{Calls: []store.Call{dropped("newer", reason.NoIdentity), dropped("newest", reason.NoIdentity)},
		Skips: []store.Skip{{Environment: env, Configuration: "source", Type: "impression", Code: reason.ControlNotSent, Count: 5, Sample: "flag u1", Time: noon}}})
	full := []store.ReasonCount{
		{Configuration: "source", Type: "impression", Code: reason.ControlNotSent, Count: 5, Sample: "flag u1"},
		{Configuration: "prod-events", Type: "track", Code: reason.NoIdentity, Count: 3, Sample: "newest"},
		{Configuration: "prod-events", Type: "track", Outcome: reason.Dropped, Count: 3, Sample: "newest"},
		{Configuration: "prod-events", Type: "track", Code: reason.PropertyCut, Count: 1, Sample: "m1"},
		{Configuration: "prod-events", Type: "track", Code: reason.TraitCut, Count: 1, Sample: "m1"},
		{Configuration: "prod-events", Type: "track", Outcome: reason.Stored, Count: 1, Sample: "m1"},
	}
	for _, when := range []string{"at once", "added up"} {
		got, err := f.store.Reasons(t.Context(), env, time.Time{})
		if diff := cmp.Diff(full, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", when, err, diff)
		}
		recent, err := f.store.Reasons(t.Context(), env, noon.Add(-time.Minute))
		if err != nil || len(recent) != 6 || recent[1].Code != reason.NoIdentity || recent[1].Count != 2 {
			t.Errorf("%s: since a minute ago %+v, %v", when, recent, err)
		}
		if none, err := f.store.Reasons(t.Context(), other, time.Time{}); err != nil || len(none) != 0 {
			t.Errorf("%s: another environment %+v, %v", when, none, err)
		}
		if err := f.store.Retain(t.Context(), store.Retention{}, noon); err != nil {
			t.Fatal(err)
		}
	}
}

func flags(t *testing.T, open Open) {
	f := newFixture(t, open)
	hour := noon.Truncate(time.Hour)
	old := impression("f", "u9", "on", noon.Add(-48*time.Hour))
	f.write(store.Batch{Consumer: "impressions",
		Impressions: []fme.Impression{impression("f", "u1", "on", noon), impression("f", "u1", "off", noon), impression("f", "u2", "on", noon), old},
		Counts: []fme.ImpressionCount{{Environment: env, Flag: "f", Hour: hour, Count: 40, ReceivedAt: noon}, {Environment: env, Flag: "g", Hour: hour, Count: 2, ReceivedAt: noon},
			{Environment: other, Flag: "f", Hour: hour, Count: 1000, ReceivedAt: noon}},
		UniqueKeys: []fme.UniqueKey{{Environment: env, Flag: "f", Key: "u2", ReceivedAt: noon}, {Environment: env, Flag: "f", Key: "u3", ReceivedAt: noon.Add(time.Minute)}},
	})
	want := []store.FlagCount{
		{Flag: "f", Impressions: 3, Evaluations: 43, UniqueKeys: 3, LastSeen: noon.Add(time.Minute)},
		{Flag: "g", Evaluations: 2, LastSeen: hour},
	}
	got, err := f.store.Flags(t.Context(), env, noon.Add(-24*time.Hour))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if all, err := f.store.Flags(t.Context(), env, time.Time{}); err != nil || all[0].Impressions != 4 {
		t.Errorf("since ever: %+v, %v", all, err)
	}
}
