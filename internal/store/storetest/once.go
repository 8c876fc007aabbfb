package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func positions(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	f.write(store.Batch{Calls: []store.Call{track("m1", "u1")}})
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{impression("f", "u1", "on", noon)}})
	f.write(store.Batch{Calls: []store.Call{track("m2", "u2")}})

	for _, wrong := range []store.Batch{
		{Consumer: "calls", From: 10, To: 20, Calls: []store.Call{track("m3", "u3")}},
		{Consumer: "calls", From: 21, To: 30, Calls: []store.Call{track("m3", "u3")}},
		{Consumer: "calls", From: 0, To: 10},
		{Consumer: "new", From: 5, To: 6},
	} {
		called := false
		_, err := f.store.Write(ctx, &wrong, func(store.Written) error { called = true; return nil })
		if !errors.Is(err, store.ErrPosition) {
			t.Errorf("batch of %s from %d: err %v, want ErrPosition", wrong.Consumer, wrong.From, err)
		}
		if called {
			t.Errorf("batch of %s from %d: beforeCommit ran", wrong.Consumer, wrong.From)
		}
	}
	for range 2 {
		if calls, impressions := f.position("calls"), f.position("impressions"); calls != 20 || impressions != 10 {
			t.Errorf("positions %d and %d, want 20 and 10", calls, impressions)
		}
		if got := len(f.events(store.EventQuery{})); got != 2 {
			t.Errorf("%d events, want 2", got)
		}
		f.reopen()
	}
	// A batch may hold nothing but progress.
	f.write(store.Batch{})
	if got := f.position("calls"); got != 30 {
		t.Errorf("position %d after an empty batch, want 30", got)
	}
}

func duplicateCalls(t *testing.T, open Open) {
	f := newFixture(t, open)
	first := store.Batch{Calls: []store.Call{track("m1", "u1"), identify("m2", "u1", noon, "plan", "pro"), track("m3", "u3")}}
	if got := f.write(first).Calls; !slices.Equal(got, []reason.Outcome{reason.Stored, reason.Stored, reason.Stored}) {
		t.Errorf("first write: %v", got)
	}
	f.reopen()
	again := first
	again.Calls = append(slices.Clone(first.Calls[1:]), track("m4", "u4"))
	if got := f.write(again).Calls; !slices.Equal(got, []reason.Outcome{reason.Duplicate, reason.Duplicate, reason.Stored}) {
		t.Errorf("second write: %v", got)
	}
	if got := len(f.events(store.EventQuery{})); got != 3 {
		t.Errorf("%d events, want 3", got)
	}
	rows := f.calls(store.CallQuery{MessageID: "m2"})
	if len(rows) != 2 {
		t.Fatalf("%d rows of m2, want 2: a person sees the repeat too", len(rows))
	}
	repeat := rows[0]
	want := []reason.Note{{Code: reason.RepeatedCall}}
	if repeat.Outcome != reason.Duplicate || !cmp.Equal(repeat.Reasons, want) || repeat.Attributes != 0 {
		t.Errorf("the repeat's row is %+v", repeat)
	}
	want2 := map[string]int64{"track/stored/": 3, "identify/stored/": 1, "track/duplicate/": 1, "identify/duplicate/": 1, "track//duplicate": 1, "identify//duplicate": 1}
	if diff := cmp.Diff(want2, f.reasons()); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

func duplicatesWithinBatch(t *testing.T, open Open) {
	f := newFixture(t, open)
	changed := track("m1", "u1")
	changed.Events[0].EventType = "Second"
	none := dropped("m2", reason.NoIdentity)
	got := f.write(store.Batch{Calls: []store.Call{track("m1", "u1"), changed, none, none}}).Calls
	if want := []reason.Outcome{reason.Stored, reason.Duplicate, reason.Dropped, reason.Duplicate}; !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	events := f.events(store.EventQuery{})
	if len(events) != 1 || events[0].EventType != "Order_Completed" {
		t.Errorf("events %+v, want the first copy alone", events)
	}
}

func partialDuplicate(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.write(store.Batch{Calls: []store.Call{track("m1", "u1")}})
	call := track("m1", "u1")
	call.Events = append(call.Events, event("m1", "anonymous", "a1"))
	call.Identities = identify("m1", "u1", noon, "plan", "pro", "old", "<null>").Identities
	var seen store.Written
	b := store.Batch{Calls: []store.Call{call}}
	f.place(&b)
	written, err := f.store.Write(t.Context(), &b, func(w store.Written) error { seen = w; return nil })
	if err != nil {
		t.Fatal(err)
	}
	f.at["calls"] = b.To
	if want := []reason.Outcome{reason.Stored}; !slices.Equal(written.Calls, want) || !slices.Equal(seen.Calls, want) {
		t.Errorf("outcomes %v, beforeCommit saw %v, want %v", written.Calls, seen.Calls, want)
	}
	if got := len(f.events(store.EventQuery{TrafficType: "user"})); got != 1 {
		t.Errorf("%d events of user, want 1", got)
	}
	if got := len(f.events(store.EventQuery{TrafficType: "anonymous"})); got != 1 {
		t.Errorf("%d events of anonymous, want 1", got)
	}
	row := f.calls(store.CallQuery{MessageID: "m1"})[0]
	if row.Events != 1 || row.Attributes != 2 || row.Outcome != reason.Stored {
		t.Errorf("row %+v, want 1 event and 2 attributes", row)
	}
	// The same messageId in another environment is another call (R18).
	elsewhere := track("m1", "u1")
	elsewhere.Environment, elsewhere.Events[0].Environment = other, other
	elsewhere.Events[0].ID = fme.NewID("event", string(other), "m1", "user", "u1")
	if got := f.write(store.Batch{Calls: []store.Call{elsewhere}}).Calls[0]; got != reason.Stored {
		t.Errorf("outcome %s in another environment", got)
	}
}

func duplicateOfDropped(t *testing.T, open Open) {
	f := newFixture(t, open)
	ignored := dropped("m2", reason.TrackOff)
	ignored.Outcome = reason.Ignored
	f.write(store.Batch{Calls: []store.Call{dropped("m1", reason.NoIdentity), ignored}})
	f.reopen()
	got := f.write(store.Batch{Calls: []store.Call{dropped("m1", reason.NoIdentity), ignored, dropped("m3", reason.NoIdentity)}}).Calls
	if want := []reason.Outcome{reason.Duplicate, reason.Duplicate, reason.Dropped}; !slices.Equal(got, want) {
		t.Errorf("outcomes %v, want %v", got, want)
	}
	// Sent again after the configuration was mended, it makes what it should
	// have made: R18 forbids a second event, not the first.
	if got := f.write(store.Batch{Calls: []store.Call{track("m1", "u1")}}).Calls[0]; got != reason.Stored {
		t.Errorf("outcome %s once the call makes something, want stored", got)
	}
}

func duplicateImpressions(t *testing.T, open Open) {
	f := newFixture(t, open)
	sdk := event("", "user", "u1")
	sdk.ID, sdk.Source = fme.ID{}, fme.SourceSplit
	a, b, c := impression("f", "a", "on", noon), impression("f", "b", "on", noon), impression("f", "c", "off", noon)
	known := sdk
	known.ID = fme.NewID("sdk_event", "1")
	batch := store.Batch{Consumer: "impressions", Impressions: []fme.Impression{a, a, b}, Events: []fme.Event{sdk, known, sdk, known}}
	if got := f.write(batch).Impressions; !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("first write: new %v", got)
	}
	f.reopen()
	batch.Impressions = []fme.Impression{c, b, a}
	if got := f.write(batch).Impressions; !slices.Equal(got, []bool{true, false, false}) {
		t.Errorf("second write: new %v", got)
	}
	if got := len(f.impressions(store.ImpressionQuery{})); got != 3 {
		t.Errorf("%d impressions, want 3", got)
	}
	if got := len(f.events(store.EventQuery{})); got != 5 {
		t.Errorf("%d events, want 5: one of an id, and all four without", got)
	}
	if got := f.reasons()["sdk_event//duplicate"]; got != 3 {
		t.Errorf("%d duplicate events counted, want 3", got)
	}
	if got := f.reasons()["impression//duplicate"]; got != 3 {
		t.Errorf("%d duplicate impressions counted, want 3", got)
	}
}

// untouched wants the store as one good batch left it.
func (f *fixture) untouched(when string) {
	f.t.Helper()
	if got := f.position("calls"); got != f.at["calls"] {
		f.t.Errorf("%s: position %d, want %d", when, got, f.at["calls"])
	}
	if got := len(f.events(store.EventQuery{})); got != 1 {
		f.t.Errorf("%s: %d events, want 1", when, got)
	}
	if got := len(f.calls(store.CallQuery{})); got != 1 {
		f.t.Errorf("%s: %d calls, want 1", when, got)
	}
	if got := len(f.impressions(store.ImpressionQuery{})); got != 0 {
		f.t.Errorf("%s: %d impressions, want 0", when, got)
	}
	if _, found := f.customer("user", "u9"); found {
		f.t.Errorf("%s: the attributes are there", when)
	}
	if got := f.reasons(); got["track/stored/"] != 1 || len(got) != 1 {
		f.t.Errorf("%s: reasons %v", when, got)
	}
	types, err := f.store.EventTypes(f.t.Context(), env, noon)
	if err != nil || len(types) != 1 || types[0].SevenDayCount != 1 {
		f.t.Errorf("%s: event types %+v, %v", when, types, err)
	}
}

// refused is a batch of everything that must leave no trace.
func refused() store.Batch {
	return store.Batch{
		Calls:       []store.Call{track("m2", "u2"), identify("m3", "u9", noon, "plan", "pro"), dropped("m4", reason.NoIdentity)},
		Impressions: []fme.Impression{impression("f", "u1", "on", noon)},
		Skips:       []store.Skip{{Environment: env, Type: "impression", Code: reason.ControlNotSent, Count: 1, Time: noon}},
	}
}

func rollback(t *testing.T, open Open, attempt func(*fixture, *store.Batch)) {
	f := newFixture(t, open)
	f.write(store.Batch{Calls: []store.Call{track("m1", "u1")}})
	b := refused()
	f.place(&b)
	for range 2 {
		attempt(f, &b)
		f.untouched("at once")
	}
	f.reopen()
	f.untouched("after reopening")
	// The very same batch goes in afterwards, whole and new.
	written := f.write(refused())
	if want := []reason.Outcome{reason.Stored, reason.Stored, reason.Dropped}; !slices.Equal(written.Calls, want) || !written.Impressions[0] {
		t.Errorf("written %+v, want all new", written)
	}
}

func rollbackByError(t *testing.T, open Open) {
	refusal := errors.New("no")
	rollback(t, open, func(f *fixture, b *store.Batch) {
		written, err := f.store.Write(t.Context(), b, func(store.Written) error { return refusal })
		if !errors.Is(err, refusal) || written.Calls != nil {
			t.Errorf("written %+v, err %v, want the error of beforeCommit", written, err)
		}
	})
}

func rollbackByPanic(t *testing.T, open Open) {
	rollback(t, open, func(f *fixture, b *store.Batch) {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		f.store.Write(t.Context(), b, func(store.Written) error { panic("beforeCommit") })
	})
}

func rollbackByCancel(t *testing.T, open Open) {
	rollback(t, open, func(f *fixture, b *store.Batch) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := f.store.Write(ctx, b, func(store.Written) error { cancel(); return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("err %v, want context.Canceled", err)
		}
	})
}

func retentionOfIDs(t *testing.T, open Open) {
	f := newFixture(t, open)
	call := track("m1", "u1")
	f.write(store.Batch{Calls: []store.Call{call}})
	week := store.Retention{Dedup: 7 * 24 * time.Hour}
	// Ids age from when they were stored, by the store's own clock: a backlog
	// of old calls must not be forgotten as it is read.
	for _, age := range []struct {
		now  time.Time
		want reason.Outcome
	}{
		{time.Now().Add(7*24*time.Hour - time.Minute), reason.Duplicate},
		{time.Now().Add(7*24*time.Hour + time.Minute), reason.Stored},
	} {
		if err := f.store.Retain(t.Context(), week, age.now); err != nil {
			t.Fatal(err)
		}
		if got := f.write(store.Batch{Calls: []store.Call{call}}).Calls[0]; got != age.want {
			t.Errorf("outcome %s, want %s", got, age.want)
		}
	}
}
