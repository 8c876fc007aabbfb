package web_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/stream"
)

// hides fails the test when markup of that text stands in the page as such.
func (a answer) hides(markup string) {
	a.t.Helper()
	if strings.Contains(a.body, markup) {
		a.t.Errorf("%s: %q is not escaped", a.path, markup)
	}
}

// somebody makes ada known under two ids, with something of everything.
func somebody(t *testing.T) *rig {
	t.Helper()
	r := configured(t)
	r.start()
	r.track(
		`{"type":"identify","messageId":"i1","userId":"ada <b>","anonymousId":"anon-1","traits":{"plan":"pro"}}`,
		`{"type":"track","messageId":"t1","userId":"ada <b>","anonymousId":"anon-1","event":"Order Completed","properties":{"revenue":5}}`,
		`{"type":"track","messageId":"t2","userId":"adam","event":"Order Completed"}`,
	)
	r.impressions(`[{"f":"button","i":[{"k":"ada <b>","t":"on","m":1760000000000,"c":7,"r":"x"},{"k":"adam","t":"on","m":1760000000000,"c":7,"r":"x"}]}]`)
	letters := []stream.DeadLetter{
		{Source: "impressions", Environment: "shop/production", Kind: stream.DeadCall, MessageID: "d1", Reason: "refused_by_segment", At: time.Now(), Body: json.RawMessage(`{"userId":"ada <b>","properties":{"key":"ada <b>","trafficTypeName":"user"}}`)},
		{Source: "impressions", Environment: "shop/production", Kind: stream.DeadImpression, Reason: "traffic_type_unknown", At: time.Now(), Body: json.RawMessage(`{"flag":"x","key":"ada <b>"}`)},
		{Source: "impressions", Environment: "shop/production", Kind: stream.DeadCall, MessageID: "d2", Reason: "refused_by_segment", At: time.Now(), Body: json.RawMessage(`{"properties":{"key":"adam"}}`)},
	}
	if err := r.streams.SetAside(t.Context(), "x", letters); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAKeyIsFoundByItsBeginningAndShowsItsLinks(t *testing.T) {
	r := somebody(t)
	r.get("/customers?key=ad").shows(200, "2 keys found", "ada <b> user", "adam user").hides("ada <b>")
	r.get("/customers?key=adam").goes("/customers/user/adam?env=shop/production")
	r.get("/customers/user/"+url.PathEscape("ada <b>")).shows(200, "Linked keys", "anon-1 anonymous 2", "Erase", "Type the key").hides("ada <b>")
	r.get("/customers/anonymous/anon-1").shows(200, "ada <b> user 2")
	r.get("/customers/user/adam").shows(200, "No call that is kept carried another key")
}

func TestAKeyIsExportedWhole(t *testing.T) {
	r := somebody(t)
	got := r.get("/customers/export?trafficType=user&key=" + url.QueryEscape("ada <b>"))
	var export struct {
		Environment, TrafficType, Key string
		Attributes                    map[string]struct{ Value string }
		LinkedKeys                    []struct{ Key string }
		Events, Impressions           []map[string]any
	}
	if err := json.Unmarshal([]byte(got.body), &export); err != nil || got.status != 200 {
		t.Fatalf("%d %v %s", got.status, err, got.body)
	}
	if export.Key != "ada <b>" || export.Environment != "shop/production" || export.Attributes["plan"].Value != "pro" || len(export.LinkedKeys) != 1 || len(export.Events) != 1 || len(export.Impressions) != 1 {
		t.Errorf("the export is %s", got.body)
	}
	if !strings.HasPrefix(got.header.Get("Content-Disposition"), "attachment") || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers: %v", got.header)
	}
	r.get("/customers/export?trafficType=user&key=nobody").shows(404, "nothing to export")
	r.get("/customers/export").shows(400, "Whom?")
}

func TestAKeyIsErasedWhenItWasTyped(t *testing.T) {
	r := somebody(t)
	form := url.Values{"trafficType": {"user"}, "key": {"ada <b>"}, "confirm": {"ada"}}
	r.post("/customers/erase?env=shop/production", form).shows(422, "This is not the key. Nothing was erased").hides("ada <b>")
	r.get("/customers/user/"+url.PathEscape("ada <b>")).shows(200, "Order_Completed")
	form.Set("confirm", "ada <b>")
	r.post("/customers/erase?env=shop/production", form).goes("/customers?env=shop/production")
	r.get("/customers").shows(200, "Erased: 1 events, 1 impressions, 1 attribute values, 0 unique keys, 2 dead letters")
	r.get("/customers/user/"+url.PathEscape("ada <b>")).shows(404, "Nothing is known of")
	r.get("/customers/anonymous/anon-1").shows(200, "Order_Completed")
	r.get("/customers/user/adam").shows(200, "Order_Completed")
	r.get("/calls").shows(200, "3") // the rows stay
	for _, id := range []string{"i1", "t1"} {
		// The other key's rows still name the call; its raw text is not found.
		if text := r.get("/trace/" + id).text(); strings.Contains(text, "ada") {
			t.Errorf("the trace of %s leads to the key: %s", id, text)
		}
	}
	letters, _, err := r.streams.DeadLetters(t.Context(), stream.DeadLetterQuery{})
	if err != nil || len(letters) != 1 || letters[0].MessageID != "d2" {
		t.Errorf("dead letters: %v %v", letters, err)
	}
	entries, err := r.streams.Audit(t.Context(), 0, 5)
	if err != nil || !strings.Contains(string(entries[0].Data), `"action":"customer.erased"`) || !strings.Contains(string(entries[0].Data), "admin@example.com") || strings.Contains(string(entries[0].Data), "ada <b>") || strings.Contains(string(entries[0].Data), "ada \\u003c") {
		t.Errorf("the audit log has %s, %v", entries[0].Data, err)
	}
	// The same calls once more are repeats.
	r.track(`{"type":"track","messageId":"t1","userId":"ada <b>","anonymousId":"anon-1","event":"Order Completed","properties":{"revenue":5}}`)
	r.get("/customers/user/"+url.PathEscape("ada <b>")).shows(404, "Nothing is known of")
}

func TestOnlyAdminsErase(t *testing.T) {
	r := somebody(t)
	form := url.Values{"trafficType": {"user"}, "key": {"adam"}, "confirm": {"adam"}}
	for _, role := range []auth.Role{auth.Analyst, auth.Editor} {
		r.as(string(role)+"@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": role, "other": auth.Admin}})
		if text := r.get("/customers/user/adam?env=shop/production").shows(200).text(); strings.Contains(text, "Type the key") {
			t.Errorf("%s is offered to erase", role)
		}
		r.post("/customers/erase?env=shop/production", form).shows(403, "admin")
	}
	r.get("/customers/user/adam?env=shop/production").shows(200, "Order_Completed")
}
