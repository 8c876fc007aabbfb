package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// scene is a small world made by hand; minutes count from dayZero, where the
// experiment starts. It lasts two days.
type scene struct {
	impressions []fme.Impression
	events      []fme.Event
}

func (s *scene) saw(key, treatment string, minute float64, rule string) {
	s.impressions = append(s.impressions, fme.Impression{
		ID: fme.NewID("scene", key, treatment, rule, fmt.Sprint(len(s.impressions))), Environment: env, Flag: "button", Key: key, Treatment: treatment, Label: rule,
		ChangeNumber: 1, Time: at(minute), TrafficType: "user", ReceivedAt: noon,
	})
}

func (s *scene) did(key, eventType string, minute float64, value float64, properties string) {
	s.events = append(s.events, fme.Event{
		ID: fme.NewID("scene event", fmt.Sprint(len(s.events))), Environment: env, TrafficType: "user", Key: key, EventType: eventType, Value: &value,
		Time: at(minute), ReceivedAt: at(minute), Properties: json.RawMessage(properties),
	})
}

func at(minute float64) time.Time { return dayZero.Add(time.Duration(minute * float64(time.Minute))) }

func sceneExposure() store.Exposure {
	return store.Exposure{Environment: env, TrafficType: "user", Flag: "button", From: dayZero, To: dayZero.Add(48 * time.Hour), Buffer: 15 * time.Minute, Treatments: []string{"off", "on"}}
}

func (s *scene) write(f *fixture) {
	f.t.Helper()
	f.write(store.Batch{Events: s.events})
	f.write(store.Batch{Consumer: "impressions", Impressions: s.impressions})
}

func analyze(t *testing.T, s store.Store, e store.Exposure, q store.MetricQuery) store.MetricResult {
	t.Helper()
	results, err := s.Analyze(t.Context(), e, []store.MetricQuery{q})
	if err != nil || len(results) != 1 || len(results[0].Arms) != len(e.Treatments) {
		t.Fatalf("analyze %+v: %+v, %v", q, results, err)
	}
	return results[0]
}

var (
	buys  = store.MetricQuery{Kind: store.MetricCount, Event: store.EventMatch{EventType: "buy"}}
	spend = store.MetricQuery{Kind: store.MetricSum, Event: store.EventMatch{EventType: "buy"}, Value: "value"}
)

// attribution has a case for each sentence of FME's "Attribution and
// exclusion" and "Metric types", with the number it leads to.
func attribution(t *testing.T, open Open) {
	const day = 24 * 60
	cases := []struct {
		name    string
		scene   func(s *scene)
		ask     func(e *store.Exposure, q *store.MetricQuery)
		off, on string // "sum of n, of all in the treatment"
	}{
		{"a key without events counts as zero", func(s *scene) {
			s.saw("a", "off", 10, "r")
			s.saw("b", "on", 10, "r")
			s.saw("c", "on", 10, "r")
			s.did("b", "buy", 11, 1, "")
		}, nil, "0 of 1, of 1", "1 of 2, of 2"},
		{"what is done up to the buffer before the first impression counts", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.did("a", "buy", 45, 1, "")
			s.did("a", "buy", 44.9, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"what is done up to the buffer after the end counts", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.did("a", "buy", 2*day+14.9, 1, "")
			s.did("a", "buy", 2*day+15, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"around one change, what is done within the buffer counts for both", func(s *scene) {
			s.saw("a", "off", 60, "r")
			s.saw("a", "on", 120, "r")
			for _, minute := range []float64{50, 104, 105, 134, 135, 500} { // off: before 135; on: from 105
				s.did("a", "buy", minute, 1, "")
			}
		}, nil, "4 of 1, of 1", "4 of 1, of 1"},
		{"a second change excludes from both", func(s *scene) {
			s.saw("a", "off", 60, "r")
			s.saw("a", "on", 120, "r")
			s.saw("a", "off", 180, "r")
			s.did("a", "buy", 61, 1, "")
			s.saw("b", "off", 60, "r")
		}, nil, "0 of 1, of 2", "0 of 0, of 1"},
		{"a change of rule is a change also where the treatment stays", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.saw("a", "on", 120, "s")
			s.saw("a", "off", 180, "s")
			s.did("a", "buy", 61, 1, "")
		}, nil, "0 of 0, of 1", "0 of 0, of 1"},
		{"one change of rule within a treatment leaves one key", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.saw("a", "on", 120, "s")
			s.did("a", "buy", 61, 1, "")
			s.did("a", "buy", 121, 1, "")
			s.did("a", "buy", 1000, 1, "")
		}, nil, "0 of 0, of 0", "3 of 1, of 1"},
		{"a rule is left when the key changes to another", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.saw("a", "on", 120, "s")
			s.did("a", "buy", 134, 1, "")
			s.did("a", "buy", 136, 1, "")
		}, func(e *store.Exposure, _ *store.MetricQuery) { e.Rule = "r" }, "0 of 0, of 0", "1 of 1, of 1"},
		{"a change to a treatment that is not compared ends the window", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.saw("a", "large", 120, "r")
			s.did("a", "buy", 134, 1, "")
			s.did("a", "buy", 136, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"control is no exposure", func(s *scene) {
			s.saw("a", "control", 50, "not ready")
			s.saw("a", "on", 60, "r")
			s.saw("a", "control", 70, "not ready")
			s.saw("a", "on", 80, "r")
			s.saw("b", "control", 70, "not ready")
			s.did("a", "buy", 61, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"a new version begins anew", func(s *scene) {
			s.saw("a", "off", 60, "r")
			s.saw("a", "on", 120, "r")
			s.impressions[1].ChangeNumber = 2
			s.saw("a", "off", 180, "r")
			s.did("a", "buy", 104, 1, "")
			s.did("a", "buy", 119, 1, "")
		}, func(e *store.Exposure, _ *store.MetricQuery) { version := int64(2); e.ChangeNumber = &version }, "0 of 0, of 0", "1 of 1, of 1"},
		{"versions that overlap are one history together", func(s *scene) {
			s.saw("a", "off", 60, "r")
			s.saw("a", "on", 120, "r")
			s.impressions[1].ChangeNumber = 2
			s.saw("a", "off", 180, "r")
		}, nil, "0 of 0, of 1", "0 of 0, of 1"},
		{"impressions outside of the dates do not count", func(s *scene) {
			s.saw("a", "off", -1, "r")
			s.saw("a", "on", 0, "r")
			s.saw("a", "off", 2*day, "r")
			s.did("a", "buy", 1, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"an impression without a traffic type is one of the flag's", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.impressions[0].TrafficType = ""
			s.did("a", "buy", 1, 1, "")
		}, nil, "0 of 0, of 0", "1 of 1, of 1"},
		{"an event of another traffic type is another's", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.did("a", "buy", 1, 1, "")
			s.events[0].TrafficType = "account"
		}, nil, "0 of 0, of 0", "0 of 1, of 1"},
		{"an entry event restricts keys and begins their time", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.saw("b", "on", 0, "r")
			s.did("a", "buy", 1, 1, "")
			s.did("a", "enter", 2, 0, "")
			s.did("a", "buy", 2, 1, "")
			s.did("a", "buy", 3, 1, "")
			s.did("b", "buy", 3, 1, "")
		}, func(e *store.Exposure, _ *store.MetricQuery) { e.Entry = &store.EventMatch{EventType: "enter"} }, "0 of 0, of 0", "2 of 1, of 1"},
		{"an average leaves out keys without a value", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.saw("b", "on", 0, "r")
			s.saw("c", "on", 0, "r")
			s.did("a", "buy", 1, 2, "")
			s.did("a", "buy", 2, 4, "")
			s.did("b", "buy", 2, 0, "")
			s.events[2].Value = nil
		}, func(_ *store.Exposure, q *store.MetricQuery) { q.Kind, q.Value = store.MetricAverage, "value" }, "0 of 0, of 0", "3 of 1, of 3"},
		{"a sum takes what has no value as nothing", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.did("a", "buy", 1, 2, "")
			s.did("a", "buy", 1, 5, "")
			s.events[1].Value = nil
		}, func(_ *store.Exposure, q *store.MetricQuery) { q.Kind, q.Value = store.MetricSum, "value" }, "0 of 0, of 0", "2 of 1, of 1"},
		{"a sum may be of a property, also of one that is a text", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.did("a", "buy", 1, 0, `{"total": 2.5}`)
			s.did("a", "buy", 1, 0, `{"total": " 1e1 "}`)
			s.did("a", "buy", 1, 0, `{"total": "12 EUR"}`)
			s.did("a", "buy", 1, 0, `{"total": null}`)
			s.did("a", "buy", 1, 0, `{"total": true}`)
			s.did("a", "buy", 1, 0, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) { q.Kind, q.Value = store.MetricSum, "total" }, "0 of 0, of 0", "12.5 of 1, of 1"},
		{"a ratio is of each key, and leaves out keys without a denominator", func(s *scene) {
			for _, key := range []string{"a", "b", "c", "d"} {
				s.saw(key, "on", 0, "r")
			}
			s.did("a", "buy", 1, 0, "")
			s.did("a", "visit", 1, 0, "")
			s.did("a", "visit", 2, 0, "")
			s.did("b", "visit", 2, 0, "")
			s.did("c", "buy", 2, 0, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) {
			q.Kind, q.Denominator = store.MetricRatio, &store.EventMatch{EventType: "visit"}
		}, "0 of 0, of 0", "0.5 of 2, of 4"},
		{"per cent counts keys", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.saw("b", "on", 0, "r")
			s.did("a", "buy", 1, 0, "")
			s.did("a", "buy", 2, 0, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) { q.Kind = store.MetricPercent }, "0 of 0, of 0", "1 of 2, of 2"},
		{"has done leaves out the other keys", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.saw("b", "on", 0, "r")
			s.did("a", "buy", 1, 0, "")
			s.did("a", "visit", 2, 0, "")
			s.did("b", "buy", 2, 0, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) { q.HasDone = &store.EventMatch{EventType: "visit"} }, "0 of 0, of 0", "1 of 1, of 2"},
		{"has done before counts only what came after", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.did("a", "buy", 1, 0, "")
			s.did("a", "visit", 2, 0, "")
			s.did("a", "buy", 2, 0, "")
			s.did("a", "buy", 3, 0, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) {
			q.HasDone, q.HasDoneBefore = &store.EventMatch{EventType: "visit"}, true
		}, "0 of 0, of 0", "1 of 1, of 1"},
		{"a cap bounds a key", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.saw("b", "on", 0, "r")
			s.did("a", "buy", 1, 7, "")
			s.did("a", "buy", 2, 7, "")
			s.did("b", "buy", 2, 3, "")
		}, func(_ *store.Exposure, q *store.MetricQuery) {
			q.Kind, q.Value, q.Cap = store.MetricSum, "value", 10
		}, "0 of 0, of 0", "13 of 2, of 2"},
		{"a cap per day bounds each 24 hours since the first impression", func(s *scene) {
			s.saw("a", "on", 60, "r")
			s.did("a", "buy", 46, 7, "")      // in the buffer: the first day
			s.did("a", "buy", 59+day, 7, "")  // still the first
			s.did("a", "buy", 60+day, 7, "")  // the second
			s.did("a", "buy", 2*day-1, 2, "") // the second
		}, func(_ *store.Exposure, q *store.MetricQuery) {
			q.Kind, q.Value, q.Cap, q.CapPerDay = store.MetricSum, "value", 8, true
		}, "0 of 0, of 0", "16 of 1, of 1"},
		{"property filters all hold", func(s *scene) {
			s.saw("a", "on", 0, "r")
			s.did("a", "buy", 1, 9, `{"it's \"a.b\"/c~ü":"x'y","plan":"gold"}`)
			s.did("a", "buy", 1, 9, `{"it's \"a.b\"/c~ü":"x'y","plan":"tin"}`)
			s.did("a", "buy", 1, 9, `{"it's \"a":{"b\"/c~ü":"x'y"},"plan":"gold"}`)
		}, func(_ *store.Exposure, q *store.MetricQuery) {
			q.Event.Filters = []store.PropertyFilter{
				{Property: `it's "a.b"/c~ü`, Operator: "is", Values: []string{"x'y"}},
				{Property: "plan", Operator: "matches", Values: []string{"^(?<first>g)old$"}},
				{Property: "value", Operator: "greater", Values: []string{"8.5"}},
				{Property: "value", Operator: "is", Values: []string{"9"}},
			}
		}, "0 of 0, of 0", "1 of 1, of 1"},
	}
	f := newFixture(t, open)
	var all scene
	for i, c := range cases {
		var s scene
		c.scene(&s)
		for j := range s.impressions { // each case has an environment of its own
			s.impressions[j].Environment, s.impressions[j].ID = caseEnvironment(i), fme.NewID(c.name, "i", fmt.Sprint(j))
		}
		for j := range s.events {
			s.events[j].Environment, s.events[j].ID = caseEnvironment(i), fme.NewID(c.name, "e", fmt.Sprint(j))
		}
		all.impressions, all.events = append(all.impressions, s.impressions...), append(all.events, s.events...)
	}
	all.write(f)
	for i, c := range cases {
		e, q := sceneExposure(), buys
		e.Environment = caseEnvironment(i)
		if c.ask != nil {
			c.ask(&e, &q)
		}
		arms := analyze(t, f.store, e, q).Arms
		say := func(a store.Arm) string { return fmt.Sprintf("%v of %d, of %d", a.Sum, a.N, a.InTotal) }
		if got, want := "off: "+say(arms[0])+"; on: "+say(arms[1]), "off: "+c.off+"; on: "+c.on; got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, want)
		}
		if reference := world(all).analyze(e, q); !cmp.Equal(reference.Arms, arms, near) {
			t.Errorf("%s: the reference says %+v", c.name, reference.Arms)
		}
	}
}

func caseEnvironment(i int) fme.EnvironmentID {
	return fme.EnvironmentID(fmt.Sprintf("shop/case-%d", i))
}

// hardNumbers is what a metric must not give wrong numbers for.
func hardNumbers(t *testing.T, open Open) {
	f := newFixture(t, open)
	var s scene
	values := map[string][]float64{
		"near":  {1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16}, // the sum of squares less the square of the sum is 0 or negative
		"huge":  {1e300, 1e300, -1e300, 3e300},
		"equal": {5, 5, 5, 5},
		"tiny":  {5e-324, 0, 5e-324, 0},
	}
	e := sceneExposure()
	e.Treatments = []string{"near", "huge", "equal", "tiny", "empty"}
	for arm, list := range values {
		for i, v := range list {
			key := fmt.Sprintf("%s-%d", arm, i)
			s.saw(key, arm, 0, "r")
			s.did(key, "buy", 1, v, "")
		}
	}
	s.write(f)
	for _, q := range []store.MetricQuery{spend, {Kind: store.MetricAverage, Event: spend.Event, Value: "value"}} {
		arms := analyze(t, f.store, e, q).Arms
		if a := arms[0]; a.M2 != 90 || a.Mean != 1e9+10 {
			t.Errorf("close together: M2 %v, mean %v, want 90 and 1000000010", a.M2, a.Mean)
		}
		if a := arms[1]; !a.Overflow || a.Mean != 0 || a.M2 != 0 || a.Max != 0 || a.N != 4 {
			t.Errorf("squares out of range: %+v", a)
		}
		if a := arms[2]; a.M2 != 0 || a.Mean != 5 || a.Min != 5 || a.P95 != 5 || a.Overflow {
			t.Errorf("all equal: %+v", a)
		}
		if a := arms[3]; a.Overflow || a.Max != 5e-324 {
			t.Errorf("tiny: %+v", a)
		}
		if a := arms[4]; a != (store.Arm{Treatment: "empty"}) {
			t.Errorf("nobody there: %+v", a)
		}
	}

	// A key that has 200,000 times 1e300, beside many that have it once: the
	// sum is in range, its square is not, and without that key all is.
	many := sceneExposure()
	many.Environment = other
	var imps []fme.Impression
	var events []fme.Event
	huge := 1e300
	for i := range 5001 {
		key, times, rule := fmt.Sprint("k", i), 1, "once"
		if i == 5000 {
			times, rule = 200_000, "often"
		}
		imps = append(imps, fme.Impression{ID: fme.NewID("many", key), Environment: other, Flag: "button", Key: key, Treatment: "on", Label: rule, Time: at(1), TrafficType: "user", ReceivedAt: noon})
		for range times {
			events = append(events, fme.Event{Environment: other, TrafficType: "user", Key: key, EventType: "buy", Value: &huge, Time: at(2), ReceivedAt: noon})
		}
	}
	f.write(store.Batch{Consumer: "impressions", Impressions: imps})
	f.write(store.Batch{Events: events})
	if a := analyze(t, f.store, many, spend).Arms[1]; !a.Overflow || a.N != 5001 || a.Mean != 0 {
		t.Errorf("with 200,000 of 1e300: %+v", a)
	}
	many.Rule = "once"
	a := analyze(t, f.store, many, spend).Arms[1]
	if a.Overflow || a.N != 5000 || math.Abs(a.Mean/1e300-1) > 1e-15 || a.M2 != 0 || math.Abs(a.Sum/5e303-1) > 1e-12 {
		t.Errorf("many of 1e300: %+v", a)
	}
	if _, err := json.Marshal(a); err != nil {
		t.Error(err)
	}
}

// dimensionsOfMetrics: the frequent values by themselves, the rest together.
func dimensionsOfMetrics(t *testing.T, open Open) {
	f := newFixture(t, open)
	var s scene
	for i := range 30 {
		key := fmt.Sprint("k", i)
		s.saw(key, []string{"off", "on"}[i%2], 0, "r")
		for range 31 - i {
			s.did(key, "buy", 1, 2, fmt.Sprintf(`{"plan":"it's %02d"}`, i))
		}
		s.did(key, "buy", 2, 2, `{}`)
	}
	s.write(f)
	q := spend
	q.Dimension = "plan"
	r := analyze(t, f.store, sceneExposure(), q)
	if len(r.Dimensions) != 21 || r.Dimensions[0].Value != "it's 00" || r.Dimensions[19].Value != "it's 19" || r.Dimensions[20].Value != "Others" {
		t.Fatalf("%+v", r.Dimensions)
	}
	if a := r.Dimensions[0].Arms; a[0].Sum != 62 || a[0].N != 15 || a[0].P50 != 0 || a[0].Max != 62 || a[1].Sum != 0 || a[1].N != 15 {
		t.Errorf("of one key: %+v", a)
	}
	want := world(s).analyze(sceneExposure(), q)
	if diff := cmp.Diff(want, r, near); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// refusedQuestions are errors, not wrong numbers.
func refusedQuestions(t *testing.T, open Open) {
	f := newFixture(t, open)
	ask := func(change func(*store.Exposure, *store.MetricQuery)) error {
		e, q := sceneExposure(), buys
		change(&e, &q)
		_, err := f.store.Analyze(t.Context(), e, []store.MetricQuery{q})
		return err
	}
	filter := func(operator string, values ...string) func(*store.Exposure, *store.MetricQuery) {
		return func(_ *store.Exposure, q *store.MetricQuery) {
			q.Event.Filters = []store.PropertyFilter{{Property: "p", Operator: operator, Values: values}}
		}
	}
	for name, change := range map[string]func(*store.Exposure, *store.MetricQuery){
		"no arms":             func(e *store.Exposure, _ *store.MetricQuery) { e.Treatments = nil },
		"an arm twice":        func(e *store.Exposure, _ *store.MetricQuery) { e.Treatments = []string{"on", "on"} },
		"a negative buffer":   func(e *store.Exposure, _ *store.MetricQuery) { e.Buffer = -1 },
		"no such kind":        func(_ *store.Exposure, q *store.MetricQuery) { q.Kind = "median" },
		"no value":            func(_ *store.Exposure, q *store.MetricQuery) { q.Kind = store.MetricSum },
		"no denominator":      func(_ *store.Exposure, q *store.MetricQuery) { q.Kind = store.MetricRatio },
		"a cap of nothing":    func(_ *store.Exposure, q *store.MetricQuery) { q.Cap = math.NaN() },
		"no such operator":    filter("like", "x"),
		"not RE2":             filter("matches", "(?=x)"),
		"no pattern":          filter("matches"),
		"not a number":        filter("less", "ten"),
		"nothing to be":       filter("is"),
		"a value for present": filter("present", "x"),
	} {
		if err := ask(change); err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "Parser") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := ask(func(*store.Exposure, *store.MetricQuery) {}); err != nil {
		t.Errorf("an empty store: %v", err)
	}
	if results, err := f.store.Analyze(t.Context(), sceneExposure(), nil); err != nil || len(results) != 0 {
		t.Errorf("no metrics: %v, %v", results, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.Analyze(ctx, sceneExposure(), []store.MetricQuery{buys}); !errors.Is(err, context.Canceled) {
		t.Errorf("err %v, want context.Canceled", err)
	}
}

// analysesBesideWrites neither wait for batches nor see half of one.
func analysesBesideWrites(t *testing.T, open Open) {
	f := newFixture(t, open)
	const batches, perBatch = 40, 50
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			for last := int64(0); ; {
				results, err := f.store.Analyze(t.Context(), sceneExposure(), []store.MetricQuery{buys, spend})
				if err != nil {
					t.Errorf("beside writes: %v", err)
					return
				}
				n := results[0].Arms[1].N
				if n%perBatch != 0 || n < last || results[1].Arms[1].N != n {
					t.Errorf("%d keys after %d, and %d for the second metric", n, last, results[1].Arms[1].N)
				}
				last = n
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for b := range batches {
		var s scene
		for i := range perBatch {
			s.saw(fmt.Sprintf("k%d-%d", b, i), "on", 1, "r")
			s.impressions[i].ID = fme.NewID("beside", fmt.Sprint(b), fmt.Sprint(i))
		}
		f.write(store.Batch{Consumer: "impressions", Impressions: s.impressions})
	}
	close(done)
	wait.Wait()
	if n := analyze(t, f.store, sceneExposure(), buys).Arms[1].N; n != batches*perBatch {
		t.Errorf("%d keys in the end, want %d", n, batches*perBatch)
	}
}
