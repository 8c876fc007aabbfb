package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheAuditLogListsNewestFirst(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	for n := range 150 {
		if err := s.AppendAudit(t.Context(), fmt.Appendf(nil, "%d", n)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = openTest(t, o)
	var got []string
	for before := uint64(0); ; {
		page, err := s.Audit(t.Context(), before, 40)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, entry := range page {
			got = append(got, string(entry.Data))
			if time.Since(entry.Time) > time.Minute {
				t.Errorf("entry %d is from %v", entry.Sequence, entry.Time)
			}
		}
		before = page[len(page)-1].Sequence
	}
	var want []string
	for n := 149; n >= 0; n-- {
		want = append(want, fmt.Sprint(n))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestABucketKeepsItsValues(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	kv, err := s.KeyValue(t.Context(), "catalog")
	if err != nil {
		t.Fatal(err)
	}
	revision, err := kv.Create(t.Context(), "document", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(t.Context(), "document", []byte("two"), revision); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Update(t.Context(), "document", []byte("stale"), revision); err == nil {
		t.Error("a stale update was accepted")
	}
	s.Close()
	s = openTest(t, o)
	if kv, err = s.KeyValue(t.Context(), "catalog"); err != nil {
		t.Fatal(err)
	}
	if entry, err := kv.Get(t.Context(), "document"); err != nil || string(entry.Value()) != "two" {
		t.Errorf("%v, %v", entry, err)
	}
	if _, err := s.KeyValue(t.Context(), "a b"); err == nil {
		t.Error("a name with a blank was accepted")
	}
}

func TestDeliveryStatesAreSavedBySource(t *testing.T) {
	s := openTest(t, Options{})
	if states, err := s.DeliveryStates(t.Context()); len(states) != 0 || err != nil {
		t.Errorf("%v, %v", states, err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	a := DeliveryState{Source: "a", State: DeliveryRetrying, Since: now, Reason: "retries_exhausted", Status: 503, Answer: "busy", NextAttempt: now.Add(time.Minute), UpdatedAt: now}
	b := DeliveryState{Source: "b", State: DeliveryIdle, Since: now, UpdatedAt: now}
	for _, st := range []DeliveryState{{Source: "a", State: DeliveryRunning}, a, b} {
		if err := s.SaveDeliveryState(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	states, err := s.DeliveryStates(t.Context())
	if diff := cmp.Diff(map[string]DeliveryState{"a": a, "b": b}, states); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, ok, err := s.DeliveryState(t.Context(), "nobody"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
}
