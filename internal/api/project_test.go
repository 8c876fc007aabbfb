package api_test

import (
	"net/http"
	"strings"
	"testing"

	"causeway/internal/catalog"
)

func TestAProjectIsMadeFilledAndRemoved(t *testing.T) {
	r := configured(t)
	if got := r.do("POST", "/admin/v1/projects", `{"name":"game","trafficTypes":["player"],"environments":["live"]}`); got.status != http.StatusOK {
		t.Fatalf("got %s", got.body)
	}
	for body, path := range map[string]string{
		`{"name":"shop"}`: "name", `{"name":"a/b"}`: "name", `{"name":"new","trafficTypes":["x","x"]}`: "trafficTypes[1]",
	} {
		got := r.do("POST", "/admin/v1/projects", body)
		if p := got.problem(t); p.Code != "settings_invalid" || p.Findings[0].Path != path {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	const game = "/admin/v1/projects/game"
	var change catalog.Change
	r.do("PUT", game+"/environments/test", `{"sdkKeys":[{"name":"backend","type":"server_side"}]}`, "If-None-Match", "*").into(t, &change)
	if len(change.Generated) != 1 || !strings.HasPrefix(change.Generated[0].Value, "cw_sdk_") {
		t.Fatalf("%+v", change)
	}
	key := change.Generated[0].Value
	if _, ok := r.catalog.Snapshot().SDKKey(key); !ok {
		t.Error("the SDK key is not known")
	}
	if got := r.get(game + "/environments").body; strings.Contains(got, key) || !strings.Contains(got, `"name":"backend"`) {
		t.Errorf("the environments: %s", got)
	}
	flag := r.do("PUT", game+"/flags/boss", `{"trafficType":"player","rollout":{"on":30,"off":70},"environments":{"test":{"killed":true}}}`, "If-None-Match", "*")
	if flag.status != http.StatusOK {
		t.Fatalf("got %s", flag.body)
	}
	read := r.get(game + "/flags/boss")
	if got := r.do("PUT", game+"/flags/boss", read.body, "If-Match", read.header.Get("ETag")); !strings.Contains(got.body, `"differences":[]`) {
		t.Errorf("what was read changes something: %s", got.body)
	}
	if got := r.do("PUT", game+"/flags/boss", `{"trafficType":"player","rollout":{"on":30}}`, "If-Match", "*"); got.problem(t).Findings[0].Path != "rollout" {
		t.Errorf("got %s", got.body)
	}
	if got := r.do("PUT", game+"/flags/boss", `{"trafficType":"player"}`, "If-Match", `"old"`); got.problem(t).Code != "object_stale" {
		t.Errorf("got %s", got.body)
	}
	r.do("PUT", game+"/segments/beta", `{"keys":["p1"]}`, "If-None-Match", "*")
	live, _ := r.catalog.Snapshot().Environment("game/live")
	if len(live.Serving.Flags) != 1 || live.Serving.Segments["beta"] == nil {
		t.Errorf("served: %+v", live.Serving)
	}
	if got := r.do("PUT", game+"/traffic-types", `{"trafficTypes":["guild"]}`); got.problem(t).Code != "settings_invalid" {
		t.Errorf("a traffic type in use was taken away: %s", got.body)
	}
	if got := r.do("PUT", game+"/traffic-types", `{"trafficTypes":["player","guild"]}`); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	if got := r.do("DELETE", game+"/environments/test", "", "If-Match", "*"); got.problem(t).Code != "settings_invalid" {
		t.Errorf("an environment in use was removed: %s", got.body)
	}
	for _, path := range []string{game + "/flags/boss", game + "/segments/beta", game + "/environments/test"} {
		if got := r.do("DELETE", path, "", "If-Match", "*"); got.status != http.StatusNoContent {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
		if got := r.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s is still there: %d", path, got.status)
		}
	}
	if _, ok := r.catalog.Snapshot().SDKKey(key); ok {
		t.Error("the SDK key works without its environment")
	}
	if got := r.do("DELETE", game, ""); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	for _, got := range []answer{r.do("DELETE", game, ""), r.do("PUT", game+"/traffic-types", `{"trafficTypes":[]}`), r.get(game + "/flags"), r.get("/admin/v1/projects/shop/flags/none")} {
		if got.status != http.StatusNotFound {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := r.get("/admin/v1/projects/shop/segment/flags"); got.problem(t).Code != "kind_unknown" {
		t.Errorf("got %s", got.body)
	}
}
