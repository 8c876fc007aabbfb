package web_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestEventTypesListWhatWasReceived(t *testing.T) {
	r := configured(t)
	r.get("/events").shows(200, "No call has arrived in the last 7 days", "The destination events is ready")
	r.get("/events?env=shop/staging").shows(200, "No destination takes calls in")
	r.get("/events?env=shop/production")
	r.start()
	r.track(`{"type":"track","messageId":"m0","event":"x"}`)
	r.get("/events").shows(200, "Calls arrived, but none made an event", "1 call in the last 7 days: 1 dropped", "no_identity")

	now := time.Now()
	for i := range 3 {
		r.track(trackCall(fmt.Sprint("o", i), "u1", "Order Completed", `{"revenue":12.5,"note":"`+hostile+`","big":true}`, now.Add(-time.Duration(i)*time.Hour)))
	}
	r.track(trackCall("c1", "u2", "Cart Viewed", `{}`, now), `{"type":"page","messageId":"p1","userId":"u1","name":"signup"}`)
	list := r.get("/events").shows(200, "Order_Completed", "Cart_Viewed", "view_signup_page", "user 3 100%", "user 1 0%")
	if strings.Index(list.body, "Order_Completed") > strings.Index(list.body, "Cart_Viewed") {
		t.Error("the most frequent type is not first")
	}
	if text := r.get("/events?q=CART").shows(200, "Cart_Viewed").text(); strings.Contains(text, "Order_Completed") {
		t.Error("the search does not leave out other names")
	}
	r.get("/events?q="+url.QueryEscape(hostile)).shows(200, "No event type has this in its name", "3 types")
	r.get("/events?cursor=1").shows(200, "First page")

	r.get(list.links("/events/Order_Completed")[0]).shows(200, "Order_Completed", "3 events in 30 days, by day of receipt", "The days as a table", "half is at most 12.5", "Of 3 values among all",
		`track calls that have this name at "event"`, "revenue number 100%", "big true or false", "u1 user 12.5", "Segment call").escapes()
	r.get("/events/view_signup_page").shows(200, `page calls named "signup"`, "None of the 1 event has a property")
	r.get("/events/"+url.PathEscape(hostile)).shows(404, "No event of the type").escapes()
	r.get("/events?cursor=abc").shows(200, "Order_Completed")
	r.get("/events/Order_Completed?cursor=abc").shows(400, "This page of the list is gone")

	r.asViewer()
	r.get("/events").shows(200, "Order_Completed")
	page := r.get("/events/Order_Completed").shows(200, "they need the role analyst", "revenue number 100%")
	if text := page.text(); strings.Contains(text, "u1") || strings.Contains(text, "12.5") || strings.Contains(text, "alert") {
		t.Error("a viewer sees people's data")
	}
}

func TestAnEventTypeIsPagedThrough(t *testing.T) {
	r := configured(t)
	r.start()
	var calls []string
	for i := range 30 {
		calls = append(calls, trackCall(fmt.Sprint("m", i), fmt.Sprint("user-", i), "Seen", `{}`, time.Now().Add(-time.Duration(i)*time.Minute)))
	}
	r.track(calls...)
	first := r.get("/events/Seen").shows(200, "user-0", "user-24", "Newest events")
	second := r.older(first).shows(200, "user-25", "user-29", "Older events", "Newest")
	if strings.Contains(second.text(), "user-24 ") {
		t.Error("an event is on two pages")
	}
}

func TestAnEventTypeShowsItsDaysValuesAndOtherSpellings(t *testing.T) {
	r := configured(t)
	r.start()
	var calls []string
	for i := range 40 {
		calls = append(calls, trackCall(fmt.Sprint("m", i), "u1", "Order Completed", fmt.Sprintf(`{"revenue":%d,"note":%q}`, i, strings.Repeat("x", 250+i%10)), time.Now()))
	}
	calls = append(calls, trackCall("huge", "u1", "Order Completed", `{"revenue":1e300}`, time.Now()), trackCall("s1", "u1", "order-completed", `{}`, time.Now()), trackCall("s2", "u1", "Orders Completed", `{}`, time.Now()))
	r.track(calls...)
	page := r.get("/events/Order_Completed").shows(200, "41 events in 30 days, by day of receipt", time.Now().UTC().Format("2006-01-02")+" 41 41",
		"least 0 a quarter is at most 10 half is at most 20", "greatest 1e+300", "Looks like order-completed , and is counted apart", "note text 98% 16")
	if strings.Contains(page.text(), "Orders_Completed") || !strings.Contains(page.body, `href="/live?env=shop/production&amp;q=%22Order_Completed%22"`) {
		t.Errorf("the page is %s", page.text())
	}
	if live := page.links("/live?"); len(live) == 0 {
		t.Error("there is no link to the live stream")
	} else {
		r.get(live[0]).shows(200, "Order_Completed")
	}
	r.get("/events/order-completed").shows(200, "Looks like Order_Completed")
	if text := r.get("/events/order-completed").text(); strings.Contains(text, "half is at most") {
		t.Error("values are shown where there are none")
	}
}
