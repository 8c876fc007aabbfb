package storetest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/store"
)

func readings(t *testing.T, open Open) {
	f := newFixture(t, open)
	if list, err := f.store.Readings(t.Context(), "shop", "button", time.Time{}); err != nil || list == nil || len(list) != 0 {
		t.Errorf("readings of an experiment without any: %v, %v", list, err)
	}
	if _, found, err := f.store.LastReading(t.Context(), "shop", "button"); err != nil || found {
		t.Errorf("found %v, %v", found, err)
	}
	save := func(project, experiment string, at time.Time, body string) store.Reading {
		t.Helper()
		r := store.Reading{Project: project, Experiment: experiment, ComputedAt: at, Body: json.RawMessage(body)}
		if err := f.store.SaveReading(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	save("shop", "it's", noon, `{"n": 2}`)
	early := save("shop", "it's", noon.Add(-time.Hour), `{"n": 1}`)
	save("shop", "button", noon, `{}`)
	save("other", "it's", noon, `{}`)
	late := save("shop", "it's", noon, `{"n": 3}`) // the same moment again
	f.reopen()
	for _, c := range []struct {
		since time.Time
		want  []store.Reading
	}{
		{time.Time{}, []store.Reading{early, late}}, {noon.Add(-time.Hour), []store.Reading{early, late}}, {noon, []store.Reading{late}}, {noon.Add(time.Hour), []store.Reading{}},
	} {
		got, err := f.store.Readings(t.Context(), "shop", "it's", c.since)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("since %s (-want +got): %v\n%s", c.since, err, diff)
		}
	}
	if got, found, err := f.store.LastReading(t.Context(), "shop", "it's"); err != nil || !found || string(got.Body) != `{"n": 3}` {
		t.Errorf("last: %s, %v, %v", got.Body, found, err)
	}
	if err := f.store.Retain(t.Context(), store.Retention{Readings: 30 * time.Minute}, noon); err != nil {
		t.Fatal(err)
	}
	if got, err := f.store.Readings(t.Context(), "shop", "it's", time.Time{}); err != nil || len(got) != 1 {
		t.Errorf("after retention: %d readings, %v", len(got), err)
	}
}
