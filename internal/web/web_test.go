package web_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/web"
)

func TestTheFirstAdminIsMadeWithThePrintedLink(t *testing.T) {
	r := newRig(t)
	r.get("/").goes("/signin")
	r.get("/signin").shows(200, "Nobody has an account yet", "/setup?token=")
	link, err := r.accounts.NewLink(t.Context(), auth.ForSetup, "", "test")
	if err != nil {
		t.Fatal(err)
	}
	setup := "/setup?token=" + link
	r.get(setup).shows(200, "Make the account")
	form := url.Values{"token": {link}, "email": {"ada@example.com"}, "password": {"short"}}
	wrong := r.post("/setup", form).shows(422, "at least 10 characters")
	if !strings.Contains(wrong.body, `value="ada@example.com"`) || strings.Contains(wrong.body, "short") {
		t.Error("the form lost the address, or shows the password")
	}
	form.Set("password", password)
	r.post("/setup", form).goes("/")
	r.get("/").shows(200, "You are the server's first admin", "There is no environment yet")
	if text := r.get("/").text(); strings.Contains(text, "first admin") {
		t.Error("a notice is said twice")
	}
	r.anew()
	r.get(setup).goes("/signin")
	r.post("/setup", form).goes("/signin")
}

func TestTheAdminTokenMakesASetupLink(t *testing.T) {
	r := newRig(t)
	r.get("/setup").shows(200, "Admin token")
	r.get("/setup?token=wrong").shows(200, "works no longer", "Admin token")
	r.post("/setup/link", url.Values{"adminToken": {"wrong"}}).shows(422, "not the server's admin token")
	got := r.post("/setup/link", url.Values{"adminToken": {adminToken}})
	r.get(got.header.Get("Location")).shows(200, "Make the account")
}

func TestSigningInAndOut(t *testing.T) {
	r := configured(t)
	if _, err := r.accounts.AddUser(t.Context(), "ada@example.com", password, auth.Grants{Server: auth.Viewer}, "test"); err != nil {
		t.Fatal(err)
	}
	r.anew()
	r.get("/?span=1+h&env=other/production").shows(303)
	r.post("/signin", url.Values{"email": {"ada@example.com"}, "password": {"wrong"}, "next": {"/x"}}).shows(422, "do not belong together")
	r.post("/signin", url.Values{"email": {"nobody@example.com"}, "password": {password}}).shows(422, "do not belong together")
	for next, want := range map[string]string{"/live?q=x": "/live?q=x", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/", "": "/"} {
		got := r.post("/signin", url.Values{"email": {"Ada@example.com"}, "password": {password}, "next": {next}}).goes(want)
		cookie := got.header.Get("Set-Cookie")
		if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") || strings.Contains(cookie, "Domain") {
			t.Errorf("the cookie is %s", cookie)
		}
	}
	r.get("/signin").goes("/")
	r.get("/").shows(200, "Overview", "ada@example.com", "viewer")
	r.post("/signout", nil).goes("/signin")
	r.get("/signin").shows(200, "You are signed out")
	r.get("/").goes("/signin")
	for range 25 {
		r.post("/signin", url.Values{"email": {"ada@example.com"}, "password": {"wrong"}})
	}
	r.post("/signin", url.Values{"email": {"ada@example.com"}, "password": {password}}).shows(422, "too many attempts")
}

func TestALinkSignsInOrSetsAPasswordOnce(t *testing.T) {
	r := configured(t)
	if _, err := r.accounts.AddUser(t.Context(), "bob@example.com", "", auth.Grants{Server: auth.Viewer}, "test"); err != nil {
		t.Fatal(err)
	}
	link, err := r.accounts.NewLink(t.Context(), auth.ForPassword, "bob@example.com", "test")
	if err != nil {
		t.Fatal(err)
	}
	r.anew()
	r.get("/password/"+link).shows(200, "bob@example.com", "New password")
	r.post("/password/"+link, url.Values{"password": {password}, "again": {"another"}}).shows(422, "not the same")
	r.post("/password/"+link, url.Values{"password": {"short"}, "again": {"short"}}).shows(422, "at least 10")
	r.post("/password/"+link, url.Values{"password": {password}, "again": {password}}).goes("/")
	r.get("/").shows(200, "Your password is set", "bob@example.com")
	r.anew()
	r.get("/password/"+link).shows(410, "works no longer")
	r.post("/password/"+link, url.Values{"password": {password}, "again": {password}}).shows(410)
	r.get("/signin/" + link).shows(410)
}

func TestRequestsFromOtherSitesAreRefused(t *testing.T) {
	r := configured(t)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "", "Origin", "https://evil.example"}} {
		r.post("/signout", nil, header...).shows(403, "Another site")
	}
	r.get("/").shows(200, "Overview")
}

func TestOverTLSTheSessionBelongsToThisHostAlone(t *testing.T) {
	r := configured(t, func(o *web.Options) { o.Secure = true })
	link, err := r.accounts.NewLink(t.Context(), auth.ForSignIn, "admin@example.com", "test")
	if err != nil {
		t.Fatal(err)
	}
	cookie := r.get("/signin/" + link).header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "__Host-causeway_session=") || !strings.Contains(cookie, "; Secure") || !strings.Contains(cookie, "Path=/;") {
		t.Errorf("the cookie is %s", cookie)
	}
}

func TestTheThemeIsKeptWithoutScripts(t *testing.T) {
	r := configured(t)
	r.post("/theme", url.Values{"theme": {"dark"}, "next": {"/"}}).goes("/")
	if !strings.Contains(r.get("/").body, `data-theme="dark"`) {
		t.Error("the theme is not kept")
	}
	r.post("/theme", url.Values{"theme": {""}, "next": {"/"}}).goes("/")
	if strings.Contains(r.get("/").body, `data-theme`) {
		t.Error("the theme is not taken back")
	}
}

func TestOnlyVisibleEnvironmentsCanBeChosen(t *testing.T) {
	r := configured(t)
	r.as("ada@example.com", auth.Grants{Projects: map[string]auth.Role{"other": auth.Viewer}})
	page := r.get("/?env=shop/production").shows(200, "other/production")
	if strings.Contains(page.body, "shop") {
		t.Error("a project shows that the user has no role in")
	}
	r.as("admin@example.com", auth.Grants{})
	r.get("/?env=shop/staging").shows(200, "shop/staging")
	r.get("/").shows(200, "shop/staging") // remembered
	r.get("/?env=no/such").shows(200, "shop/staging")
}

// A key may hold what means something in an address; the forms that lead back
// to its page must still do so.
func TestTheEnvironmentSwitchKeepsThePageOfAnyKey(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"identify","messageId":"m1","userId":"a?b#c%d/e f","traits":{"plan":"pro"}}`)
	page := r.get("/customers/user/a%3Fb%23c%25d%2Fe%20f").shows(200, "a?b#c%d/e f", "plan")
	for _, want := range []string{`class="env" method="get" action="/customers/user/a%3Fb%23c%25d%2Fe%20f"`, `name="next" value="/customers/user/a%3Fb%23c%25d%2Fe%20f"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestStaticFilesAreKeptForEverAndCompressed(t *testing.T) {
	r := configured(t)
	page := r.get("/").body
	for _, part := range strings.Split(page, `"`) {
		if !strings.HasPrefix(part, "/static/") {
			continue
		}
		got := r.get(part)
		if got.status != 200 || !strings.Contains(got.header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", part, got.status, got.header)
		}
		packed := r.get(part, "Accept-Encoding", "gzip")
		if strings.HasSuffix(part, ".css") && (packed.header.Get("Content-Encoding") != "gzip" || len(packed.body) > len(got.body)/2) {
			t.Errorf("%s is not compressed", part)
		}
	}
	if got := r.get("/static/0000000000000000/app.css"); got.status != http.StatusNotFound {
		t.Errorf("another version of a file: %d", got.status)
	}
}

func TestUnknownPagesSaySo(t *testing.T) {
	r := configured(t)
	r.get("/nothing/<script>").shows(404, "There is no page /nothing/<script>")
	r.anew()
	r.get("/nothing").shows(303)
	r.post("/signin", url.Values{"email": {strings.Repeat("x", 5<<20)}}).shows(413, "Too large")
}

func TestTheConsoleTakesItsOwnPathsAndUnknownPagesOfBrowsers(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		method, target, accept string
		want                   bool
	}{
		{"GET", "/", "", true}, {"GET", "/live", "*/*", true}, {"POST", "/signin", "", true}, {"GET", "/nothing", "text/html,*/*", true},
		{"GET", "/nothing", "*/*", false}, {"POST", "/nothing", "text/html", false}, {"POST", "/v1/track", "", false},
		{"GET", "/v1/track", "text/html", false}, {"GET", "/api/splitChanges", "text/html", false}, {"POST", "//v1/track", "", false},
		{"GET", "/segment/webhook/x", "text/html", false}, {"POST", "/live/../v1/track", "", false}, {"GET", "/metrics", "text/html", false},
	} {
		request, err := http.NewRequest(c.method, "http://x", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.URL.Path = c.target
		request.Header.Set("Accept", c.accept)
		if got := r.server.Serves(request); got != c.want {
			t.Errorf("%s %s (%s): %v", c.method, c.target, c.accept, got)
		}
	}
	for _, rt := range web.RouteList() {
		_, path, _ := strings.Cut(rt.Pattern, " /")
		first, _, _ := strings.Cut(path, "/")
		if slices.Contains(web.OtherDoors, first) {
			t.Errorf("%s is another door's", rt.Pattern)
		}
	}
}

// What nobody asked for is in the metrics, too: the browser tests read there
// which routes they never visited.
func TestEveryRouteIsMeasured(t *testing.T) {
	r := configured(t)
	for _, rt := range web.RouteList() {
		if _, ok := r.requests()[rt.Pattern]; !ok {
			t.Errorf("%s is not measured", rt.Pattern)
		}
	}
	r.get("/live").shows(200)
	for end := time.Now().Add(10 * time.Second); r.requests()["GET /live"] != 1; time.Sleep(time.Millisecond) { // counted after it is answered
		if time.Now().After(end) {
			t.Fatalf("/live was opened once and counted %d times", r.requests()["GET /live"])
		}
	}
}

// requests is how often each route was asked for.
func (r *rig) requests() map[string]uint64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "causeway_console_request_duration_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			counts[metric.GetLabel()[0].GetValue()] = metric.GetHistogram().GetSampleCount()
		}
	}
	return counts
}

func TestEveryPageOfTheMenuHasAChordOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, key := range web.Chords() {
		if len(key) != 1 || seen[key] {
			t.Errorf("%q is no key, or another page's", key)
		}
		seen[key] = true
	}
}
