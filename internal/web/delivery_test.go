package web_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// attempts records delivery attempts of a source, one a second, the newest first.
func (r *rig) attempts(list ...store.Delivery) {
	r.t.Helper()
	for i := range list {
		list[i].StartedAt = time.Now().Add(-time.Duration(i) * time.Second)
		list[i].ID = fmt.Sprint("batch-", i)
	}
	if err := r.store.WriteDeliveries(r.t.Context(), list); err != nil {
		r.t.Fatal(err)
	}
}

// setAside sets letters of a source aside.
func (r *rig) setAside(letters ...stream.DeadLetter) {
	r.t.Helper()
	for i := range letters {
		letters[i].At = time.Now()
		if letters[i].Source == "" {
			letters[i].Source = "impressions"
		}
	}
	if err := r.streams.SetAside(r.t.Context(), fmt.Sprint(time.Now().UnixNano()), letters); err != nil {
		r.t.Fatal(err)
	}
}

func TestDeliveryShowsHowEachSourceStands(t *testing.T) {
	r := configured(t)
	r.get("/delivery?env=other/production").shows(200, "No source sends anything from here")
	r.get("/delivery?env=shop/production").shows(200, "impressions · idle", "Nothing has been sent from impressions yet", "Waiting nothing", "Dead letters none")

	ctx := t.Context()
	if err := r.streams.SaveDeliveryState(ctx, stream.DeliveryState{Source: "impressions", State: stream.DeliveryPaused, Since: time.Now().Add(-time.Hour),
		Reason: reason.CredentialsRefused, Status: 401, Answer: `{"success":false} ` + hostile}); err != nil {
		t.Fatal(err)
	}
	if err := r.streams.PublishOutbound(ctx, "impressions", 1, []json.RawMessage{json.RawMessage(`{"type":"track"}`)}); err != nil {
		t.Fatal(err)
	}
	r.setAside(stream.DeadLetter{Kind: stream.DeadCall, Reason: reason.RefusedBySegment, Body: json.RawMessage(`{}`)},
		stream.DeadLetter{Source: "removed", Kind: stream.DeadCall, Reason: reason.RefusedBySegment, Body: json.RawMessage(`{}`)})
	many := []store.Delivery{
		{Source: "impressions", Attempt: 2, Duration: 40 * time.Millisecond, Calls: 3, Bytes: 2048, Status: 401, Outcome: "paused", Answer: hostile, Sample: json.RawMessage(`{"userId":"` + hostile + `"}`)},
		{Source: "impressions", Attempt: 1, Duration: 2 * time.Second, Calls: 3, Bytes: 2048, Outcome: "retry", Error: "connection refused " + hostile},
		{Source: "elsewhere", Attempt: 1, Duration: time.Second, Calls: 7, Outcome: "dead"},
	}
	for range 22 {
		many = append(many, store.Delivery{Source: "impressions", Attempt: 1, Duration: 10 * time.Millisecond, Calls: 5, Bytes: 100, Status: 200, Outcome: "delivered", Sample: json.RawMessage(`{"x":"` + strings.Repeat("y", 5000) + `"}`)})
	}
	r.attempts(many...)

	info, _ := reason.Lookup(reason.CredentialsRefused)
	page := r.get("/delivery").shows(200, "impressions ✕ paused", "credentials_refused", info.Meaning, info.Fix, "Since", "60 min ago", "Waiting 1 parcel, the oldest",
		"Last answer 401", "✓ delivered 110 calls in 22 attempts, p95 10 ms", "p95 of the 20 attempts shown: 40 ms", "removed", "This source was removed while things for it waited",
		"status 401", "no answer", "attempt 2", "We sent, as the first of 3", "They answered", "connection refused",
		"Segment refuses the write key", "Paste the right write key", "Segment gave no answer", "name resolution, firewall, proxy").escapes()
	if strings.Contains(page.text(), "elsewhere") {
		t.Error("the attempts of a source show that is not of this environment")
	}
	if len(page.links("/dead-letters?env=shop/production&source=impressions")) != 1 {
		t.Errorf("no link to the dead letters: %v", page.links("/dead-letters"))
	}
	r.older(page).shows(200, "Older attempts", "p95 of the 4 attempts", "Newest")
	if text := r.get("/delivery?outcome=retry").shows(200, "! retry 3 calls").text(); strings.Contains(text, "status 401") {
		t.Error("the filter by outcome does not work")
	}
	r.get("/delivery?outcome=halved").shows(200, "No attempt of impressions ended so")
	r.get("/delivery?source=elsewhere").shows(200, "Recent attempts of impressions")
	r.get("/delivery?cursor=wrong").shows(400, "This page of the list is gone")

	r.asViewer()
	viewed := r.get("/delivery").shows(200, "credentials_refused", "it needs the role analyst")
	if strings.Contains(viewed.text(), "userId") || strings.Contains(viewed.text(), `"success"`) {
		t.Error("a viewer sees what was sent or answered")
	}
	r.as("ada@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Editor}})
	if strings.Contains(r.get("/delivery").shows(200, "impressions").text(), "removed") {
		t.Error("a source of no project shows to who has a role in one project")
	}
}

func TestEveryOutcomeOfAnAttemptIsExplained(t *testing.T) {
	r := configured(t)
	r.attempts(
		store.Delivery{Source: "impressions", Attempt: 1, Calls: 120, Status: 200, Outcome: "delivered"},
		store.Delivery{Source: "impressions", Attempt: 1, Calls: 1, Status: 429, Outcome: "retry"},
		store.Delivery{Source: "impressions", Attempt: 1, Calls: 1, Status: 502, Outcome: "retry"},
		store.Delivery{Source: "impressions", Attempt: 1, Calls: 4, Status: 400, Outcome: "halved"},
		store.Delivery{Source: "impressions", Attempt: 1, Calls: 1, Status: 413, Outcome: "dead"},
	)
	page := r.get("/delivery?env=shop/production").shows(200, "2 calls a minute, over the last hour", "asks to send more slowly", "could not take the batch at that moment",
		"until the refused item stands alone", "it will never take this item")
	if n := strings.Count(page.body, `class="fix"`); n != 4 {
		t.Errorf("%d attempts are explained, want 4", n)
	}
}
