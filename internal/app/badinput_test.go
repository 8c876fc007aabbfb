package app_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/experiment"
)

// What cannot be computed is a state with a reason, through the whole server:
// never NaN, never a blank card.
func TestWhatCannotBeComputedSaysWhy(t *testing.T) {
	begun := time.Now().Add(-48 * time.Hour).UTC().Truncate(time.Second)
	r := startWith(t, func(o *app.Options) {
		text := configuration("http://127.0.0.1:1")
		text = strings.Replace(text, "      - {name: checkout_button, trafficType: user}\n", `      - {name: button, trafficType: user, treatments: [a, b, c], rollout: {a: 40, b: 40, c: 20}}
      - {name: ruled, trafficType: user, treatments: [a, b], rollout: {a: 50, b: 50}}
    metrics:
      - {name: nobody, trafficType: user, type: count, event: {eventType: nothing}}
      - {name: divided by nothing, trafficType: user, type: ratio, event: {eventType: order}, denominator: {eventType: nothing}}
      - {name: no value, trafficType: user, type: average, event: {eventType: visit}}
      - {name: filtered, trafficType: user, type: count, event: {eventType: order}, hasDone: {eventType: nothing}}
      - {name: huge, trafficType: user, type: sum, event: {eventType: huge}}
      - {name: equal, trafficType: user, type: percent, event: {eventType: visit}}
      - {name: fine, trafficType: user, type: percent, event: {eventType: order}}
    experiments:
      - {name: bad, flag: button, environment: production, baseline: a, start: "`+begun.Format(time.RFC3339)+`", minimumSample: 10,
         metrics: {key: [nobody, divided by nothing, no value, filtered, huge, equal, fine]}}
      - {name: rules, flag: ruled, environment: production, baseline: a, start: "`+begun.Format(time.RFC3339)+`", minimumSample: 10, metrics: {key: [fine]}}
`, 1)
		if err := os.WriteFile(o.ConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	at := begun.Add(time.Hour)
	var button, ruled, calls []string
	for i := range 60 {
		treatment := string("ab"[i%2])
		button = append(button, fmt.Sprintf(`{"k":"u%d","t":"%s","m":%d,"c":1,"r":"default rule"}`, i, treatment, at.UnixMilli()))
		ruled = append(ruled, fmt.Sprintf(`{"k":"u%d","t":"%s","m":%d,"c":1,"r":"rule %d"}`, i, treatment, at.UnixMilli(), i%3))
		track := func(event, properties string) {
			calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"%s-%d","userId":"u%d","event":"%s","timestamp":"%s","properties":{%s}}`,
				event, i, i, event, at.Add(time.Minute).Format(time.RFC3339), properties))
		}
		track("visit", "")
		if i%3 == 0 {
			track("order", `"revenue":5`)
			track("huge", `"revenue":1e300`)
		}
	}
	for path, body := range map[string]string{
		"/api/testImpressions/bulk": `[{"f":"button","i":[` + strings.Join(button, ",") + `]},{"f":"ruled","i":[` + strings.Join(ruled, ",") + `]}]`,
		"/v1/batch":                 `{"writeKey":"destination-key","batch":[` + strings.Join(calls, ",") + `]}`,
	} {
		if status := r.post(path, "Bearer sdk-key", body); status != http.StatusOK {
			t.Fatalf("%s answered %d", path, status)
		}
	}
	if err := r.ComputeExperiments(t.Context()); err != nil {
		t.Fatal(err)
	}
	results := r.computed("bad")
	for metric, want := range map[string]struct {
		state  experiment.State
		reason experiment.Reason
		lost   string
	}{
		"nobody":             {experiment.ZeroVariance, experiment.AllValuesEqual, "events"},
		"divided by nothing": {experiment.NotAvailable, experiment.NoDenominator, "counted"},
		"no value":           {experiment.NotAvailable, experiment.NoEvents, "counted"},
		"filtered":           {experiment.NotAvailable, experiment.NoFilterMatch, "counted"},
		"huge":               {experiment.NotAvailable, experiment.OutOfRange, ""},
		"equal":              {experiment.ZeroVariance, experiment.AllValuesEqual, ""},
		"fine":               {experiment.Inconclusive, "", ""},
	} {
		found := false
		for _, m := range results.Groups[0].Metrics {
			if m.Metric != metric {
				continue
			}
			found = true
			c := m.Cards[0]
			if c.State != want.state || c.Reason != want.reason || m.Funnel.Lost != want.lost || c.Sentence == "" {
				t.Errorf("%s: %s (%s), lost at %q: %s", metric, c.State, c.Reason, m.Funnel.Lost, c.Sentence)
			}
			if empty := m.Cards[1]; empty.State != experiment.NotAvailable || empty.Reason != experiment.NoKeys {
				t.Errorf("%s of the treatment nobody saw: %s (%s)", metric, empty.State, empty.Reason)
			}
		}
		if !found {
			t.Errorf("there is no card of %s", metric)
		}
	}
	rules := r.computed("rules")
	if c := card(rules); c.State != experiment.NotPossible || c.Reason != experiment.SeveralRules || len(rules.Health.Rules.Seen) != 3 {
		t.Errorf("several rules: %s (%s), %+v", c.State, c.Reason, rules.Health.Rules)
	}
}
