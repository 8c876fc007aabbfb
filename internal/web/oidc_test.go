package web_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/web"
)

// provider is an OpenID Connect provider: discovery, keys, the page where
// people sign in, and tokens. It is strict about what a client must send, and
// its word can be bent.
type provider struct {
	*httptest.Server
	t       *testing.T
	key     *rsa.PrivateKey
	asked   map[string]url.Values // what was asked for, by code
	claims  map[string]any        // instead of or beside the usual ones
	signer  *rsa.PrivateKey       // instead of key
	header  map[string]any        // instead of the usual one
	down    bool
	noToken bool
}

// keys are the provider's and a stranger's.
var keys = sync.OnceValue(func() (pair [2]*rsa.PrivateKey) {
	for i := range pair {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		pair[i] = key
	}
	return pair
})

const clientSecret = "the-client's-secret"

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{t: t, key: keys()[0], asked: map[string]url.Values{}, claims: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		writeJSON(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"}})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig",
			"n": raw64(p.key.N.Bytes()), "e": raw64([]byte{1, 0, 1})}}})
	})
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("response_type") != "code" || q.Get("client_id") != "causeway" || q.Get("state") == "" || q.Get("nonce") == "" ||
			q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid") || q.Get("redirect_uri") == "" {
			t.Errorf("the provider was asked %v", q)
		}
		code := "code-" + rand.Text()
		p.asked[code] = q
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		id, secret, basic := r.BasicAuth()
		if !basic {
			id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		}
		secret, _ = url.QueryUnescape(secret)
		asked, known := p.asked[r.PostForm.Get("code")]
		delete(p.asked, r.PostForm.Get("code")) // once
		sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
		if !known || id != "causeway" || secret != clientSecret || r.PostForm.Get("redirect_uri") != asked.Get("redirect_uri") || raw64(sum[:]) != asked.Get("code_challenge") {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			writeJSON(w, map[string]any{"error": "invalid_grant"})
			return
		}
		answer := map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 60}
		if !p.noToken {
			answer["id_token"] = p.token(asked.Get("nonce"))
		}
		writeJSON(w, answer)
	})
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func raw64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token signs what the provider says.
func (p *provider) token(nonce string) string {
	p.t.Helper()
	said := map[string]any{"iss": p.URL, "sub": "person-1", "aud": "causeway", "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"email": "Ada@Example.com", "email_verified": true, "groups": []string{"people"}}
	for name, value := range p.claims {
		if said[name] = value; value == nil {
			delete(said, name)
		}
	}
	header := map[string]any{"alg": "RS256", "kid": "k1", "typ": "JWT"}
	if p.header != nil {
		header = p.header
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			p.t.Fatal(err)
		}
		return raw64(text)
	}
	signed := part(header) + "." + part(said)
	if header["alg"] == "none" {
		return signed + "."
	}
	key := p.key
	if p.signer != nil {
		key = p.signer
	}
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return signed + "." + raw64(signature)
}

// withProvider is a console that the provider may vouch for people at.
func withProvider(t *testing.T, p *provider, change func(*auth.OIDCOptions)) *rig {
	t.Helper()
	r := configured(t, func(o *web.Options) {
		options := auth.OIDCOptions{Issuer: p.URL, ClientID: "causeway", ClientSecret: clientSecret, RedirectURL: "http://127.0.0.1:1" + web.OIDCPath, Name: "Company"}
		change(&options)
		oidc, err := auth.NewOIDC(o.Accounts, options)
		if err != nil {
			t.Fatal(err)
		}
		o.OIDC = oidc
	})
	r.anew()
	return r
}

// throughProvider goes to the provider and comes back to the address it sends
// one to, with the browser's cookies.
func (r *rig) throughProvider(p *provider, next string) (back string) {
	r.t.Helper()
	begun := r.get("/signin/oidc?next=" + url.QueryEscape(next)).shows(303)
	to := begun.header.Get("Location")
	if !strings.HasPrefix(to, p.URL+"/authorize?") {
		r.t.Fatalf("the browser goes to %s", to)
	}
	if cookie := begun.header.Get("Set-Cookie"); !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "Max-Age=600") || !strings.Contains(cookie, "SameSite=Lax") {
		r.t.Errorf("the cookie is %s", cookie)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(to)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	u, err := url.Parse(response.Header.Get("Location"))
	if err != nil || u.Host != "127.0.0.1:1" {
		r.t.Fatalf("the provider sends to %v %v", u, err)
	}
	return u.RequestURI()
}

func people(o *auth.OIDCOptions) {
	o.Domains = []string{"example.com"}
	o.Roles = []auth.OIDCRole{{Group: "people", Role: auth.Viewer}, {Group: "shop-team", Role: auth.Editor, Project: "shop"}, {Group: "admins", Role: auth.Admin}}
}

func TestTheProviderLetsPeopleInWithTheRolesOfTheirGroups(t *testing.T) {
	p := newProvider(t)
	r := withProvider(t, p, people)
	r.get("/signin").shows(200, "Sign in with Company", "or with a password")
	r.get(r.throughProvider(p, "/events?q=x")).goes("/events?q=x")
	r.get("/").shows(200, "ada@example.com", "viewer")

	p.claims["groups"] = []string{"shop-team", "people"}
	r.anew()
	r.get(r.throughProvider(p, "//evil.example")).goes("/")
	r.get("/").shows(200, "viewer, editor of shop")
	user, err := r.accounts.User(t.Context(), "ada@example.com")
	if err != nil || !user.SingleSignOn || user.HasPassword {
		t.Errorf("the user is %+v, %v", user, err)
	}
	entries, err := r.streams.Audit(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	for _, e := range entries {
		log.Write(e.Data)
	}
	for _, want := range []string{"user.added", "viewer -\\u003e viewer, editor of shop", "session.started", `"actor":"Company"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the audit log lacks %s: %s", want, log.String())
		}
	}

	// One text in place of a list, as some providers write it, and "true".
	p.claims["groups"], p.claims["email_verified"] = "admins", "true"
	r.anew()
	r.get(r.throughProvider(p, "/")).goes("/")
	r.get("/").shows(200, "ada@example.com admin")
}

func TestWithoutRolesOnlyKnownPeopleComeInAndKeepTheirs(t *testing.T) {
	p := newProvider(t)
	r := withProvider(t, p, func(*auth.OIDCOptions) {})
	r.get(r.throughProvider(p, "/")).shows(403, "ada@example.com has no account here")
	if _, err := r.accounts.AddUser(t.Context(), "ada@example.com", password, auth.Grants{Server: auth.Editor}, "test"); err != nil {
		t.Fatal(err)
	}
	r.get(r.throughProvider(p, "/")).goes("/")
	r.get("/").shows(200, "editor")

	// The address is somebody else's now.
	p.claims["sub"] = "person-2"
	r.anew()
	r.get(r.throughProvider(p, "/")).shows(403, "belongs to another person at Company")
	r.get("/").goes("/signin")
}

func TestAnAdminsUserKeepsTheRolesTheyWereGiven(t *testing.T) {
	p := newProvider(t)
	r := withProvider(t, p, people)
	if _, err := r.accounts.AddUser(t.Context(), "ada@example.com", "", auth.Grants{Server: auth.Admin}, "test"); err != nil {
		t.Fatal(err)
	}
	r.get(r.throughProvider(p, "/")).goes("/")
	r.get("/").shows(200, "ada@example.com admin")
}

func TestAWordThatDoesNotHoldLetsNobodyIn(t *testing.T) {
	for name, c := range map[string]struct {
		bend func(*provider)
		says string
	}{
		"another nonce":        {func(p *provider) { p.claims["nonce"] = "of-another" }, "of another sign-in"},
		"no nonce":             {func(p *provider) { p.claims["nonce"] = nil }, "of another sign-in"},
		"another audience":     {func(p *provider) { p.claims["aud"] = "another-client" }, "does not hold"},
		"another party":        {func(p *provider) { p.claims["aud"], p.claims["azp"] = []string{"causeway", "x"}, "x" }, "for another client"},
		"foreign issuer":       {func(p *provider) { p.claims["iss"] = "https://evil.example" }, "does not hold"},
		"over":                 {func(p *provider) { p.claims["exp"] = time.Now().Add(-10 * time.Minute).Unix() }, "does not hold"},
		"another key":          {func(p *provider) { p.signer = keys()[1] }, "does not hold"},
		"no signature":         {func(p *provider) { p.header = map[string]any{"alg": "none"} }, "does not hold"},
		"no token":             {func(p *provider) { p.noToken = true }, "does not hold"},
		"unverified address":   {func(p *provider) { p.claims["email_verified"] = false }, "has not verified"},
		"address of no status": {func(p *provider) { p.claims["email_verified"] = nil }, "has not verified"},
		"no address":           {func(p *provider) { p.claims["email"] = nil }, "no e-mail address"},
		"hostile address":      {func(p *provider) { p.claims["email"] = `"<script>"@example.com, x@example.com` }, "no e-mail address"},
		"another domain":       {func(p *provider) { p.claims["email"] = "ada@example.com.evil.example" }, "may not sign in"},
		"no group of ours":     {func(p *provider) { p.claims["groups"] = []string{"People", ""} }, "None of your groups"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			r := withProvider(t, p, people)
			c.bend(p)
			r.get(r.throughProvider(p, "/")).shows(403, c.says, "Sign in with Company")
			r.get("/").goes("/signin")
			if users, err := r.accounts.Users(t.Context()); err != nil || slices.ContainsFunc(users, func(u auth.User) bool { return u.SingleSignOn }) {
				t.Errorf("users: %v %v", users, err)
			}
		})
	}
}

func TestASignInBelongsToTheBrowserThatBeganIt(t *testing.T) {
	p := newProvider(t)
	r := withProvider(t, p, people)
	back := r.throughProvider(p, "/")
	mine := r.browser.Jar
	r.anew()
	r.get(back).shows(403, "did not begin in this browser")
	r.get("/").goes("/signin")
	r.browser.Jar = mine
	r.get(strings.Replace(back, "state=", "state=x", 1)).shows(403, "did not begin in this browser")
	// The cookie went with that; and a code works once.
	r.get(back).shows(403, "did not begin in this browser")
	back = r.throughProvider(p, "/")
	r.get(back).goes("/")
	r.get(back).shows(403, "did not begin in this browser")

	r.anew()
	r.throughProvider(p, "/")
	u, err := url.Parse(r.throughProvider(p, "/"))
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	r.get(web.OIDCPath+"?"+url.Values{"state": q["state"], "error": {"access_denied<script>"}}.Encode()).shows(403, "Company did not let you in", "access_denied<script>")
	u, err = url.Parse(r.throughProvider(p, "/"))
	if err != nil {
		t.Fatal(err)
	}
	r.get(web.OIDCPath+"?"+url.Values{"state": u.Query()["state"], "code": {"stolen"}}.Encode()).shows(403, "does not accept the sign-in any more")
	for range 25 {
		r.get(web.OIDCPath + "?state=x&code=y")
	}
	r.get(web.OIDCPath+"?state=x&code=y").shows(429, "too many attempts")
}

func TestAProviderThatIsDownIsSaidSoAndAskedAgain(t *testing.T) {
	p := newProvider(t)
	p.down = true
	r := withProvider(t, p, people)
	r.get("/signin").shows(200, "Sign in with Company")
	r.get("/signin/oidc").shows(502, "Company does not answer")
	p.down = false
	r.get(r.throughProvider(p, "/")).goes("/")
}

func TestOverTLSTheFlowBelongsToThisHostAlone(t *testing.T) {
	p := newProvider(t)
	r := configured(t, func(o *web.Options) {
		oidc, err := auth.NewOIDC(o.Accounts, auth.OIDCOptions{Issuer: p.URL, ClientID: "causeway", RedirectURL: "https://console.example.com" + web.OIDCPath})
		if err != nil {
			t.Fatal(err)
		}
		o.OIDC, o.Secure = oidc, true
	})
	r.anew()
	if cookie := r.get("/signin/oidc").header.Get("Set-Cookie"); !strings.HasPrefix(cookie, "__Host-causeway_signin=") || !strings.Contains(cookie, "; Secure") {
		t.Errorf("the cookie is %s", cookie)
	}
}

func TestWithoutAProviderThereIsNoWayToOne(t *testing.T) {
	r := configured(t)
	r.anew()
	r.get("/signin/oidc").shows(404, "No sign-in provider is configured")
	r.get(web.OIDCPath+"?state=x&code=y").shows(404, "No sign-in provider is configured")
	if text := r.get("/signin").text(); strings.Contains(text, "or with a password") {
		t.Error("the page offers a provider")
	}
}
