package app_test

import (
	"net/http"
	"os"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/demo"
	"causeway/internal/experiment"
)

// What is true of the demo's shop (docs/demo.md) must be within what is shown
// of it, and its planted fault must be found.
func TestTheDemosTruthIsFound(t *testing.T) {
	now := time.Now()
	r := startWith(t, func(o *app.Options) {
		if err := os.WriteFile(o.ConfigFile, []byte(demo.Configuration("http://127.0.0.1:1", now)), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	world, sender := demo.New(1, now), &demo.Sender{Address: r.base, Client: http.DefaultClient}
	if err := world.SendHistory(t.Context(), sender, now, func(int, int) {}); err != nil {
		t.Fatal(err)
	}
	for range 200 { // the live traffic changes nothing of the truth
		if err := world.Step(t.Context(), sender, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.ComputeExperiments(t.Context()); err != nil {
		t.Fatal(err)
	}
	var button, banner experiment.Results
	r.get("/admin/v1/projects/shop/experiments/checkout-button/results", &button)
	r.get("/admin/v1/projects/shop/experiments/hero-banner/results", &banner)

	for _, truth := range []struct {
		metric string
		effect float64
	}{
		{"Order rate", 0.25 - 0.20},
		{"Revenue of an order", 0},
		{"Product views per person", 0},
	} {
		found := false
		for _, g := range button.Groups {
			for _, m := range g.Metrics {
				if m.Metric != truth.metric {
					continue
				}
				found = true
				c := m.Cards[0]
				if c.CI == nil {
					t.Errorf("%s: %s: %s", truth.metric, c.State, c.Sentence)
					continue
				}
				t.Logf("%s: %s, %.4f, between %.4f and %.4f; the truth is %.4f", truth.metric, c.State, *c.Diff, c.CI.Low, c.CI.High, truth.effect)
				if c.CI.Low > truth.effect || c.CI.High < truth.effect {
					t.Errorf("%s: the true effect %v is not between %v and %v", truth.metric, truth.effect, c.CI.Low, c.CI.High)
				}
			}
		}
		if !found {
			t.Errorf("there is no card of %s", truth.metric)
		}
	}
	if n := button.Health.Exposures.Keys; n != demo.Customers {
		t.Errorf("%d people are in the experiment, %d were invented", n, demo.Customers)
	}
	if ratio := button.Health.SampleRatios[0]; ratio.State != experiment.RatioValid {
		t.Errorf("checkout_button: %s", ratio.Sentence)
	}
	if len(button.Health.Versions.Seen) != 1 || len(button.Health.Rules.Seen) != 1 {
		t.Errorf("versions %+v, rules %+v", button.Health.Versions.Seen, button.Health.Rules.Seen)
	}
	ratio := banner.Health.SampleRatios[0]
	t.Log(ratio.Sentence)
	if ratio.State != experiment.RatioMismatch || banner.Recommendation.Verdict != experiment.DoNotTrust || len(ratio.Causes) == 0 {
		t.Errorf("hero_banner: %s, %q", ratio.State, banner.Recommendation.Sentence)
	}
}
