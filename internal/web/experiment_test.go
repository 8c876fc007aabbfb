package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/stats"
	"causeway/internal/store"
	"causeway/internal/web"
)

// experimentConfiguration is what the tests of experiments add to a project.
const experimentConfiguration = `projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments: [{name: production}, {name: staging}]
    flags: [{name: button, trafficType: user, treatments: ["on", "off", blue], rollout: {"on": 34, "off": 33, blue: 33}}]
    metrics:
      - {name: orders, trafficType: user, type: percent, event: {eventType: Order_Completed}}
      - {name: revenue, trafficType: user, type: sum, event: {eventType: Order_Completed}, dimensions: [currency]}
      - {name: errors, trafficType: user, type: count, event: {eventType: client_error}, desired: decrease}
      - {name: refunds, trafficType: user, type: ratio, event: {eventType: refund}, denominator: {eventType: Order_Completed}, desired: decrease}
      - {name: basket, trafficType: user, type: average, event: {eventType: Order_Completed}}
    experiments:
      - name: Checkout button
        flag: button
        environment: production
        baseline: "off"
        start: "2026-03-01"
        hypothesis: A larger button is found by more people.
        metrics: {key: [orders, revenue], guardrail: [errors], supporting: [refunds, basket]}
  - name: other
    trafficTypes: [user]
    environments: [{name: production}]
`

var began = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// slow is a store that answers who was exposed only when it is allowed to.
type slow struct {
	experiment.Store
	allow chan struct{}
}

func (s slow) Exposures(ctx context.Context, e store.Exposure) (store.ExposureReport, error) {
	select {
	case <-s.allow:
	case <-ctx.Done():
	}
	return s.Store.Exposures(ctx, e)
}

// planOf is the experiment of a configuration.
func planOf(t *testing.T, r *rig) experiment.Plan {
	t.Helper()
	for _, e := range r.catalog.Snapshot().AllExperiments() {
		return experiment.PlanOf(e)
	}
	t.Fatal("there is no experiment")
	return experiment.Plan{}
}

func hits(treatment string, n, hits int64) store.Arm {
	m := stats.Proportion(n, hits)
	return store.Arm{Treatment: treatment, InTotal: n + 3, Excluded: 3, N: n, Mean: m.Mean, M2: m.M2, Max: 1, Sum: float64(hits)}
}

func spread(treatment string, n int64, mean, deviation float64) store.Arm {
	return store.Arm{Treatment: treatment, InTotal: n, N: n, Mean: mean, M2: deviation * deviation * float64(n-1), Max: mean + 4*deviation,
		Sum: mean * float64(n), P50: mean * .8, P95: mean + 2*deviation}
}

// measured is what the store gave of one metric, with its past growing towards
// it.
func measured(days int, arms ...store.Arm) experiment.Measured {
	m := experiment.Measured{Result: store.MetricResult{Arms: arms}}
	for _, a := range arms {
		m.Result.Events += int64(a.Sum)
	}
	m.Result.EventsOfExposed, m.Result.EventsInWindow = m.Result.Events, m.Result.Events
	for day := 1; day < days; day++ {
		past := experiment.PastArms{At: began.AddDate(0, 0, day)}
		part := float64(day) / float64(days)
		for i, a := range arms {
			a.InTotal, a.N = int64(float64(a.InTotal)*part), int64(float64(a.N)*part)
			a.Mean *= 1 + .08*math.Sin(float64(day+3*i))*(1-part)
			a.M2, a.Sum = a.M2*part, a.Mean*float64(a.N)
			past.Arms = append(past.Arms, a)
		}
		m.Past = append(m.Past, past)
	}
	return m
}

// someEvidence is of a healthy experiment whose metrics are in different
// states.
func someEvidence(days int) experiment.Evidence {
	version := int64(7)
	end := began.AddDate(0, 0, days)
	ev := experiment.Evidence{At: end, From: began, To: end, Version: &version, Metrics: []experiment.Measured{
		measured(days, hits("off", 5000, 1000), hits("on", 5050, 1180), hits("blue", 4980, 1010)),
		measured(days, spread("off", 5000, 12.4, 30), spread("on", 5050, 12.9, 31), spread("blue", 4980, 12.1, 29)),
		measured(days, spread("off", 5000, .31, .6), spread("on", 5050, .32, .6), spread("blue", 4980, .39, .7)),
		measured(days, spread("off", 120, .05, .2), spread("on", 140, .06, .2), spread("blue", 130, .04, .2)),
		measured(days, store.Arm{Treatment: "off", InTotal: 5000, Excluded: 5000}, store.Arm{Treatment: "on", InTotal: 5050, Excluded: 5050}, store.Arm{Treatment: "blue", InTotal: 4980, Excluded: 4980}),
	}}
	ev.Metrics[1].Dimensions = []store.MetricResult{{Dimensions: []store.DimensionArms{
		{Value: "EUR", Arms: []store.Arm{spread("off", 3000, 12, 30), spread("on", 3000, 13, 31), spread("blue", 2900, 12, 29)}},
		{Value: "USD", Arms: []store.Arm{spread("off", 2000, 13, 30), spread("on", 2050, 12, 31), spread("blue", 2080, 12, 29)}},
	}}}
	report := store.ExposureReport{Rules: []store.RuleCount{{Rule: "default rule", Keys: 15030}}, FirstImpression: began, LastSeen: end, Keys: 15039,
		Versions: []store.VersionCount{{ChangeNumber: 5, First: began.AddDate(0, 0, -3), Last: began, Keys: 40}, {ChangeNumber: 7, First: began, Last: end, Keys: 15039}},
		Arms:     []store.ArmExposure{{Treatment: "off", Keys: 5000, Excluded: 3, Impressions: 9000}, {Treatment: "on", Keys: 5050, Excluded: 3, Impressions: 9100}, {Treatment: "blue", Keys: 4980, Excluded: 3, Impressions: 9050}},
		Excluded: 9, InSeveral: 30, WithEvents: 12000, EventsBefore: 210, LateEvents: 90, EventsOfKeys: 40000}
	for day := range days {
		report.Days = append(report.Days, store.ExposureDay{Day: began.AddDate(0, 0, day), Keys: []int64{int64(500 - 20*day), int64(505 - 20*day), int64(498 - 20*day)}})
	}
	ev.Exposures = report
	return ev
}

func conclude(plan experiment.Plan, ev experiment.Evidence, earlier *experiment.Results) *experiment.Results {
	r := experiment.Conclude(plan, ev, earlier, "test")
	return &r
}

// withExperiment is a rig whose project has an experiment. computed gives its
// readings, oldest first.
func withExperiment(t *testing.T, computed func(experiment.Plan) []*experiment.Results, change ...func(*web.Options)) *rig {
	t.Helper()
	r := configured(t, change...)
	doc, findings := catalog.Decode("", []byte(experimentConfiguration), nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if _, err := r.catalog.Apply(t.Context(), doc, "test", 0); err != nil {
		t.Fatal(err)
	}
	if computed == nil {
		return r
	}
	for _, results := range computed(planOf(t, r)) {
		body, err := json.Marshal(results)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.store.SaveReading(t.Context(), store.Reading{Project: "shop", Experiment: "checkout-button", ComputedAt: results.ComputedAt, Body: body}); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// twoReadings are of day 9 and day 14.
func twoReadings(plan experiment.Plan) []*experiment.Results {
	early := conclude(plan, someEvidence(9), nil)
	return []*experiment.Results{early, conclude(plan, someEvidence(14), early)}
}

var notANumber = regexp.MustCompile(`NaN|[+-]Inf\b|%!|0x`)

// sound fails the test when a page shows what is no number.
func (a answer) sound() answer {
	a.t.Helper()
	if bad := notANumber.FindString(a.body); bad != "" {
		a.t.Errorf("%s: %q stands in it", a.path, bad)
	}
	return a
}

func TestAnExperimentShowsWhatItHasShown(t *testing.T) {
	r := withExperiment(t, twoReadings)
	newest := conclude(planOf(t, r), someEvidence(14), nil)
	r.get("/experiments").shows(200, "Checkout button", "button", "running", "▲ 1", newest.Recommendation.Sentence).sound()
	page := r.get("/experiments/checkout-button").shows(200, newest.Recommendation.Sentence, "Key metrics", "Guardrail metrics", "Supporting metrics",
		"▲ Desired", "▼ Undesired", "◆ Inconclusive", "◌ Needs more data", "– Not available", "20% 23.4%", "+16.8% Impact lies between +8.45% and +25.9%.", "decrease is better").sound()
	if n := strings.Count(page.body, `class="plot row"`); n != 21 {
		t.Errorf("%d plots, want one and an axis for each of 10 cards, and the axis above", n)
	}
	for _, g := range newest.Groups {
		for _, m := range g.Metrics {
			for _, c := range m.Cards {
				if c.CI == nil {
					page.shows(200, c.Sentence)
				}
			}
		}
	}
	if !strings.Contains(page.body, `href="/experiments/checkout-button?env=shop/production&amp;show=absolute"`) {
		t.Error("the page has no link to absolute effects")
	}
	if text := r.get("/experiments/checkout-button?treatment=blue").shows(200, "+25.8%").sound().text(); strings.Contains(text, "+16.8% Impact") {
		t.Error("a treatment is shown that was not chosen")
	}
	r.get("/experiments/checkout-button?show=absolute").shows(200, "+3.37 pp Impact lies between", "has an axis of its own").sound()
	r.get("/experiments/checkout-button/health").shows(200, "Sample ratio", "Keys meant", "Exposures", "Identities match", "30 of 15,039", "Review period", "Change number").sound()
	old := began.AddDate(0, 0, 9).Format(time.RFC3339Nano)
	r.get("/experiments/checkout-button?at="+old).shows(200, "This is the reading of 2026-03-10", "See the newest").sound()
	r.get("/experiments/checkout-button?at=2026-02-01T00:00:00Z").shows(404, "There is no reading")
	r.get("/experiments/checkout-button?at=yesterday").shows(404)
	r.get("/experiments/nothing").shows(404, "no experiment")
	r.get("/experiments?env=other/production").shows(200, "There is no experiment in other yet")
}

func TestAMetricOfAnExperimentIsShownWithEverythingBehindIt(t *testing.T) {
	r := withExperiment(t, twoReadings)
	r.get("/experiments/checkout-button/metrics/orders").shows(200, "Impact snapshot", "Impact over time", "Values over time", "Did it", "Excluded", "How events became numbers",
		"Show the working", "Repeat it in R", "SE = ", "would likely have been found").sound()
	r.get("/experiments/checkout-button/metrics/orders?show=absolute").shows(200, "pp").sound()
	r.get("/experiments/checkout-button/metrics/revenue").shows(200, "By currency", "EUR", "USD", "Median", "p95").sound()
	r.get("/experiments/checkout-button/metrics/basket").shows(200, "Not available", "nothing was tested", "There are not two points").sound()
	r.get("/experiments/checkout-button/metrics/refunds").shows(200, "Needs more data").sound()
	r.get("/experiments/checkout-button/metrics/nothing").shows(404, "have no metric")
}

func TestReadingsAreKeptAndCompared(t *testing.T) {
	var early, newest *experiment.Results
	r := withExperiment(t, func(plan experiment.Plan) []*experiment.Results {
		early = conclude(plan, someEvidence(9), nil)
		plan.Settings.Method, plan.Rule = experiment.Sequential, "default rule"
		newest = conclude(plan, someEvidence(14), early)
		return []*experiment.Results{early, newest}
	})
	r.get("/experiments/checkout-button/readings").shows(200, "begun anew", "15,039", "Compare the two").sound()
	before, after := early.ComputedAt.Format(time.RFC3339Nano), newest.ComputedAt.Format(time.RFC3339Nano)
	r.get("/experiments/checkout-button/readings?before="+after+"&after="+before).shows(200, "Two readings", "fixed", "sequential", "Method", "Rule").sound()
	r.get("/experiments/checkout-button/readings?before="+after+"&after=x").shows(422, "Choose two readings")
}

func TestWhatIsNotComputedSaysWhy(t *testing.T) {
	allow := make(chan struct{})
	r := withExperiment(t, nil, func(o *web.Options) {
		var err error
		o.Experiments, err = experiment.New(experiment.Options{Snapshot: o.Catalog.Snapshot, Store: slow{o.Store, allow}, Version: "test"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Experiments.Close() })
	})
	r.get("/experiments").shows(200, "Checkout button", "none yet", "not yet")
	for _, path := range []string{"", "/health", "/metrics/orders"} {
		r.get("/experiments/checkout-button"+path).shows(200, "It was not computed yet", "Nothing was computed yet.", "Recalculate")
	}
	r.get("/experiments/checkout-button/readings").shows(200, "No reading is kept yet")
	r.get("/experiments/checkout-button/file/results.csv").shows(404, "nothing to download")
	r.post("/experiments/checkout-button/recalculate", nil).goes("/experiments/checkout-button?env=shop/production")
	r.get("/experiments/checkout-button").shows(200, "being computed for the first time", "What stands below is of before")
	close(allow)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if page := r.get("/experiments/checkout-button"); strings.Contains(page.text(), "nobody was exposed to the flag") {
			page.shows(200, "Not available", "Nobody was shown").sound()
			break
		}
		if time.Now().After(end) {
			t.Fatal("the results do not come")
		}
	}
	r.get("/experiments/checkout-button/health").shows(200, "Nobody was exposed").sound()
	r.get("/experiments/checkout-button/metrics/orders").shows(200, "There are not two points").sound()
}

func TestResultsAreFilesToo(t *testing.T) {
	r := withExperiment(t, twoReadings)
	results := conclude(planOf(t, r), someEvidence(14), nil)
	got := r.get("/experiments/checkout-button/file/results.json")
	var back experiment.Results
	if err := json.Unmarshal([]byte(got.body), &back); err != nil || back.Recommendation.Sentence != results.Recommendation.Sentence {
		t.Errorf("%v: %.300s", err, got.body)
	}
	table := r.get("/experiments/checkout-button/file/results.csv").body
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 11 || !strings.HasPrefix(lines[1], "key,orders,percent,increase,on,off,desired,") {
		t.Errorf("%s", table)
	}
	svg := r.get("/experiments/checkout-button/file/results.svg")
	if !strings.HasPrefix(svg.body, `<svg xmlns="http://www.w3.org/2000/svg"`) || !strings.Contains(svg.body, "▲ Desired: +16.8%") || svg.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("%.500s", svg.body)
	}
	r.get("/experiments/checkout-button/file/results.exe").shows(404)
}

// hostileResults has names and numbers that want to break a page.
func hostileResults(plan experiment.Plan) *experiment.Results {
	plan.Settings.MinSample = 10
	plan.Name, plan.Baseline, plan.Treatments, plan.Hypothesis = nasty, nasty, []string{nasty + "2"}, nasty
	plan.Shares = map[string]float64{nasty: 1, nasty + "2": 1}
	var ev experiment.Evidence
	ev.At, ev.From, ev.To = began.AddDate(0, 0, 20), began, began.AddDate(0, 0, 20)
	numbers := []float64{0, 1e300, -1e300, 5e-324, 1e-9}
	for i := range plan.Metrics {
		plan.Metrics[i].Name = fmt.Sprint(nasty, i)
		v := numbers[i]
		ev.Metrics = append(ev.Metrics, measured(20,
			store.Arm{Treatment: nasty, InTotal: 1e15, N: 1e15, Mean: v, M2: 1e300, Min: -1e300, Max: 1e300, P50: v, P95: v},
			store.Arm{Treatment: nasty + "2", InTotal: 1e15, N: 1e15, Mean: v + 1, M2: 1e290, Overflow: i == 2}))
	}
	ev.Exposures = store.ExposureReport{Rules: []store.RuleCount{{Rule: nasty, Keys: 4}, {Rule: "", Keys: 4}}, Keys: 8,
		Days: []store.ExposureDay{{Day: began, Keys: []int64{math.MaxInt64, 0}}, {Day: began.AddDate(0, 0, 1), Keys: []int64{1, 1}}},
		Arms: []store.ArmExposure{{Treatment: nasty, Keys: 900}, {Treatment: nasty + "2", Keys: 100}}}
	return conclude(plan, ev, nil)
}

func TestHostileNamesAndNumbersDoNotBreakThePages(t *testing.T) {
	var results *experiment.Results
	r := withExperiment(t, func(plan experiment.Plan) []*experiment.Results {
		results = hostileResults(plan)
		return []*experiment.Results{conclude(plan, someEvidence(3), nil), results}
	})
	before, after := results.ComputedAt.Format(time.RFC3339Nano), began.AddDate(0, 0, 3).Format(time.RFC3339Nano)
	paths := []string{"", "?show=absolute&at=" + before, "?at=" + before, "/health?at=" + before, "/readings", "/readings?before=" + before + "&after=" + after}
	for i := range results.Groups[0].Metrics {
		paths = append(paths, "/metrics/"+catalog.Slug(results.Groups[0].Metrics[i].Metric)+"?at="+before)
	}
	for _, path := range paths {
		page := r.get("/experiments/checkout-button" + path).shows(200).sound()
		if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img") {
			t.Errorf("%s: a name is not escaped", path)
		}
	}
	if body := r.get("/experiments/checkout-button/file/results.svg?at=" + before).sound().body; strings.Contains(body, "<script>") {
		t.Error("a name is not escaped in the drawing")
	}
}

// The whole way: impressions and calls as they come in, the pipeline, the
// store, the calculation, the page.
func TestImpressionsAndCallsBecomeResults(t *testing.T) {
	r := configured(t)
	r.apply(t, configuration, strings.ReplaceAll(experimentConfiguration, `start: "2026-03-01"`, `minimumSample: 10
        start: "`+time.Now().UTC().Add(-48*time.Hour).Format(time.RFC3339)+`"`))
	r.start()
	shown := time.Now().Add(-26 * time.Hour)
	var impressions, calls []string
	for i := range 300 {
		treatment := []string{"on", "off", "blue"}[i%3]
		impressions = append(impressions, fmt.Sprintf(`{"k":"user-%d","t":%q,"m":%d,"c":7,"r":"default rule"}`, i, treatment, shown.UnixMilli()))
		// Of 100 keys each, 60 order with on and 20 with the others.
		if n := i / 3; treatment == "on" && n < 60 || n < 20 {
			calls = append(calls, trackCall(fmt.Sprint("order-", i), fmt.Sprint("user-", i), "Order Completed", fmt.Sprintf(`{"revenue":%d,"currency":"EUR"}`, 20+i%7), shown.Add(time.Hour)))
		}
	}
	r.impressions(`[{"f":"button","i":[` + strings.Join(impressions, ",") + `]}]`)
	r.track(calls...)
	r.post("/experiments/checkout-button/recalculate?env=shop/production", nil).goes("/experiments/checkout-button?env=shop/production")
	var page answer
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		page = r.get("/experiments/checkout-button")
		if text := page.text(); strings.Contains(text, "Key metrics") && !strings.Contains(text, "are being computed") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no results after 30 s: %.800s", page.text())
		}
	}
	page.shows(200, "▲ Desired orders", "+200%", "60% instead of 20%", "Nobody sent an event client_error").sound()
	r.get("/experiments/checkout-button/health").shows(200, "300", "100").sound()
	r.get("/experiments/checkout-button/metrics/orders").shows(200, "100 0 100 60 60%", "Impact over time").sound()
	r.get("/experiments/checkout-button/metrics/revenue").shows(200, "By currency", "EUR").sound()
	r.get("/").shows(200, "Checkout button", "▲ 2").sound()
	r.get("/experiments").shows(200, "Checkout button", "▲ 2").sound()
	r.get("/events/Order_Completed").shows(200, "Metrics that use it", "orders", "Create a metric").sound()
	if csv := r.get("/experiments/checkout-button/file/results.csv").body; !strings.Contains(csv, "key,orders,percent,increase,on,off,desired,") {
		t.Errorf("%s", csv)
	}
}
