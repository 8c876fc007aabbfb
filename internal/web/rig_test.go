package web_test

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/pipeline"
	"causeway/internal/store/duckdb"
	"causeway/internal/stream"
	"causeway/internal/tail"
	"causeway/internal/web"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	adminToken = "an-admin-token-for-tests"
	password   = "correct horse battery"
)

const configuration = `projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments:
      - {name: production, id: env-1, sdkKeys: [{name: backend, type: server_side, key: sdk-key}]}
      - {name: staging}
    flags:
      - {name: button, trafficType: user}
    segment:
      sources:
        - {name: impressions, environments: [production], identities: {user: userId}, writeKey: write-key}
      destinations:
        - name: events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          track: {value: properties.revenue}
          apiKey: destination-key
          webhook: {secret: hook-secret}
  - name: other
    trafficTypes: [user]
    environments: [{name: production}]
    segment: {destinations: [{name: elsewhere, environment: production, identities: {userId: [user]}}]}
`

// rig is a console over real parts, fed by a real pipeline, and served over
// HTTP. Its browser keeps cookies and follows no redirects.
type rig struct {
	t        *testing.T
	streams  *stream.Streams
	store    *duckdb.Store
	catalog  *catalog.Catalog
	accounts *auth.Accounts
	backups  *backup.Backups
	tail     tail.Hub
	metrics  *prometheus.Registry
	server   *web.Server
	base     string
	log      syncBuffer
	checks   []web.Check
	browser  *http.Client
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newRig(t *testing.T, change ...func(*web.Options)) *rig {
	t.Helper()
	r := &rig{t: t, metrics: prometheus.NewRegistry()}
	folder, ctx := t.TempDir(), context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	r.streams, err = stream.Open(ctx, stream.Options{Dir: filepath.Join(folder, "streams"), Log: slog.New(slog.DiscardHandler)})
	must(err)
	t.Cleanup(func() { _ = r.streams.Close() })
	r.store, err = duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(folder, "store.duckdb")})
	must(err)
	t.Cleanup(func() { _ = r.store.Close() })
	kv, err := r.streams.KeyValue(ctx, "catalog")
	must(err)
	r.catalog, err = catalog.Open(ctx, catalog.Options{KV: kv, Audit: r.streams.AppendAudit, MasterKey: [32]byte{1}, Version: "test"})
	must(err)
	t.Cleanup(func() { _ = r.catalog.Close() })
	must(r.catalog.SetAdminToken(ctx, adminToken))
	kv, err = r.streams.KeyValue(ctx, "auth")
	must(err)
	r.accounts, err = auth.New(auth.Options{KV: kv, Audit: r.streams.AppendAudit, Log: slog.New(slog.DiscardHandler)})
	must(err)

	experiments, err := experiment.New(experiment.Options{Snapshot: r.catalog.Snapshot, Store: r.store, Version: "test"})
	must(err)
	t.Cleanup(func() { _ = experiments.Close() })

	r.backups, err = backup.New(ctx, backup.Options{Streams: r.streams, Store: r.store, Folder: folder, Metrics: r.metrics, Log: slog.New(slog.DiscardHandler)})
	must(err)

	options := web.Options{
		Experiments: experiments,
		Catalog:     r.catalog, Streams: r.streams, Store: r.store, Tail: &r.tail, Accounts: r.accounts, Backups: r.backups, Metrics: r.metrics, Version: "test",
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Ready: func(context.Context) []web.Check { return r.checks },
	}
	for _, f := range change {
		f(&options)
	}
	r.server, err = web.New(options)
	must(err)
	served := httptest.NewServer(r.server.Routes())
	t.Cleanup(served.Close)
	t.Cleanup(r.server.CloseStreams)
	r.base = served.URL
	r.anew()
	return r
}

// anew opens another browser, without cookies.
func (r *rig) anew() {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// configured is a rig with the configuration above and an admin signed in.
func configured(t *testing.T, change ...func(*web.Options)) *rig {
	t.Helper()
	r := newRig(t, change...)
	doc, findings := catalog.Decode("", []byte(configuration), nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if _, err := r.catalog.Apply(t.Context(), doc, "test", 0); err != nil {
		t.Fatal(err)
	}
	r.as("admin@example.com", auth.Grants{Server: auth.Admin})
	return r
}

// as signs a user with these roles in, in a browser of its own, and adds the
// user when there is none.
func (r *rig) as(email string, grants auth.Grants) {
	r.t.Helper()
	ctx := r.t.Context()
	if _, err := r.accounts.User(ctx, email); err != nil {
		if _, err := r.accounts.AddUser(ctx, email, "", grants, "test"); err != nil {
			r.t.Fatal(err)
		}
	}
	link, err := r.accounts.NewLink(ctx, auth.ForSignIn, email, "test")
	if err != nil {
		r.t.Fatal(err)
	}
	r.anew()
	if got := r.get("/signin/" + link); got.status != http.StatusSeeOther {
		r.t.Fatalf("sign in: %d %s", got.status, got.body)
	}
}

// start runs the real pipeline until the test ends.
func (r *rig) start() {
	r.t.Helper()
	p, err := pipeline.New(pipeline.Options{
		Snapshot: r.catalog.Snapshot, Streams: r.streams, Store: r.store, Tail: &r.tail, Linger: time.Millisecond,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		<-done
	})
}

// track appends calls as the tracking route does, and waits until they are
// stored. Start the pipeline first.
func (r *rig) track(calls ...string) {
	r.t.Helper()
	r.append(stream.Calls, stream.Record{
		Kind: stream.Tracking, Environment: "shop/production", Configuration: "events", Scheme: "basic",
		ReceivedAt: time.Now(), Body: []byte(`{"batch":[` + strings.Join(calls, ",") + `]}`),
	})
}

// impressions appends a body in the Split SDKs' form.
func (r *rig) impressions(body string) {
	r.t.Helper()
	r.append(stream.Impressions, stream.Record{
		Kind: stream.ImpressionsBulk, Environment: "shop/production", Scheme: "bearer", ReceivedAt: time.Now(),
		SDK: "go-6.10.0", Body: []byte(body),
	})
}

func (r *rig) append(name stream.Name, record stream.Record) {
	r.t.Helper()
	ctx := r.t.Context()
	if err := r.streams.Append(ctx, name, record); err != nil {
		r.t.Fatal(err)
	}
	_, last, _, err := r.streams.Bounds(ctx, name)
	if err != nil {
		r.t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		position, err := r.store.Position(ctx, string(name))
		if err != nil {
			r.t.Fatal(err)
		}
		if position >= last {
			return
		}
		if time.Now().After(end) {
			r.t.Fatal("what was appended is not stored after 10 s")
		}
	}
}

// answer is what came back.
type answer struct {
	t      *testing.T
	path   string
	status int
	header http.Header
	body   string
}

// get opens a page.
func (r *rig) get(path string, header ...string) answer {
	r.t.Helper()
	return r.do("GET", path, nil, header...)
}

// post sends a form.
func (r *rig) post(path string, form url.Values, header ...string) answer {
	r.t.Helper()
	return r.do("POST", path, form, header...)
}

// do asks for a page as a browser on the console does; header holds names and
// values in turn. Every page that comes back is checked.
func (r *rig) do(method, path string, form url.Values, header ...string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := r.browser.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	got := answer{r.t, method + " " + path, response.StatusCode, response.Header, string(text)}
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/html") && got.status != http.StatusSeeOther {
		got.wellMade()
	}
	return got
}

var (
	badMarkup = regexp.MustCompile(`(?i)<[a-z][^<>]*\s(style|on[a-z]+|hx-on[^=]*)=|<script[^>]*>[^<]|<style`)
	outside   = regexp.MustCompile(`(?i)(src|href|action)="(https?:)?//`)
	pageID    = regexp.MustCompile(`\sid="([^"]*)"`)
	labelled  = regexp.MustCompile(`\sfor="([^"]*)"`)
)

// wellMade checks what must hold for every page: nothing that the policy
// blocks, nothing from elsewhere, ids once, labels that label something.
func (a answer) wellMade() {
	a.t.Helper()
	if !strings.HasPrefix(a.body, "<!doctype html>") || !strings.HasSuffix(strings.TrimSpace(a.body), "</html>") {
		a.t.Errorf("%s: not a whole page: %.200s", a.path, a.body)
	}
	if bad := badMarkup.FindString(a.body); bad != "" {
		a.t.Errorf("%s: the policy blocks %q", a.path, bad)
	}
	// Links to Segment's own app are for a person to follow.
	if bad := outside.FindString(strings.ReplaceAll(a.body, `href="https://app.segment.com/`, `href="/`)); bad != "" {
		a.t.Errorf("%s: something of another host: %q", a.path, bad)
	}
	ids := map[string]bool{}
	for _, match := range pageID.FindAllStringSubmatch(a.body, -1) {
		if ids[match[1]] {
			a.t.Errorf("%s: the id %q is there twice", a.path, match[1])
		}
		ids[match[1]] = true
	}
	for _, match := range labelled.FindAllStringSubmatch(a.body, -1) {
		if !ids[match[1]] {
			a.t.Errorf("%s: a label is for %q, which is not there", a.path, match[1])
		}
	}
	if strings.Count(a.body, "<h1") != 1 {
		a.t.Errorf("%s: %d first headings", a.path, strings.Count(a.body, "<h1"))
	}
	if strings.Contains(a.body, "<no value>") || strings.Contains(a.body, "%!") {
		a.t.Errorf("%s: a value is missing", a.path)
	}
	if len(a.body) > 120<<10 {
		a.t.Errorf("%s: %d KiB", a.path, len(a.body)>>10)
	}
	if a.header.Get("Content-Security-Policy") == "" || a.header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s: headers are missing: %v", a.path, a.header)
	}
}

var tag = regexp.MustCompile(`(?s)<(script|style)\b.*?</(script|style)>|<[^>]*>`)

// text is what a person reads of the page, blanks made one.
func (a answer) text() string {
	plain := html.UnescapeString(tag.ReplaceAllString(a.body, " "))
	return strings.Join(strings.Fields(plain), " ")
}

// shows fails the test when the page has another status or lacks a text.
func (a answer) shows(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s: status %d, want %d: %.600s", a.path, a.status, status, a.text())
	}
	for _, want := range texts {
		if !strings.Contains(a.text(), want) {
			a.t.Errorf("%s: the page lacks %q: %.1500s", a.path, want, a.text())
		}
	}
	return a
}

// goes fails the test when the answer is no redirect to that place.
func (a answer) goes(to string) answer {
	a.t.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != to {
		a.t.Errorf("%s: status %d to %q, want to %q: %.300s", a.path, a.status, a.header.Get("Location"), to, a.text())
	}
	return a
}
