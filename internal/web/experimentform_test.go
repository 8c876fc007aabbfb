package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// buttonForm is an experiment as the form sends it.
func buttonForm(pairs ...string) url.Values {
	form := url.Values{"name": {"Second try"}, "flag": {"button"}, "environment": {"production"}, "baseline": {"off"}, "start": {"2026-03-01"},
		"method": {"sequential"}, "significance": {"0.05"}, "power": {"0.8"}, "minimumSample": {"100"}, "reviewPeriod": {"7"}, "horizon": {"5000"}, "versions": {"latest"},
		"metric.orders": {"key"}, "metric.errors": {"guardrail"}, "metric.revenue": {""}, "do": {"save"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func TestExperimentsAreMadeChangedEndedAndDeleted(t *testing.T) {
	r := withExperiment(t, nil)
	r.get("/new/experiment").shows(200, "New experiment", "button (user)", "orders Percent of unique keys", "Fixed horizon")
	wrong := r.post("/new/experiment?env=shop/production", buttonForm("name", "Checkout button", "baseline", "red", "start", "soon", "minimumSample", "many", "shares", "on 50")).
		shows(422, "Not saved yet", "Write a whole number", "Write a treatment and its share on each line")
	if !strings.Contains(wrong.body, ">on 50</textarea>") || !strings.Contains(wrong.body, `value="many"`) {
		t.Error("the form lost what was entered")
	}
	r.post("/new/experiment?env=shop/production", buttonForm("name", "Checkout button", "baseline", "red", "start", "soon", "minimumSample", "5", "metric.refunds", "key")).
		shows(422, `"red" is not one of the treatments`, `"soon" is not a time`, "Write 100 or more", "Give each its own name")
	r.post("/new/experiment?env=shop/production", buttonForm("do", "filter:entry")).shows(200, "Property", "Entry event")
	r.post("/new/experiment?env=shop/production", buttonForm("do", "flag")).shows(200, "New experiment")

	r.post("/new/experiment?env=shop/production", buttonForm("treatments", "on\noff\nblue", "shares", "on: 34\noff: 33\nblue=33", "entry.eventType", "Cart_Viewed",
		"entry.filters[0].property", "value", "entry.filters[0].operator", "greater", "entry.filters[0].values", "10", "multipleComparison", "true", "owner", "Ada", "hypothesis", "It is better.")).
		goes("/experiments/second-try?env=shop/production")
	e, ok := r.catalog.Snapshot().Projects()[0].Experiment("second-try")
	if !ok {
		t.Fatal("it was not saved")
	}
	if got := fmt.Sprint(e.Spec.Metrics, e.Spec.Shares, e.Spec.Entry.Filters, e.Spec.Method, e.Spec.MultipleComparison, e.Spec.MinimumSample); got != "{[orders] [errors] []} map[blue:33 off:33 on:34] [{value greater [10]}]sequentialtrue 100" {
		t.Errorf("saved: %s", got)
	}
	r.get("/experiments/second-try").shows(200, "is saved", "running")
	page := r.get("/experiments/second-try/edit").shows(200, "Settings of Second try", "End it now")
	for _, want := range []string{">blue: 33\noff: 33\non: 34</textarea>", `name="metric.orders" value="key" checked`, `name="metric.revenue" value="" checked`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the form lacks %s", want)
		}
	}

	seen := hiddenSeen(t, page.body)
	if _, err := r.catalog.Edit(t.Context(), "somebody", func(doc *catalog.Document) error {
		doc.Projects[0].Experiments[1].Owner = "Grace"
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r.post("/experiments/second-try/edit?env=shop/production", buttonForm("seen", seen, "owner", "Mine")).shows(409, "Somebody else changed it meanwhile", `"Grace"`, `"Mine"`)

	r.post("/experiments/second-try/end?env=shop/production", nil).goes("/experiments/second-try?env=shop/production")
	e, _ = r.catalog.Snapshot().Projects()[0].Experiment("second-try")
	if e.End.IsZero() || time.Since(e.End) > time.Minute {
		t.Errorf("it ends %s", e.End)
	}
	r.post("/experiments/second-try/end?env=shop/production", nil).shows(409, "Only a running experiment")
	r.get("/experiments/second-try").shows(200, "ended")

	r.post("/experiments/second-try/remove?env=shop/production", url.Values{"confirm": {"no"}}).shows(422, "Type the name, Second try,")
	r.post("/experiments/second-try/remove?env=shop/production", url.Values{"confirm": {"Second try"}}).goes("/experiments?env=shop/production")
	r.get("/experiments/second-try").shows(404, "There is no experiment")
}

func TestOfAFileAnExperimentIsOnlyLookedAt(t *testing.T) {
	r := withExperiment(t, nil)
	if _, err := r.catalog.ApplyFile(t.Context(), "causeway.yaml", r.catalog.Snapshot().Document()); err != nil {
		t.Fatal(err)
	}
	r.get("/experiments/checkout-button/edit").shows(200, "comes from causeway.yaml")
	r.post("/experiments/checkout-button/edit?env=shop/production", buttonForm()).shows(409, "Nothing was saved")
	r.post("/experiments/checkout-button/end?env=shop/production", nil).shows(409, "Nothing was saved")
	r.post("/experiments/checkout-button/remove?env=shop/production", url.Values{"confirm": {"Checkout button"}}).shows(409, "Nothing was saved")
}

func TestAShareLinkShowsTheResultsAndNothingElse(t *testing.T) {
	r := withExperiment(t, twoReadings)
	r.get("/experiments/checkout-button/share").shows(200, "Links to the results", "There is none")
	r.post("/experiments/checkout-button/share?env=shop/production", url.Values{"days": {"4711"}}).shows(422, "Choose for how long")
	made := r.post("/experiments/checkout-button/share?env=shop/production", url.Values{"days": {"7"}}).shows(200, "It is shown this once", "admin@example.com")
	_, rest, _ := strings.Cut(made.body, r.base+"/share/")
	secret, _, _ := strings.Cut(rest, "<")
	if secret == "" {
		t.Fatal("no link is shown")
	}
	if page := r.get("/experiments/checkout-button/share"); strings.Contains(page.body, secret) {
		t.Error("the link is shown twice")
	}

	r.anew()
	page := r.get("/share/"+secret).shows(200, "Checkout button", "▲ Desired", "All on one axis", "Roll out on").sound()
	for _, kept := range []string{"/experiments", "Overview", "shop/production", "Recalculate", "Settings"} {
		if strings.Contains(page.body, kept) {
			t.Errorf("the shared page shows %q", kept)
		}
	}
	if page.header.Get("X-Robots-Tag") != "noindex" {
		t.Error("search engines may list it")
	}
	r.get("/share/"+secret+"?show=absolute&treatment=blue").shows(200, "pp").sound()
	r.get("/share/nonsense").shows(404, "This link shows nothing")
	r.get("/experiments/checkout-button").shows(303)

	r.as("admin@example.com", auth.Grants{})
	_, rest, _ = strings.Cut(r.get("/experiments/checkout-button/share").body, `name="share" value="`)
	id, _, _ := strings.Cut(rest, `"`)
	r.post("/experiments/checkout-button/share/remove?env=shop/production", url.Values{"share": {id}}).goes("/experiments/checkout-button/share?env=shop/production")
	r.anew()
	r.get("/share/"+secret).shows(404, "This link shows nothing")
}

func TestNoLogHoldsAShareLink(t *testing.T) {
	r := withExperiment(t, nil)
	secret, _, err := r.accounts.NewShare(t.Context(), "shop", "checkout-button", time.Time{}, "test")
	if err != nil {
		t.Fatal(err)
	}
	r.anew()
	r.get("/share/"+secret).shows(200, "There are no results yet")
	r = withExperiment(t, nil)
	secret, _, err = r.accounts.NewShare(t.Context(), "shop", "checkout-button", time.Time{}, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.get("/share/"+secret).shows(503, "The store does not answer")
	if log := r.log.String(); !strings.Contains(log, "/share/{secret}") || strings.Contains(log, secret) {
		t.Errorf("the log: %s", log)
	}
}
