package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/api"
	"causeway/internal/auth"
	"causeway/internal/catalog"
)

const objects = "/admin/v1/projects/shop/segment/"

func TestObjectsAreChangedOneByOne(t *testing.T) {
	r := configured(t)
	got := r.get(objects + "destinations/events")
	tag := got.header.Get("ETag")
	if got.status != http.StatusOK || tag == "" || strings.Contains(got.body, "destination-key") || !strings.Contains(got.body, `"apiKey":"hash:sha256:`) {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	// What was read changes nothing when it is sent back.
	var change changed
	r.do("PUT", objects+"destinations/events", got.body, "If-Match", tag).into(t, &change)
	if len(change.Differences) != 0 {
		t.Errorf("differences %+v", change.Differences)
	}
	if got := r.do("PUT", objects+"destinations/events", got.body); got.problem(t).Code != "if_match_missing" {
		t.Errorf("without If-Match: %d %s", got.status, got.body)
	}
	repaired := strings.Replace(got.body, `"repairNames":false`, `"repairNames":true`, 1)
	r.do("PUT", objects+"destinations/events?dryRun=true", repaired).into(t, &change)
	if len(change.Differences) != 1 {
		t.Errorf("planned %+v", change)
	}
	if got := r.do("PUT", objects+"destinations/events", repaired, "If-Match", tag); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.do("PUT", objects+"destinations/events", got.body, "If-Match", tag); got.status != http.StatusPreconditionFailed || got.problem(t).Code != "object_stale" {
		t.Errorf("a stale one: %d %s", got.status, got.body)
	}
	if got := r.do("PUT", objects+"destinations/events", got.body, "If-None-Match", "*"); got.status != http.StatusPreconditionFailed {
		t.Errorf("one that must be new: %d %s", got.status, got.body)
	}
	got = r.do("PUT", objects+"destinations/more", `{"environment":"staging","identities":{"userId":["user"]}}`, "If-None-Match", "*")
	got.into(t, &change)
	if len(change.Generated) != 2 || change.Generated[0].Value == "" {
		t.Errorf("a new one: %s", got.body)
	}
	if got := r.get(objects + "destinations"); strings.Count(got.body, `"tag":`) != 2 {
		t.Errorf("the list: %s", got.body)
	}
	if got := r.do("DELETE", objects+"destinations/more", "", "If-Match", "*"); got.status != http.StatusNoContent {
		t.Errorf("removing: %d %s", got.status, got.body)
	}
	for path, code := range map[string]string{"destinations/more": "destination_unknown", "things/x": "kind_unknown", "sources/none": "source_unknown"} {
		if got := r.get(objects + path); got.status != http.StatusNotFound || got.problem(t).Code != code {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	wrong := r.do("PUT", objects+"sources/impressions", `{"environments":["nowhere"],"identities":{"user":"userID"}}`, "If-Match", "*")
	p := wrong.problem(t)
	if wrong.status != http.StatusUnprocessableEntity || p.Code != "settings_invalid" || len(p.Findings) != 2 || p.Findings[0].Path != "environments[0]" || !strings.Contains(p.Findings[1].Fix, "userId") {
		t.Errorf("findings: %s", wrong.body)
	}
}

func TestWhoMayOnlySeeSeesNoSecrets(t *testing.T) {
	r := configured(t)
	secret, _, err := r.accounts.NewKey(t.Context(), "viewer", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer}}, time.Time{}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"destinations", "destinations/events", "sources", "sources/impressions", "listeners"} {
		got := r.ask("GET", objects+path, "", "Authorization", "Bearer "+secret)
		if got.status != http.StatusOK || strings.Contains(got.body, "hash:") || strings.Contains(got.body, "sealed:") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestSecretsOfObjectsAreRotated(t *testing.T) {
	r := configured(t)
	var made catalog.GeneratedSecret
	r.do("POST", objects+"destinations/events/rotate", `{"secret":"apiKey","overlap":true}`).into(t, &made)
	works := func(key string) bool { _, ok := r.catalog.Snapshot().DestinationByKey(key); return ok }
	if !works("destination-key") || !works(made.Value) {
		t.Error("both must work")
	}
	if got := r.do("POST", objects+"destinations/events/end-rotation", `{"secret":"apiKey"}`); got.status != http.StatusNoContent || works("destination-key") || !works(made.Value) {
		t.Errorf("after the end only the new one works: %d", got.status)
	}
	for path, want := range map[string]int{"destinations/events": http.StatusBadRequest, "sources/impressions": http.StatusBadRequest, "listeners/none": http.StatusNotFound} {
		if got := r.do("POST", objects+path+"/rotate", `{"secret":"other"}`); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestAPreviewRunsTheNewestCallsThroughBothSettings(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","properties":{"revenue":9.5,"total":7}}`,
		`{"type":"track","messageId":"m2","userId":"u1","event":"What?"}`,
		`{"type":"page","messageId":"m3","userId":"u1","name":"signup"}`,
		`{"type":"identify","messageId":"m4","userId":"u1","traits":{"plan":"pro"}}`,
	)
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed"}`) // a repeat is no call of its own
	revision := r.catalog.Snapshot().Revision
	var got struct {
		Calls, Same, Changed, NewlyKept, NewlyDropped int
		Examples                                      []struct{ MessageID, Fate string }
	}
	settings := `{"environment":"production","identities":{"userId":["user"],"anonymousId":["anonymous"]},"track":{"value":"properties.total"},"repairNames":true,"identify":false}`
	answer := r.do("POST", objects+"destinations/events/preview?last=100", settings)
	answer.into(t, &got)
	if got.Calls != 4 || got.Same != 1 || got.Changed != 1 || got.NewlyKept != 1 || got.NewlyDropped != 1 || len(got.Examples) != 3 {
		t.Errorf("got %s", answer.body)
	}
	if r.catalog.Snapshot().Revision != revision {
		t.Error("a preview changed the configuration")
	}
	answer = r.do("POST", objects+"destinations/events/preview?last=1", settings)
	if answer.into(t, &got); got.Calls != 1 {
		t.Errorf("of the last one: %s", answer.body)
	}
	for path, want := range map[string]int{"destinations/events/preview?last=1001": 400, "sources/impressions/preview": 400, "destinations/none/preview": 404} {
		if got := r.do("POST", objects+path, settings); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := r.do("POST", objects+"destinations/events/preview", `{"environment":"nowhere"}`); got.status != http.StatusUnprocessableEntity {
		t.Errorf("wrong settings: %d %s", got.status, got.body)
	}
}

func TestATestIsSentOnceAndAnswered(t *testing.T) {
	var source string
	r := configured(t, func(o *api.Options) {
		o.Try = func(_ context.Context, s *catalog.Source, call json.RawMessage) api.Tried {
			source = s.Name
			return api.Tried{OK: true, Status: 200, Answer: string(call)}
		}
		o.Take = func(_ context.Context, d *catalog.Destination, body []byte) (int, string) {
			return 503, d.Name + string(body)
		}
	})
	var tried api.Tried
	r.do("POST", objects+"sources/impressions/test", "").into(t, &tried)
	if !tried.OK || source != "impressions" || !strings.Contains(string(tried.Call), `"userId":"causeway-test"`) || tried.MessageID == "" {
		t.Errorf("%+v", tried)
	}
	r.do("POST", objects+"destinations/events/test", "").into(t, &tried)
	if tried.OK || tried.Status != 503 || !strings.HasPrefix(tried.MessageID, "causeway-test-") {
		t.Errorf("%+v", tried)
	}
	if audit := r.get("/admin/v1/audit"); !strings.Contains(audit.body, "destinations events") {
		t.Errorf("the audit log does not say so: %s", audit.body)
	}
	if got := configured(t).do("POST", objects+"sources/impressions/test", ""); got.status != http.StatusServiceUnavailable {
		t.Errorf("without a way to send: %d", got.status)
	}
}
