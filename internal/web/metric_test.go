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

// ordersForm is a metric as the form sends it.
func ordersForm(pairs ...string) url.Values {
	form := url.Values{"name": {"paid"}, "trafficType": {"user"}, "type": {"sum"}, "desired": {"increase"}, "value": {"value"}, "capPer": {"user"},
		"event.eventType": {"Order_Completed"}, "do": {"save"}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

func metricSpec(t *testing.T, r *rig, name string) (catalog.MetricSpec, bool) {
	t.Helper()
	for _, m := range r.catalog.Snapshot().Projects()[0].Metrics {
		if m.Spec.Name == name {
			return m.Spec, true
		}
	}
	return catalog.MetricSpec{}, false
}

func TestMetricsAreListedMadeChangedAndDeleted(t *testing.T) {
	r := withExperiment(t, nil)
	r.get("/metric-definitions").shows(200, "orders Percent of unique keys", "Checkout button key", "↓ decrease", "New metric")
	r.get("/metric-definitions?env=other/production").shows(200, "There is no metric in other yet")
	r.get("/new/metric?env=shop/production&event=Order_Completed").shows(200, "New metric", "Try it on real data")

	wrong := r.post("/new/metric?env=shop/production", ordersForm("name", "", "event.eventType", "", "cap", "lots", "type", "ratio")).
		shows(422, "Not saved yet", "Write a number, for example 500")
	if !strings.Contains(wrong.body, `name="cap" value="lots" aria-invalid="true"`) {
		t.Error("the form lost what was entered, or does not mark it")
	}
	wrong = r.post("/new/metric?env=shop/production", ordersForm("name", "orders", "type", "ratio", "event.filters[0].property", "currency", "event.filters[0].operator", "matches", "event.filters[0].values", "(")).
		shows(422, `The metric "orders" is at`, "Write the event that the first is divided by", `"(" is not a regular expression`)
	for _, field := range []string{`name="name" value="orders" placeholder="orders" aria-invalid="true"`, `value="currency"`} {
		if !strings.Contains(strings.ReplaceAll(wrong.body, "\n", ""), field) {
			t.Errorf("the form lost or does not mark %s", field)
		}
	}
	if _, made := metricSpec(t, r, "paid"); made {
		t.Error("a wrong metric was saved")
	}

	r.post("/new/metric?env=shop/production", ordersForm("event.filters[0].property", "currency", "event.filters[0].operator", "is", "event.filters[0].values", "EUR\r\nUSD\r\n",
		"event.filters[1].property", "", "event.filters[1].operator", "is", "hasDone.eventType", "Signed_Up", "hasDoneBefore", "true", "cap", "500", "capPer", "day", "dimensions", "currency\nplan", "description", "Money.")).
		goes("/metric-definitions/paid?env=shop/production")
	spec, _ := metricSpec(t, r, "paid")
	if got := fmt.Sprint(spec.Type, spec.Event.Filters, spec.HasDone.EventType, spec.HasDoneBefore, spec.Cap, spec.CapPer, spec.Dimensions); got != "sum[{currency is [EUR USD]}]Signed_Uptrue 500day[currency plan]" {
		t.Errorf("saved: %s", got)
	}
	page := r.get("/metric-definitions/paid").shows(200, "is saved", "No experiment has it yet")
	if !strings.Contains(page.body, ">EUR\nUSD</textarea>") || !strings.Contains(page.body, `value="500"`) {
		t.Error("the form does not show what was saved")
	}
	more := r.post("/metric-definitions/paid?env=shop/production", withValues(ordersForm("event.filters[0].property", "currency", "event.filters[0].values", "EUR"), "do", "filter:event")).shows(200)
	if !strings.Contains(more.body, `name="event.filters[1].property"`) || !strings.Contains(more.body, `value="currency"`) {
		t.Error("there is no room for another filter, or the first is lost")
	}

	// Somebody else was first.
	seen := hiddenSeen(t, r.get("/metric-definitions/orders").body)
	if _, err := r.catalog.Edit(t.Context(), "somebody", func(doc *catalog.Document) error {
		doc.Projects[0].Metrics[0].Description = "Of somebody."
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	change := withValues(ordersForm("name", "purchases", "type", "percent", "description", "Mine."), "seen", seen)
	stale := r.post("/metric-definitions/orders?env=shop/production", change).shows(409, "Somebody else changed it meanwhile", `"Of somebody."`, `"Mine."`)
	r.post("/metric-definitions/orders?env=shop/production", withValues(change, "seen", hiddenSeen(t, stale.body))).goes("/metric-definitions/purchases?env=shop/production")
	if got := r.catalog.Snapshot().Projects()[0].Experiments[0].Spec.Metrics.Key; got[0] != "purchases" {
		t.Errorf("the experiment has %v", got)
	}
	r.get("/metric-definitions/orders").shows(404, "There is no metric")

	r.post("/metric-definitions/paid/remove?env=shop/production", url.Values{"confirm": {"nonsense"}}).shows(422, "Type the name, paid,")
	r.post("/metric-definitions/purchases/remove?env=shop/production", url.Values{"confirm": {"purchases"}}).shows(409, "Take it out of them first")
	r.post("/metric-definitions/paid/remove?env=shop/production", url.Values{"confirm": {"paid"}}).goes("/metric-definitions?env=shop/production")
	if _, there := metricSpec(t, r, "paid"); there {
		t.Error("it is still there")
	}
}

func withValues(form url.Values, name, value string) url.Values {
	form.Set(name, value)
	return form
}

// hiddenSeen is what a form remembers of what it was made from.
func hiddenSeen(t *testing.T, body string) string {
	t.Helper()
	_, rest, ok := strings.Cut(body, `name="seen" value="`)
	value, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		t.Fatal("the form does not remember what it was made from")
	}
	return strings.NewReplacer("&#34;", `"`, "&#43;", "+", "&lt;", "<", "&gt;", ">", "&#39;", "'", "&amp;", "&").Replace(value)
}

func TestAFileThatConfiguresIsNotEditedBehindItsBack(t *testing.T) {
	r := withExperiment(t, nil)
	if _, err := r.catalog.ApplyFile(t.Context(), "causeway.yaml", r.catalog.Snapshot().Document()); err != nil {
		t.Fatal(err)
	}
	page := r.get("/metric-definitions/orders").shows(200, "The configuration comes from causeway.yaml", "Try it")
	if strings.Contains(page.body, ">Save<") {
		t.Error("a metric of a file can be saved")
	}
	r.post("/metric-definitions/orders?env=shop/production", ordersForm()).shows(409, "Nothing was saved: the configuration comes from causeway.yaml")
}

func TestAMetricIsTriedOnRealData(t *testing.T) {
	r := withExperiment(t, nil)
	try := func(pairs ...string) answer {
		t.Helper()
		return r.post("/new/metric?env=shop/production", withValues(ordersForm(pairs...), "do", "preview")).sound()
	}
	try("name", "").shows(200, "No event Order_Completed was ever received here")
	try("type", "average", "event.eventType", "").shows(422, "Write what is counted")
	r.apply(t, configuration, experimentConfiguration)
	r.start()
	now := time.Now().UTC()
	var calls, impressions []string
	for i := range 20 {
		treatment := []string{"on", "off"}[i%2]
		impressions = append(impressions, fmt.Sprintf(`{"k":"u%d","t":%q,"m":%d,"c":7,"r":"default rule"}`, i, treatment, now.Add(-2*time.Hour).UnixMilli()))
		if i%4 == 0 {
			calls = append(calls, trackCall(fmt.Sprint("m", i), fmt.Sprint("u", i), "Order Completed", fmt.Sprintf(`{"revenue":%d,"currency":"EUR"}`, 10+i), now.Add(-time.Hour)))
		}
	}
	r.track(calls...)
	try().shows(200, "No flag of the traffic type user had an impression")
	r.impressions(`[{"f":"button","i":[` + strings.Join(impressions, ",") + `]}]`)
	try().shows(200, "It measures something", "Events that match 5", "of keys that saw button 5", "after they did 5", "on 10 9", "off 10", "All 5 events of this type", "from 10 to 26, the middle one 18")
	try("type", "percent").shows(200, "on 10 50%", "off 10 0%")
	try("event.filters[0].property", "currency", "event.filters[0].operator", "is", "event.filters[0].values", "USD").shows(200, "5 events came, but none passes the filters")
	try("value", "tax").shows(200, "0 events with a number in tax")
	try("trafficType", "account").shows(200, "No event Order_Completed came in the last 7 days")
	r.track(trackCall("x1", "stranger", "Sign Up", `{}`, now))
	try("event.eventType", "Sign_Up").shows(200, "1 event came, but none of a key that saw button")
	page := r.get("/new/metric?event=" + url.QueryEscape(nasty)).shows(200)
	if strings.Contains(page.body, "<script>alert") {
		t.Error("a name is not escaped")
	}
}

// apply makes a configuration of several files' projects: those of the first,
// with the metrics and experiments of the second.
func (r *rig) apply(t *testing.T, base, more string) {
	t.Helper()
	doc, findings := catalog.Decode("", []byte(base), nil)
	with, others := catalog.Decode("", []byte(more), nil)
	if len(findings)+len(others) > 0 {
		t.Fatal(findings, others)
	}
	doc.Projects[0].Flags, doc.Projects[0].Metrics, doc.Projects[0].Experiments = with.Projects[0].Flags, with.Projects[0].Metrics, with.Projects[0].Experiments
	if _, err := r.catalog.Apply(t.Context(), doc, "test", 0); err != nil {
		t.Fatal(err)
	}
}

func TestWhoMayNotChangeMetricsSeesThem(t *testing.T) {
	r := withExperiment(t, nil)
	r.as("vera@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer}})
	page := r.get("/metric-definitions/orders").shows(200, "Trying it needs the role editor")
	for _, button := range []string{">Save<", "Delete this metric"} {
		if strings.Contains(page.body, button) {
			t.Errorf("a viewer is offered %q", button)
		}
	}
	r.get("/experiments").shows(200, "Checkout button")
}
