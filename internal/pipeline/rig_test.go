package pipeline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/pipeline"
	"causeway/internal/store"
	"causeway/internal/store/duckdb"
	"causeway/internal/stream"
)

const production = fme.EnvironmentID("shop/production")

const configuration = `projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: sdk-key}]}
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
`

// rig is a pipeline with real streams, a real store and a real catalog in one
// folder, which can be closed and opened again.
type rig struct {
	t       testing.TB
	folder  string
	streams *stream.Streams
	store   *duckdb.Store
	catalog *catalog.Catalog
	options pipeline.Options // what the next start uses beyond the real parts

	stop func()
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, folder: t.TempDir()}
	r.open()
	r.apply(configuration)
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	r.t.Helper()
	ctx := r.t.Context()
	var err error
	if r.streams, err = stream.Open(ctx, stream.Options{Dir: filepath.Join(r.folder, "streams")}); err != nil {
		r.t.Fatal(err)
	}
	if r.store, err = duckdb.Open(ctx, duckdb.Options{Path: filepath.Join(r.folder, "store.duckdb")}); err != nil {
		r.t.Fatal(err)
	}
	kv, err := r.streams.KeyValue(ctx, "catalog")
	if err != nil {
		r.t.Fatal(err)
	}
	if r.catalog, err = catalog.Open(ctx, catalog.Options{KV: kv, Audit: r.streams.AppendAudit, MasterKey: [32]byte{1}}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) close() {
	r.halt()
	for _, c := range []func() error{r.catalog.Close, r.store.Close, r.streams.Close} {
		if err := c(); err != nil {
			r.t.Error(err)
		}
	}
}

// reopen closes the real files and opens them again.
func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open()
}

func (r *rig) apply(config string) {
	r.t.Helper()
	doc, findings := catalog.Decode("causeway.yaml", []byte(config), func(string) (string, bool) { return "", false })
	if len(findings) > 0 {
		r.t.Fatal(findings)
	}
	if _, err := r.catalog.Apply(r.t.Context(), doc, "test", 0); err != nil {
		r.t.Fatal(err)
	}
}

// start runs a pipeline; streams and store default to the real ones.
func (r *rig) start() *pipeline.Pipeline {
	r.t.Helper()
	options := r.options
	options.Snapshot = r.catalog.Snapshot
	if options.Streams == nil {
		options.Streams = r.streams
	}
	if options.Store == nil {
		options.Store = r.store
	}
	options.Linger = 5 * time.Millisecond
	p, err := pipeline.New(options)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("the pipeline ended with %v", err)
		}
	}
	return p
}

func (r *rig) halt() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// settle waits until everything appended is in the store.
func (r *rig) settle() {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, name := range []stream.Name{stream.Calls, stream.Impressions} {
		_, last, _, err := r.streams.Bounds(r.t.Context(), name)
		if err != nil {
			r.t.Fatal(err)
		}
		for {
			position, err := r.store.Position(r.t.Context(), string(name))
			if err != nil {
				r.t.Fatal(err)
			}
			if position >= last {
				break
			}
			if time.Now().After(deadline) {
				r.t.Fatalf("%s stands at %d of %d", name, position, last)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// append makes a record durable, as a door does.
func (r *rig) append(name stream.Name, record stream.Record) {
	r.t.Helper()
	if err := r.streams.Append(r.t.Context(), name, record); err != nil {
		r.t.Fatal(err)
	}
}

func call(body string) stream.Record {
	return stream.Record{
		Kind: stream.Destination, Environment: string(production), Configuration: "events",
		Scheme: "basic", ReceivedAt: time.Now().UTC(), Body: []byte(body),
	}
}

func track(id, user string) stream.Record {
	return call(fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q,"event":"Order Completed","properties":{"revenue":9.5}}`, id, user))
}

func impression(flag, key string, ms int64) stream.Record {
	return stream.Record{
		Kind: stream.ImpressionsBulk, Environment: string(production), Scheme: "bearer", SDK: "go-6.10.0", ReceivedAt: time.Now().UTC(),
		Body: fmt.Appendf(nil, `[{"f":%q,"i":[{"k":%q,"t":"on","m":%d,"c":7,"r":"default rule"}]}]`, flag, key, ms),
	}
}

func (r *rig) events(q store.EventQuery) []fme.Event {
	r.t.Helper()
	q.Environment, q.Limit = production, 500
	page, err := r.store.Events(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return page.Items
}

func (r *rig) impressions() []fme.Impression {
	r.t.Helper()
	page, err := r.store.Impressions(r.t.Context(), store.ImpressionQuery{Environment: production, Span: store.Span{Limit: 500}})
	if err != nil {
		r.t.Fatal(err)
	}
	return page.Items
}

func (r *rig) calls(q store.CallQuery) []store.CallRow {
	r.t.Helper()
	q.Environment, q.Limit = production, 500
	page, err := r.store.Calls(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return page.Items
}

// outgoing takes everything that waits for a source and counts it by messageId.
func (r *rig) outgoing(source string) map[string]int {
	r.t.Helper()
	queue, err := r.streams.Outbound(r.t.Context(), source)
	if err != nil {
		r.t.Fatal(err)
	}
	counts := map[string]int{}
	for {
		parcels, err := queue.Next(r.t.Context(), 100, 100*time.Millisecond)
		if err != nil {
			r.t.Fatal(err)
		}
		if len(parcels) == 0 {
			return counts
		}
		for _, parcel := range parcels {
			for _, raw := range parcel.Calls {
				var sent struct {
					MessageID string `json:"messageId"`
				}
				if err := json.Unmarshal(raw, &sent); err != nil {
					r.t.Fatal(err)
				}
				counts[sent.MessageID]++
			}
			if err := parcel.Ack(r.t.Context()); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}
