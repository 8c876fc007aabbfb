package api_test

import (
	"net/http"
	"testing"
)

func TestAttributesAreListedWithWhatIsSaidOfThem(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"identify","messageId":"i1","userId":"u1","traits":{"plan":"pro"}}`,
		`{"type":"identify","messageId":"i2","userId":"u2","traits":{"plan":"free","city":"Oslo"}}`,
	)
	if got := r.do("PUT", "/admin/v1/projects/shop/attributes/user%2Fplan", `{"displayName":"Plan","type":"string"}`, "If-None-Match", "*"); got.status != http.StatusOK {
		t.Fatalf("put: %d %s", got.status, got.body)
	}
	if got := r.get("/admin/v1/projects/shop/attributes/user%2Fplan"); got.status != 200 || got.header.Get("ETag") == "" {
		t.Errorf("get: %d %s", got.status, got.body)
	}
	items := r.items(env + "/attributes?trafficType=user").Items
	if len(items) != 2 || items[0]["id"] != "plan" || items[0]["keys"] != 2.0 || items[0]["displayName"] != "Plan" || items[1]["displayName"] != nil {
		t.Errorf("got %v", items)
	}
	if p := r.get(env + "/attributes").problem(t); p.Parameter != "trafficType" {
		t.Errorf("got %+v", p)
	}
	if p := r.get(env + "/attributes?trafficType=usr").problem(t); p.Parameter != "trafficType" {
		t.Errorf("got %+v", p)
	}
	for path, body := range map[string]string{
		"user%2Fplan": `{"type":"text"}`, "user%2F1st": `{}`, "usr%2Fplan": `{}`, "user%2Fcity": `{"id":"town"}`, "user%2Ftown": `{"trafficType":"account"}`,
	} {
		if got := r.do("PUT", "/admin/v1/projects/shop/attributes/"+path, body, "If-Match", "*"); got.status != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %d %s", path, body, got.status, got.body)
		}
	}
	if got := r.do("DELETE", "/admin/v1/projects/shop/attributes/user%2Fplan", "", "If-Match", "*"); got.status != http.StatusNoContent {
		t.Errorf("delete: %d %s", got.status, got.body)
	}
}

func TestEventsOfATypeAreCountedByDay(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","properties":{"revenue":5}}`, `{"type":"track","messageId":"m2","userId":"u1","event":"Order Completed"}`)
	items := r.items(env + "/event-types/Order_Completed/days").Items
	if len(items) != 1 || items[0]["events"] != 2.0 || items[0]["withValue"] != 1.0 {
		t.Errorf("got %v", items)
	}
	if got := r.items(env + "/event-types/Order_Completed/days?to=2026-01-01T00:00:00Z").Items; len(got) != 0 {
		t.Errorf("long ago: %v", got)
	}
	if got := r.items(env + "/event-types/none/days").Items; len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}
