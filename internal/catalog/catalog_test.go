package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.yaml.in/yaml/v3"
)

// bucket starts a JetStream of its own in this process and makes an empty bucket.
func bucket(t *testing.T) jetstream.KeyValue {
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
	return kv
}

var testMasterKey = [32]byte{1, 2, 3}

func open(t *testing.T, kv jetstream.KeyValue) *Catalog {
	t.Helper()
	return openWith(t, Options{KV: kv})
}

func openWith(t *testing.T, opt Options) *Catalog {
	t.Helper()
	if opt.MasterKey == [32]byte{} {
		opt.MasterKey = testMasterKey
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	opt.Version = "1.2.3"
	c, err := Open(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func apply(t *testing.T, c *Catalog, doc *Document) Change {
	t.Helper()
	change, err := c.Apply(t.Context(), doc, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

const small = `
projects:
  - name: shop
    trafficTypes: [user]
    environments: [{name: production, sdkKeys: [{name: backend, type: server_side}]}]
    segment:
      destinations: [{name: In, environment: production}]
      listeners: [{name: hook, environment: production, kind: fme_webhook}]
`

func TestTheExampleIsCompiledAndIndexed(t *testing.T) {
	c := open(t, bucket(t))
	if got := c.Snapshot().Revision; got != 0 {
		t.Errorf("revision of an empty catalog: %d", got)
	}
	if change := apply(t, c, example(t)); len(change.Generated) != 0 || change.Revision == 0 {
		t.Errorf("change: %+v", change)
	}
	s := c.Snapshot()
	environment, ok := s.Environment("shop/production")
	if !ok || environment.Name != "production" || environment.APIID != "" || environment.Project.Name != "shop" {
		t.Fatalf("environment: %+v", environment)
	}
	if got, ok := environment.Project.FlagTrafficType("checkout_button"); got != "user" || !ok {
		t.Errorf("traffic type of the flag: %q %v", got, ok)
	}
	if _, ok := environment.Project.FlagTrafficType("other"); ok {
		t.Error("a flag that is not in the catalog has a traffic type")
	}
	if key, ok := s.SDKKey("sdk-key-1"); !ok || key.Name != "backend" || key.Type != ServerSide || key.Environment != environment {
		t.Errorf("SDK key: %+v %v", key, ok)
	}
	if _, ok := s.SDKKey("sdk-key-2"); ok {
		t.Error("an unknown SDK key is known")
	}
	checkExampleDestination(t, s, environment)
	checkExampleSource(t, s, environment)
	l, ok := s.Listener("synchronizer")
	if !ok || l.Kind != ImpressionListener || !l.CheckSecret("hook-secret-2") || l.CheckSecret("hook-secret-1") || l.Environment != environment {
		t.Errorf("listener: %+v %v", l, ok)
	}
}

func checkExampleDestination(t *testing.T, s *Snapshot, environment *Environment) {
	t.Helper()
	d, ok := s.DestinationByKey("api-key-1")
	if !ok || d.ID != "prod-events" || !d.CheckKey("api-key-1") || d.CheckKey("api-key-2") || d.CheckKey("") {
		t.Fatalf("destination: %+v %v", d, ok)
	}
	if !d.CheckSecret("webhook-secret-1") || d.CheckSecret("") || d.SigningSecret() != nil {
		t.Error("webhook secrets")
	}
	if byName, _ := s.Destination("prod-events"); byName != d || len(s.Destinations("shop/production")) != 1 || len(s.Destinations("shop/x")) != 0 {
		t.Error("lookup of the destination by name and environment")
	}
	got := *d.Translate
	if got.Environment != "shop/production" || got.ID != d.ID || got.Value != "properties.revenue" || !got.Identify || !got.Pages ||
		got.GroupTrafficType != "account" || !slices.Equal(got.UserID, []string{"user"}) || len(got.TrafficTypes) != 3 {
		t.Errorf("translation: %+v", got)
	}
	if d.Environment != environment {
		t.Error("environment of the destination")
	}
}

func checkExampleSource(t *testing.T, s *Snapshot, environment *Environment) {
	t.Helper()
	source, ok := s.Source("prod-impressions")
	if !ok || source.WriteKey.Reveal() != "write-key-1" || source.Endpoint != DefaultEndpoint || source.Environments[0] != environment {
		t.Fatalf("source: %+v %v", source, ok)
	}
	if got := s.Sources("shop/production"); len(got) != 1 || got[0] != source {
		t.Errorf("sources of the environment: %v", got)
	}
	translated := *source.Translate
	if translated.ID != source.ID || translated.LibraryVersion != "1.2.3" || translated.DefaultTrafficType != "user" || translated.TrafficToIdentity["anonymous"] != AnonymousID {
		t.Errorf("translation: %+v", translated)
	}
}

func TestApplyingTheSameAgainChangesAndAuditsNothing(t *testing.T) {
	var entries []AuditEntry
	c := openWith(t, Options{KV: bucket(t), Audit: func(_ context.Context, text []byte) error {
		var entry AuditEntry
		err := json.Unmarshal(text, &entry)
		entries = append(entries, entry)
		return err
	}, Now: func() time.Time { return time.Unix(1e9, 0) }})
	first := apply(t, c, example(t))
	for range 2 {
		if again := apply(t, c, example(t)); again.Revision != first.Revision || len(again.Differences) != 0 || again.Differences == nil {
			t.Errorf("applied again: %+v", again)
		}
	}
	if len(entries) != 1 || entries[0].Actor != "test" || entries[0].Revision != first.Revision || !entries[0].Time.Equal(time.Unix(1e9, 0)) {
		t.Fatalf("audit: %+v", entries)
	}
	text, _ := json.Marshal(entries)
	for name, value := range exampleVariables {
		if strings.Contains(string(text), value) {
			t.Errorf("the audit entry shows %s", name)
		}
	}
}

func TestAnAuditEntryThatCannotBeKeptGoesToTheLog(t *testing.T) {
	var log strings.Builder
	c := openWith(t, Options{
		KV: bucket(t), Log: slog.New(slog.NewTextHandler(&log, nil)),
		Audit: func(context.Context, []byte) error { return errors.New("no room") },
	})
	if change := apply(t, c, example(t)); change.Revision == 0 {
		t.Errorf("change: %+v", change)
	}
	if text := log.String(); !strings.Contains(text, "no room") || !strings.Contains(text, `projects[shop]`) {
		t.Errorf("log: %s", text)
	}
}

func TestSecretsLeftOutAreGeneratedOnceAndKept(t *testing.T) {
	kv := bucket(t)
	c := open(t, kv)
	planned, found := c.Plan(mustDecode(t, small))
	if len(found) > 0 || len(planned.Generated) != 4 || planned.Generated[0].Value != "" || c.Snapshot().Revision != 0 {
		t.Errorf("plan: %+v %v", planned, found)
	}
	first := apply(t, c, mustDecode(t, small))
	values := make(map[string]string)
	for _, g := range first.Generated {
		values[g.Path] = g.Value
		if !wellFormed(g.Value) || wellFormed(g.Value+"x") {
			t.Errorf("checksum of %s", g.Value)
		}
	}
	prefixes := map[string]string{
		"projects[0].environments[0].sdkKeys[0].key":          "cw_sdk_",
		"projects[0].segment.destinations[0].apiKey":          "cw_key_",
		"projects[0].segment.destinations[0].webhook.secret":  "cw_hook_",
		"projects[0].segment.listeners[0].secret":             "cw_hook_",
		"projects[0].segment.destinations[0].webhook.nothing": "",
	}
	for path, prefix := range prefixes {
		if !strings.HasPrefix(values[path], prefix) || prefix != "" && values[path] == "" {
			t.Errorf("%s: %q", path, values[path])
		}
	}
	check := func(c *Catalog) {
		t.Helper()
		s := c.Snapshot()
		d, ok := s.DestinationByKey(values["projects[0].segment.destinations[0].apiKey"])
		if !ok || !d.CheckSecret(values["projects[0].segment.destinations[0].webhook.secret"]) {
			t.Error("the generated key or webhook secret does not work")
		}
		if _, ok := s.SDKKey(values["projects[0].environments[0].sdkKeys[0].key"]); !ok {
			t.Error("the generated SDK key does not work")
		}
	}
	check(c)
	changed := strings.Replace(small, "trafficTypes: [user]", "trafficTypes: [user, account]", 1)
	again := apply(t, c, mustDecode(t, changed))
	if len(again.Generated) != 0 {
		t.Errorf("generated again: %+v", again.Generated)
	}
	want := []Difference{{Path: "projects[shop].trafficTypes", Kind: Changed, Before: json.RawMessage(`["user"]`), After: json.RawMessage(`["user","account"]`)}}
	if diff := cmp.Diff(want, again.Differences); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	check(c)
	check(open(t, kv)) // after a restart
}

func TestDifferencesNameObjectsAndMaskSecrets(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, example(t))
	doc := example(t)
	p := &doc.Projects[0]
	p.Environments = append([]EnvironmentSpec{{Name: "staging"}}, p.Environments...)
	p.Segment.Sources[0].WriteKey = NewSecret("write-key-2")
	p.Segment.Sources[0].Identities["account"] = UserID
	p.Segment.Destinations[0].Pages.Enabled = false
	p.Segment.Listeners = p.Segment.Listeners[1:]
	got, found := c.Plan(doc)
	if len(found) > 0 {
		t.Fatal(found)
	}
	var lines []string
	for _, d := range got.Differences {
		lines = append(lines, fmt.Sprintf("%s %s %s -> %s", d.Kind, d.Path, d.Before, d.After))
	}
	want := []string{
		`added projects[shop].environments[staging]  -> {"name":"staging","id":"","sdkKeys":[]}`,
		`changed projects[shop].segment.sources[prod-impressions].identities {"anonymous":"anonymousId","user":"userId"} -> {"account":"userId","anonymous":"anonymousId","user":"userId"}`,
		`changed projects[shop].segment.sources[prod-impressions].writeKey "[secret]" -> "[secret]"`,
		`changed projects[shop].segment.destinations[prod-events].pages.enabled true -> false`,
		`removed projects[shop].segment.listeners[fme-webhook] {"name":"fme-webhook","environment":"production","kind":"fme_webhook","secret":"[secret]"} -> `,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestExportThenApplyChangesNothing(t *testing.T) {
	doc := example(t)
	doc.Projects[0].Segment.Destinations[0].Webhook.SigningSecret = NewSecret("signing-1")
	doc.Projects[0].Segment.Sources[0].Event = "a ${literal} $${ text"
	c := open(t, bucket(t))
	revision := apply(t, c, doc).Revision
	fresh := open(t, bucket(t))
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		text, err := marshal(c.Export())
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range append(slices.Collect(mapValues(exampleVariables)), "signing-1") {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s: the export shows %q", name, secret)
			}
		}
		back, found := Decode("export", text, nil)
		if len(found) > 0 {
			t.Fatalf("%s: %v\n%s", name, found, text)
		}
		if change := apply(t, c, back); len(change.Differences) > 0 || change.Revision != revision {
			t.Errorf("%s: applied again: %+v", name, change)
		}
		apply(t, fresh, back)
		again, _ := marshal(fresh.Export())
		if diff := cmp.Diff(string(text), string(again)); diff != "" {
			t.Errorf("%s: export of a fresh server (-want +got):\n%s", name, diff)
		}
	}
	d, _ := fresh.Snapshot().DestinationByKey("api-key-1")
	source, _ := fresh.Snapshot().Source("prod-impressions")
	if string(d.SigningSecret()) != "signing-1" || source.WriteKey.Reveal() != "write-key-1" || source.Translate.Event != "a ${literal} $${ text" {
		t.Error("secrets or texts of the fresh server")
	}
}

func mapValues(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func TestASealedTextWorksOnlyForItsObjectAndMasterKey(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, example(t))
	stolen := c.Export()
	stolen.Projects[0].Segment.Sources[0].Name = "mine"
	var invalid *InvalidError
	if _, err := c.Apply(t.Context(), stolen, "test", 0); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "belongs to another object") {
		t.Errorf("under another name: %v", err)
	}
	other := openWith(t, Options{KV: bucket(t), MasterKey: [32]byte{9}})
	if _, err := other.Apply(t.Context(), c.Export(), "test", 0); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "another master key") {
		t.Errorf("under another master key: %v", err)
	}
}

func TestAnotherMasterKeyFailsToOpenWithAFix(t *testing.T) {
	kv := bucket(t)
	apply(t, open(t, kv), example(t))
	_, err := Open(t.Context(), Options{KV: kv, MasterKey: [32]byte{9}})
	if err == nil || !strings.Contains(err.Error(), "start it with the master key it had before") {
		t.Errorf("got %v", err)
	}
	if _, err := kv.Put(t.Context(), documentKey, []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{KV: kv, MasterKey: testMasterKey}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("got %v", err)
	}
}

func TestChangesOfAnotherNodeArriveByThemselves(t *testing.T) {
	kv := bucket(t)
	one, two := open(t, kv), open(t, kv)
	before := two.Snapshot()
	changed := two.Changed()
	revision := apply(t, one, example(t)).Revision
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatal("the change did not arrive")
	}
	if got := two.Snapshot().Revision; got != revision {
		t.Errorf("revision %d, want %d", got, revision)
	}
	if _, ok := before.DestinationByKey("api-key-1"); ok {
		t.Error("the snapshot in use changed")
	}
	if one.Snapshot().Revision != revision {
		t.Error("a node does not see its own change at once")
	}
}

func TestAnEntryThatCannotBeReadLeavesTheSnapshotInUse(t *testing.T) {
	kv := bucket(t)
	logged := make(chan string, 10)
	c := openWith(t, Options{KV: kv, Log: slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
		logged <- string(p)
		return len(p), nil
	}), nil))})
	apply(t, c, example(t))
	if _, err := kv.Put(t.Context(), documentKey, []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if line := <-logged; !strings.Contains(line, "stays in use") {
		t.Errorf("log: %s", line)
	}
	if _, ok := c.Snapshot().DestinationByKey("api-key-1"); !ok {
		t.Error("the snapshot is gone")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestALostRaceIsStaleWithARevisionAndTriedAgainWithout(t *testing.T) {
	kv := bucket(t)
	one, two := open(t, kv), open(t, kv)
	first, err := one.Apply(t.Context(), mustDecode(t, small), "test", FromEmpty)
	if err != nil {
		t.Fatal(err)
	}
	second := mustDecode(t, strings.Replace(small, "[user]", "[user, account]", 1))
	if _, err := one.Apply(t.Context(), second, "test", first.Revision); err != nil {
		t.Fatal(err)
	}
	for _, revision := range []uint64{first.Revision, FromEmpty, 1e9} {
		if _, err := two.Apply(t.Context(), mustDecode(t, small), "test", revision); !errors.Is(err, ErrStale) {
			t.Errorf("from revision %d: %v", revision, err)
		}
	}

	// Both nodes add flags to whatever is there; none may be lost.
	const each = 10
	var wg sync.WaitGroup
	for i, c := range []*Catalog{one, two} {
		wg.Go(func() {
			for n := range each {
				for {
					snapshot := c.Snapshot() // document and revision of one moment
					doc := snapshot.Document()
					doc.Projects[0].Flags = append(doc.Projects[0].Flags, FlagSpec{Name: fmt.Sprintf("flag-%d-%d", i, n), TrafficType: "user"})
					_, err := c.Apply(t.Context(), doc, "test", snapshot.Revision)
					if errors.Is(err, ErrStale) {
						time.Sleep(time.Millisecond)
						continue
					}
					if err != nil {
						t.Error(err)
					}
					break
				}
			}
		})
	}
	wg.Wait()
	doc, err := one.unpackStored(t)
	if err != nil || len(doc.Projects[0].Flags) != 2*each {
		t.Errorf("%d flags (%v), want %d", len(doc.Projects[0].Flags), err, 2*each)
	}

	// Rotations of whatever is there are tried again until they win.
	for _, c := range []*Catalog{one, two, one, two} {
		wg.Go(func() {
			if _, err := c.RotateKey(t.Context(), KeyRef{Kind: "destination", Name: "In"}, false, "test"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func (c *Catalog) unpackStored(t *testing.T) (*Document, error) {
	entry, err := c.kv.Get(t.Context(), documentKey)
	if err != nil {
		return nil, err
	}
	doc, _, err := c.unpack(entry.Value())
	return doc, err
}

// lossyKV stores what it is told to and then reports a failure.
type lossyKV struct{ jetstream.KeyValue }

func (kv lossyKV) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if _, err := kv.KeyValue.Update(ctx, key, value, revision); err != nil {
		return 0, err
	}
	return 0, errors.New("the answer was lost")
}

// deadKV stores nothing.
type deadKV struct{ jetstream.KeyValue }

func (kv deadKV) Update(context.Context, string, []byte, uint64) (uint64, error) {
	return 0, errors.New("no quorum")
}

func TestAWriteWhoseAnswerWasLostStillShowsItsSecrets(t *testing.T) {
	kv := bucket(t)
	change := apply(t, open(t, lossyKV{kv}), mustDecode(t, small))
	if len(change.Generated) != 4 || change.Revision == 0 {
		t.Errorf("change: %+v", change)
	}
	c := open(t, deadKV{bucket(t)})
	if _, err := c.Apply(t.Context(), mustDecode(t, small), "test", 0); err == nil || !strings.Contains(err.Error(), "no quorum") {
		t.Errorf("got %v", err)
	}
	if c.Snapshot().Revision != 0 {
		t.Error("a change that failed is shown")
	}
}

func TestAWrongDocumentIsNotApplied(t *testing.T) {
	c := open(t, bucket(t))
	doc := example(t)
	doc.Projects[0].Segment.Destinations[0].Environment = "stagin"
	var invalid *InvalidError
	_, err := c.Apply(t.Context(), doc, "test", 0)
	if !errors.As(err, &invalid) || len(invalid.Findings) != 1 || invalid.Findings[0].Line != 23 {
		t.Errorf("got %v", err)
	}
	if c.Snapshot().Revision != 0 {
		t.Error("it was applied")
	}
	// A kept key can clash with one that another object is given.
	first := apply(t, c, mustDecode(t, small))
	clash := strings.Replace(small, "destinations: [", "destinations: [{name: In2, environment: production, apiKey: "+first.Generated[1].Value+"}, ", 1)
	if _, err := c.Apply(t.Context(), mustDecode(t, clash), "test", 0); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "the same key is used") {
		t.Errorf("got %v", err)
	}
}

func TestSlugsAreStableAndSafeInURLs(t *testing.T) {
	for name, want := range map[string]string{
		"prod-events": "prod-events", "Prod Events!": "prod-events", " a  b ": "a-b", "a_b.c": "a_b-c", "Über 9": "ber-9", "вход": "nd291253f",
	} {
		got := Slug(name)
		if got != want || Slug(got) != got {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// deafKV cannot be watched at first.
type deafKV struct {
	jetstream.KeyValue
	failures atomic.Int32
}

func (kv *deafKV) WatchFiltered(ctx context.Context, keys []string, opts ...jetstream.WatchOpt) (jetstream.KeyWatcher, error) {
	if kv.failures.Add(-1) >= 0 {
		return nil, errors.New("no stream")
	}
	return kv.KeyValue.WatchFiltered(ctx, keys, opts...)
}

func TestAWatchThatBrokeIsTakenUpAgain(t *testing.T) {
	kv := bucket(t)
	deaf := &deafKV{KeyValue: kv}
	deaf.failures.Store(2)
	two := open(t, deaf)
	changed := two.Changed()
	apply(t, open(t, kv), example(t))
	select {
	case <-changed:
	case <-time.After(5 * time.Second):
		t.Fatal("the change did not arrive")
	}
}

func TestADocumentWithASecretThatCouldNotBeReadIsNotApplied(t *testing.T) {
	doc, found := Decode("", []byte(strings.Replace(small, "name: In,", "name: In, webhook: {signingSecret: [x]},", 1)), nil)
	if len(found) != 1 {
		t.Fatal(found)
	}
	c := open(t, bucket(t))
	var invalid *InvalidError
	if _, err := c.Apply(t.Context(), doc, "test", 0); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "signingSecret could not be read") {
		t.Errorf("got %v", err)
	}
}
