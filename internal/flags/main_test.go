package flags

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"causeway/internal/catalog"
)

// rig is a server over a real catalog.
type rig struct {
	t       testing.TB
	catalog *catalog.Catalog
	kv      jetstream.KeyValue
	base    string
}

func start(t testing.TB) *rig {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(5 * time.Second) {
		t.Fatal("the JetStream server does not start")
	}
	conn, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "catalog"})
	if err != nil {
		t.Fatal(err)
	}
	return node(t, kv)
}

// node is a server with a catalog of its own on a bucket.
func node(t testing.TB, kv jetstream.KeyValue) *rig {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Options{KV: kv, MasterKey: [32]byte{1}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s, err := New(Options{Snapshot: c.Snapshot, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Routes())
	t.Cleanup(web.Close)
	return &rig{t: t, catalog: c, kv: kv, base: web.URL}
}

const (
	serverKey  = "server-key"
	clientKey  = "client-key"
	stagingKey = "staging-key"
)

// apply makes these the flags and segments of a project.
func (r *rig) apply(flags, segments string) {
	r.t.Helper()
	text := `projects: [{name: shop, trafficTypes: [user], environments: [
		{name: production, sdkKeys: [{name: s, type: server_side, key: ` + serverKey + `}, {name: c, type: client_side, key: ` + clientKey + `}]},
		{name: staging, sdkKeys: [{name: s, type: server_side, key: ` + stagingKey + `}]}],
		flags: [` + flags + `], segments: [` + segments + `]}]`
	doc, found := catalog.Decode("flags.yaml", []byte(text), nil)
	if len(found) > 0 {
		r.t.Fatal(found)
	}
	if _, err := r.catalog.Apply(r.t.Context(), doc, "test", 0); err != nil {
		r.t.Fatal(err)
	}
}

// plainClient takes answers as they come: net/http's own would decompress them.
var plainClient = &http.Client{Transport: &http.Transport{DisableCompression: true}}

// do sends a request; headers are in pairs.
func (r *rig) do(method, path string, headers ...string) *http.Response {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := plainClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response
}

func text(t testing.TB, response *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// get reads a path with an SDK key, checks that nothing in it is null, and
// decodes it into a value.
func (r *rig) get(key, path string, into any) {
	r.t.Helper()
	response := r.do(http.MethodGet, path, "Authorization", "Bearer "+key)
	body := text(r.t, response)
	if response.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %d %s", path, response.StatusCode, body)
	}
	var tree any
	if err := json.Unmarshal([]byte(body), &tree); err != nil {
		r.t.Fatalf("GET %s: %v: %s", path, err, body)
	}
	if at := nullIn(tree, "answer"); at != "" {
		r.t.Fatalf("GET %s: null at %s: %s", path, at, body)
	}
	if err := json.Unmarshal([]byte(body), into); err != nil {
		r.t.Fatal(err)
	}
}

// nullIn finds a null in a JSON value.
func nullIn(v any, path string) string {
	switch v := v.(type) {
	case nil:
		return path
	case map[string]any:
		for key, value := range v {
			if at := nullIn(value, path+"."+key); at != "" {
				return at
			}
		}
	case []any:
		for i, value := range v {
			if at := nullIn(value, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	}
	return ""
}

// definition is what these tests look at of a flag.
type definition struct {
	Name         string
	Status       string
	ChangeNumber int64
	Conditions   []struct {
		Label      string
		Partitions []struct {
			Treatment string
			Size      int
		}
	}
	Sets, Prerequisites []any
}

// changes is an answer of splitChanges, in both forms.
type answer struct {
	FF, RBS struct {
		D    []definition
		S, T int64
	}
	Splits      []definition
	Since, Till int64
}

// list shows an answer's flags in short.
func list(flags []definition) string {
	var out string
	for _, f := range flags {
		out += f.Name
		if f.Status != "ACTIVE" {
			out += ":" + f.Status
		}
		out += " "
	}
	return out
}

func (r *rig) changes(key, query string) (a answer) {
	r.t.Helper()
	r.get(key, "/api/splitChanges?"+query, &a)
	return a
}

func unzip(t *testing.T, response *http.Response) string {
	t.Helper()
	z, err := gzip.NewReader(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
