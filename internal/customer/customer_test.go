package customer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/internal/customer"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/store/duckdb"
	"causeway/internal/stream"
)

func rooms(t *testing.T) customer.Rooms {
	t.Helper()
	folder := t.TempDir()
	streams, err := stream.Open(t.Context(), stream.Options{Dir: filepath.Join(folder, "streams"), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = streams.Close() })
	kept, err := duckdb.Open(t.Context(), duckdb.Options{Path: filepath.Join(folder, "store.duckdb")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	return customer.Rooms{Store: kept, Streams: streams, Wait: 50 * time.Millisecond}
}

var ada = customer.Who{Environment: "shop/production", TrafficType: "user", Key: "ada"}

// many writes n events and n impressions of ada.
func many(t *testing.T, r customer.Rooms, n int) {
	t.Helper()
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	batch := store.Batch{Consumer: "calls", To: 1}
	for i := range n {
		id := fmt.Sprint("m", i)
		batch.Calls = append(batch.Calls, store.Call{ID: fme.NewID("call", id), Environment: ada.Environment, MessageID: id, Type: "track", ReceivedAt: at, Outcome: reason.Stored,
			Events: []fme.Event{{ID: fme.NewID("event", id), Environment: ada.Environment, TrafficType: "user", Key: "ada", EventType: "E", Time: at.Add(time.Duration(i) * time.Second), ForeignID: id, ReceivedAt: at, Source: fme.SourceSegment}}})
		batch.Impressions = append(batch.Impressions, fme.Impression{ID: fme.NewID("impression", id), Environment: ada.Environment, Flag: "button", Key: "ada", Treatment: "on", TrafficType: "user", Time: at, ReceivedAt: at})
	}
	if _, err := r.Store.Write(t.Context(), &batch, nil); err != nil {
		t.Fatal(err)
	}
}

func TestAnExportIsWholeWhateverItsSize(t *testing.T) {
	r := rooms(t)
	many(t, r, 1200)
	var out bytes.Buffer
	if err := r.Export(t.Context(), ada, time.Now(), &out); err != nil {
		t.Fatal(err)
	}
	var export struct{ Events, Impressions []json.RawMessage }
	if err := json.Unmarshal(out.Bytes(), &export); err != nil || len(export.Events) != 1200 || len(export.Impressions) != 1200 {
		t.Errorf("%d events, %d impressions, %v", len(export.Events), len(export.Impressions), err)
	}
	out.Reset()
	if err := r.Export(t.Context(), customer.Who{Environment: "shop/production", TrafficType: "user", Key: "nobody"}, time.Now(), &out); err != nil || !json.Valid(out.Bytes()) {
		t.Errorf("of nobody: %v %s", err, out.String())
	}
}

type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room -= len(p); f.room < 0 {
		return 0, errors.New("no room")
	}
	return len(p), nil
}

func TestAnExportThatCannotBeWrittenIsAnError(t *testing.T) {
	r := rooms(t)
	many(t, r, 20)
	for _, room := range []int{0, 100, 1000} {
		if err := r.Export(t.Context(), ada, time.Now(), &full{room}); err == nil || !strings.Contains(err.Error(), "no room") {
			t.Errorf("%d bytes: %v", room, err)
		}
	}
}

func TestNothingIsErasedWhileAcceptedRequestsWait(t *testing.T) {
	r := rooms(t)
	many(t, r, 3)
	for _, name := range []stream.Name{stream.Impressions, stream.Calls} {
		if err := r.Streams.Append(t.Context(), name, stream.Record{Kind: stream.Tracking, ReceivedAt: time.Now(), Body: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
	}
	if erasure, err := r.Erase(t.Context(), ada); !errors.Is(err, customer.ErrBacklog) || erasure.Total() != 0 {
		t.Errorf("erased %+v, %v", erasure, err)
	}
	if _, found, err := r.Find(t.Context(), ada); !found || err != nil {
		t.Errorf("ada is gone: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Erase(ctx, ada); err == nil {
		t.Error("a caller who left was not noticed")
	}
	// Stored meanwhile.
	for _, b := range []store.Batch{{Consumer: "calls", From: 1, To: 2}, {Consumer: "impressions", To: 1}} {
		if _, err := r.Store.Write(t.Context(), &b, nil); err != nil {
			t.Fatal(err)
		}
	}
	erasure, err := r.Erase(t.Context(), ada)
	if err != nil || erasure.Events != 3 || erasure.Impressions != 3 {
		t.Errorf("erased %+v, %v", erasure, err)
	}
	if _, found, _ := r.Find(t.Context(), ada); found {
		t.Error("ada is still there")
	}
}

func TestAFingerprintNamesOneCustomerAndHidesTheKey(t *testing.T) {
	seen := map[string]bool{}
	for _, w := range []customer.Who{ada, {Environment: "shop/production", TrafficType: "user", Key: "bob"}, {Environment: "shop/production", TrafficType: "account", Key: "ada"}, {Environment: "shop/staging", TrafficType: "user", Key: "ada"}} {
		f := w.Fingerprint()
		if seen[f] || strings.Contains(f, w.Key+" ") || strings.HasSuffix(f, w.Key) || f != w.Fingerprint() {
			t.Errorf("%v has the fingerprint %s", w, f)
		}
		seen[f] = true
	}
}
