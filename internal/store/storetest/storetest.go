// Package storetest is the suite that every store.Store must pass. It knows
// nothing of an implementation but how to open one on a folder, and opens the
// same folder again wherever a promise must outlive the process.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// Open opens the store that lives in dir, making it when dir is empty.
type Open func(t *testing.T, dir string) store.Store

// Run runs the suite.
func Run(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, Open)
	}{
		{"an empty store answers every question", emptyStore},
		{"positions move exactly once and survive", positions},
		{"what was written before is a duplicate", duplicateCalls},
		{"a repeat within a batch is a duplicate", duplicatesWithinBatch},
		{"a call that is partly new stores only what is new", partialDuplicate},
		{"a repeat of a dropped call is a duplicate", duplicateOfDropped},
		{"impressions and SDK events with an id are stored once", duplicateImpressions},
		{"an error before commit leaves nothing", rollbackByError},
		{"a panic before commit leaves nothing", rollbackByPanic},
		{"a cancelled write leaves nothing", rollbackByCancel},
		{"events come back as they were written", eventsRoundTrip},
		{"impressions come back as they were written", impressionsRoundTrip},
		{"calls come back as they were written", callsRoundTrip},
		{"deliveries come back as they were written", deliveriesRoundTrip},
		{"hostile text comes back or is made harmless", hostileText},
		{"numbers and times keep their extremes", extremes},
		{"the newest value of an attribute wins", attributeOrder},
		{"a null removes an attribute for good", attributeRemoval},
		{"a customer is found by identity or event", customerFound},
		{"a key is found by its beginning", keys},
		{"keys of the same calls are linked", links},
		{"a key is erased and stays so", erasing},
		{"any key can be erased and takes no other with it", erasingHostileKeys},
		{"attributes are summed over keys", attributeUses},
		{"event types are counted by day", eventTypeDays},
		{"filters restrict and combine", filters},
		{"pages hold still while rows arrive", paging},
		{"limits and cursors are checked", limits},
		{"event types are summed", eventTypes},
		{"reasons are counted by hour with a sample", reasons},
		{"flags are summed", flags},
		{"traffic is counted in steps", traffic},
		{"deliveries are summed", deliveryTotals},
		{"events count for who was exposed", attribution},
		{"experiments are measured as the reference measures them", randomWorlds},
		{"hard numbers stay numbers", hardNumbers},
		{"a metric is split by a property", dimensionsOfMetrics},
		{"what cannot be asked is refused", refusedQuestions},
		{"analyses run beside writes", analysesBesideWrites},
		{"results of experiments come back", readings},
		{"retention deletes each kind by its own age", retention},
		{"retention keeps what counts", retentionKeeps},
		{"ids are remembered for the dedup window", retentionOfIDs},
		{"queries and retention run beside writes", concurrency},
		{"a cancelled query ends", cancelledQuery},
		{"closing twice is safe and use after it fails", closing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open) })
	}
}

const (
	env   = fme.EnvironmentID("shop/production")
	other = fme.EnvironmentID("shop/staging")
)

// noon is when these tests happen.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 123456000, time.UTC)

// fixture is one store and the writer's place in it.
type fixture struct {
	t     *testing.T
	store store.Store
	dir   string
	open  Open
	at    map[string]uint64
}

func newFixture(t *testing.T, open Open) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir(), open: open, at: map[string]uint64{}}
	f.store = open(t, f.dir)
	t.Cleanup(func() {
		if err := f.store.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

// reopen closes the store and opens what is on the disk.
func (f *fixture) reopen() {
	f.t.Helper()
	if err := f.store.Close(); err != nil {
		f.t.Fatalf("close: %v", err)
	}
	f.store = f.open(f.t, f.dir)
}

// write gives the batch the next positions and stores it.
func (f *fixture) write(b store.Batch) store.Written {
	f.t.Helper()
	f.place(&b)
	written, err := f.store.Write(f.t.Context(), &b, nil)
	if err != nil {
		f.t.Fatalf("write: %v", err)
	}
	f.at[b.Consumer] = b.To
	return written
}

func (f *fixture) place(b *store.Batch) {
	if b.Consumer == "" {
		b.Consumer = "calls"
	}
	b.From = f.at[b.Consumer]
	b.To = b.From + 10
}

func (f *fixture) position(consumer string) uint64 {
	f.t.Helper()
	position, err := f.store.Position(f.t.Context(), consumer)
	if err != nil {
		f.t.Fatalf("position: %v", err)
	}
	return position
}

func (f *fixture) events(q store.EventQuery) []fme.Event {
	f.t.Helper()
	page, err := f.store.Events(f.t.Context(), q)
	if err != nil {
		f.t.Fatalf("events: %v", err)
	}
	return page.Items
}

func (f *fixture) calls(q store.CallQuery) []store.CallRow {
	f.t.Helper()
	page, err := f.store.Calls(f.t.Context(), q)
	if err != nil {
		f.t.Fatalf("calls: %v", err)
	}
	return page.Items
}

func (f *fixture) impressions(q store.ImpressionQuery) []fme.Impression {
	f.t.Helper()
	page, err := f.store.Impressions(f.t.Context(), q)
	if err != nil {
		f.t.Fatalf("impressions: %v", err)
	}
	return page.Items
}

func (f *fixture) customer(trafficType, key string) (store.Customer, bool) {
	f.t.Helper()
	customer, found, err := f.store.Customer(f.t.Context(), env, trafficType, key)
	if err != nil {
		f.t.Fatalf("customer: %v", err)
	}
	return customer, found
}

func (f *fixture) reasons() map[string]int64 {
	f.t.Helper()
	counts, err := f.store.Reasons(f.t.Context(), env, time.Time{})
	if err != nil {
		f.t.Fatalf("reasons: %v", err)
	}
	m := map[string]int64{}
	for _, c := range counts {
		m[strings.Join([]string{c.Type, string(c.Outcome), string(c.Code)}, "/")] += c.Count
	}
	return m
}

// track is a call that became one event.
func track(messageID, key string) store.Call {
	e := event(messageID, "user", key)
	return store.Call{
		ID: fme.NewID("call", "prod-events", messageID), Environment: env, Configuration: "prod-events", Route: "tracking", Scheme: "basic",
		MessageID: messageID, Type: "track", Name: "Order_Completed", ReceivedAt: noon, Frame: 7, Index: 3, Outcome: reason.Stored,
		Events: []fme.Event{e},
	}
}

func event(messageID, trafficType, key string) fme.Event {
	value := 39.95
	return fme.Event{
		ID: fme.NewID("event", string(env), messageID, trafficType, key), Environment: env, TrafficType: trafficType, Key: key,
		EventType: "Order_Completed", Value: &value, Time: noon.Add(-time.Minute), Properties: []byte(`{"sku":"a"}`),
		Source: fme.SourceSegment, ForeignID: messageID, ReceivedAt: noon, Configuration: "prod-events",
	}
}

// identify is a call that set attributes; id, value pairs. Value "<null>"
// removes.
func identify(messageID, key string, at time.Time, pairs ...string) store.Call {
	id := fme.Identity{
		ID: fme.NewID("identity", string(env), messageID, "user", key), Environment: env, TrafficType: "user", Key: key,
		Time: at, ReceivedAt: noon, MessageID: messageID,
	}
	for i := 0; i < len(pairs); i += 2 {
		a := fme.Attribute{TrafficType: "user", Key: key, ID: pairs[i], Value: &pairs[i+1]}
		if pairs[i+1] == "<null>" {
			a.Value = nil
		}
		id.Attributes = append(id.Attributes, a)
	}
	call := track(messageID, key)
	call.Type, call.Name, call.Events, call.Identities = "identify", "", nil, []fme.Identity{id}
	return call
}

// dropped is a call of which nothing was kept.
func dropped(messageID string, code reason.Code) store.Call {
	call := track(messageID, "")
	call.Events, call.Outcome, call.Reasons = nil, reason.Dropped, []reason.Note{{Code: code, Detail: "why"}}
	return call
}

func impression(flag, key, treatment string, at time.Time) fme.Impression {
	return fme.Impression{
		ID: fme.NewID("impression", string(env), flag, key, treatment, at.String()), Environment: env, Flag: flag, Key: key,
		BucketingKey: "b-" + key, Treatment: treatment, Label: "default rule", ChangeNumber: 7, Time: at, PreviousTime: at.Add(-time.Hour),
		TrafficType: "user", SDK: "go", SDKVersion: "6.10.0", MachineName: "web-1", MachineIP: "10.0.0.1", Properties: `{"plan":"pro"}`, ReceivedAt: noon,
	}
}

func emptyStore(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx := t.Context()
	if got := f.position("calls"); got != 0 {
		t.Errorf("position %d, want 0", got)
	}
	events, err := f.store.Events(ctx, store.EventQuery{Environment: env})
	check(t, "events", len(events.Items), events.NextCursor, events.Items == nil, err)
	impressions, err := f.store.Impressions(ctx, store.ImpressionQuery{Environment: env})
	check(t, "impressions", len(impressions.Items), impressions.NextCursor, impressions.Items == nil, err)
	calls, err := f.store.Calls(ctx, store.CallQuery{})
	check(t, "calls", len(calls.Items), calls.NextCursor, calls.Items == nil, err)
	deliveries, err := f.store.Deliveries(ctx, store.DeliveryQuery{})
	check(t, "deliveries", len(deliveries.Items), deliveries.NextCursor, deliveries.Items == nil, err)
	types, err := f.store.EventTypes(ctx, env, noon)
	check(t, "event types", len(types), "", types == nil, err)
	reasons, err := f.store.Reasons(ctx, env, time.Time{})
	check(t, "reasons", len(reasons), "", reasons == nil, err)
	flags, err := f.store.Flags(ctx, env, time.Time{})
	check(t, "flags", len(flags), "", flags == nil, err)
	if _, found := f.customer("user", "u1"); found {
		t.Error("a customer was found")
	}
	if err := f.store.Retain(ctx, store.Retention{Events: time.Hour, Calls: time.Hour, EventTypes: time.Hour, Dedup: time.Hour}, noon); err != nil {
		t.Errorf("retain: %v", err)
	}
	if err := f.store.WriteDeliveries(ctx, nil); err != nil {
		t.Errorf("no deliveries: %v", err)
	}
	if err := f.store.Check(ctx); err != nil {
		t.Errorf("check: %v", err)
	}
	if size, err := f.store.Size(); err != nil || size <= 0 {
		t.Errorf("size %d, %v", size, err)
	}
}

// check wants an empty answer that is a list all the same: JSON says [], not
// null.
func check(t *testing.T, what string, items int, cursor string, isNil bool, err error) {
	t.Helper()
	if err != nil || items != 0 || cursor != "" || isNil {
		t.Errorf("%s of an empty store: %d items, cursor %q, nil %v, err %v", what, items, cursor, isNil, err)
	}
}

func closing(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.write(store.Batch{Calls: []store.Call{track("m1", "u1")}})
	if err := f.store.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	if err := f.store.Close(); err != nil {
		t.Fatalf("second close: %v", err)
	}
	ctx := t.Context()
	if _, err := f.store.Events(ctx, store.EventQuery{}); err == nil {
		t.Error("a closed store answered a query")
	}
	if _, err := f.store.Write(ctx, &store.Batch{Consumer: "calls", From: 10, To: 20}, nil); err == nil {
		t.Error("a closed store took a batch")
	}
	if err := f.store.Check(ctx); err == nil {
		t.Error("a closed store called itself writable")
	}
	f.reopen()
	if got := f.position("calls"); got != 10 {
		t.Errorf("position %d after reopening, want 10", got)
	}
}

func cancelledQuery(t *testing.T, open Open) {
	f := newFixture(t, open)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.Events(ctx, store.EventQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want context.Canceled", err)
	}
	if _, err := f.store.Flags(ctx, env, noon); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want context.Canceled", err)
	}
	if got := f.position("calls"); got != 0 {
		t.Errorf("the store no longer answers after a cancelled query: position %d", got)
	}
}

func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return list
}
