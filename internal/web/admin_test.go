package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"causeway/internal/auth"
	"causeway/internal/web"
)

var shownOnce = regexp.MustCompile(`<code id="made">([^<]*)</code>`)

// secret is what the page shows this once.
func (a answer) secret() string {
	a.t.Helper()
	match := shownOnce.FindStringSubmatch(a.body)
	if match == nil {
		a.t.Fatalf("%s: nothing is shown once: %.600s", a.path, a.text())
	}
	return match[1]
}

// lacks fails the test when the page holds a text.
func (a answer) lacks(texts ...string) answer {
	a.t.Helper()
	for _, text := range texts {
		if strings.Contains(a.body, text) {
			a.t.Errorf("%s: the page holds %q", a.path, text)
		}
	}
	return a
}

func TestAUserIsInvitedByALinkThatIsShownOnce(t *testing.T) {
	r := configured(t)
	r.get("/users").shows(200, "admin@example.com", "Invite somebody")
	r.post("/users", url.Values{"email": {"bob"}, "role": {"editor"}, "project": {"shop"}}).shows(422, "Give an e-mail address", "Not saved yet").has(`value="bob"`, `<option value="editor" selected`, `<option value="shop" selected`)
	r.post("/users", url.Values{"email": {"bob@example.com"}, "role": {"king"}}).shows(422, "There is no role")
	page := r.post("/users", url.Values{"email": {"Bob@example.com"}, "role": {"editor"}, "project": {"shop"}}).shows(200, "bob@example.com", "editor of shop", "no password yet", "not shown again")
	link := page.secret()
	if !strings.HasPrefix(link, r.base+"/password/cwl_") {
		t.Fatalf("the link is %q", link)
	}
	r.get("/users").lacks("cwl_")
	r.post("/users", url.Values{"email": {"bob@example.com"}, "role": {"viewer"}}).shows(422, "a user of that address already")
	r.anew()
	r.post(strings.TrimPrefix(link, r.base), url.Values{"password": {password}, "again": {password}}).goes("/")
	r.get("/").shows(200, "bob@example.com", "editor of shop")
	r.get("/users").shows(403, "Not with your role")
}

func TestRolesSessionsAndTheUserAreTakenAway(t *testing.T) {
	r := configured(t)
	r.as("bob@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer, "gone": auth.Editor}})
	bob := r.browser
	r.as("admin@example.com", auth.Grants{})
	const here = "/users/bob@example.com"
	r.get(here).shows(200, "In the project shop", "In the project gone (no longer configured)", "Type the address")
	r.get("/users/nobody@example.com").shows(404, "There is no user")
	r.post(here+"/roles", url.Values{"server": {"none of these"}, "project.shop": {"editor"}}).shows(422, "There is no role").has(`name="project.shop"><option value="">none</option><option value="viewer">viewer</option><option value="analyst">analyst</option><option value="editor" selected`)
	r.post(here+"/roles", url.Values{"server": {""}, "project.shop": {""}}).shows(422, "Give a role")
	r.post(here+"/roles", url.Values{"server": {"analyst"}, "project.shop": {"editor"}}).goes(here + "?env=shop/production")
	r.get(here).shows(200, "The roles are saved", "analyst, editor of shop", "127.0.0.1")
	r.post(here+"/link", nil).shows(200, "bob@example.com", "works once").secret()
	r.post(here+"/sign-out", nil).goes(here + "?env=shop/production")
	r.get(here).shows(200, "1 session ended", "Signed in nowhere")
	admin := r.browser
	r.browser = bob
	r.get("/").goes("/signin")
	r.browser = admin
	r.post(here+"/remove", url.Values{"confirm": {"bob"}}).shows(422, "Type bob@example.com to remove")
	r.post(here+"/remove", url.Values{"confirm": {"bob@example.com"}}).goes("/users?env=shop/production")
	r.get("/users").shows(200, "bob@example.com is removed")
	r.post("/users/admin@example.com/remove", url.Values{"confirm": {"admin@example.com"}}).shows(422, "This is the last admin")
	r.post("/users/admin@example.com/roles", url.Values{"server": {"viewer"}}).shows(422, "This is the last admin")
	r.get("/audit").shows(200, "user removed bob@example.com", "user changed bob@example.com", "-> analyst, editor of shop")
}

func TestTokensAreMadeShownOnceAndRevoked(t *testing.T) {
	r := configured(t)
	r.get("/tokens").shows(200, "No tokens yet")
	r.post("/tokens", url.Values{"name": {" "}, "role": {"viewer"}, "lasts": {"1 year"}}).shows(422, "Say what it is for").has(`<option value="1 year" selected`)
	key := r.post("/tokens", url.Values{"name": {"export " + nasty}, "role": {"viewer"}, "project": {"shop"}, "lasts": {"30 days"}}).shows(200, "export "+nasty, "viewer of shop").lacks("<script>alert").secret()
	if who, err := r.accounts.Token(t.Context(), key); err != nil || who.Grants.String() != "viewer of shop" {
		t.Errorf("the key proves %v %v", who, err)
	}
	page := r.get("/tokens").shows(200, "export").lacks(key)
	tokens, err := r.accounts.Tokens(t.Context(), "")
	if err != nil || len(tokens) != 1 || tokens[0].ExpiresAt.IsZero() {
		t.Fatalf("%+v %v", tokens, err)
	}
	if revoke := "/tokens/" + tokens[0].ID + "/remove"; !strings.Contains(page.body, `action="`+revoke) {
		t.Errorf("the page does not offer %s", revoke)
	} else {
		r.post(revoke, nil).goes("/tokens?env=shop/production")
		r.post(revoke, nil).goes("/tokens?env=shop/production") // twice is once
	}
	if _, err := r.accounts.Token(t.Context(), key); err == nil {
		t.Error("the key works after it was revoked")
	}
}

func TestAProfileIsItsOwnersAlone(t *testing.T) {
	r := configured(t)
	if _, err := r.accounts.AddUser(t.Context(), "ada@example.com", password, auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer}}, "test"); err != nil {
		t.Fatal(err)
	}
	r.as("ada@example.com", auth.Grants{})
	other := r.browser
	r.as("ada@example.com", auth.Grants{})
	r.get("/profile").shows(200, "ada@example.com", "viewer of shop", "this browser", "End all others")
	token := r.post("/profile/tokens", url.Values{"name": {"laptop"}, "lasts": {"for ever"}}).shows(200, "This is laptop").secret()
	if who, err := r.accounts.Token(t.Context(), token); err != nil || who.Email != "ada@example.com" {
		t.Errorf("the token proves %v %v", who, err)
	}
	r.post("/profile/tokens", url.Values{"name": {""}}).shows(422, "Say what it is for")

	r.post("/profile/password", url.Values{"current": {"wrong"}, "password": {"another long one"}, "again": {"another long one"}}).shows(422, "This is not your password").lacks("another long one")
	r.post("/profile/password", url.Values{"current": {password}, "password": {"another long one"}, "again": {"not the same"}}).shows(422, "The two are not the same")
	r.post("/profile/password", url.Values{"current": {password}, "password": {"short"}, "again": {"short"}}).shows(422, "at least 10 characters")
	r.post("/profile/password", url.Values{"current": {password}, "password": {"another long one"}, "again": {"another long one"}}).goes("/profile?env=shop/production")
	r.get("/profile").shows(200, "Your password is changed", "this browser")
	mine := r.browser
	r.browser = other
	r.get("/profile").goes("/signin?next=%2Fprofile")

	// Nobody takes away what is somebody else's.
	r.as("eve@example.com", auth.Grants{Server: auth.Viewer})
	tokens, err := r.accounts.Tokens(t.Context(), "ada@example.com")
	if err != nil || len(tokens) != 1 {
		t.Fatal(tokens, err)
	}
	r.post("/profile/tokens/"+tokens[0].ID+"/remove", nil)
	sessions, err := r.accounts.Sessions(t.Context(), "ada@example.com")
	if err != nil || len(sessions) != 1 {
		t.Fatal(sessions, err)
	}
	r.post("/profile/sessions", url.Values{"session": {sessions[0].ID}}).goes("/profile?env=shop/production")
	if _, err := r.accounts.Token(t.Context(), token); err != nil {
		t.Error("a token was revoked by somebody else")
	}
	r.browser = mine
	r.get("/profile").shows(200, "this browser", "laptop")
	r.as("ada@example.com", auth.Grants{})
	r.post("/profile/sessions", nil).goes("/profile?env=shop/production")
	r.get("/profile").shows(200, "1 session ended").lacks("End all others")
	r.post("/profile/tokens/"+tokens[0].ID+"/remove", nil).goes("/profile?env=shop/production")
	if _, err := r.accounts.Token(t.Context(), token); err == nil {
		t.Error("the token works after it was revoked")
	}
}

func TestTheAuditLogIsFilteredAndPaged(t *testing.T) {
	r := configured(t)
	r.get("/audit").shows(200, "configuration changed", "projects[shop] and more", "session started").lacks("destination-key", "write-key")
	for range 60 {
		r.accounts.Record(t.Context(), "user "+nasty, "test.done", nasty, nasty)
	}
	page := r.get("/audit?actor=SCRIPT").shows(200, "test done "+nasty, "Older").lacks("<script>alert", "configuration changed")
	older := regexp.MustCompile(`rel="next" href="([^"]*)"`).FindStringSubmatch(page.body)
	if older == nil {
		t.Fatal("there is no next page")
	}
	if next := r.get(strings.ReplaceAll(older[1], "&amp;", "&")).shows(200, "Newest"); strings.Count(next.body, "test done") != 10 {
		t.Errorf("the second page has %d entries", strings.Count(next.body, "test done"))
	}
	r.get("/audit?object=session.&from=2020-01-01&to=2099-01-01").shows(200, "session started").lacks("test done")
	r.get("/audit?to=2020-01-01").shows(200, "Nothing like that")
	r.get("/audit?from=x&cursor=y").shows(200, "test done")
}

// has fails the test when the page lacks this markup.
func (a answer) has(markup ...string) answer {
	a.t.Helper()
	for _, want := range markup {
		if !strings.Contains(a.body, want) {
			a.t.Errorf("%s: the page lacks %s", a.path, want)
		}
	}
	return a
}

// Every form of the pages of administration leads to a route that there is.
func TestEveryFormOfAdministrationIsAnswered(t *testing.T) {
	r := configured(t)
	r.as("bob@example.com", auth.Grants{Server: auth.Viewer})
	r.as("admin@example.com", auth.Grants{})
	if _, _, err := r.accounts.NewPersonalToken(t.Context(), "admin@example.com", "mine", web.Never, "test"); err != nil {
		t.Fatal(err)
	}
	action := regexp.MustCompile(`<form method="post" action="([^"?]*)`)
	for _, page := range []string{"/users", "/users/bob@example.com", "/tokens", "/profile"} {
		forms := action.FindAllStringSubmatch(r.get(page).body, -1)
		if len(forms) < 3 {
			t.Errorf("%s has %d forms", page, len(forms))
		}
		for _, form := range forms {
			if !web.Answers("POST", form[1]) {
				t.Errorf("%s: nobody answers %s", page, form[1])
			}
		}
	}
}
