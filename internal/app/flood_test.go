package app_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/catalog"
)

// all pages through a list of the admin API.
func (r *running) all(path string) (items []map[string]any) {
	r.t.Helper()
	for cursor := ""; ; {
		var page struct {
			Items      []map[string]any
			NextCursor string
		}
		if got := r.get(path+"?limit=500&cursor="+url.QueryEscape(cursor), &page); got != http.StatusOK {
			r.t.Fatalf("GET %s: %d", path, got)
		}
		items = append(items, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return items
		}
	}
}

// TestAFloodAfterOfflineIsStoredOrToldToComeBack: many browsers were offline
// for weeks and send all they kept in one burst, over the destination's limit.
// Each call is stored once or its sender is told 429 or 503 and when to come
// back; whoever comes back gets in.
func TestAFloodAfterOfflineIsStoredOrToldToComeBack(t *testing.T) {
	const browsers, each = 20, 30
	r := startWith(t, func(o *app.Options) {
		o.Limits = catalog.Limits{RequestLimits: catalog.RequestLimits{RequestsPerSecond: 150}}
	})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: browsers}}
	defer client.CloseIdleConnections()
	old := time.Now().Add(-60 * 24 * time.Hour).UTC()
	send := func(id string, i int) (status int, wait time.Duration) {
		at := old.Add(time.Duration(i) * time.Second).Format(time.RFC3339)
		answer, err := client.Post(r.base+"/v1/t", "text/plain", strings.NewReader(
			`{"writeKey":"destination-key","type":"track","event":"Offline","userId":"u1","messageId":"`+id+`","timestamp":"`+at+`"}`))
		if err != nil {
			t.Errorf("%s: %v", id, err)
			return 0, 0
		}
		defer answer.Body.Close()
		_, _ = io.Copy(io.Discard, answer.Body)
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return answer.StatusCode, time.Duration(seconds) * time.Second
	}
	var mu sync.Mutex
	told := map[int]int{}
	var burst sync.WaitGroup
	for b := range browsers {
		burst.Go(func() {
			for i := range each {
				for tries := 0; ; tries++ {
					status, wait := send(fmt.Sprintf("m-%d-%d", b, i), i)
					mu.Lock()
					told[status]++
					mu.Unlock()
					if status == http.StatusOK {
						break
					}
					if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable || wait < time.Second || tries > 20 {
						t.Errorf("call %d of browser %d is answered %d, wait %s, after %d tries", i, b, status, wait, tries)
						return
					}
					time.Sleep(wait)
				}
			}
		})
	}
	burst.Wait()
	if told[http.StatusOK] != browsers*each || told[http.StatusTooManyRequests] == 0 {
		t.Errorf("answers %v, want 200 for each call, and 429 before some", told)
	}
	var events []map[string]any
	r.eventually("all events", func() bool {
		events = r.all(environment + "/events")
		return len(events) >= browsers*each
	})
	ids := map[any]bool{}
	for _, event := range events {
		ids[event["foreignId"]] = true
		if at, _ := time.Parse(time.RFC3339, fmt.Sprint(event["time"])); at.Before(old.Add(-time.Second)) || at.After(old.Add(each*time.Second)) {
			t.Fatalf("an event of %v has time %v", event["foreignId"], event["time"])
		}
	}
	if len(events) != browsers*each || len(ids) != browsers*each {
		t.Errorf("%d events of %d calls, want %d", len(events), len(ids), browsers*each)
	}
}

// TestAnSDKWithAWrongKeyIsToldSoAndFillsNoLog: go-client and the others send on
// and on, whatever is answered.
func TestAnSDKWithAWrongKeyIsToldSoAndFillsNoLog(t *testing.T) {
	log := new(logged)
	r := startWith(t, func(o *app.Options) { o.Log = log.logger() })
	before := strings.Count(log.String(), "\n")
	told := map[int]int{}
	for i := range 500 {
		if i%2 == 0 {
			told[r.post("/api/testImpressions/bulk", "Bearer a-wrong-key", `[{"f":"a","i":[{"k":"u","t":"on","m":1767225600000}]}]`)]++
		} else {
			told[r.post("/v1/batch", "Basic "+base64.StdEncoding.EncodeToString([]byte("a-wrong-key:")), `{"batch":[]}`)]++
		}
	}
	if len(told) != 2 || told[401] < 100 || told[429] < 100 {
		t.Errorf("answers %v, want 401 for a while, then 429", told)
	}
	if got := r.post("/api/testImpressions/bulk", "Bearer sdk-key", `[]`); got != 200 {
		t.Errorf("an SDK with the right key from the same address is answered %d", got)
	}
	if lines := strings.Count(log.String(), "\n") - before; lines > 50 {
		t.Errorf("500 wrong requests made %d lines of log", lines)
	}
}

// TestAPostOf30000ImpressionsIsStoredAndDeliveredWhole: the JavaScript SDK
// sends its whole queue at once.
func TestAPostOf30000ImpressionsIsStoredAndDeliveredWhole(t *testing.T) {
	const n = 30_000
	r := start(t)
	var body strings.Builder
	body.WriteString(`[{"f":"checkout_button","i":[`)
	for i := range n {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"k":"user-%05d","t":"on","m":%d,"c":1494593336752,"r":"default rule"}`, i, 1767225600000+i)
	}
	body.WriteString(`]}]`)
	if got := r.post("/api/testImpressions/bulk", "Bearer sdk-key", body.String()); got != 200 {
		t.Fatalf("%d bytes are answered %d", body.Len(), got)
	}
	for end := time.Now().Add(time.Minute); r.fake.Totals().Calls < n && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	if got := r.fake.Totals(); got.Calls != n || got.Repeats != 0 || got.Violations != 0 {
		t.Errorf("Segment got %+v, want %d calls", got, n)
	}
	var flags list
	r.get(environment+"/flags?since=2025-12-31T00:00:00Z", &flags)
	if len(flags.Items) != 1 || fmt.Sprint(flags.Items[0]["impressions"]) != fmt.Sprint(float64(n)) {
		t.Errorf("stored: %v", flags.Items)
	}
}

// TestAClockAYearOff: with sentAt the sender's clock is corrected (R10);
// without it the past is believed, and the future is not.
func TestAClockAYearOff(t *testing.T) {
	r := start(t)
	now := time.Now().UTC()
	const year = 365 * 24 * time.Hour
	for _, c := range []struct {
		name         string
		clock        time.Duration // the sender's, from ours
		sentAt       bool
		path, scheme string
		want         time.Duration // the event's time, from ours
	}{
		{"past-corrected", -year, true, "/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", 0},
		{"future-corrected", year, true, "/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", 0},
		{"past", -year, false, "/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", -year},
		{"future", year, false, "/v1/track", "Basic ZGVzdGluYXRpb24ta2V5Og==", 0},
		{"past-webhook", -year, true, "/segment/webhook/prod-events", "hook-secret", -year},
		{"future-webhook", year, true, "/segment/webhook/prod-events", "hook-secret", 0},
	} {
		at := now.Add(c.clock).Format(time.RFC3339Nano)
		body := `{"type":"track","event":"A","userId":"u1","messageId":"` + c.name + `","timestamp":"` + at + `"`
		if c.sentAt {
			body += `,"sentAt":"` + at + `"`
		}
		if got := r.post(c.path, c.scheme, body+"}"); got != 200 {
			t.Errorf("%s is answered %d", c.name, got)
		}
		var events list
		r.eventually("the event of "+c.name, func() bool {
			r.get(environment+"/events?messageId="+c.name, &events)
			return len(events.Items) == 1
		})
		got, err := time.Parse(time.RFC3339, fmt.Sprint(events.Items[0]["time"]))
		if off := got.Sub(now.Add(c.want)).Abs(); err != nil || off > time.Minute {
			t.Errorf("%s: the event's time is %s, %s off, err %v", c.name, got, off, err)
		}
	}
	for name, clock := range map[string]time.Duration{"sdk-past": -year, "sdk-future": year} {
		body := fmt.Sprintf(`[{"key":%q,"trafficTypeName":"user","eventTypeId":"A","timestamp":%d}]`, name, now.Add(clock).UnixMilli())
		if got := r.post("/api/events/bulk", "Bearer sdk-key", body); got/100 != 2 {
			t.Errorf("%s is answered %d", name, got)
		}
		body = fmt.Sprintf(`[{"f":"checkout_button","i":[{"k":%q,"t":"on","m":%d,"c":7,"r":"x"}]}]`, name, now.Add(clock).UnixMilli())
		if got := r.post("/api/testImpressions/bulk", "Bearer sdk-key", body); got != 200 {
			t.Errorf("%s is answered %d", name, got)
		}
		var events, impressions list
		r.eventually("event and impression of "+name, func() bool {
			r.get(environment+"/events?trafficType=user&key="+name, &events)
			r.get(environment+"/impressions?key="+name, &impressions)
			return len(events.Items) == 1 && len(impressions.Items) == 1
		})
	}
}
