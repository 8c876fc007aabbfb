package demo

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"causeway/internal/experiment"
	"causeway/internal/stats"
	"causeway/internal/store"
)

// Splits of the shop's people at random have no effect by construction, so
// whatever is found between them is a false alarm (an A/A test).
const splits = 1000

// metrics are what one person contributes, by kind.
type aaMetric struct {
	name string
	kind string
	of   func(c *customer) (x float64, counts bool)
}

var aaMetrics = []aaMetric{
	{"order rate", store.MetricPercent, func(c *customer) (float64, bool) { return min(float64(len(c.orders)), 1), true }},
	{"orders per person", store.MetricCount, func(c *customer) (float64, bool) { return float64(len(c.orders)), true }},
	{"revenue per person", store.MetricSum, func(c *customer) (float64, bool) { return total(c.orders), true }},
	{"revenue of an order", store.MetricAverage, func(c *customer) (float64, bool) {
		return total(c.orders) / max(float64(len(c.orders)), 1), len(c.orders) > 0
	}},
}

func total(list []float64) (sum float64) {
	for _, x := range list {
		sum += x
	}
	return sum
}

// arms are the moments of a metric in both halves of a split, added person by
// person.
type arms [2]stats.Moments

func (a arms) stored() []store.Arm {
	list := make([]store.Arm, 2)
	for i, treatment := range []string{"a", "b"} {
		list[i] = store.Arm{Treatment: treatment, InTotal: a[i].N, N: a[i].N, Mean: a[i].Mean, M2: a[i].M2}
	}
	return list
}

func aaPlan(method string, metrics []aaMetric) experiment.Plan {
	plan := experiment.Plan{
		Project: "shop", ID: "aa", Name: "A/A", Environment: "shop/production", Flag: "aa", TrafficType: "user", Rule: "default rule",
		Baseline: "a", Treatments: []string{"b"}, Shares: map[string]float64{"a": 1, "b": 1}, Start: start(now),
		Settings: experiment.Settings{Method: method, Alpha: 0.05, Power: 0.8, MinSample: 100, TunedFor: stats.DefaultTuning, SampleRatioThreshold: stats.SampleRatioThreshold, BufferMinutes: 15},
	}
	for _, m := range metrics {
		plan.Metrics = append(plan.Metrics, experiment.Metric{ID: m.name, Name: m.name, Group: experiment.GroupKey, TrafficType: "user", Desired: experiment.Increase,
			Query: store.MetricQuery{Kind: m.kind, Event: store.EventMatch{EventType: m.name}}})
	}
	return plan
}

// falseAlarms splits the shop at random and counts, by metric, how often its
// card shows a finding after so many looks at the growing data.
func falseAlarms(t *testing.T, method string, looks int, metrics []aaMetric) []int {
	t.Helper()
	people := New(1, now).customers
	slices.SortFunc(people, func(a, b customer) int { return a.seen.Compare(b.seen) })
	rng, plan := rand.New(rand.NewPCG(42, uint64(looks))), aaPlan(method, metrics)
	found := make([]int, len(metrics))
	for range splits {
		ev := experiment.Evidence{At: now, From: start(now), To: now, Metrics: make([]experiment.Measured, len(metrics))}
		sums := make([]arms, len(metrics))
		for i := range people {
			half := rng.IntN(2)
			for m := range metrics {
				if x, counts := metrics[m].of(&people[i]); counts {
					sums[m][half].Add(x)
				}
			}
			if looks > 1 && (i+1)%(len(people)/looks) == 0 && i+1 < len(people) {
				for m := range metrics {
					ev.Metrics[m].Past = append(ev.Metrics[m].Past, experiment.PastArms{At: start(now).Add(time.Duration(i) * time.Minute), Arms: sums[m].stored()})
				}
			}
		}
		for m := range metrics {
			ev.Metrics[m].Result.Arms = sums[m].stored()
		}
		results := experiment.Conclude(plan, ev, nil, "test")
		for m, result := range results.Groups[0].Metrics {
			card := result.Cards[0]
			if card.P == nil {
				t.Fatalf("%s: %s: %s", metrics[m].name, card.State, card.Sentence)
			}
			if len(card.Series) != looks {
				t.Fatalf("%d looks, want %d", len(card.Series), looks)
			}
			if card.State.Significant() {
				found[m]++
			}
		}
	}
	return found
}

func TestSplitsAtRandomAreFoundAsOftenAsAFixedTestSays(t *testing.T) {
	spread := 3.5 * math.Sqrt(splits*0.05*0.95)
	for m, n := range falseAlarms(t, experiment.Fixed, 1, aaMetrics) {
		t.Logf("%s: %d of %d splits, %.1f%%", aaMetrics[m].name, n, splits, 100*float64(n)/splits)
		if math.Abs(float64(n)-splits*0.05) > spread {
			t.Errorf("%s: %d of %d splits show an effect, want %v ± %.0f", aaMetrics[m].name, n, splits, splits*0.05, spread)
		}
	}
}

func TestSplitsAtRandomAreFoundNoMoreThanASequentialTestSaysHoweverOftenOneLooks(t *testing.T) {
	const looks = 100
	metrics := aaMetrics[:1] // a hundred looks at one are enough to wait for
	for m, n := range falseAlarms(t, experiment.Sequential, looks, metrics) {
		t.Logf("%s: %d of %d splits at any of %d looks, %.1f%%", metrics[m].name, n, splits, looks, 100*float64(n)/splits)
		if n > splits*5/100 {
			t.Errorf("%s: %d of %d splits show an effect at one of %d looks, want at most %d", metrics[m].name, n, splits, looks, splits*5/100)
		}
	}
}
