package api_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/tail"
)

func TestUsersAreAddedChangedAndRemoved(t *testing.T) {
	r := configured(t)
	var link struct{ Email, Path string }
	r.do("POST", "/admin/v1/users", `{"email":"Ada@example.com","grants":{"server":"admin"}}`).into(t, &link)
	if _, err := r.accounts.CheckLink(t.Context(), auth.ForPassword, strings.TrimPrefix(link.Path, "/password/")); err != nil || link.Email != "ada@example.com" {
		t.Errorf("%+v %v", link, err)
	}
	for body, code := range map[string]string{
		`{"email":"ada@example.com","grants":{"server":"viewer"}}`: "user_exists",
		`{"email":"bob","grants":{"server":"viewer"}}`:             "account_invalid",
		`{"email":"bob@example.com","grants":{"server":"king"}}`:   "account_invalid",
		`{"email":"bob@example.com"}`:                              "account_invalid",
		`{"mail":"bob@example.com"}`:                               "body_invalid",
	} {
		if got := r.do("POST", "/admin/v1/users", body); got.problem(t).Code != code {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	r.do("POST", "/admin/v1/users", `{"email":"bob@example.com","grants":{"projects":{"shop":"editor"}}}`)
	if got := r.do("PUT", "/admin/v1/users/bob@example.com", `{"server":"viewer"}`); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	if got := r.do("DELETE", "/admin/v1/users/ada@example.com", ""); got.problem(t).Code != "account_invalid" {
		t.Errorf("the last admin was removed: %s", got.body)
	}
	if got := r.do("DELETE", "/admin/v1/users/bob@example.com", ""); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	for _, path := range []string{"/admin/v1/users/bob@example.com", "/admin/v1/tokens/x"} {
		if got := r.do("DELETE", path, ""); got.problem(t).Code != "account_unknown" {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	var users struct{ Items []auth.User }
	r.get("/admin/v1/users").into(t, &users)
	if len(users.Items) != 1 || users.Items[0].HasPassword {
		t.Errorf("%+v", users)
	}
	if log := r.get("/admin/v1/audit").body; !strings.Contains(log, "user.added") || !strings.Contains(log, "admin token from 127.0.0.1") || strings.Contains(log, link.Path) {
		t.Errorf("the audit log: %s", log)
	}
}

func TestAUserIsSignedOutEverywhere(t *testing.T) {
	r := configured(t)
	ctx := t.Context()
	if _, err := r.accounts.AddUser(ctx, "ada@example.com", "", auth.Grants{Server: auth.Viewer}, "test"); err != nil {
		t.Fatal(err)
	}
	session, err := r.accounts.StartSession(ctx, "ada@example.com", "192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	list := r.get("/admin/v1/users/ada@example.com/sessions").body
	if !strings.Contains(list, "192.0.2.7") || strings.Contains(list, session) {
		t.Errorf("the sessions are %s", list)
	}
	if got := r.do("DELETE", "/admin/v1/users/ada@example.com/sessions", ""); !strings.Contains(got.body, `"ended":1`) {
		t.Errorf("got %s", got.body)
	}
	if _, err := r.accounts.Session(ctx, session); err == nil {
		t.Error("the session still works")
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := r.do(method, "/admin/v1/users/nobody@example.com/sessions", ""); got.problem(t).Code != "account_unknown" {
			t.Errorf("got %s", got.body)
		}
	}
	if log := r.get("/admin/v1/audit?object=session.ended&actor=ADMIN&from=2020-01-01T00:00:00Z").body; !strings.Contains(log, "ada@example.com") {
		t.Errorf("the audit log: %s", log)
	}
	if log := r.get("/admin/v1/audit?object=session.ended&to=2020-01-01T00:00:00Z").body; strings.Contains(log, "ada@example.com") {
		t.Errorf("the audit log: %s", log)
	}
}

func TestTokensAreShownOnce(t *testing.T) {
	r := configured(t)
	var made struct {
		Secret string
		Token  auth.Token
	}
	r.do("POST", "/admin/v1/tokens", `{"name":"export","grants":{"server":"viewer"}}`).into(t, &made)
	if got := r.ask("GET", "/admin/v1/status", "", "Authorization", "Bearer "+made.Secret); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	if list := r.get("/admin/v1/tokens").body; strings.Contains(list, made.Secret) || !strings.Contains(list, made.Token.ID) {
		t.Errorf("the list is %s", list)
	}
	if got := r.do("POST", "/admin/v1/tokens", `{"name":"x"}`); got.problem(t).Code != "body_invalid" {
		t.Errorf("got %s", got.body)
	}
	if got := r.do("DELETE", "/admin/v1/tokens/"+made.Token.ID, ""); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	if got := r.ask("GET", "/admin/v1/status", "", "Authorization", "Bearer "+made.Secret); got.problem(t).Code != "token_wrong" {
		t.Errorf("got %s", got.body)
	}
}

func TestARoleInAProjectShowsThatProjectAlone(t *testing.T) {
	r := configured(t)
	r.apply(strings.Replace(configuration, "projects:\n", "projects:\n  - {name: other, trafficTypes: [user], environments: [{name: production}], flags: [], segment: {}}\n", 1))
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"u1","event":"E"}`)
	key := func(project string) []string {
		secret, _, err := r.accounts.NewKey(t.Context(), project, auth.Grants{Projects: map[string]auth.Role{project: auth.Admin}}, time.Time{}, "test")
		if err != nil {
			t.Fatal(err)
		}
		return []string{"Authorization", "Bearer " + secret}
	}
	shop, other := key("shop"), key("other")
	var projects struct{ Items []struct{ Name string } }
	r.ask("GET", "/admin/v1/projects", "", other...).into(t, &projects)
	if len(projects.Items) != 1 || projects.Items[0].Name != "other" {
		t.Errorf("%+v", projects)
	}
	if got := r.ask("GET", "/admin/v1/trace/m1", "", shop...); got.status != http.StatusOK {
		t.Errorf("got %s", got.body)
	}
	if got := r.ask("GET", "/admin/v1/trace/m1", "", other...); got.status != http.StatusNotFound {
		t.Errorf("a trace crosses projects: %s", got.body)
	}
	body := `{"destination":"events","calls":{"type":"page"}}`
	if got := r.ask("POST", "/admin/v1/translate", body, other...); got.problem(t).Code != "destination_unknown" {
		t.Errorf("got %s", got.body)
	}

	request, err := http.NewRequestWithContext(t.Context(), "GET", r.base+"/admin/v1/tail", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(other[0], other[1])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for !r.tail.Watched() {
		time.Sleep(time.Millisecond)
	}
	for _, environment := range []string{"shop/production", "", "other/production"} {
		r.tail.Publish(tail.Item{Kind: tail.Call, Environment: environment, Summary: "of " + environment})
	}
	text := make([]byte, 4096)
	var seen string
	for !strings.Contains(seen, "of other/production") {
		n, err := response.Body.Read(text)
		if seen += string(text[:n]); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(seen, "of shop") || strings.Contains(seen, `"of "`) {
		t.Errorf("the stream shows %q", seen)
	}
}
