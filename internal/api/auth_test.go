package api_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/api"
	"causeway/internal/auth"
)

// filled is the route's path with something for each name.
func filled(pattern string) string {
	return strings.NewReplacer("{project}", "shop", "{environment}", "production", "{trafficType}", "user", "{key}", "u1", "{messageId}", "m1", "{email}", "nobody@example.com", "{id}", "x", "{secret}", "cws_wrong").Replace(pattern)
}

func TestEveryRouteButTheDocumentAsksForTheToken(t *testing.T) {
	r := configured(t)
	for _, route := range api.RouteList() {
		for name, header := range map[string][]string{
			"no token":     nil,
			"wrong scheme": {"Authorization", "Basic " + adminToken},
			"empty token":  {"Authorization", "Bearer "},
			"in the query": nil,
		} {
			path := filled(route.Pattern)
			if name == "in the query" && route.Role != "" {
				path += "?token=" + adminToken
			}
			got := r.ask(route.Method, path, "", header...)
			if route.Role == "" {
				want := http.StatusOK
				if strings.HasSuffix(route.Pattern, "{secret}") { // a token of its own, in the path
					want = http.StatusNotFound
				}
				if got.status != want {
					t.Errorf("%s %s with %s: %d", route.Method, path, name, got.status)
				}
				continue
			}
			if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") == "" || got.problem(t).Code != "token_missing" {
				t.Errorf("%s %s with %s: %d %s", route.Method, path, name, got.status, got.body)
			}
		}
	}
}

func TestWhoHasNoTokenLearnsNotEvenWhichRoutesThereAre(t *testing.T) {
	r := newRig(t)
	for _, path := range []string{"/admin/v1/nothing", "/admin/v1/projects/nothing", "/admin/v1/sources"} {
		if got := r.ask("GET", path, ""); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

func TestAWrongTokenIsRefusedAndAppearsNowhere(t *testing.T) {
	r := newRig(t)
	wrong := "a-wrong-token-that-must-not-show"
	got := r.ask("GET", "/admin/v1/status", "", "Authorization", "Bearer "+wrong)
	if got.status != http.StatusUnauthorized || got.problem(t).Code != "token_wrong" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	r.ask("GET", "/admin/v1/status?x="+adminToken, "", "Authorization", "Bearer "+adminToken)
	for _, text := range []string{got.body, r.log.String()} {
		if strings.Contains(text, wrong) || strings.Contains(text, adminToken) {
			t.Errorf("a token shows in %q", text)
		}
	}
}

func TestTheSchemeOfTheTokenIsReadWithoutRegardToCase(t *testing.T) {
	r := newRig(t)
	if got := r.ask("GET", "/admin/v1/status", "", "Authorization", "bearer "+adminToken); got.status != http.StatusOK {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestGuessingIsSlowedAndARightGuessGainsNothingMeanwhile(t *testing.T) {
	r := newRig(t)
	blocked := false
	for i := 0; i < 40 && !blocked; i++ {
		got := r.ask("GET", "/admin/v1/status", "", "Authorization", "Bearer guess")
		switch got.status {
		case http.StatusTooManyRequests:
			blocked = true
			if got.header.Get("Retry-After") == "" || got.problem(t).Code != "too_many_failures" {
				t.Errorf("got %s", got.body)
			}
		case http.StatusUnauthorized:
		default:
			t.Fatalf("guess %d: %d", i, got.status)
		}
	}
	if !blocked {
		t.Fatal("40 wrong tokens in a row were all looked at")
	}
	if got := r.get("/admin/v1/status"); got.status != http.StatusTooManyRequests {
		t.Errorf("the right token from the same address: %d", got.status)
	}
}

// What a role lacks is refused, for every route; what it has is not.
func TestRolesAreHeldForEveryRoute(t *testing.T) {
	r := configured(t)
	ctx := t.Context()
	for _, grants := range []auth.Grants{
		{Server: auth.Viewer}, {Server: auth.Analyst}, {Server: auth.Editor}, {Server: auth.Admin},
		{Projects: map[string]auth.Role{"shop": auth.Admin}}, {Projects: map[string]auth.Role{"other": auth.Admin}},
	} {
		secret, _, err := r.accounts.NewKey(ctx, grants.String(), grants, time.Time{}, "test")
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range api.RouteList() {
			if route.Role == "" {
				continue
			}
			project := ""
			if strings.Contains(route.Pattern, "{project}") {
				project = "shop"
			}
			held := grants.In(project)
			if route.Some {
				for project := range grants.Projects {
					held = grants.In(project)
				}
			}
			may := slices.Index(auth.Roles, held) >= slices.Index(auth.Roles, route.Role)
			status := 0
			if may && strings.HasSuffix(route.Pattern, "/tail") {
				status = r.opens(filled(route.Pattern), secret) // it never ends by itself
			} else {
				status = r.ask(route.Method, filled(route.Pattern), "{}", "Authorization", "Bearer "+secret, "If-Match", "*").status
			}
			if refused := status == http.StatusForbidden; refused == may {
				t.Errorf("%s: %s %s answered %d", grants, route.Method, route.Pattern, status)
			}
		}
	}
}

// opens asks for a stream, which never ends by itself, and leaves it again.
func (r *rig) opens(path, secret string) int {
	r.t.Helper()
	ctx, leave := context.WithCancel(r.t.Context())
	defer leave()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}
