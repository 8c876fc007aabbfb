package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// worlds is how many random worlds are compared with the reference.
const worlds = 200

// The times of a random world lie on a grid so coarse that switches, ties and
// events on the very edge of a window are common.
var grids = []time.Duration{5 * time.Minute, 15 * time.Minute, 7 * time.Minute, 8 * time.Hour}

var dayZero = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// dice makes a world and questions to it.
type dice struct {
	*rand.Rand
	env   fme.EnvironmentID
	grid  time.Duration
	steps int
	keys  int
}

func (d dice) time() time.Time { return dayZero.Add(time.Duration(d.IntN(d.steps)) * d.grid) }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

func (d dice) key() string { return fmt.Sprintf("k%d", d.IntN(d.keys)) }

func (d dice) world(seed int) world {
	var w world
	for i := range 20 + d.IntN(100) {
		imp := fme.Impression{
			ID: fme.NewID("world", fmt.Sprint(seed), fmt.Sprint(i)), Environment: d.env, Flag: pick(d, "flag", "flag", "flag", "flag", "flag", "flag", "other"),
			Key: d.key(), Treatment: pick(d, "on", "on", "off", "large", fme.Control), Label: pick(d, "rule", "rule", "rule", "it's", ""),
			ChangeNumber: pick(d, int64(1), 1, 2), Time: d.time(), TrafficType: pick(d, "user", "user", "user", "", "account"), ReceivedAt: noon,
		}
		if d.IntN(8) > 0 { // many keys that never change, so that something is left to compare
			imp.Treatment, imp.Label = []string{"on", "off", "large"}[int(imp.Key[1])%3], "rule"
		}
		w.impressions = append(w.impressions, imp)
	}
	for i := range 50 + d.IntN(250) {
		w.events = append(w.events, d.event(seed, i))
	}
	return w
}

func (d dice) event(seed, i int) fme.Event {
	at := d.time()
	e := fme.Event{
		ID: fme.NewID("event", fmt.Sprint(seed), fmt.Sprint(i)), Environment: d.env, TrafficType: pick(d, "user", "user", "user", "account"),
		Key: d.key(), EventType: pick(d, "buy", "buy", "visit", "enter"), Time: at, ReceivedAt: at.Add(pick(d, 0, time.Hour, 2*time.Hour)),
	}
	if d.IntN(4) > 0 {
		value := pick(d, 0, 1, 2.5, -3, 10, 1e6, 0.1)
		e.Value = &value
	}
	properties := map[string]any{}
	for _, name := range []string{"plan", `it's "a.b"/c~ü`} {
		switch d.IntN(8) {
		case 0:
		case 1:
			properties[name] = nil
		case 2:
			properties[name] = d.IntN(3)
		case 3:
			properties[name] = pick(d, "2", " 3.5 ", "1e1", "3x", "")
		case 4:
			properties[name] = d.IntN(2) == 0
		case 5:
			properties[name] = 0.5
		default:
			properties[name] = pick(d, "gold", "Gold", "silver\nline", "it's", `a"b`)
		}
	}
	for name, v := range properties { // few values, or a number: then many
		if v == "Gold" {
			properties[name] = fmt.Sprintf("v%d", d.IntN(40))
		}
	}
	e.Properties, _ = json.Marshal(properties)
	return e
}

func (d dice) exposure() store.Exposure {
	e := store.Exposure{
		Environment: d.env, TrafficType: "user", Flag: "flag", Rule: pick(d, "", "", "", "", "", "", "rule", "rule", "rule", "rule", "it's", "never seen"),
		From: dayZero.Add(time.Duration(d.IntN(d.steps/4)) * d.grid), Buffer: pick(d, 15*time.Minute, 15*time.Minute, 0, d.grid),
		Treatments: pick(d, []string{"off", "on"}, []string{"off", "on", "large"}, []string{"off", "large", "on"}, []string{"on", "never"}),
	}
	e.To = e.From.Add(time.Duration(1+d.IntN(2*d.steps)) * d.grid)
	if d.IntN(5) == 0 {
		version := pick(d, int64(1), 2, 3)
		e.ChangeNumber = &version
	}
	if d.IntN(4) == 0 {
		e.Entry = d.match("enter")
	}
	return e
}

func (d dice) match(eventType string) *store.EventMatch {
	m := &store.EventMatch{EventType: eventType}
	for range pick(d, 0, 0, 0, 0, 1, 1, 2) {
		f := store.PropertyFilter{Property: pick(d, "plan", "plan", "value", `it's "a.b"/c~ü`, "nowhere")}
		f.Operator = pick(d, "is", "is_not", "matches", "matches_not", "equal", "greater", "greater_or_equal", "less", "less_or_equal", "present", "absent")
		switch f.Operator {
		case "present", "absent":
		case "is", "is_not":
			f.Values = pick(d, []string{"gold"}, []string{"it's", "gold", "2"}, []string{`a"b`}, []string{"true", "0.5", "-3"}, []string{""})
		case "matches", "matches_not":
			f.Values = []string{pick(d, "^g", "(?<named>old)$", "(?i)GOLD", "ver.line", `(?s)ver.line`, `^\d+$`, `'|"`, "^$")}
		default:
			f.Values = []string{pick(d, "0", "2", "2.5", "-3", "1e1")}
		}
		m.Filters = append(m.Filters, f)
	}
	return m
}

func (d dice) query() store.MetricQuery {
	q := store.MetricQuery{
		Kind:  pick(d, store.MetricCount, store.MetricSum, store.MetricAverage, store.MetricRatio, store.MetricPercent),
		Event: *d.match(pick(d, "buy", "buy", "visit", "never")), Value: pick(d, "value", "value", "plan", `it's "a.b"/c~ü`),
		Cap: pick(d, 0, 0, 1, 2.5, 100), CapPerDay: d.IntN(2) == 0,
	}
	if q.Kind == store.MetricRatio {
		q.Denominator = d.match(pick(d, "visit", "visit", "buy"))
	}
	if d.IntN(3) == 0 {
		q.HasDone, q.HasDoneBefore = d.match(pick(d, "visit", "buy")), d.IntN(2) == 0
	}
	if d.IntN(6) == 0 {
		q.Dimension = pick(d, "plan", "value", `it's "a.b"/c~ü`, "nowhere")
	}
	return q
}

// near compares sums whose order is not told.
var near = cmp.Options{cmpopts.EquateApprox(1e-9, 1e-9), cmpopts.EquateEmpty()}

func randomWorlds(t *testing.T, open Open) {
	f := newFixture(t, open)
	var all []world
	var players []dice
	events, impressions := store.Batch{}, store.Batch{Consumer: "impressions"}
	for seed := range worlds {
		d := dice{Rand: rand.New(rand.NewPCG(uint64(seed), 1)), env: fme.EnvironmentID(fmt.Sprintf("shop/world-%d", seed)), keys: 3 + seed%40}
		d.grid = pick(d, grids...)
		d.steps = 8 + d.IntN(20)
		w := d.world(seed)
		events.Events = append(events.Events, w.events...)
		impressions.Impressions = append(impressions.Impressions, w.impressions...)
		all, players = append(all, w), append(players, d)
	}
	f.write(events)
	f.write(impressions)
	// What the worlds must have in them for the comparison to mean something.
	var keys, switched, excluded, overlapping, others, overThree int64
	for seed, d := range players {
		w, e := all[seed], d.exposure()
		queries := []store.MetricQuery{d.query(), d.query()}
		want := w.report(e)
		if seed%2 == 0 { // the costlier question
			report, err := f.store.Exposures(t.Context(), e)
			if diff := cmp.Diff(want, report, near); err != nil || diff != "" {
				t.Errorf("world %d: %+v: %v: exposures (-want +got):\n%s", seed, e, err, diff)
			}
		}
		results, err := f.store.Analyze(t.Context(), e, queries)
		if err != nil {
			t.Fatalf("world %d: %+v: %v", seed, queries, err)
		}
		for i, q := range queries {
			want := w.analyze(e, q)
			if diff := cmp.Diff(want, results[i], near); diff != "" {
				t.Errorf("world %d: %+v\n%+v: (-want +got):\n%s", seed, e, q, diff)
			}
			if len(want.Dimensions) > 20 {
				others++
			}
			for _, a := range want.Arms {
				if a.N > 3 && a.M2 > 0 {
					overThree++
				}
			}
		}
		keys, excluded = keys+want.Keys, excluded+want.Excluded
		for _, x := range w.exposed(e) {
			if x.changes == 1 {
				switched++
			}
			if len(x.stays) == 2 && !x.stays[0].excluded {
				overlapping++
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("%d worlds: %d keys, %d changed once, %d of them into another arm, %d excluded; %d arms with a variance, %d dimensions with others",
		worlds, keys, switched, overlapping, excluded, overThree, others)
	for what, n := range map[string]int64{"keys that changed once": switched, "keys in two arms": overlapping, "excluded keys": excluded, "arms with a variance": overThree} {
		if n < 50 {
			t.Errorf("only %d %s in all worlds", n, what)
		}
	}
}
