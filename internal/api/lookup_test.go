package api_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const env = "/admin/v1/projects/shop/environments/production"

type items struct {
	Items      []map[string]any
	NextCursor string
}

func (r *rig) items(path string) items {
	r.t.Helper()
	got := r.get(path)
	if got.status != http.StatusOK {
		r.t.Fatalf("%s: %d %s", path, got.status, got.body)
	}
	var page items
	got.into(r.t, &page)
	return page
}

func TestEventsAreListedWithEveryFieldAndEveryFilter(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","timestamp":"2026-01-02T03:04:05.006Z","properties":{"revenue":39.95,"sku":"a"}}`,
		`{"type":"track","messageId":"m2","userId":"u2","anonymousId":"a2","event":"Left","timestamp":"2026-01-03T00:00:00Z"}`,
	)
	page := r.items(env + "/events?messageId=m1")
	if len(page.Items) != 1 {
		t.Fatalf("got %v", page)
	}
	event := page.Items[0]
	delete(event, "receivedAt")
	want := map[string]any{
		"environment": "production", "trafficType": "user", "key": "u1", "eventType": "Order_Completed", "value": 39.95,
		"time": "2026-01-02T03:04:05.006Z", "source": "Segment", "foreignId": "m1", "configuration": "events",
	}
	for name, value := range want {
		if event[name] != value {
			t.Errorf("%s: got %v, want %v", name, event[name], value)
		}
	}
	for query, count := range map[string]int{
		"":                           3,
		"?trafficType=anonymous":     1,
		"?key=u1":                    1,
		"?eventType=Left":            2,
		"?messageId=m2":              2,
		"?from=2026-01-03T00:00:00Z": 2,
		"?to=2026-01-03T00:00:00Z":   1,
		fmt.Sprintf("?to=%d", time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC).UnixMilli()): 1,
		"?key=nobody": 0,
	} {
		if got := len(r.items(env + "/events" + query).Items); got != count {
			t.Errorf("%q: got %d events, want %d", query, got, count)
		}
	}
	if got := r.items("/admin/v1/projects/shop/environments/staging/events"); len(got.Items) != 0 {
		t.Errorf("another environment shows %v", got)
	}
}

func TestPagesShowEveryRowOnceNewestFirst(t *testing.T) {
	r := configured(t)
	r.start()
	var calls []string
	for i := range 25 {
		calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"m%02d","userId":"u1","event":"E","timestamp":"2026-01-02T03:04:%02dZ"}`, i, i))
	}
	r.track(calls...)
	for _, path := range []string{env + "/events", env + "/calls", "/admin/v1/calls"} {
		seen := map[string]bool{}
		pages, cursor := 0, ""
		for {
			page := r.items(path + "?limit=10&cursor=" + url.QueryEscape(cursor))
			pages++
			for _, item := range page.Items {
				id := fmt.Sprint(item["foreignId"], item["messageId"])
				if seen[id] {
					t.Errorf("%s: %s is shown twice", path, id)
				}
				seen[id] = true
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		if len(seen) != 25 || pages != 3 {
			t.Errorf("%s: %d rows on %d pages", path, len(seen), pages)
		}
	}
	newest := r.items(env + "/events?limit=1").Items[0]
	if newest["foreignId"] != "m24" {
		t.Errorf("the newest is %v", newest["foreignId"])
	}
}

func TestCustomersShowTheNewestValueOfEachAttribute(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"identify","messageId":"i1","userId":"u1","timestamp":"2026-01-02T03:04:05Z","traits":{"plan":"free","age":41}}`,
		`{"type":"identify","messageId":"i2","userId":"u1","timestamp":"2026-01-02T03:05:05Z","traits":{"plan":"pro"}}`,
	)
	var customer struct {
		TrafficType, Key string
		Attributes       map[string]struct {
			Value, MessageID string
			Cut              bool
		}
	}
	r.get(env+"/customers/user/u1").into(t, &customer)
	if customer.TrafficType != "user" || customer.Key != "u1" || customer.Attributes["plan"].Value != "pro" ||
		customer.Attributes["plan"].MessageID != "i2" || customer.Attributes["age"].Value != "41" {
		t.Errorf("got %+v", customer)
	}
	if got := r.get(env + "/customers/user/nobody"); got.status != http.StatusNotFound || got.problem(t).Code != "customer_unknown" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

func TestHostileTextComesBackAsItWasSent(t *testing.T) {
	r := configured(t)
	r.start()
	for i, key := range []string{
		"a/b", "a//b", "..", ".", "%2F", "a b", "a+b", "?x=1&y=2#z", `"><script>alert(1)</script>`, "'; DROP TABLE events; --",
		"käse 🧀", "\u202eright to left", "{key}", "a%", "tab\there",
	} {
		id := fmt.Sprintf("h%d", i)
		r.track(fmt.Sprintf(`{"type":"identify","messageId":"i%s","userId":%q,"traits":{"plan":%q}}`, id, key, key),
			fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q,"event":"E","properties":{"text":%q}}`, id, key, key))
		var customer struct {
			Key        string
			Attributes map[string]struct{ Value string }
		}
		got := r.get(env + "/customers/user/" + strings.ReplaceAll(url.PathEscape(key), ".", "%2E"))
		got.into(t, &customer)
		if customer.Key != key || customer.Attributes["plan"].Value != key {
			t.Errorf("%q: got %d %s", key, got.status, got.body)
		}
		page := r.items(env + "/events?key=" + url.QueryEscape(key))
		if len(page.Items) != 1 || page.Items[0]["key"] != key || page.Items[0]["properties"].(map[string]any)["text"] != key {
			t.Errorf("%q: got %v", key, page)
		}
		if strings.Contains(got.body, `\u003c`) {
			t.Errorf("%q is escaped for HTML in JSON: %s", key, got.body)
		}
	}
}

func TestImpressionsAndFlagsAreListed(t *testing.T) {
	r := configured(t)
	r.start()
	r.impressions(`[{"f":"button","i":[{"k":"u1","t":"on","m":1767323045006,"c":7,"r":"default rule","properties":"{\"a\":1}"}]},{"f":"unknown","i":[{"k":"u2","t":"off","m":1767323045007}]}]`)
	page := r.items(env + "/impressions?flag=button")
	if len(page.Items) != 1 || page.Items[0]["key"] != "u1" || page.Items[0]["treatment"] != "on" || page.Items[0]["trafficType"] != "user" ||
		page.Items[0]["sdk"] != "go" || page.Items[0]["time"] != "2026-01-02T03:04:05.006Z" {
		t.Errorf("got %v", page)
	}
	for query, count := range map[string]int{"": 2, "?key=u2": 1, "?treatment=off": 1, "?treatment=none": 0} {
		if got := len(r.items(env + "/impressions" + query).Items); got != count {
			t.Errorf("%q: got %d, want %d", query, got, count)
		}
	}
	known := map[any]any{}
	for _, flag := range r.items(env + "/flags?since=0").Items {
		known[flag["flag"]] = flag["trafficType"]
	}
	if known["button"] != "user" || known["unknown"] != "" {
		t.Errorf("got %v", known)
	}
}

func TestCallsAndReasonsSayWhyInWords(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"track","messageId":"ok","userId":"u1","event":"E"}`,
		`{"type":"track","messageId":"lost","event":"E"}`,
		`{"type":"alias","messageId":"alias","userId":"u1"}`,
	)
	r.track(`{"type":"track","messageId":"ok","userId":"u1","event":"E"}`)
	for query, count := range map[string]int{
		"": 4, "?outcome=dropped": 1, "?outcome=duplicate": 1, "?reason=no_identity": 1, "?type=alias": 1, "?messageId=ok": 2,
		"?configuration=events": 4, "?configuration=other": 0,
	} {
		if got := len(r.items(env + "/calls" + query).Items); got != count {
			t.Errorf("%q: got %d, want %d", query, got, count)
		}
	}
	dropped := r.items("/admin/v1/calls?messageId=lost").Items[0]
	note := dropped["reasons"].([]any)[0].(map[string]any)
	if dropped["environment"] != "shop/production" || note["code"] != "no_identity" || note["meaning"] == "" || note["fix"] == "" {
		t.Errorf("got %v", dropped)
	}
	var counts struct {
		Outcomes, Reasons []struct {
			Configuration, Type, Outcome, Code, Meaning, Fix string
			Count                                            int
		}
	}
	r.get(env+"/reasons").into(t, &counts)
	found := map[string]int{}
	for _, c := range append(counts.Outcomes, counts.Reasons...) {
		found[c.Outcome+"/"+c.Code] += c.Count
		if c.Code != "" && (c.Meaning == "" || c.Fix == "") {
			t.Errorf("%s is not explained", c.Code)
		}
	}
	if found["dropped/"] != 1 || found["duplicate/"] != 1 || found["/duplicate"] != 1 || found["/no_identity"] != 1 || found["stored/"] != 1 {
		t.Errorf("got %v", found)
	}
	types := r.items(env + "/event-types").Items
	if len(types) != 1 || types[0]["name"] != "E" || types[0]["sevenDayCount"] != 1.0 {
		t.Errorf("got %v", types)
	}
	if got := r.items("/admin/v1/reasons").Items; len(got) < 40 {
		t.Errorf("the list has %d reasons", len(got))
	}
}
