package deliver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/reason"
	"causeway/internal/segment/segmenttest"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// room is a Deliver with real streams, a real catalog and a fake Segment.
type room struct {
	t       *testing.T
	dir     string
	streams *stream.Streams
	catalog *catalog.Catalog
	fake    *segmenttest.Fake
	store   *records
	options Options // what differs from the test's own
	deliver *Deliver
	stop    func() time.Duration // ends Run and says how long that took
}

func newRoom(t *testing.T) *room {
	t.Parallel()
	r := &room{t: t, dir: t.TempDir(), fake: segmenttest.Start(t, segmenttest.Options{Slow: 300 * time.Millisecond}), store: &records{}}
	r.options.AllowPrivateEndpoints = true
	r.open()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *room) open() {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(r.t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	var err error
	if r.streams, err = stream.Open(r.t.Context(), stream.Options{Dir: r.dir, Log: log}); err != nil {
		r.t.Fatal(err)
	}
	kv, err := r.streams.KeyValue(r.t.Context(), "catalog")
	if err != nil {
		r.t.Fatal(err)
	}
	if r.catalog, err = catalog.Open(r.t.Context(), catalog.Options{KV: kv, MasterKey: [32]byte{1}, Log: log}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *room) close() {
	if r.stop != nil {
		r.stop()
	}
	_ = r.catalog.Close()
	_ = r.streams.Close()
}

// configure applies sources, each "name endpoint key"; an endpoint of "fake"
// is the fake Segment.
func (r *room) configure(sources ...string) {
	r.t.Helper()
	var b strings.Builder
	b.WriteString("projects:\n  - name: shop\n    trafficTypes: [user]\n    environments: [{name: production}]\n    segment:\n      sources:\n")
	for _, source := range sources {
		f := strings.Fields(source)
		if f[1] == "fake" {
			f[1] = r.fake.URL
		}
		fmt.Fprintf(&b, "        - {name: %s, environments: [production], identities: {user: userId}, endpoint: %q, writeKey: %q}\n", f[0], f[1], f[2])
	}
	if len(sources) == 0 {
		b.WriteString("        []\n")
	}
	doc, findings := catalog.Decode("test.yaml", []byte(b.String()), nil)
	if len(findings) > 0 {
		r.t.Fatalf("configuration: %v", findings)
	}
	if _, err := r.catalog.Apply(r.t.Context(), doc, "test", 0); err != nil {
		r.t.Fatal(err)
	}
}

// start runs a Deliver with short waits until stop is called.
func (r *room) start() {
	r.t.Helper()
	o := r.options
	o.Catalog, o.Streams, o.Version = r.catalog, r.streams, "test"
	if o.Store == nil {
		o.Store = r.store
	}
	d, err := New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	d.schedule = schedule{first: 5 * time.Millisecond, longest: 20 * time.Millisecond, pause: time.Hour, asked: 50 * time.Millisecond}
	d.quiet, d.drain = 50*time.Millisecond, 300*time.Millisecond
	r.deliver = d
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }()
	r.stop = func() time.Duration {
		r.stop = nil
		from := time.Now()
		cancel()
		if err := <-ended; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		return time.Since(from)
	}
}

// publish puts calls <source>-<from> to <source>-<to-1> on their way, ten to a frame.
func (r *room) publish(source string, from, to int) {
	r.t.Helper()
	last, err := r.streams.LastOrigin(r.t.Context(), source)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := from; i < to; i += 10 {
		last++
		var list []json.RawMessage
		for n := i; n < min(i+10, to); n++ {
			list = append(list, testCall(fmt.Sprintf("%s-%d", source, n), ""))
		}
		if err := r.streams.PublishOutbound(r.t.Context(), source, last, list); err != nil {
			r.t.Fatal(err)
		}
	}
}

// arrived waits for so many different calls at the fake.
func (r *room) arrived(calls int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	if err := r.fake.Wait(ctx, calls); err != nil {
		r.t.Fatal(err)
	}
}

// becomes waits until a source is in a state.
func (r *room) becomes(source, state string) stream.DeliveryState {
	r.t.Helper()
	var got stream.DeliveryState
	r.eventually(fmt.Sprintf("%s becomes %s", source, state), func() bool {
		var err error
		if got, _, err = r.streams.DeliveryState(r.t.Context(), source); err != nil {
			r.t.Fatal(err)
		}
		return got.State == state
	})
	return got
}

func (r *room) eventually(what string, is func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// nothingWaits waits until everything is acknowledged.
func (r *room) nothingWaits(source string) {
	r.t.Helper()
	queue, err := r.streams.Outbound(r.t.Context(), source)
	if err != nil {
		r.t.Fatal(err)
	}
	r.eventually("nothing waits for "+source, func() bool {
		n, _, err := queue.Pending(r.t.Context())
		return err == nil && n == 0
	})
}

func (r *room) hasStream(source string) bool {
	r.t.Helper()
	sources, err := r.streams.OutboundSources(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.Contains(sources, source)
}

func (r *room) letters() []stream.DeadLetter {
	r.t.Helper()
	letters, _, err := r.streams.DeadLetters(r.t.Context(), stream.DeadLetterQuery{Limit: 1000})
	if err != nil {
		r.t.Fatal(err)
	}
	return letters
}

// faultless fails the test when the fake saw anything it did not like.
func (r *room) faultless() {
	r.t.Helper()
	if v := r.fake.Violations(); len(v) > 0 {
		r.t.Errorf("the fake complains: %q", v)
	}
}

// records is a store in memory.
type records struct {
	mu       sync.Mutex
	attempts []store.Delivery
}

func (s *records) WriteDeliveries(_ context.Context, attempts []store.Delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, attempts...)
	return nil
}

func (s *records) all() []store.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

func TestWhatIsPublishedArrivesOnceAndInOrder(t *testing.T) {
	r := newRoom(t)
	var hub tail.Hub
	watcher := hub.Watch(100)
	defer watcher.Close()
	registry := prometheus.NewPedanticRegistry()
	r.options.Tail, r.options.Metrics = &hub, registry
	r.configure("prod fake wk")
	r.start()
	r.publish("prod", 0, 25)
	r.arrived(25)
	r.nothingWaits("prod")
	for i, call := range r.fake.Calls() {
		if call.MessageID != fmt.Sprintf("prod-%d", i) || call.WriteKey != "wk" {
			t.Errorf("call %d is %s of %s", i, call.MessageID, call.WriteKey)
		}
		if !bytes.Equal(call.JSON, testCall(call.MessageID, "")) {
			t.Errorf("sent as %s", call.JSON)
		}
	}
	for _, request := range r.fake.Requests() {
		h := request.Header
		if h.Get("Content-Encoding") != "gzip" || h.Get("User-Agent") != "causeway/test" || h.Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", h)
		}
	}
	r.faultless()
	r.becomes("prod", stream.DeliveryIdle)
	requests := len(r.fake.Requests())
	r.eventually("every attempt is recorded", func() bool { return len(r.store.all()) == requests })
	if a := r.store.all()[0]; a.Outcome != outcomeDelivered || a.Status != 200 || a.Answer != `{"success":true}` {
		t.Errorf("attempt %+v", a)
	}
	if item := <-watcher.Items(); item.Kind != tail.Delivery || item.Configuration != "prod" || item.Type != "200" || item.Outcome != outcomeDelivered {
		t.Errorf("tail item %+v", item)
	}
	if took := r.stop(); took > 2*time.Second {
		t.Errorf("Run took %s to end", took)
	}
	want := `
		# HELP causeway_segment_calls_total Calls that are done with: delivered, or set aside with a reason code.
		# TYPE causeway_segment_calls_total counter
		causeway_segment_calls_total{outcome="delivered",source="prod"} 25
	`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "causeway_segment_calls_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

func TestALoneCallDoesNotWaitForCompany(t *testing.T) {
	r := newRoom(t)
	r.configure("prod fake wk")
	r.start()
	r.publish("prod", 0, 1)
	r.arrived(1)
	var waits []time.Duration
	for i := 1; i <= 10; i++ {
		from := time.Now()
		r.publish("prod", i, i+1)
		r.arrived(i + 1)
		waits = append(waits, time.Since(from))
	}
	slices.Sort(waits)
	if median := waits[5]; median > 300*time.Millisecond {
		t.Errorf("half of the calls took over %s", median)
	}
}

func TestADeadEndpointDelaysNoOtherSource(t *testing.T) {
	r := newRoom(t)
	dead, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	r.configure("live fake wk", "mute http://"+dead.Addr().String()+" wk", "gone http://"+closed.Addr().String()+" wk", "angry fake fail-500")
	r.start()
	for _, source := range []string{"mute", "gone", "angry"} {
		r.publish(source, 0, 50)
	}
	r.becomes("gone", stream.DeliveryRetrying)
	r.becomes("angry", stream.DeliveryRetrying)
	from := time.Now()
	r.publish("live", 0, 100)
	r.arrived(100)
	if took := time.Since(from); took > 3*time.Second {
		t.Errorf("the live source took %s", took)
	}
	if state := r.becomes("gone", stream.DeliveryRetrying); !strings.Contains(state.Answer, "refused") || state.NextAttempt.IsZero() {
		t.Errorf("state %+v", state)
	}
	for _, call := range r.fake.Calls() {
		if call.WriteKey != "wk" {
			t.Errorf("a call of %s arrived", call.WriteKey)
		}
	}
	if took := r.stop(); took > 3*time.Second {
		t.Errorf("Run took %s to end", took)
	}
}

func TestAfterAFailureNothingIsLostAndOnlyMessageIDsRepeat(t *testing.T) {
	for name, answer := range map[string]segmenttest.Answer{
		"not received":           {Status: 503},
		"received, answer lost":  {Reset: true, Keep: true},
		"reset before receiving": {Reset: true},
		"asked to wait":          {Status: 429, Header: map[string][]string{"Retry-After": {"1"}}},
		"redirected":             {Status: 302, Header: map[string][]string{"Location": {"/elsewhere"}}},
		"slow":                   {Delay: 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			if answer.Delay > 0 {
				r.options.Timeout = answer.Delay / 2
			}
			var requests atomic.Int32
			r.fake.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
				return answer, requests.Add(1)%3 != 0
			})
			r.configure("prod fake wk")
			r.start()
			for i := range 5 {
				r.publish("prod", i*40, i*40+40)
			}
			r.arrived(200)
			r.nothingWaits("prod")
			if n := len(r.letters()); n != 0 {
				t.Errorf("%d calls set aside", n)
			}
			if repeats := r.fake.Totals().Repeats; (repeats > 0) != (answer.Keep || answer.Delay > 0) {
				t.Errorf("%d repeats", repeats)
			}
			r.faultless()
		})
	}
}

func TestAPausedSourceResumesWhenItsKeyChanges(t *testing.T) {
	r := newRoom(t)
	r.configure("prod fake fail-401")
	r.start()
	r.publish("prod", 0, 30)
	state := r.becomes("prod", stream.DeliveryPaused)
	if state.Reason != reason.CredentialsRefused || state.Status != 401 {
		t.Errorf("state %+v", state)
	}
	if v := testutil.ToFloat64(r.deliver.metrics.paused.WithLabelValues("prod")); v != 1 {
		t.Errorf("paused gauge %v", v)
	}
	if n := len(r.fake.Requests()); n != 1 {
		t.Errorf("%d requests while paused, want 1", n)
	}
	r.configure("prod fake wk")
	r.arrived(30)
	r.becomes("prod", stream.DeliveryIdle)
	if v := testutil.ToFloat64(r.deliver.metrics.paused.WithLabelValues("prod")); v != 0 {
		t.Errorf("paused gauge %v", v)
	}
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d calls set aside", n)
	}
}

func TestARefusedCallWaitsAmongTheDeadLettersAndCanBeReplayed(t *testing.T) {
	r := newRoom(t)
	r.configure("prod fake poison")
	r.start()
	list := make([]json.RawMessage, 1000)
	for i := range list {
		list[i] = testCall(fmt.Sprintf("m%d", i), "")
	}
	list[388] = testCall("m388", `,"poison":true`)
	if err := r.streams.PublishOutbound(t.Context(), "prod", 1, list); err != nil {
		t.Fatal(err)
	}
	r.arrived(999)
	r.nothingWaits("prod")
	letters := r.letters()
	if len(letters) != 1 || letters[0].MessageID != "m388" || letters[0].Status != 400 || !strings.Contains(letters[0].Answer, "poisoned") {
		t.Fatalf("dead letters %+v", letters)
	}
	if n := len(r.fake.Requests()); n > 21 {
		t.Errorf("%d requests to find one call among 1,000", n)
	}
	r.configure("prod fake wk")
	if _, err := r.streams.Replay(t.Context(), stream.DeadLetterQuery{}, false); err != nil {
		t.Fatal(err)
	}
	r.arrived(1000)
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d dead letters after the replay", n)
	}
	if n := r.fake.Totals().Repeats; n != 0 {
		t.Errorf("%d repeats", n)
	}
	r.faultless()
}

func TestARestartInTheMiddleDeliversTheRest(t *testing.T) {
	r := newRoom(t)
	var broken atomic.Bool
	r.fake.Respond(func(q segmenttest.Request) (segmenttest.Answer, bool) {
		// From the second frame on the answers get lost: happened, but not told.
		return segmenttest.Answer{Reset: true, Keep: true}, broken.Load()
	})
	r.configure("prod fake wk")
	r.start()
	r.publish("prod", 0, 10)
	r.arrived(10)
	r.nothingWaits("prod")
	broken.Store(true)
	r.publish("prod", 10, 100)
	r.becomes("prod", stream.DeliveryRetrying)
	if took := r.stop(); took > 2*time.Second {
		t.Errorf("Run took %s to end", took)
	}
	r.close()

	r.open()
	r.publish("prod", 100, 110)
	broken.Store(false)
	r.start()
	r.arrived(110)
	r.nothingWaits("prod")
	r.becomes("prod", stream.DeliveryIdle)
	if total := r.fake.Totals(); total.Calls != 110 {
		t.Errorf("totals %+v", total)
	}
	r.faultless()
}

func TestSourcesMayComeAndGo(t *testing.T) {
	r := newRoom(t)
	r.configure("prod fake fail-500")
	r.start()
	r.publish("prod", 0, 20)
	r.becomes("prod", stream.DeliveryRetrying)
	r.configure("other fake wk")
	r.publish("other", 0, 10)
	r.arrived(10)
	r.eventually("the stream of the removed source is dropped", func() bool { return !r.hasStream("prod") })
	letters := r.letters()
	if len(letters) != 20 || letters[0].Reason != reason.ConfigurationGone || letters[0].Source != "prod" {
		t.Fatalf("%d dead letters, first %+v", len(letters), letters[0])
	}
	time.Sleep(20 * time.Millisecond)
	if state, ok, err := r.streams.DeliveryState(t.Context(), "prod"); ok || err != nil {
		t.Errorf("the removed source still has the state %+v, %v", state, err)
	}
	r.configure("prod fake wk", "other fake wk")
	r.eventually("the source has a stream again", func() bool { return r.hasStream("prod") })
	if _, err := r.streams.Replay(t.Context(), stream.DeadLetterQuery{}, false); err != nil {
		t.Fatal(err)
	}
	r.arrived(30)
	r.publish("prod", 20, 30)
	r.arrived(40)
	r.faultless()
}

func TestAStreamWhoseSourceWasRemovedWhileWeWereAwayIsSetAside(t *testing.T) {
	r := newRoom(t)
	r.configure("other fake wk")
	r.publish("prod", 0, 15)
	r.start()
	r.eventually("all is set aside", func() bool { return len(r.letters()) == 15 })
	if n := len(r.fake.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestAnEmptyCatalogRemovesNothing(t *testing.T) {
	r := newRoom(t)
	r.publish("prod", 0, 5)
	r.start()
	time.Sleep(100 * time.Millisecond)
	if n := len(r.letters()); n != 0 {
		t.Errorf("%d calls set aside before anything was configured", n)
	}
	r.configure("prod fake wk")
	r.arrived(5)
}

func TestAPrivateEndpointPausesTheSourceUnlessAllowed(t *testing.T) {
	r := newRoom(t)
	r.options.AllowPrivateEndpoints = false
	byName := strings.Replace(r.fake.URL, "127.0.0.1", "localhost", 1)
	r.configure("address fake wk", "name "+byName+" wk")
	r.start()
	for _, source := range []string{"address", "name"} {
		r.publish(source, 0, 10)
		state := r.becomes(source, stream.DeliveryPaused)
		if state.Reason != reason.EndpointNotAllowed || !strings.Contains(state.Answer, "--allow-private-endpoints") {
			t.Errorf("%s: state %+v", source, state)
		}
	}
	if n, letters := len(r.fake.Requests()), len(r.letters()); n != 0 || letters != 0 {
		t.Errorf("%d requests, %d letters", n, letters)
	}
	r.close()
	r.options.AllowPrivateEndpoints = true
	r.open()
	r.start()
	r.arrived(20)
}

// stuck is a store that hangs, whatever its context says.
type stuck chan struct{}

func (s stuck) WriteDeliveries(context.Context, []store.Delivery) error {
	<-s
	return errors.New("was stuck")
}

func TestAStoreThatHangsDelaysNothing(t *testing.T) {
	r := newRoom(t)
	hang := make(stuck)
	defer close(hang)
	r.options.Store = hang
	r.configure("prod fake wk")
	r.start()
	for i := range 5 {
		r.publish("prod", i*10, i*10+10)
		r.arrived(i*10 + 10)
	}
	r.nothingWaits("prod")
	if took := r.stop(); took > 3*time.Second {
		t.Errorf("Run took %s to end", took)
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	r := newRoom(t)
	good := Options{Catalog: r.catalog, Streams: r.streams, Store: r.store}
	if d, err := New(good); err != nil || d.opt.RetryFor != 72*time.Hour || d.opt.Timeout != 30*time.Second {
		t.Errorf("defaults: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"no catalog":         func(o *Options) { o.Catalog = nil },
		"no streams":         func(o *Options) { o.Streams = nil },
		"no store":           func(o *Options) { o.Store = nil },
		"retry time too low": func(o *Options) { o.RetryFor = 3 * time.Hour },
	} {
		bad := good
		change(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
