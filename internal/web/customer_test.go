package web_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestACustomerIsFoundByKeyAndShownWhole(t *testing.T) {
	r := configured(t)
	r.get("/customers").shows(200, "No call has arrived")
	r.start()
	noon := time.Now().UTC().Add(-48 * time.Hour).Truncate(24 * time.Hour).Add(12 * time.Hour)
	r.track(
		`{"type":"identify","messageId":"i1","userId":"ada","traits":{"plan":"pro","bio":"`+hostile+`","long":"`+strings.Repeat("x", 300)+`"}}`,
		trackCall("t1", "ada", "Order Completed", `{"revenue":5,"n":"`+hostile+`"}`, noon),
		trackCall("t2", "ada", "Cart Viewed", `{}`, noon.Add(24*time.Hour)),
		trackCall("t3", "a/b?c#d%", "Cart Viewed", `{}`, noon),
		trackCall("t4", "..", "Cart Viewed", `{}`, noon),
		trackCall("t5", "both", "Cart Viewed", `{}`, noon),
		`{"type":"track","messageId":"t6","anonymousId":"both","event":"Cart Viewed","properties":{}}`,
		`{"type":"identify","messageId":"i2","userId":"silent","traits":{}}`,
	)
	r.impressions(fmt.Sprintf(`[{"f":"button","i":[{"k":"ada","t":"on","m":%d,"c":7,"r":"default rule"},{"k":"ada","t":"control","m":%d,"c":7,"r":"x"}]},{"f":"other","i":[{"k":"shown-only","t":"off","m":%d,"c":1,"r":"y"}]}]`,
		noon.Add(time.Hour).UnixMilli(), noon.UnixMilli(), noon.UnixMilli()))

	r.get("/customers").shows(200, "Recently seen", "ada user Cart_Viewed")
	found := r.get("/customers?key=ada&trafficType=user")
	found.goes("/customers/user/ada?env=shop/production")
	page := r.get(found.header.Get("Location")).shows(200, "ada user", "plan pro i1", "cut at 255",
		"button on 1", "control not evaluated 1", "all 2 impressions", "event Order_Completed value 5", "impression button → on default rule go").escapes()
	if at := strings.Index(page.text(), "Timeline"); strings.Index(page.text()[at:], "Cart_Viewed") > strings.Index(page.text()[at:], "→ on") {
		t.Error("the timeline is not newest first")
	}
	if text := r.get("/customers/user/ada?show=impressions").text(); strings.Contains(text, "Cart_Viewed") || !strings.Contains(text, "→ on") {
		t.Error("the filter by kind does not work")
	}
	if text := r.get("/customers/user/ada?eventType=Cart_Viewed").text(); strings.Contains(text, "Order_Completed") || strings.Contains(text, "→ on") {
		t.Error("the filter by event type does not work")
	}
	r.get("/customers/user/ada?eventType=none").shows(200, "Nothing of this kind")
	r.get("/customers/user/silent").shows(200, "came with identify or group calls", "No call has set an attribute", "No impression with this key")
	for _, key := range []string{"a/b?c#d%", ".."} {
		got := r.get("/customers?key=" + url.QueryEscape(key))
		if got.status == 303 {
			got = r.get(got.header.Get("Location"))
		}
		got.shows(200, key+" user", "Cart_Viewed")
	}
	r.get("/customers?key=both").shows(200, "2 keys found", "both user", "both anonymous")
	r.get("/customers?key=ADA").shows(200, "No customer has this key", "user, anonymous, account")
	r.get("/customers?key="+url.QueryEscape(hostile)).shows(200, "No customer has this key").escapes()
	r.get("/customers/user/"+url.PathEscape(hostile)).shows(404, "Nothing is known of").escapes()
	r.asViewer()
	r.get("/customers").shows(403, "analyst")
	r.get("/customers/user/ada").shows(403, "analyst")
}

func TestATimelineIsPagedThroughWithoutLossOrRepeat(t *testing.T) {
	r := configured(t)
	r.start()
	var calls, impressions []string
	now := time.Now().Truncate(time.Second)
	for i := range 70 {
		calls = append(calls, trackCall(fmt.Sprint("m", i), "ada", fmt.Sprintf("Event%02d", i), `{}`, now.Add(-time.Duration(i/7)*time.Second)))
		impressions = append(impressions, fmt.Sprintf(`{"f":"flag%02d","i":[{"k":"ada","t":"on","m":%d,"c":1,"r":""}]}`, i, now.Add(-time.Duration(i/7)*time.Second).UnixMilli()))
	}
	r.track(calls...)
	r.impressions("[" + strings.Join(impressions, ",") + "]")
	shown := map[string]int{}
	page := r.get("/customers/user/ada")
	for n := 1; ; n++ {
		text := page.shows(200).text()
		for _, name := range regexp.MustCompile(`event Event\d\d|impression flag\d\d`).FindAllString(text[strings.Index(text, "Timeline"):], -1) {
			shown[name]++
		}
		if !strings.Contains(page.body, `rel="next"`) {
			if n != 3 {
				t.Errorf("%d pages, want 3", n)
			}
			break
		}
		r.track(trackCall(fmt.Sprint("late", n), "ada", "Late", `{}`, time.Now()))
		page = r.older(page)
	}
	if len(shown) != 140 {
		t.Errorf("%d different items, want 140", len(shown))
	}
	for name, n := range shown {
		if n > 1 {
			t.Errorf("%s is there %d times", name, n)
		}
	}
	r.get("/customers/user/ada?cursor=wrong").shows(400, "This page of the list is gone")
	r.get("/customers/user/ada?cursor=wrong.wrong").shows(400, "This page of the list is gone")
}
