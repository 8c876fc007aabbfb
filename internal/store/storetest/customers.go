package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/store"
)

func attributeOrder(t *testing.T, open Open) {
	f := newFixture(t, open)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	f.write(store.Batch{Calls: []store.Call{identify("m1", "u1", at(10), "plan", "pro", "city", "Oslo", "seat", "1a")}})
	// Older call, later in the stream: never overwrites (X10), but adds what
	// is not there. A trait not sent keeps its value (R11).
	f.write(store.Batch{Calls: []store.Call{identify("m2", "u1", at(5), "plan", "basic", "age", "30")}})
	// Newer call.
	f.write(store.Batch{Calls: []store.Call{identify("m3", "u1", at(20), "city", "Rome")}})
	// Same call time: the newer receipt wins, also when it is stored first.
	late, early := identify("m5", "u1", at(10), "seat", "late"), identify("m4", "u1", at(10), "seat", "early")
	late.Identities[0].ReceivedAt = noon.Add(2 * time.Second)
	early.Identities[0].ReceivedAt = noon.Add(time.Second)
	f.write(store.Batch{Calls: []store.Call{late, early}})
	// Same call time, same receipt: the later place in the stream wins, within
	// a batch and across.
	f.write(store.Batch{Calls: []store.Call{identify("m6", "u1", at(1), "tie", "1"), identify("m7", "u1", at(1), "tie", "2")}})
	f.write(store.Batch{Calls: []store.Call{identify("m8", "u1", at(1), "tie", "3"), identify("m9", "u2", at(90), "plan", "of another")}})

	cut := identify("m10", "u1", at(30), "bio", "long")
	cut.Identities[0].Attributes[0].Cut = true
	f.write(store.Batch{Calls: []store.Call{cut}})

	want := store.Customer{TrafficType: "user", Key: "u1", Attributes: map[string]store.AttributeValue{
		"plan": {Value: "pro", UpdatedAt: at(10), MessageID: "m1"},
		"city": {Value: "Rome", UpdatedAt: at(20), MessageID: "m3"},
		"age":  {Value: "30", UpdatedAt: at(5), MessageID: "m2"},
		"seat": {Value: "late", UpdatedAt: at(10), MessageID: "m5"},
		"tie":  {Value: "3", UpdatedAt: at(1), MessageID: "m8"},
		"bio":  {Value: "long", UpdatedAt: at(30), MessageID: "m10", Cut: true},
	}}
	for _, when := range []string{"at once", "after reopening", "after retention"} {
		got, found := f.customer("user", "u1")
		if diff := cmp.Diff(want, got); !found || diff != "" {
			t.Errorf("%s: found %v (-want +got):\n%s", when, found, diff)
		}
		if when == "at once" {
			f.reopen()
		} else if err := f.store.Retain(t.Context(), store.Retention{}, noon); err != nil {
			t.Fatal(err)
		}
	}
}

func attributeRemoval(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.write(store.Batch{Calls: []store.Call{
		identify("m1", "u1", noon, "plan", "pro", "city", "Oslo", "empty", ""),
		identify("m2", "u1", noon.Add(time.Minute), "plan", "<null>", "never", "<null>"),
	}})
	expect := func(when string, want ...string) {
		t.Helper()
		customer, found := f.customer("user", "u1")
		got := map[string]string{}
		for id, a := range customer.Attributes {
			got[id] = a.Value
		}
		wanted := map[string]string{}
		for i := 0; i < len(want); i += 2 {
			wanted[want[i]] = want[i+1]
		}
		if diff := cmp.Diff(wanted, got); !found || diff != "" {
			t.Errorf("%s: found %v (-want +got):\n%s", when, found, diff)
		}
	}
	expect("removed", "city", "Oslo", "empty", "")
	if err := f.store.Retain(t.Context(), store.Retention{}, noon); err != nil {
		t.Fatal(err)
	}
	f.write(store.Batch{Calls: []store.Call{identify("m3", "u1", noon.Add(30*time.Second), "plan", "basic")}})
	expect("an older call does not bring it back", "city", "Oslo", "empty", "")
	f.write(store.Batch{Calls: []store.Call{identify("m4", "u1", noon.Add(2*time.Minute), "plan", "new", "city", "<null>", "empty", "<null>")}})
	expect("a newer one does", "plan", "new")
	f.write(store.Batch{Calls: []store.Call{identify("m5", "u1", noon.Add(3*time.Minute), "plan", "<null>")}})
	expect("a customer without attributes is a customer")
}

func customerFound(t *testing.T, open Open) {
	f := newFixture(t, open)
	f.write(store.Batch{Calls: []store.Call{identify("m1", "identified", noon), track("m2", "active"), identify("m3", "removed", noon, "x", "<null>")}})
	for key, want := range map[string]bool{"identified": true, "active": true, "removed": true, "nobody": false, "": false} {
		customer, found := f.customer("user", key)
		if found != want || len(customer.Attributes) != 0 {
			t.Errorf("%q: found %v, attributes %v, want %v and none", key, found, customer.Attributes, want)
		}
	}
	if _, found := f.customer("account", "active"); found {
		t.Error("found under another traffic type")
	}
	if _, found, err := f.store.Customer(t.Context(), other, "user", "active"); found || err != nil {
		t.Errorf("found %v in another environment, %v", found, err)
	}
}
