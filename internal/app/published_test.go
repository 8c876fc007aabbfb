package app_test

import (
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/experiment"
)

// study is a published experiment as it would have been measured: who was
// shown what, and the event of each value.
type study struct {
	flag, baseline, treatment string
	n                         [2]int       // keys of the baseline and the treatment
	events                    [2][]float64 // value of the i-th key's event
	metric                    string       // type of the metric
}

// ones is n events of value 1.
func ones(n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = 1
	}
	return list
}

var studies = []study{
	// R's data set sleep (Student 1908): hours of extra sleep, two drugs.
	{"sleep", "group2", "group1", [2]int{10, 10}, [2][]float64{
		{1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4}, {0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0}}, "average"},
	// Physicians' Health Study (1988): heart attacks with placebo and aspirin.
	{"aspirin", "placebo", "aspirin", [2]int{11034, 11037}, [2][]float64{ones(189), ones(104)}, "percent"},
	// The example of Wikipedia's "Sample ratio mismatch".
	{"uneven", "a", "b", [2]int{600, 400}, [2][]float64{ones(60), ones(40)}, "percent"},
}

// send sends a study as a Split SDK and Segment's libraries would.
func (s study) send(r *running, at time.Time) {
	r.t.Helper()
	var impressions, calls []string
	post := func(path, authorization, body string) {
		r.t.Helper()
		if status := r.post(path, authorization, body); status != http.StatusOK {
			r.t.Fatalf("%s answered %d", path, status)
		}
	}
	flush := func(enough int) {
		if len(impressions) > enough {
			post("/api/testImpressions/bulk", "Bearer sdk-key", `[{"f":"`+s.flag+`","i":[`+strings.Join(impressions, ",")+`]}]`)
			impressions = nil
		}
		if len(calls) > enough {
			post("/v1/batch", "", `{"writeKey":"destination-key","batch":[`+strings.Join(calls, ",")+`]}`)
			calls = nil
		}
	}
	for arm, treatment := range []string{s.baseline, s.treatment} {
		for i := range s.n[arm] {
			key := fmt.Sprintf("%s-%s-%d", s.flag, treatment, i)
			impressions = append(impressions, fmt.Sprintf(`{"k":"%s","t":"%s","m":%d,"c":1,"r":"default rule"}`, key, treatment, at.UnixMilli()))
			if i < len(s.events[arm]) {
				calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"%s","userId":"%s","event":"%s","timestamp":"%s","properties":{"revenue":%g}}`,
					key, key, s.flag, at.Add(time.Hour).Format(time.RFC3339), s.events[arm][i]))
			}
			flush(1000)
		}
	}
	flush(0)
}

// configured is the configuration that measures the studies.
func configured(t *testing.T, begun time.Time) string {
	t.Helper()
	text := configuration("http://127.0.0.1:1")
	flags, metrics, experiments := "", "    metrics:\n", "    experiments:\n"
	for _, s := range studies {
		flags += fmt.Sprintf("      - {name: %s, trafficType: user, treatments: [%s, %s], rollout: {%s: 50, %s: 50}}\n", s.flag, s.baseline, s.treatment, s.baseline, s.treatment)
		metrics += fmt.Sprintf("      - {name: %s, trafficType: user, type: %s, event: {eventType: %s}}\n", s.flag, s.metric, s.flag)
		experiments += fmt.Sprintf("      - {name: %s, flag: %s, environment: production, baseline: %s, start: %q, minimumSample: 10, metrics: {key: [%s]}}\n", s.flag, s.flag, s.baseline, begun.Format(time.RFC3339), s.flag)
	}
	before, after, found := strings.Cut(text, "    segment:\n")
	if !found {
		t.Fatal("the configuration has changed")
	}
	return before + flags + metrics + experiments + "    segment:\n" + after
}

// Published data, sent through the real routes, must come out as published.
func TestPublishedExperimentsComeOutOfTheWholeServer(t *testing.T) {
	begun := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Second)
	r := startWith(t, func(o *app.Options) {
		if err := os.WriteFile(o.ConfigFile, []byte(configured(t, begun)), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	events := 0
	for _, s := range studies {
		s.send(r, begun.Add(time.Hour))
		events += len(s.events[0]) + len(s.events[1])
	}
	const environment = "/admin/v1/projects/shop/environments/production"
	r.eventually("every impression and event is stored", func() bool {
		var flags, types list
		r.get(environment+"/flags", &flags)
		r.get(environment+"/event-types", &types)
		impressions, stored := 0.0, 0.0
		for _, f := range flags.Items {
			impressions += f["impressions"].(float64)
		}
		for _, e := range types.Items {
			stored += e["sevenDayCount"].(float64)
		}
		return impressions == 20+22071+1000 && stored == float64(events)
	})
	results := map[string]experiment.Results{}
	for _, s := range studies {
		results[s.flag] = r.computed(s.flag)
	}

	sleep := card(results["sleep"])
	within(t, "sleep: t", *sleep.Statistic, -1.86081346748685, 1e-12)
	within(t, "sleep: df", *sleep.DF, 17.7764735161785, 1e-11)
	within(t, "sleep: p", *sleep.P, 0.0793941401873582, 1e-13)
	within(t, "sleep: low", sleep.CI.Low, -3.3654832, 1e-7)
	within(t, "sleep: high", sleep.CI.High, 0.2054832, 1e-7)

	aspirin := card(results["aspirin"])
	within(t, "aspirin: t", *aspirin.Statistic, -5.0038, 5e-5)
	within(t, "aspirin: p", *aspirin.P, 5.67e-7, 1e-9)
	within(t, "aspirin: relative risk", 1+*aspirin.Rel, 0.55, 0.005)
	if arms := results["aspirin"].Groups[0].Metrics[0].Arms; arms[0].N != 11034 || *arms[0].Total != 189 || arms[1].N != 11037 || *arms[1].Total != 104 {
		t.Errorf("aspirin: %+v", arms)
	}
	for _, even := range []string{"sleep", "aspirin"} {
		if ratio := results[even].Health.SampleRatios[0]; ratio.State != experiment.RatioValid {
			t.Errorf("%s: %+v", even, ratio)
		}
	}

	uneven := results["uneven"]
	ratio := uneven.Health.SampleRatios[0]
	within(t, "uneven: χ²", *ratio.Chi2, 40, 1e-9)
	within(t, "uneven: p", *ratio.P, 2.54e-10, 5e-13)
	if ratio.State != experiment.RatioMismatch || uneven.Recommendation.Verdict != experiment.DoNotTrust {
		t.Errorf("uneven: %s, %q", ratio.State, uneven.Recommendation.Sentence)
	}
}

func card(r experiment.Results) experiment.Card { return r.Groups[0].Metrics[0].Cards[0] }

func within(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance {
		t.Errorf("%s: %v, published %v", what, got, want)
	}
}

// computed has an experiment computed now and waits for its results.
func (r *running) computed(name string) experiment.Results {
	r.t.Helper()
	asked := time.Now()
	path := "/admin/v1/projects/shop/experiments/" + name
	var results experiment.Results
	request, err := http.NewRequest(http.MethodPost, r.base+path+"/recalculate", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	r.eventually(name+" is computed", func() bool {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			r.t.Fatal(err)
		}
		_ = response.Body.Close()
		results = experiment.Results{} // what an answer leaves out is not what an older one said
		r.get(path+"/results", &results)
		return results.ComputedAt.After(asked)
	})
	return results
}
