package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

func letter(id string, code reason.Code) stream.DeadLetter {
	return stream.DeadLetter{
		Source: "impressions", Environment: "shop/production", Kind: stream.DeadCall, MessageID: id, Reason: code,
		Status: 400, Answer: "invalid", At: time.Now(), Body: json.RawMessage(`{"type":"track","messageId":"` + id + `"}`),
	}
}

func TestSourcesShowHowTheirDeliveryStands(t *testing.T) {
	r := configured(t)
	ctx := t.Context()
	since := time.Now().UTC().Truncate(time.Millisecond)
	for _, err := range []error{
		r.streams.SaveDeliveryState(ctx, stream.DeliveryState{Source: "impressions", State: stream.DeliveryPaused, Since: since, Reason: reason.CredentialsRefused, Status: 401, Answer: "no"}),
		r.streams.PublishOutbound(ctx, "impressions", 1, []json.RawMessage{json.RawMessage(`{"type":"track"}`)}),
		r.streams.PublishOutbound(ctx, "removed", 1, []json.RawMessage{json.RawMessage(`{"type":"track"}`)}),
		r.streams.SetAside(ctx, "one", []stream.DeadLetter{letter("d1", reason.RefusedBySegment), letter("d2", reason.RetriesExhausted)}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	byName := map[any]map[string]any{}
	for _, source := range r.items("/admin/v1/sources").Items {
		byName[source["source"]] = source
	}
	paused, idle, removed := byName["impressions"], byName["both"], byName["removed"]
	if paused["state"] != "paused" || paused["pending"] != 1.0 || paused["deadLetters"] != 2.0 || paused["status"] != 401.0 ||
		paused["reason"].(map[string]any)["fix"] == "" || paused["oldest"] == nil {
		t.Errorf("paused: %v", paused)
	}
	if idle["state"] != "idle" || idle["configured"] != true || idle["pending"] != 0.0 || len(idle["environments"].([]any)) != 2 {
		t.Errorf("idle: %v", idle)
	}
	if removed["configured"] != false || removed["pending"] != 1.0 {
		t.Errorf("removed: %v", removed)
	}
	// Looking does not make queues.
	if queues, err := r.streams.OutboundSources(ctx); err != nil || len(queues) != 2 {
		t.Errorf("queues %v %v", queues, err)
	}
}

func TestDeliveriesAreListed(t *testing.T) {
	r := configured(t)
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	err := r.store.WriteDeliveries(t.Context(), []store.Delivery{
		{ID: "b1", Source: "impressions", Attempt: 1, StartedAt: started, Duration: 1500 * time.Microsecond, Calls: 3, Bytes: 900, Status: 500, Outcome: "retry", Answer: "oops", Sample: json.RawMessage(`{"type":"track"}`)},
		{ID: "b1", Source: "impressions", Attempt: 2, StartedAt: started.Add(time.Second), Calls: 3, Bytes: 900, Status: 200, Outcome: "delivered"},
		{ID: "b2", Source: "both", Attempt: 1, StartedAt: started, Outcome: "retry", Error: "connection refused"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for query, count := range map[string]int{"": 3, "?source=impressions": 2, "?outcome=retry": 2, "?from=2026-01-02T03:04:06Z": 1, "?limit=1": 1} {
		if got := len(r.items("/admin/v1/deliveries" + query).Items); got != count {
			t.Errorf("%q: got %d, want %d", query, got, count)
		}
	}
	first := r.items("/admin/v1/deliveries?source=impressions&outcome=retry").Items[0]
	if first["durationMs"] != 1.5 || first["answer"] != "oops" || first["sample"].(map[string]any)["type"] != "track" {
		t.Errorf("got %v", first)
	}
}

func TestDeadLettersAreListedCountedAndReplayed(t *testing.T) {
	r := configured(t)
	ctx := t.Context()
	if err := r.streams.SetAside(ctx, "one", []stream.DeadLetter{
		letter("d1", reason.RefusedBySegment), letter("d2", reason.RefusedBySegment), letter("d3", reason.RetriesExhausted),
	}); err != nil {
		t.Fatal(err)
	}
	page := r.items("/admin/v1/dead-letters?limit=2")
	if len(page.Items) != 2 || page.NextCursor == "" || page.Items[0]["meaning"] == "" {
		t.Fatalf("got %v", page)
	}
	if rest := r.items("/admin/v1/dead-letters?limit=2&cursor=" + page.NextCursor); len(rest.Items) != 1 || rest.NextCursor != "" {
		t.Errorf("rest %v", rest)
	}
	if got := r.items("/admin/v1/dead-letters?reason=retries_exhausted&source=impressions"); len(got.Items) != 1 || got.Items[0]["messageId"] != "d3" {
		t.Errorf("got %v", got)
	}
	replay := func(body string) (result struct {
		DryRun                    bool
		Matched, Replayed, Failed int
		Problem                   string
	}) {
		got := r.do("POST", "/admin/v1/dead-letters/replay", body)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", body, got.status, got.body)
		}
		got.into(t, &result)
		return result
	}
	if got := replay(`{"reason":"refused_by_segment","dryRun":true}`); got.Matched != 2 || got.Replayed != 0 || !got.DryRun {
		t.Errorf("dry run: %+v", got)
	}
	if got := len(r.items("/admin/v1/dead-letters").Items); got != 3 {
		t.Errorf("%d letters after a dry run", got)
	}
	if got := replay(`{"reason":"refused_by_segment"}`); got.Failed != 2 || got.Problem == "" {
		t.Errorf("while nobody delivers: %+v", got)
	}
	queue, err := r.streams.Outbound(ctx, "impressions")
	if err != nil {
		t.Fatal(err)
	}
	if got := replay(`{"reason":"refused_by_segment"}`); got.Matched != 2 || got.Replayed != 2 || got.Failed != 0 {
		t.Errorf("replay: %+v", got)
	}
	left := r.items("/admin/v1/dead-letters").Items
	if len(left) != 1 || left[0]["messageId"] != "d3" {
		t.Errorf("left %v", left)
	}
	if got := replay(`{"sequences":[999999]}`); got.Matched != 0 {
		t.Errorf("a letter that is not there: %+v", got)
	}
	if pending, _, err := queue.Pending(ctx); err != nil || pending == 0 {
		t.Errorf("pending %d, %v", pending, err)
	}
	if log := r.get("/admin/v1/audit").body; strings.Count(log, "dead_letters.replayed") != 3 || !strings.Contains(log, "2 matched, 2 replayed, 0 failed") {
		t.Errorf("the audit log has not the three replays that were no dry run: %s", log)
	}
}
