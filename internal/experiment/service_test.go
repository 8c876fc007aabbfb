package experiment

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"causeway/internal/catalog"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// prepared is a store whose answers are prepared, and that counts how many
// questions are under way at once.
type prepared struct {
	mu        sync.Mutex
	readings  []store.Reading
	versions  []store.VersionCount
	questions []store.Exposure
	fail      func(queries []store.MetricQuery) error

	hold    chan struct{} // when set, Analyze waits for it
	asking  atomic.Int32
	atOnce  atomic.Int32
	orderOn int64 // of 1,000 keys
}

func (s *prepared) begin() func() {
	if n := s.asking.Add(1); n > s.atOnce.Load() {
		s.atOnce.Store(n)
	}
	return func() { s.asking.Add(-1) }
}

func (s *prepared) Exposures(_ context.Context, e store.Exposure) (store.ExposureReport, error) {
	defer s.begin()()
	return store.ExposureReport{
		Rules: []store.RuleCount{{Rule: "default rule", Keys: 2000}}, Versions: s.versions, Keys: 2000, WithEvents: 1000, EventsOfKeys: 1000,
		Arms:            []store.ArmExposure{{Treatment: "off", Keys: 1000, Impressions: 1000}, {Treatment: "on", Keys: 1000, Impressions: 1000}},
		FirstImpression: e.From, LastSeen: e.To,
	}, nil
}

func (s *prepared) Analyze(ctx context.Context, e store.Exposure, queries []store.MetricQuery) ([]store.MetricResult, error) {
	defer s.begin()()
	s.mu.Lock()
	s.questions = append(s.questions, e)
	fail, hold := s.fail, s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(queries); err != nil {
			return nil, err
		}
	}
	var results []store.MetricResult
	for range queries {
		results = append(results, store.MetricResult{Arms: []store.Arm{hits("off", 1000, 100), hits("on", 1000, s.orderOn)}, Events: 300, EventsOfExposed: 300, EventsInWindow: 300})
	}
	return results, nil
}

func (s *prepared) SaveReading(_ context.Context, r store.Reading) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readings = append(s.readings, r)
	return nil
}

func (s *prepared) Readings(context.Context, string, string, time.Time) ([]store.Reading, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]store.Reading(nil), s.readings...), nil
}

func (s *prepared) LastReading(context.Context, string, string) (store.Reading, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.readings) == 0 {
		return store.Reading{}, false, nil
	}
	return s.readings[len(s.readings)-1], true, nil
}

func (s *prepared) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.questions)
}

const shop = `projects:
  - name: shop
    trafficTypes: [user]
    environments: [{name: production}]
    flags: [{name: button, trafficType: user, rollout: {on: 50, off: 50}}]
    metrics:
      - {name: Order rate, trafficType: user, type: percent, event: {eventType: order}}
      - {name: Returns, trafficType: user, type: count, event: {eventType: return}, desired: decrease, dimensions: [reason]}
    experiments:
      - {name: Checkout, flag: button, environment: production, baseline: "off", start: "2026-03-01", metrics: {key: [Order rate], guardrail: [Returns]}}
      - {name: Other, flag: button, environment: production, baseline: "off", start: "2026-03-01", metrics: {key: [Order rate]}}
`

// bench is a service over a real catalog and a prepared store.
type bench struct {
	*Service
	t       *testing.T
	store   *prepared
	catalog *catalog.Catalog
	clock   atomic.Pointer[time.Time]
	metrics *prometheus.Registry
}

func newBench(t *testing.T) *bench {
	t.Helper()
	ctx := t.Context()
	streams, err := stream.Open(ctx, stream.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	kv, err := streams.KeyValue(ctx, "catalog")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, store: &prepared{orderOn: 150, versions: []store.VersionCount{{ChangeNumber: 7, Keys: 2000}}}, metrics: prometheus.NewRegistry()}
	if b.catalog, err = catalog.Open(ctx, catalog.Options{KV: kv, MasterKey: [32]byte{1}, Log: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	b.apply(shop)
	b.at(start.Add(72 * time.Hour))
	b.Service = b.serve()
	t.Cleanup(func() {
		if err := errors.Join(b.Service.Close(), b.catalog.Close(), streams.Close()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// serve makes a service over what the bench has, as after a restart.
func (b *bench) serve() *Service {
	b.t.Helper()
	s, err := New(Options{Snapshot: b.catalog.Snapshot, Store: b.store, Log: slog.New(slog.DiscardHandler), Version: "test",
		Now: func() time.Time { return *b.clock.Load() }, Look: time.Millisecond, Metrics: b.metrics})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bench) at(now time.Time) { b.clock.Store(&now) }

func (b *bench) apply(text string) {
	b.t.Helper()
	doc, findings := catalog.Decode("", []byte(text), nil)
	if len(findings) > 0 {
		b.t.Fatal(findings)
	}
	if _, err := b.catalog.Apply(b.t.Context(), doc, "test", 0); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) recalculate(experiment string) Results {
	b.t.Helper()
	r, err := b.Recalculate(b.t.Context(), "shop", experiment)
	if err != nil {
		b.t.Fatal(err)
	}
	sound(b.t, &r)
	return r
}

func TestBeforeTheFirstCalculationEveryCardSaysSo(t *testing.T) {
	b := newBench(t)
	r, err := b.Results(t.Context(), "shop", "Checkout")
	if err != nil {
		t.Fatal(err)
	}
	sound(t, &r)
	if c := r.Groups[0].Metrics[0].Cards[0]; c.State != NotAvailable || c.Reason != NotCalculated || r.Recommendation.Verdict != CannotSay {
		t.Errorf("%s (%s), %q", c.State, c.Reason, r.Recommendation.Sentence)
	}
	if _, err := b.Results(t.Context(), "shop", "nothing"); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown experiment: %v", err)
	}
}

func TestACalculationIsKeptAndShown(t *testing.T) {
	b := newBench(t)
	r := b.recalculate("Checkout")
	if c := r.Groups[0].Metrics[0].Cards[0]; c.State != Desired || *r.Version != 7 || len(c.Series) < 10 {
		t.Errorf("%s of version %v, %d points", c.State, r.Version, len(c.Series))
	}
	if r.Groups[1].Metrics[0].Cards[0].State != Undesired {
		t.Errorf("more returns are %s", r.Groups[1].Metrics[0].Cards[0].State)
	}
	if again, err := b.Results(t.Context(), "shop", "checkout"); err != nil || !again.ComputedAt.Equal(r.ComputedAt) {
		t.Errorf("by id: %v %v", again.ComputedAt, err)
	}
	after := newServiceOf(t, b)
	restored, err := after.Results(t.Context(), "shop", "Checkout")
	if err != nil {
		t.Fatal(err)
	}
	was, _ := json.Marshal(r)
	is, _ := json.Marshal(restored)
	if string(was) != string(is) {
		t.Error("after a restart the results differ")
	}
	if n := testutil.ToFloat64(b.success.WithLabelValues("shop", "checkout")); n != float64(r.ComputedAt.Unix()) {
		t.Errorf("last success %v", n)
	}
}

func newServiceOf(t *testing.T, b *bench) *Service {
	b.metrics = prometheus.NewRegistry()
	s := b.serve()
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestReadingsCanBeComparedLater(t *testing.T) {
	b := newBench(t)
	first := b.recalculate("Checkout")
	b.at(start.Add(96 * time.Hour))
	b.store.orderOn = 100
	second := b.recalculate("Checkout")
	list, err := b.Readings(t.Context(), "shop", "Checkout")
	if err != nil || len(list) != 2 || !list[0].ComputedAt.Equal(second.ComputedAt) || list[1].States[Desired] != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	then, err := b.ResultsAt(t.Context(), "shop", "Checkout", second.ComputedAt.Add(-time.Second))
	if err != nil || !then.ComputedAt.Equal(first.ComputedAt) || then.Groups[0].Metrics[0].Cards[0].State != Desired {
		t.Errorf("%v, %v", then.ComputedAt, err)
	}
	if _, err := b.ResultsAt(t.Context(), "shop", "Checkout", first.ComputedAt.Add(-time.Second)); !errors.Is(err, ErrNoReading) {
		t.Errorf("before the first: %v", err)
	}
}

func TestOnlyWhatIsNotKnownIsAskedAgain(t *testing.T) {
	b := newBench(t)
	b.at(start.Add(10 * 24 * time.Hour))
	b.recalculate("Checkout")
	all := b.store.asked()
	b.at(start.Add(11*24*time.Hour + 3*time.Hour)) // a day later, with jitter
	c, err := b.begin("shop", "Checkout", false)
	if err != nil {
		t.Fatal(err)
	}
	<-c.ended
	if again := b.store.asked() - all; again == 0 || again > 5 || all < 9 {
		t.Errorf("%d questions at first, %d a day later", all, again)
	}
	r, err := b.Results(t.Context(), "shop", "Checkout")
	if err != nil {
		t.Fatal(err)
	}
	sound(t, &r)
	if n := len(r.Groups[0].Metrics[0].Values); n != 11 {
		t.Errorf("%d points over time", n)
	}
	if b.recalculate("Checkout"); b.store.asked() < 2*all {
		t.Errorf("by hand everything is asked: %d questions in all", b.store.asked())
	}
}

func TestOneQuestionAtATimeAndOneCalculationOfAnExperiment(t *testing.T) {
	b := newBench(t)
	b.store.hold = make(chan struct{})
	var waiting sync.WaitGroup
	for range 8 {
		for _, name := range []string{"Checkout", "checkout", "Other"} {
			c, err := b.begin("shop", name, true)
			if err != nil {
				t.Fatal(err)
			}
			waiting.Go(func() {
				if <-c.ended; c.failed {
					t.Error("it failed")
				}
			})
		}
	}
	waitFor(t, func() bool { return b.store.asked() == 1 })
	c, ok := b.Calculation("shop", "Checkout")
	o, also := b.Calculation("shop", "Other")
	if !ok || !also || c.Running == o.Running {
		t.Errorf("one of the two runs, the other waits: %+v %v, %+v %v", c, ok, o, also)
	}
	close(b.store.hold)
	waiting.Wait()
	if b.store.atOnce.Load() != 1 || len(b.store.readings) != 2 {
		t.Errorf("%d questions at once, %d readings", b.store.atOnce.Load(), len(b.store.readings))
	}
	if _, ok := b.Calculation("shop", "Checkout"); ok {
		t.Error("it is still said to be under way")
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen in time")
		}
	}
}

func TestACancelledCalculationLeavesNothing(t *testing.T) {
	b := newBench(t)
	b.store.hold = make(chan struct{})
	if _, err := b.Start("shop", "Checkout"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return b.store.asked() == 1 })
	if !b.Cancel("shop", "Checkout") {
		t.Fatal("there was nothing to cancel")
	}
	waitFor(t, func() bool { _, ok := b.Calculation("shop", "Checkout"); return !ok })
	if len(b.store.readings) != 0 || b.Cancel("shop", "Checkout") {
		t.Error("something is left of it")
	}
	b.store.hold = nil
	b.recalculate("Checkout")
}

func TestAMetricThatFailsDoesNotTakeTheOthersWithIt(t *testing.T) {
	b := newBench(t)
	b.store.fail = func(queries []store.MetricQuery) error {
		for _, q := range queries {
			if q.Event.EventType == "return" {
				return errors.New("Binder Error: SELECT secret FROM somewhere")
			}
		}
		return nil
	}
	r := b.recalculate("Checkout")
	failed := r.Groups[1].Metrics[0].Cards[0]
	if r.Groups[0].Metrics[0].Cards[0].State != Desired || failed.State != NotAvailable || failed.Reason != Failed {
		t.Errorf("%s and %s (%s)", r.Groups[0].Metrics[0].Cards[0].State, failed.State, failed.Reason)
	}
	if strings.Contains(failed.Sentence, "SELECT") {
		t.Errorf("the store's own words are shown: %q", failed.Sentence)
	}
}

func TestAPanicFailsOneCalculationOnly(t *testing.T) {
	b := newBench(t)
	b.store.fail = func([]store.MetricQuery) error { panic("the store is broken") }
	if _, err := b.Recalculate(t.Context(), "shop", "Checkout"); !errors.Is(err, ErrFailed) {
		t.Fatalf("%v", err)
	}
	b.store.fail = nil
	b.recalculate("Checkout")
}

func TestWhatWasChangedSinceIsNotAvailable(t *testing.T) {
	b := newBench(t)
	b.recalculate("Checkout")
	b.apply(strings.Replace(shop, "{eventType: return}", "{eventType: refund}", 1))
	r, err := b.Results(t.Context(), "shop", "Checkout")
	if err != nil {
		t.Fatal(err)
	}
	sound(t, &r)
	if same, changed := r.Groups[0].Metrics[0].Cards[0], r.Groups[1].Metrics[0].Cards[0]; same.State != Desired || changed.Reason != NotCalculated {
		t.Errorf("%s and %s (%s)", same.State, changed.State, changed.Reason)
	}
	b.apply(strings.Replace(shop, `baseline: "off"`, `baseline: "on"`, 1))
	if r, err = b.Results(t.Context(), "shop", "Checkout"); err != nil || r.Groups[0].Metrics[0].Cards[0].Reason != NotCalculated {
		t.Errorf("another baseline: %v, %v", r.Groups[0].Metrics[0].Cards[0], err)
	}
	sound(t, &r)
}

func TestTheLatestVersionCountsUnlessAllDo(t *testing.T) {
	b := newBench(t)
	b.store.versions = []store.VersionCount{{ChangeNumber: 7, Keys: 1000}, {ChangeNumber: 9, Keys: 1000}, {ChangeNumber: 11}}
	if r := b.recalculate("Checkout"); r.Version == nil || *r.Version != 9 || len(r.Health.Versions.Seen) != 3 {
		t.Errorf("version %v", r.Version)
	}
	for _, e := range b.store.questions {
		if e.ChangeNumber == nil || *e.ChangeNumber != 9 {
			t.Errorf("asked about version %v", e.ChangeNumber)
		}
	}
	b.apply(strings.Replace(shop, `start: "2026-03-01"`, `start: "2026-03-01", versions: all`, 1))
	if r := b.recalculate("Checkout"); r.Version != nil || r.Health.Versions.Tone != Warn || r.Health.SampleRatios[0].State != RatioNotApplicable {
		t.Errorf("version %v, %+v", r.Version, r.Health.Versions)
	}
}

func TestWhatIsDueIsComputedByItself(t *testing.T) {
	b := newBench(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()
	count := func() int { b.store.mu.Lock(); defer b.store.mu.Unlock(); return len(b.store.readings) }
	waitFor(t, func() bool { return count() == 2 }) // both, once
	time.Sleep(30 * time.Millisecond)
	if count() != 2 {
		t.Errorf("%d readings though nothing is due", count())
	}
	b.at(start.Add(73*time.Hour + 25*time.Hour + 3*time.Hour)) // a day later, with jitter
	waitFor(t, func() bool { return count() == 4 })
	b.apply(strings.Replace(shop, `name: Checkout, flag`, `name: Checkout, end: "2026-03-05", flag`, 1))
	b.at(start.Add(5 * 24 * time.Hour))
	waitFor(t, func() bool { r, err := b.Results(t.Context(), "shop", "Checkout"); return err == nil && r.Final })
	before := count()
	b.at(start.Add(40 * 24 * time.Hour))
	waitFor(t, func() bool { return count() > before })
	time.Sleep(30 * time.Millisecond)
	if r, err := b.Results(t.Context(), "shop", "Checkout"); err != nil || r.ComputedAt.After(start.Add(6*24*time.Hour)) {
		t.Errorf("a final result was computed again: %v %v", r.ComputedAt, err)
	}
	if n := testutil.CollectAndCount(b.mismatch); n != 2 {
		t.Errorf("%d experiments are measured", n)
	}
	withoutAny, _, _ := strings.Cut(shop, "    experiments:")
	b.apply(withoutAny)
	waitFor(t, func() bool { return testutil.CollectAndCount(b.mismatch) == 0 }) // nobody is alerted to what is gone
	b.apply(shop)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := b.Recalculate(t.Context(), "shop", "Checkout"); !errors.Is(err, ErrFailed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestTheScheduleIsTheOneOfFME(t *testing.T) {
	plan := aPlan(Fixed)
	counts := map[time.Duration]int{} // calculations by the age they are made at
	for at := plan.Start; at.Before(plan.Start.AddDate(0, 0, 28)); {
		next, ok := due(plan, &Results{ComputedAt: at, Health: Health{Exposures: Exposures{First: &plan.Start}}})
		if !ok || !next.After(at) {
			t.Fatalf("after %v: %v %v", at, next, ok)
		}
		at = next
		age := at.Sub(plan.Start)
		for _, bound := range []time.Duration{30 * time.Minute, 13 * time.Hour, 25 * time.Hour, 15 * 24 * time.Hour, 100 * 24 * time.Hour} {
			if age <= bound {
				counts[bound]++
				break
			}
		}
	}
	for bound, want := range map[time.Duration][2]int{
		30 * time.Minute: {5, 6}, 13 * time.Hour: {11, 13}, 25 * time.Hour: {5, 6}, 15 * 24 * time.Hour: {12, 14}, 100 * 24 * time.Hour: {1, 3},
	} {
		if n := counts[bound]; n < want[0] || n > want[1] {
			t.Errorf("%d calculations until %v, want %v", n, bound, want)
		}
	}
}

func TestUntilSomebodyIsExposedItIsLookedAtOften(t *testing.T) {
	plan := aPlan(Fixed)
	at := plan.Start.AddDate(0, 0, 20)
	if next, ok := due(plan, &Results{ComputedAt: at}); !ok || next.Sub(at) > 6*time.Minute {
		t.Errorf("after 20 days without a key: %v, %v", next.Sub(at), ok)
	}
	first := at.Add(-time.Hour)
	if next, ok := due(plan, &Results{ComputedAt: at, Health: Health{Exposures: Exposures{First: &first}}}); !ok || next.Sub(at) > 67*time.Minute {
		t.Errorf("an hour after the first: %v, %v", next.Sub(at), ok)
	}
}

func TestAReadingThatCannotBeReadIsComputedAnew(t *testing.T) {
	b := newBench(t)
	b.store.readings = []store.Reading{{Project: "shop", Experiment: "checkout", ComputedAt: start, Body: json.RawMessage(`{"groups": 7}`)}}
	r, err := b.Results(t.Context(), "shop", "Checkout")
	if err != nil || r.Recommendation.Verdict != CannotSay {
		t.Fatalf("%q, %v", r.Recommendation.Sentence, err)
	}
	if r := b.recalculate("Checkout"); r.Groups[0].Metrics[0].Cards[0].State != Desired {
		t.Errorf("%+v", r.Recommendation)
	}
}
