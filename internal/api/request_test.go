package api_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/api"
)

func TestAWrongParameterIsRefusedByName(t *testing.T) {
	r := configured(t)
	for path, want := range map[string]string{
		env + "/events?limt=3":                      "limt",
		env + "/events?limit=0":                     "limit",
		env + "/events?limit=501":                   "limit",
		env + "/events?limit=ten":                   "limit",
		env + "/events?limit=":                      "",
		env + "/events?limit=1&limit=2":             "limit",
		env + "/events?from=yesterday":              "from",
		env + "/events?to=2026-01-02":               "to",
		env + "/events?from=20&to=10":               "to",
		env + "/events?cursor=nonsense":             "cursor",
		env + "/calls?cursor=nonsense":              "cursor",
		env + "/impressions?cursor=nonsense":        "cursor",
		"/admin/v1/deliveries?cursor=nonsense":      "cursor",
		"/admin/v1/audit?cursor=nonsense":           "cursor",
		"/admin/v1/dead-letters?cursor=-":           "cursor",
		env + "/calls?outcome=lost":                 "outcome",
		env + "/calls?reason=none_such":             "reason",
		env + "/flags?since=now":                    "since",
		"/admin/v1/deliveries?outcome=sent":         "outcome",
		"/admin/v1/dead-letters?reason=no_identity": "reason",
		"/admin/v1/tail?kind=calls":                 "kind",
		"/admin/v1/tail?environment=production":     "environment",
		"/admin/v1/tail?q=user:u1":                  "q",
		"/admin/v1/tail?detail=yes":                 "detail",
		"/admin/v1/catalog?format=xml":              "format",
		"/admin/v1/status?verbose=1":                "verbose",
		"/admin/v1/openapi.yaml?x=1":                "x",
	} {
		got := r.get(path)
		if want == "" {
			if got.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, got.status, got.body)
			}
			continue
		}
		if got.status != http.StatusBadRequest || got.problem(t).Parameter != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

func TestWhatIsNotThereIsAProblemThatSaysWhereToLook(t *testing.T) {
	r := configured(t)
	for path, code := range map[string]string{
		"/admin/v1/nothing":                                          "route_unknown",
		"/admin/v1/projects/shop/nothing":                            "route_unknown",
		"/admin/v1/projects/none":                                    "project_unknown",
		"/admin/v1/projects/none/environments/production/events":     "project_unknown",
		"/admin/v1/projects/shop/environments/none/events":           "environment_unknown",
		"/admin/v1/projects/shop%2Fproduction/environments/x/events": "project_unknown",
		env + "/customers/user/a/b":                                  "route_unknown",
		env + "/customers/user/":                                     "route_unknown",
		"/admin/v1/trace/none":                                       "message_unknown",
	} {
		if got := r.get(path); got.status != http.StatusNotFound || got.problem(t).Code != code {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	got := r.do("DELETE", "/admin/v1/catalog", "")
	if got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, PUT, HEAD" || got.problem(t).Code != "method_not_allowed" {
		t.Errorf("got %d %v %s", got.status, got.header, got.body)
	}
}

func TestTheRequestIDIsTheCallersOwnWhenItIsHarmless(t *testing.T) {
	r := newRig(t)
	if got := r.get("/admin/v1/nothing", "X-Request-Id", "abc-1"); got.problem(t).Instance != "abc-1" {
		t.Errorf("got %s", got.body)
	}
	for _, harmful := range []string{strings.Repeat("x", 129), "a b", `"`} {
		if got := r.get("/admin/v1/nothing", "X-Request-Id", harmful); got.problem(t).Instance == harmful || got.problem(t).Instance == "" {
			t.Errorf("got %s", got.body)
		}
	}
	if got := r.get("/admin/v1/status"); got.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v", got.header)
	}
}

func TestAPanicAnswers500AndIsLoggedOnce(t *testing.T) {
	r := newRig(t, func(o *api.Options) {
		o.Ready = func(context.Context) []api.Check { panic("a secret thing") }
	})
	got := r.get("/admin/v1/status", "X-Request-Id", "the-one")
	if got.status != http.StatusInternalServerError || got.problem(t).Code != "internal" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if strings.Contains(got.body, "secret") || strings.Contains(got.body, ".go:") {
		t.Errorf("the body tells what is inside: %s", got.body)
	}
	if log := r.log.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "the-one") || !strings.Contains(log, "a secret thing") {
		t.Errorf("logged: %s", log)
	}
	if got := r.get("/admin/v1/reasons"); got.status != http.StatusOK {
		t.Errorf("after it: %d", got.status)
	}
}

func TestAnAnswerThatTakesTooLongIs503(t *testing.T) {
	r := newRig(t, func(o *api.Options) { o.Timeout = time.Nanosecond })
	got := r.get("/admin/v1/calls")
	if got.status != http.StatusServiceUnavailable || got.problem(t).Code != "timed_out" || got.header.Get("Retry-After") == "" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestBodiesAreBoundedAndStrict(t *testing.T) {
	r := configured(t)
	for body, want := range map[string]struct {
		status int
		code   string
	}{
		`{"dryRun":true,"sorce":"x"}`: {http.StatusBadRequest, "body_invalid"},
		`{"dryRun":"yes"}`:            {http.StatusBadRequest, "body_invalid"},
		`{"dryRun":true} {}`:          {http.StatusBadRequest, "body_invalid"},
		`not json`:                    {http.StatusBadRequest, "body_invalid"},
		`{"sequences":[]}`:            {http.StatusBadRequest, "body_invalid"},
		`{"reason":"no_identity"}`:    {http.StatusBadRequest, "body_invalid"},
		`{"source":"` + strings.Repeat("x", 1<<20+1) + `"}`: {http.StatusRequestEntityTooLarge, "body_too_large"},
		`{"dryRun":true}`: {http.StatusOK, ""},
	} {
		got := r.do("POST", "/admin/v1/dead-letters/replay", body)
		if got.status != want.status || want.code != "" && got.problem(t).Code != want.code {
			t.Errorf("%.60s: %d %s", body, got.status, got.body)
		}
	}
}

func TestStatusShowsDepthSizeAndChecks(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"E"}`)
	r.checks = []api.Check{{Name: "store", OK: true}, {Name: "disk", Detail: "It is full."}}
	var status struct {
		Version                     string
		CatalogRevision, StoreBytes int64
		Ready                       bool
		Checks                      []api.Check
		Streams                     []struct {
			Name                    string
			Last, Position, Waiting uint64
		}
	}
	r.get("/admin/v1/status").into(t, &status)
	if status.Version != "test" || status.Ready || len(status.Checks) != 2 || status.CatalogRevision == 0 || status.StoreBytes == 0 ||
		len(status.Streams) != 2 || status.Streams[0].Last != 1 || status.Streams[0].Position != 1 || status.Streams[0].Waiting != 0 {
		t.Errorf("got %+v", status)
	}
}
