package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/api"
	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/pipeline"
	"causeway/internal/store/duckdb"
	"causeway/internal/stream"
	"causeway/internal/tail"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

const adminToken = "an-admin-token-for-tests"

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
        - {name: both, environments: [production, staging], identities: {user: userId}, writeKey: write-key-2}
      destinations:
        - name: events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          track: {value: properties.revenue}
          apiKey: destination-key
          webhook: {secret: hook-secret}
`

// rig is an API over real parts, fed by a real pipeline, and served over HTTP.
// Every answer it sees is checked against the OpenAPI document.
type rig struct {
	t        *testing.T
	streams  *stream.Streams
	store    *duckdb.Store
	catalog  *catalog.Catalog
	accounts *auth.Accounts
	tail     tail.Hub
	server   *api.Server
	base     string
	log      syncBuffer
	checks   []api.Check
	router   routers.Router
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

func newRig(t *testing.T, change ...func(*api.Options)) *rig {
	t.Helper()
	r := &rig{t: t, router: document(t)}
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

	backups, err := backup.New(ctx, backup.Options{Streams: r.streams, Store: r.store, Folder: folder, Version: "test"})
	must(err)

	experiments, err := experiment.New(experiment.Options{Snapshot: r.catalog.Snapshot, Store: r.store, Version: "test", Log: slog.New(slog.DiscardHandler)})
	must(err)
	t.Cleanup(func() { must(experiments.Close()) })

	options := api.Options{
		Experiments: experiments,
		Backups:     backups, Accounts: r.accounts, Catalog: r.catalog, Streams: r.streams, Store: r.store, Tail: &r.tail, Version: "test",
		Log: slog.New(slog.NewTextHandler(&r.log, nil)), Ready: func(context.Context) []api.Check { return r.checks },
	}
	for _, f := range change {
		f(&options)
	}
	r.server, err = api.New(options)
	must(err)
	served := httptest.NewServer(r.server.Routes())
	t.Cleanup(served.Close)
	t.Cleanup(r.server.CloseTails)
	r.base = served.URL
	return r
}

// configured is a rig with the configuration above, through the API.
func configured(t *testing.T, change ...func(*api.Options)) *rig {
	t.Helper()
	r := newRig(t, change...)
	r.apply(configuration)
	return r
}

func (r *rig) apply(text string) {
	r.t.Helper()
	got := r.do("PUT", "/admin/v1/catalog", text, "If-Match", "*")
	if got.status != http.StatusOK {
		r.t.Fatalf("apply: %d %s", got.status, got.body)
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
// stored.
func (r *rig) track(calls ...string) {
	r.t.Helper()
	r.append(stream.Calls, stream.Record{
		Kind: stream.Tracking, Environment: "shop/production", Configuration: "events", Scheme: "basic",
		ReceivedAt: time.Now(), Body: []byte(`{"batch":[` + strings.Join(calls, ",") + `]}`),
	})
}

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
	status int
	header http.Header
	body   string
}

// into reads the JSON body.
func (a answer) into(t *testing.T, value any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), value); err != nil {
		t.Fatalf("read %s: %v", a.body, err)
	}
}

// problem is the body as a problem, which it must be.
func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, Content-Type %q, body %s", a.status, got, a.body)
	}
	var p api.Problem
	a.into(t, &p)
	if p.Status != a.status || p.Instance != a.header.Get("X-Request-Id") || p.Detail == "" || p.Title == "" {
		t.Errorf("the problem does not fit its answer %d: %s", a.status, a.body)
	}
	return p
}

// get asks with the token.
func (r *rig) get(path string, header ...string) answer {
	r.t.Helper()
	return r.do("GET", path, "", header...)
}

// do asks with the token; header holds names and values in turn.
func (r *rig) do(method, path, body string, header ...string) answer {
	r.t.Helper()
	return r.ask(method, path, body, append([]string{"Authorization", "Bearer " + adminToken}, header...)...)
}

// ask sends one request and checks the answer against the document.
func (r *rig) ask(method, path, body string, header ...string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.HasPrefix(body, "{") {
		request.Header.Set("Content-Type", "application/json")
	} else if body != "" {
		request.Header.Set("Content-Type", "application/yaml")
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	got := answer{response.StatusCode, response.Header, string(text)}
	if err := r.documented(request, got); err != nil {
		r.t.Errorf("%s %s answered %d: %v\n%s", method, path, got.status, err, got.body)
	}
	return got
}

// documented checks an answer against the OpenAPI document.
func (r *rig) documented(request *http.Request, got answer) error {
	route, path, err := r.router.FindRoute(request)
	if err != nil {
		if got.status == http.StatusNotFound || got.status == http.StatusMethodNotAllowed || got.status == http.StatusUnauthorized {
			return nil // no route: nothing to document
		}
		return fmt.Errorf("the document has no such route: %w", err)
	}
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: path, Route: route},
		Status:                 got.status, Header: got.header, Body: io.NopCloser(strings.NewReader(got.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
}

var loadDocument = sync.OnceValues(func() (*openapi3.T, error) {
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		return nil, err
	}
	return openapi3.NewLoader().LoadFromData(text)
})

// document is the OpenAPI document as a router.
func document(t *testing.T) routers.Router {
	t.Helper()
	for _, plain := range []string{"application/yaml", "text/event-stream", "application/x-tar", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(plain, openapi3filter.PlainBodyDecoder)
	}
	doc, err := loadDocument()
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}
