package api_test

import (
	"encoding/csv"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/experiment"
)

const (
	metricsPath     = "/admin/v1/projects/shop/metrics/"
	experimentsPath = "/admin/v1/projects/shop/experiments/"
)

// measured is a rig with an experiment over 40 keys of each treatment, of which
// some ordered.
func measured(t *testing.T, offOrders, onOrders int) *rig {
	t.Helper()
	r := configured(t)
	r.start()
	put := func(path, body string) {
		t.Helper()
		if got := r.do("PUT", path, body, "If-None-Match", "*"); got.status != http.StatusOK {
			t.Fatalf("PUT %s: %d %s", path, got.status, got.body)
		}
	}
	begun := time.Now().Add(-48 * time.Hour).UTC()
	put(metricsPath+"Order%20rate", `{"trafficType":"user","type":"percent","event":{"eventType":"Order_Completed"}}`)
	put(experimentsPath+"Checkout", fmt.Sprintf(`{"flag":"button","environment":"production","baseline":"off","treatments":["on","off"],"shares":{"on":1,"off":1},
		"start":%q,"minimumSample":10,"owner":"ada@example.com","metrics":{"key":["Order rate"]}}`, begun.Format(time.RFC3339)))
	var impressions, calls []string
	at := begun.Add(time.Hour)
	for treatment, orders := range map[string]int{"off": offOrders, "on": onOrders} {
		for i := range 40 {
			impressions = append(impressions, fmt.Sprintf(`{"k":"%s-%d","t":%q,"m":%d,"c":7,"r":"default rule"}`, treatment, i, treatment, at.UnixMilli()))
			if i < orders {
				calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"%s-%d","userId":"%s-%d","event":"Order_Completed","timestamp":%q}`, treatment, i, treatment, i, at.Add(time.Hour).Format(time.RFC3339)))
			}
		}
	}
	r.impressions(`[{"f":"button","i":[` + strings.Join(impressions, ",") + `]}]`)
	r.track(calls...)
	return r
}

// computed has the experiment computed and waits for it.
func (r *rig) computed() experiment.Results {
	r.t.Helper()
	got := r.do("POST", experimentsPath+"Checkout/recalculate", "")
	if got.status != http.StatusAccepted || !strings.Contains(got.body, `"underWay":true`) {
		r.t.Fatalf("recalculate: %d %s", got.status, got.body)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var c struct{ UnderWay bool }
		r.get(experimentsPath+"checkout/calculation").into(r.t, &c)
		if !c.UnderWay {
			break
		}
		if time.Now().After(end) {
			r.t.Fatal("the calculation does not end")
		}
	}
	var results experiment.Results
	r.get(experimentsPath+"checkout/results").into(r.t, &results)
	return results
}

func TestWhatAnExperimentHasShown(t *testing.T) {
	r := measured(t, 4, 24)
	var before experiment.Results
	r.get(experimentsPath+"Checkout/results").into(t, &before)
	if c := before.Groups[0].Metrics[0].Cards[0]; c.Reason != experiment.NotCalculated {
		t.Errorf("before it was computed: %s (%s)", c.State, c.Reason)
	}
	results := r.computed()
	c := results.Groups[0].Metrics[0].Cards[0]
	if c.State != experiment.Desired || *c.Diff != 0.5 || results.Health.Exposures.Keys != 80 || results.Health.SampleRatios[0].State != experiment.RatioValid {
		t.Errorf("%s, difference %v, %d keys, %+v", c.State, c.Diff, results.Health.Exposures.Keys, results.Health.SampleRatios[0])
	}
	var list struct {
		Items []struct {
			Name, ID, Tag string
			Next          *time.Time
			Results       struct {
				Keys   int
				States map[string]int
			}
		}
	}
	r.get("/admin/v1/projects/shop/experiments").into(t, &list)
	if len(list.Items) != 1 || list.Items[0].ID != "checkout" || list.Items[0].Results.States["desired"] != 1 || list.Items[0].Next == nil {
		t.Errorf("the list: %+v", list)
	}

	rows, err := csv.NewReader(strings.NewReader(r.get(experimentsPath + "checkout/results.csv").body)).ReadAll()
	if err != nil || len(rows) != 2 || rows[1][1] != "Order rate" || rows[1][6] != "desired" {
		t.Errorf("csv: %v %v", rows, err)
	}
	svg := r.get(experimentsPath + "checkout/results.svg")
	for decoder := xml.NewDecoder(strings.NewReader(svg.body)); ; {
		if _, err := decoder.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("svg: %v", err)
		}
	}
	if !strings.Contains(svg.body, "Order rate") || !strings.Contains(svg.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("svg: %v %.300s", svg.header, svg.body)
	}

	r.track(`{"type":"track","messageId":"more","userId":"off-39","event":"Order_Completed","timestamp":"` + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339) + `"}`)
	second := r.computed()
	if n := *second.Groups[0].Metrics[0].Arms[0].Total; n != 5 {
		t.Errorf("after one more order: %v", n)
	}
	var readings struct{ Items []experiment.Reading }
	r.get(experimentsPath+"checkout/readings").into(t, &readings)
	if len(readings.Items) != 2 || !readings.Items[1].ComputedAt.Equal(results.ComputedAt) {
		t.Errorf("readings: %+v", readings)
	}
	var then experiment.Results
	r.get(experimentsPath+"checkout/results?at="+results.ComputedAt.Format(time.RFC3339Nano)).into(t, &then)
	if *then.Groups[0].Metrics[0].Arms[0].Total != 4 {
		t.Errorf("as it was: %+v", then.Groups[0].Metrics[0].Arms[0])
	}
	for path, code := range map[string]string{
		"none/results": "experiment_unknown", "none/recalculate": "experiment_unknown", "none/calculation": "experiment_unknown",
		"none/readings": "experiment_unknown", "none/shares": "experiment_unknown", "checkout/results?at=2020-01-01T00:00:00Z": "reading_unknown",
	} {
		method := "GET"
		if strings.HasSuffix(path, "recalculate") {
			method = "POST"
		}
		if got := r.do(method, experimentsPath+path, ""); got.status != http.StatusNotFound || got.problem(t).Code != code {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := r.do("DELETE", experimentsPath+"checkout/calculation", ""); got.status != http.StatusNoContent {
		t.Errorf("cancelling nothing: %d %s", got.status, got.body)
	}
}

func TestMetricsAndExperimentsAreChangedOneByOne(t *testing.T) {
	r := measured(t, 1, 1)
	got := r.get(metricsPath + "order-rate") // by id
	if got.status != http.StatusOK || got.header.Get("ETag") == "" || !strings.Contains(got.body, `"desired":"increase"`) {
		t.Fatalf("%d %s", got.status, got.body)
	}
	tag := got.header.Get("ETag")
	changed := strings.Replace(got.body, `"desired":"increase"`, `"desired":"decrease"`, 1)
	if got := r.do("PUT", metricsPath+"Order%20rate", changed, "If-Match", tag); got.status != http.StatusOK || !strings.Contains(got.body, "desired") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := r.do("PUT", metricsPath+"Order%20rate", changed, "If-Match", tag); got.problem(t).Code != "object_stale" {
		t.Errorf("a stale one: %s", got.body)
	}
	if got := r.do("DELETE", metricsPath+"Order%20rate", "", "If-Match", "*"); got.status != http.StatusUnprocessableEntity {
		t.Errorf("a metric in use was removed: %d %s", got.status, got.body)
	}
	if got := r.do("PUT", experimentsPath+"Checkout", `{"flag":"nothing","environment":"production","baseline":"off","start":"2026-03-01"}`, "If-Match", "*"); got.problem(t).Code != "settings_invalid" {
		t.Errorf("an unknown flag: %s", got.body)
	}
	if got := r.get("/admin/v1/projects/shop/metrics"); strings.Count(got.body, `"tag":`) != 1 {
		t.Errorf("the list: %s", got.body)
	}
	for _, path := range []string{experimentsPath + "Checkout", metricsPath + "Order%20rate"} {
		if got := r.do("DELETE", path, "", "If-Match", "*"); got.status != http.StatusNoContent {
			t.Errorf("DELETE %s: %d %s", path, got.status, got.body)
		}
		if got := r.get(path); got.status != http.StatusNotFound {
			t.Errorf("after it was removed %s answers %d", path, got.status)
		}
	}
	if got := r.get("/admin/v1/projects/shop/segment/metrics"); got.status != http.StatusNotFound {
		t.Errorf("metrics are nothing of Segment's: %d", got.status)
	}
}

func TestAShareLinkShowsResultsWithoutAnAccount(t *testing.T) {
	r := measured(t, 4, 24)
	r.computed()
	var made struct {
		Secret, Path string
		Share        struct{ ID string }
	}
	got := r.do("POST", experimentsPath+"Checkout/shares", "{}")
	got.into(t, &made)
	if got.status != http.StatusCreated || made.Secret == "" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	shown := r.ask("GET", made.Path, "")
	var results experiment.Results
	shown.into(t, &results)
	if shown.status != http.StatusOK || results.Groups[0].Metrics[0].Cards[0].State != experiment.Desired {
		t.Errorf("%d %.300s", shown.status, shown.body)
	}
	if strings.Contains(shown.body, "ada@example.com") {
		t.Error("who owns the experiment is shown to strangers")
	}
	if got := r.ask("GET", experimentsPath+"Checkout/results", "", "Authorization", "Bearer "+made.Secret); got.status != http.StatusUnauthorized {
		t.Errorf("the secret opens the API: %d", got.status)
	}
	if list := r.get(experimentsPath + "Checkout/shares"); !strings.Contains(list.body, made.Share.ID) || strings.Contains(list.body, made.Secret) {
		t.Errorf("the list: %s", list.body)
	}
	if got := r.do("POST", experimentsPath+"Checkout/shares", `{"expires":"2020-01-01T00:00:00Z"}`); got.problem(t).Code != "share_invalid" {
		t.Errorf("one that has run out: %s", got.body)
	}
	if got := r.do("DELETE", experimentsPath+"Checkout/shares/"+made.Share.ID, ""); got.status != http.StatusNoContent {
		t.Errorf("removing: %d %s", got.status, got.body)
	}
	if got := r.do("DELETE", experimentsPath+"Checkout/shares/"+made.Share.ID, ""); got.status != http.StatusNotFound {
		t.Errorf("removing it again: %d", got.status)
	}
	if got := r.ask("GET", made.Path, ""); got.status != http.StatusNotFound {
		t.Errorf("after it was removed: %d", got.status)
	}
	blocked := false
	for i := range 80 {
		blocked = blocked || r.ask("GET", fmt.Sprintf("/admin/v1/shared/cws_guess%d", i), "").status == http.StatusTooManyRequests
	}
	if !blocked {
		t.Error("guessing is not slowed")
	}
	if strings.Contains(r.log.String(), made.Secret) {
		t.Error("the log holds the secret")
	}
}
