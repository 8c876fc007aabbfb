package ingest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"

	"causeway/internal/catalog"
	"causeway/internal/stream"
)

const configuration = `
projects:
  - name: shop
    trafficTypes: [user, anonymous]
    environments:
      - name: production
        sdkKeys: [{name: backend, type: server_side, key: sdk-key-1}]
      - name: staging
        sdkKeys:
          - {name: web, type: client_side, key: sdk-key-2}
          - {name: limited, type: client_side, key: sdk-key-3, limits: {requestsPerSecond: 2}}
    segment:
      destinations:
        - name: prod-events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          apiKey: write-key-1
          webhook: {secret: hook-secret-1}
        - name: Signed Events
          environment: staging
          identities: {userId: [user]}
          apiKey: write-key-2
          webhook: {secret: hook-secret-2, signingSecret: sekrit}
        - name: colons
          environment: production
          identities: {userId: [user]}
          apiKey: write-key-3
          webhook: {secret: "se:cret-3"}
      listeners:
        - {name: fme-webhook, environment: production, kind: fme_webhook, secret: listen-secret-1}
        - {name: synchronizer, environment: production, kind: impression_listener, secret: listen-secret-2}
        - {name: limited, environment: production, kind: fme_webhook, secret: listen-secret-3, limits: {bytesPerMinute: 100}}
`

// secrets are the credentials of the configuration: none may be seen anywhere.
var secrets = []string{
	"sdk-key-1", "sdk-key-2", "sdk-key-3", "write-key-1", "write-key-2", "write-key-3", "hook-secret-1", "hook-secret-2", "sekrit", "se:cret-3",
	"listen-secret-1", "listen-secret-2", "listen-secret-3",
}

// The real parts that tests share: streams, and the configuration above.
var (
	streams  *stream.Streams
	snapshot *catalog.Snapshot
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		stop, err := start(context.Background())
		defer stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

func start(ctx context.Context) (stop func(), err error) {
	dir, err := os.MkdirTemp("", "ingest")
	if err != nil {
		return func() {}, err
	}
	stop = func() { _ = os.RemoveAll(dir) }
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if streams, err = stream.Open(ctx, stream.Options{Dir: dir, Log: quiet}); err != nil {
		return stop, err
	}
	stop = func() { _, _ = streams.Close(), os.RemoveAll(dir) }
	kv, err := streams.KeyValue(ctx, "catalog")
	if err != nil {
		return stop, err
	}
	c, err := catalog.Open(ctx, catalog.Options{KV: kv, MasterKey: [32]byte{1}, Version: "test", Log: quiet})
	if err != nil {
		return stop, err
	}
	document, findings := catalog.Decode("test.yaml", []byte(configuration), os.LookupEnv)
	if len(findings) > 0 {
		return stop, fmt.Errorf("configuration: %v", findings)
	}
	if _, err := c.Apply(ctx, document, "test", 0); err != nil {
		return stop, err
	}
	snapshot = c.Snapshot()
	return stop, c.Close()
}

// newServer makes a Server that works with the configuration above. It appends
// to nowhere and logs nothing unless o says otherwise.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	o.Snapshot = func() *catalog.Snapshot { return snapshot }
	if o.Append == nil {
		o.Append = new(memory).append
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// memory keeps what is appended, or fails as told.
type memory struct {
	mu      sync.Mutex
	names   []stream.Name
	records []stream.Record
	fail    func(n int) error // n counts appends, from 0; nil: never
	n       int
}

func (m *memory) append(_ context.Context, name stream.Name, r stream.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.n
	m.n++
	if m.fail != nil {
		if err := m.fail(n); err != nil {
			return err
		}
	}
	m.names, m.records = append(m.names, name), append(m.records, r)
	return nil
}
