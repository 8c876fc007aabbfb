package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

func retention(t *testing.T, open Open) {
	day := 24 * time.Hour
	policy := store.Retention{Events: 90 * day, Impressions: 60 * day, EventTypes: 150 * day, Calls: 30 * day, Deliveries: 20 * day, Telemetry: 10 * day}
	f := newFixture(t, open)
	received := func(id string, at time.Time) store.Call {
		call := track(id, id)
		call.ReceivedAt, call.Events[0].ReceivedAt, call.Events[0].EventType = at, at, id
		return call
	}
	f.write(store.Batch{Calls: []store.Call{received("new", noon), received("old", noon.Add(-time.Hour))}})
	old := impression("old", "u1", "on", noon)
	old.ReceivedAt = noon.Add(-time.Hour)
	f.write(store.Batch{Consumer: "impressions", Impressions: []fme.Impression{old, impression("new", "u1", "on", noon)},
		Counts:     []fme.ImpressionCount{{Environment: env, Flag: "old", Hour: noon, Count: 1, ReceivedAt: old.ReceivedAt}},
		UniqueKeys: []fme.UniqueKey{{Environment: env, Flag: "old", Key: "k", ReceivedAt: old.ReceivedAt}},
		Telemetry:  []fme.Telemetry{{Environment: env, Kind: "usage", ReceivedAt: old.ReceivedAt}}})
	attempts := []store.Delivery{{ID: "new", StartedAt: noon}, {ID: "old", StartedAt: noon.Add(-time.Hour)}}
	if err := f.store.WriteDeliveries(t.Context(), attempts); err != nil {
		t.Fatal(err)
	}
	counts := func() [4]int {
		t.Helper()
		deliveries, err := f.store.Deliveries(t.Context(), store.DeliveryQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return [4]int{len(f.events(store.EventQuery{})), len(f.impressions(store.ImpressionQuery{})), len(f.calls(store.CallQuery{})), len(deliveries.Items)}
	}
	for _, step := range []struct {
		after  time.Duration
		policy store.Retention
		want   [4]int // events, impressions, calls, deliveries
	}{
		{1000 * day, store.Retention{}, [4]int{2, 2, 2, 2}}, // zero keeps forever
		{20*day - time.Hour, policy, [4]int{2, 2, 2, 2}},
		{20*day - time.Minute, policy, [4]int{2, 2, 2, 1}},
		{30*day - time.Minute, policy, [4]int{2, 2, 1, 0}},
		{60*day - time.Minute, policy, [4]int{2, 1, 0, 0}},
		{90*day - time.Minute, policy, [4]int{1, 0, 0, 0}},
		{90*day + time.Hour, policy, [4]int{0, 0, 0, 0}},
	} {
		if err := f.store.Retain(t.Context(), step.policy, noon.Add(step.after)); err != nil {
			t.Fatal(err)
		}
		if got := counts(); got != step.want {
			t.Errorf("after %s: events, impressions, calls, deliveries %v, want %v", step.after, got, step.want)
		}
	}
	flags, err := f.store.Flags(t.Context(), env, time.Time{})
	if err != nil || len(flags) != 0 {
		t.Errorf("flags %+v, %v: counts and unique keys go with impressions", flags, err)
	}
	types, err := f.store.EventTypes(t.Context(), env, noon)
	if err != nil || len(types) != 2 {
		t.Errorf("event types %+v, %v: the listing outlives the events", types, err)
	}
	f.reopen()
	if got := counts(); got != [4]int{} {
		t.Errorf("after reopening: %v", got)
	}
}

func retentionKeeps(t *testing.T, open Open) {
	f := newFixture(t, open)
	for i := range 5 {
		f.write(store.Batch{Calls: []store.Call{
			identify(fmt.Sprint("a", i), "u1", noon.Add(time.Duration(i)*time.Minute), "plan", fmt.Sprint(i)),
			identify(fmt.Sprint("b", i), "u2", noon.Add(time.Duration(i)*time.Minute)),
			track(fmt.Sprint("c", i), "u3")}})
	}
	before := f.reasons()
	hour := time.Hour
	policy := store.Retention{Events: hour, Impressions: hour, Calls: 1000 * 24 * hour, Deliveries: hour, Telemetry: hour, Dedup: 24 * hour, EventTypes: 24 * hour}
	for range 2 {
		if err := f.store.Retain(t.Context(), policy, noon); err != nil {
			t.Fatal(err)
		}
		f.reopen()
	}
	if customer, _ := f.customer("user", "u1"); customer.Attributes["plan"].Value != "4" {
		t.Errorf("attributes %+v, want the newest plan", customer.Attributes)
	}
	if _, found := f.customer("user", "u2"); !found {
		t.Error("an identified customer is gone")
	}
	if got := f.position("calls"); got != f.at["calls"] {
		t.Errorf("position %d, want %d", got, f.at["calls"])
	}
	if after := f.reasons(); after["identify/stored/"] != before["identify/stored/"] || after["track/stored/"] != 5 {
		t.Errorf("reasons %v, before %v", after, before)
	}
	if got := f.write(store.Batch{Calls: []store.Call{identify("a0", "u1", noon, "plan", "0")}}).Calls[0]; got != reason.Duplicate {
		t.Errorf("outcome %s, want duplicate", got)
	}
}

func concurrency(t *testing.T, open Open) {
	f := newFixture(t, open)
	const batches, size = 40, 50
	f.write(store.Batch{Calls: []store.Call{track("first", "first")}})
	done := make(chan struct{})
	var group sync.WaitGroup
	during := func(what string, act func() error) {
		group.Go(func() {
			for {
				if err := act(); err != nil {
					t.Errorf("%s while writing: %v", what, err)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	ctx := t.Context()
	during("reading", func() error {
		// A reader sees whole batches: every position it can see has its rows.
		position, err := f.store.Position(ctx, "calls")
		if err != nil {
			return err
		}
		types, err := f.store.EventTypes(ctx, env, noon)
		if err != nil {
			return err
		}
		if have, least := types[0].SevenDayCount, int64(position/10-1)*size+1; have < least || (have-1)%size != 0 {
			return fmt.Errorf("%d events at position %d, want at least %d and whole batches", have, position, least)
		}
		_, err = f.store.Events(ctx, store.EventQuery{Key: "first"})
		return err
	})
	during("asking for sums", func() error {
		if _, err := f.store.Flags(ctx, env, time.Time{}); err != nil {
			return err
		}
		_, _, err := f.store.Customer(ctx, env, "user", "first")
		return err
	})
	during("recording deliveries", func() error {
		return f.store.WriteDeliveries(ctx, []store.Delivery{{ID: "d", StartedAt: noon}})
	})
	during("retaining", func() error {
		return f.store.Retain(ctx, store.Retention{Events: 24 * time.Hour, Deliveries: time.Hour, Dedup: time.Hour}, noon)
	})
	for i := range batches {
		var b store.Batch
		for _, key := range names(fmt.Sprintf("k%d-", i), size) {
			b.Calls = append(b.Calls, track(key, key))
		}
		f.write(b)
	}
	close(done)
	group.Wait()
	f.reopen()
	types, err := f.store.EventTypes(ctx, env, noon)
	if err != nil || types[0].SevenDayCount != batches*size+1 {
		t.Errorf("event types %+v, %v, want %d events", types, err, batches*size+1)
	}
	if got := f.reasons()["track/stored/"]; got != batches*size+1 {
		t.Errorf("%d calls counted, want %d", got, batches*size+1)
	}
}
