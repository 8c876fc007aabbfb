package storetest

import (
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"

	"github.com/google/go-cmp/cmp"
)

func traffic(t *testing.T, open Open) {
	f := newFixture(t, open)
	received := func(id string, at time.Time) store.Call {
		call := track(id, id)
		call.ReceivedAt, call.Events[0].ReceivedAt = at, at
		return call
	}
	dropped := received("d", noon.Add(25*time.Minute))
	dropped.Outcome, dropped.Events, dropped.Identities = reason.Dropped, nil, nil
	from := noon.Truncate(time.Hour)
	f.write(store.Batch{Calls: []store.Call{
		received("a", from), received("b", from.Add(10*time.Minute-time.Microsecond)), received("c", from.Add(10*time.Minute)),
		dropped, received("before", from.Add(-time.Microsecond)), received("after", from.Add(30*time.Minute)),
	}})
	shown := impression("f", "u1", "on", noon)
	shown.ReceivedAt = from.Add(time.Minute)
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{shown}})

	got, err := f.store.Traffic(t.Context(), env, from, from.Add(30*time.Minute), 10*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := []store.TrafficStep{
		{From: from, Calls: map[reason.Outcome]int64{reason.Stored: 2}, Events: 2, Impressions: 1},
		{From: from.Add(10 * time.Minute), Calls: map[reason.Outcome]int64{reason.Stored: 1}, Events: 1},
		{From: from.Add(20 * time.Minute), Calls: map[reason.Outcome]int64{reason.Dropped: 1}},
	}
	for i := range got {
		got[i].Attributes = 0
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if elsewhere, err := f.store.Traffic(t.Context(), other, from, from.Add(time.Hour), time.Hour); err != nil || len(elsewhere) != 1 || elsewhere[0].Events != 0 {
		t.Errorf("another environment: %+v %v", elsewhere, err)
	}
	// From within a second, with a row in the second that to is in: none is lost
	// and none is counted in a step that it is not in.
	f.write(store.Batch{Calls: []store.Call{received("first", from.Add(time.Hour)), received("last", from.Add(time.Hour+3*time.Second+200*time.Millisecond))}})
	got, err = f.store.Traffic(t.Context(), env, from.Add(time.Hour+700*time.Millisecond), from.Add(time.Hour+3*time.Second+300*time.Millisecond), time.Second+time.Millisecond)
	if err != nil || len(got) != 4 || !got[0].From.Equal(from.Add(time.Hour)) || got[0].Events != 1 || got[1].Events+got[2].Events != 0 || got[3].Events != 1 {
		t.Errorf("from within a second: %+v %v", got, err)
	}
	for _, step := range []time.Duration{0, time.Millisecond} {
		if _, err := f.store.Traffic(t.Context(), env, from, from.Add(time.Hour), step); err == nil {
			t.Errorf("a step of %s was taken", step)
		}
	}
}

func deliveryTotals(t *testing.T, open Open) {
	f := newFixture(t, open)
	attempts := []store.Delivery{
		{ID: "1", Source: "a", StartedAt: noon, Calls: 3, Outcome: "delivered", Duration: time.Second},
		{ID: "2", Source: "a", StartedAt: noon, Calls: 4, Outcome: "delivered", Duration: time.Second},
		{ID: "3", Source: "a", StartedAt: noon, Calls: 5, Outcome: "retry", Duration: 2 * time.Second},
		{ID: "4", Source: "b", StartedAt: noon, Calls: 1, Outcome: "delivered", Duration: time.Millisecond},
		{ID: "0", Source: "b", StartedAt: noon.Add(-time.Hour), Calls: 9, Outcome: "delivered"},
	}
	if err := f.store.WriteDeliveries(t.Context(), attempts); err != nil {
		t.Fatal(err)
	}
	got, err := f.store.DeliveryTotals(t.Context(), noon.Add(-time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	want := []store.DeliveryTotal{
		{Source: "a", Outcome: "delivered", Attempts: 2, Calls: 7, P95: time.Second},
		{Source: "a", Outcome: "retry", Attempts: 1, Calls: 5, P95: 2 * time.Second},
		{Source: "b", Outcome: "delivered", Attempts: 1, Calls: 1, P95: time.Millisecond},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
