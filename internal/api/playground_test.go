package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func (r *rig) translate(request map[string]any) answer {
	r.t.Helper()
	body, err := json.Marshal(request)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.do("POST", "/admin/v1/translate", string(body))
}

type results struct {
	Results []struct {
		MessageID, Type, Outcome, Key, Flag string
		Events                              []map[string]any
		Reasons                             []struct{ Code string }
		Call                                map[string]any
	}
}

func TestThePlaygroundTakesCallsInEveryForm(t *testing.T) {
	r := configured(t)
	call := `{"type":"track","messageId":"m1","userId":"u1","event":"E","properties":{"revenue":12345678901234567890.5}}`
	one, other := json.RawMessage(call), json.RawMessage(`{"type":"page","userId":7,"name":"x"}`)
	for name, calls := range map[string]any{
		"one":    one,
		"list":   []any{one, other},
		"batch":  map[string]any{"batch": []any{one, other}, "context": map[string]any{}},
		"NDJSON": call + "\n" + string(other) + "\n",
		"text":   "\ufeff" + call,
		"mixed":  `{"batch":[` + call + `]} [` + call + "]\n\n" + call,
	} {
		var got results
		r.translate(map[string]any{"destination": "events", "calls": calls}).into(t, &got)
		if len(got.Results) == 0 || got.Results[0].MessageID != "m1" || got.Results[0].Outcome != "stored" || got.Results[0].Events[0]["value"] != 12345678901234567890.5 {
			t.Errorf("%s: %+v", name, got)
		}
		want := map[string]int{"one": 1, "text": 1, "mixed": 3}[name]
		if want == 0 {
			want = 2
		}
		if len(got.Results) != want {
			t.Errorf("%s: %d results", name, len(got.Results))
		}
	}
}

func TestThePlaygroundTriesSettingsThatNobodySaved(t *testing.T) {
	r := configured(t)
	var got results
	r.translate(map[string]any{
		"environment": "shop/staging",
		"destination": map[string]any{"identities": map[string]any{"userId": []string{"account"}}, "track": map[string]any{"eventType": "properties.name"}},
		"calls":       map[string]any{"type": "track", "userId": "u1", "event": "E", "properties": map[string]any{"name": "N"}},
	}).into(t, &got)
	if len(got.Results) != 1 || len(got.Results[0].Events) != 1 || got.Results[0].Events[0]["trafficType"] != "account" || got.Results[0].Events[0]["eventType"] != "N" {
		t.Errorf("got %+v", got)
	}
	wrong := r.translate(map[string]any{"environment": "shop/staging", "destination": map[string]any{"identities": map[string]any{"userId": []string{"none"}}}, "calls": []any{}})
	p := wrong.problem(t)
	if wrong.status != http.StatusUnprocessableEntity || len(p.Findings) == 0 || !strings.HasPrefix(p.Findings[0].Path, "destination.identities") {
		t.Errorf("got %d %s", wrong.status, wrong.body)
	}
}

func TestThePlaygroundTranslatesImpressions(t *testing.T) {
	r := configured(t)
	impressions := json.RawMessage(`[{"f":"button","i":[{"k":"u1","t":"on","m":1767323045006},{"t":"on"},{"k":"u2","t":"control","r":"not ready","m":1767323045006}]}]`)
	var got results
	r.translate(map[string]any{"source": "both", "environment": "staging", "calls": impressions}).into(t, &got)
	if len(got.Results) != 3 {
		t.Fatalf("got %+v", got)
	}
	sent, incomplete, control := got.Results[0], got.Results[1], got.Results[2]
	if sent.Outcome != "sent" || sent.Call["userId"] != "u1" || sent.Call["properties"].(map[string]any)["environmentName"] != "staging" {
		t.Errorf("sent %+v", sent)
	}
	if incomplete.Outcome != "skipped" || incomplete.Reasons[0].Code != "impression_incomplete" {
		t.Errorf("incomplete %+v", incomplete)
	}
	if control.Outcome != "skipped" || control.Reasons[0].Code != "control_not_sent" || control.Call != nil {
		t.Errorf("control %+v", control)
	}
}

func TestThePlaygroundSaysWhatIsWrong(t *testing.T) {
	r := configured(t)
	call := json.RawMessage(`{"type":"track"}`)
	for _, c := range []struct {
		request map[string]any
		status  int
		code    string
	}{
		{map[string]any{"calls": call}, 400, "body_invalid"},
		{map[string]any{"destination": "events", "source": "both", "calls": call}, 400, "body_invalid"},
		{map[string]any{"destination": "events"}, 400, "body_invalid"},
		{map[string]any{"destination": 7, "calls": call}, 400, "body_invalid"},
		{map[string]any{"destination": "none", "calls": call}, 404, "destination_unknown"},
		{map[string]any{"source": "none", "calls": call}, 404, "source_unknown"},
		{map[string]any{"source": "both", "calls": call}, 400, "environment_missing"},
		{map[string]any{"source": "both", "environment": "none", "calls": call}, 404, "environment_unknown"},
		{map[string]any{"destination": map[string]any{}, "calls": call}, 400, "environment_missing"},
		{map[string]any{"destination": map[string]any{}, "environment": "none/x", "calls": call}, 404, "project_unknown"},
		{map[string]any{"destination": "events", "calls": "{\"type\":\n\"track\"}\n{nonsense"}, 400, "calls_unreadable"},
		{map[string]any{"destination": "events", "calls": "{"}, 400, "calls_unreadable"},
		{map[string]any{"destination": "events", "calls": strings.Repeat("{}\n", 5001)}, 400, "too_many_calls"},
		{map[string]any{"destination": "events", "calls": strings.Repeat("x", 5<<20)}, 413, "body_too_large"},
	} {
		if got := r.translate(c.request); got.status != c.status || got.problem(t).Code != c.code {
			t.Errorf("%.100v: %d %s", c.request, got.status, got.body)
		}
	}
	got := r.translate(map[string]any{"destination": "events", "calls": "{\"type\":\n\"track\"}\n{nonsense"})
	if !strings.Contains(got.body, "line 3") {
		t.Errorf("got %s", got.body)
	}
	var empty results
	r.translate(map[string]any{"destination": "events", "calls": []any{}}).into(t, &empty)
	if empty.Results == nil || len(empty.Results) != 0 {
		t.Errorf("got %+v", empty)
	}
}
