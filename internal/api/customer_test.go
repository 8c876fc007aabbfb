package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
)

const hostileKey = `a/b <b>"?`

func quoted(text string) string {
	encoded, _ := json.Marshal(text) // a string is always encoded
	return string(encoded)
}

func (r *rig) somebody() {
	r.t.Helper()
	r.start()
	r.track(
		`{"type":"identify","messageId":"i1","userId":`+quoted(hostileKey)+`,"anonymousId":"a1","traits":{"plan":"pro"}}`,
		`{"type":"track","messageId":"t1","userId":`+quoted(hostileKey)+`,"anonymousId":"a1","event":"E","timestamp":"2026-01-02T03:04:05Z"}`,
		`{"type":"track","messageId":"t2","userId":"b","event":"E"}`,
	)
	r.impressions(`[{"f":"button","i":[{"k":` + quoted(hostileKey) + `,"t":"on","m":1760000000000,"c":7,"r":"x"},{"k":"only-seen","t":"on","m":1760000000000,"c":7,"r":"x"}]}]`)
}

func TestACustomerIsFoundFollowedAndExported(t *testing.T) {
	r := configured(t)
	r.somebody()
	path := env + "/customers/user/" + url.PathEscape(hostileKey)
	var customer struct {
		LinkedKeys []struct{ TrafficType, Key string }
		Treatments []struct{ Flag string }
	}
	r.get(path).into(t, &customer)
	if len(customer.LinkedKeys) != 1 || customer.LinkedKeys[0].Key != "a1" || len(customer.Treatments) != 1 || customer.Treatments[0].Flag != "button" {
		t.Errorf("the customer is %+v", customer)
	}
	if got := r.get(env + "/customers/user/only-seen"); got.status != 200 {
		t.Errorf("a key with impressions only: %d", got.status)
	}
	for query, want := range map[string]int{"": 2, "?show=events": 1, "?show=impressions": 1, "?eventType=E": 1, "?eventType=none": 0} {
		if got := len(r.items(path + "/timeline" + query).Items); got != want {
			t.Errorf("timeline%s has %d moments, want %d", query, got, want)
		}
	}
	if p := r.get(path + "/timeline?show=both").problem(t); p.Parameter != "show" {
		t.Errorf("got %+v", p)
	}
	if p := r.get(path + "/timeline?cursor=x").problem(t); p.Code != "cursor_invalid" {
		t.Errorf("got %+v", p)
	}
	if got := len(r.items(env + "/customers?prefix=a").Items); got != 2 {
		t.Errorf("%d keys begin with a", got)
	}
	if got := len(r.items(env + "/customers?prefix=a&trafficType=user").Items); got != 1 {
		t.Errorf("%d keys of user begin with a", got)
	}
	if p := r.get(env + "/customers").problem(t); p.Parameter != "prefix" {
		t.Errorf("got %+v", p)
	}
	var export struct {
		Key                 string
		Events, Impressions []map[string]any
	}
	r.get(path+"/export").into(t, &export)
	if export.Key != hostileKey || len(export.Events) != 1 || len(export.Impressions) != 1 || export.Events[0]["foreignId"] != "t1" {
		t.Errorf("the export is %+v", export)
	}
	if p := r.get(env + "/customers/user/nobody/export").problem(t); p.Code != "customer_unknown" {
		t.Errorf("got %+v", p)
	}
}

func TestACustomerIsErasedByAdminsAlone(t *testing.T) {
	r := configured(t)
	r.somebody()
	path := env + "/customers/user/" + url.PathEscape(hostileKey)
	for _, role := range []auth.Role{auth.Viewer, auth.Analyst, auth.Editor} {
		key, _, err := r.accounts.NewKey(t.Context(), string(role), auth.Grants{Projects: map[string]auth.Role{"shop": role}}, time.Time{}, "test")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.ask("DELETE", path, "", "Authorization", "Bearer "+key); got.status != http.StatusForbidden {
			t.Errorf("%s: %d", role, got.status)
		}
	}
	var erased struct{ Events, Impressions, Attributes, Calls int }
	r.do("DELETE", path, "").into(t, &erased)
	if erased.Events != 1 || erased.Impressions != 1 || erased.Attributes != 1 || erased.Calls != 2 {
		t.Errorf("erased %+v", erased)
	}
	if got := r.get(path); got.status != 404 {
		t.Errorf("still known: %s", got.body)
	}
	r.do("DELETE", path, "").into(t, &erased)
	if erased.Events != 0 {
		t.Errorf("erased twice: %+v", erased)
	}
	if got := r.get("/admin/v1/audit?limit=5").body; !strings.Contains(got, "customer.erased") || strings.Contains(got, "a/b") {
		t.Errorf("the audit log: %s", got)
	}
	if log := r.log.String(); strings.Contains(log, "a/b") {
		t.Errorf("the log holds the key: %s", log)
	}
}
