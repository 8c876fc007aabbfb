package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCallsAreListedWithWhatBecameOfThemAndWhy(t *testing.T) {
	r := configured(t)
	r.get("/calls").shows(200, "No call has arrived")
	r.start()
	r.track(
		trackCall("good", "u1", "Order Completed", `{"revenue":1}`, time.Now()),
		`{"type":"identify","messageId":"traits","userId":"u1","traits":{"plan":"pro"}}`,
		`{"type":"track","messageId":"nobody","event":"x"}`,
		`{"type":"alias","messageId":"alias","userId":"a","previousId":"b"}`,
		`{"type":"track","messageId":"`+hostile+`","userId":"u2","event":"`+hostile+`"}`,
		`{"type":"page","messageId":"signs","userId":"u2","name":"`+hostile+`"}`,
	)
	r.get("/calls").shows(200, "✓ stored track Order_Completed events · tracking 1 event", "1 attribute", "✕ dropped", "no_identity", "· ignored").escapes()
	page := r.get("/calls?outcome=dropped&reason=no_identity").shows(200, "no_identity", "nobody")
	if strings.Contains(page.text(), "good") || !strings.Contains(page.body, `<p class="fix">`) {
		t.Error("the filter does not work, or does not say what to do")
	}
	if len(page.links("/trace/nobody")) != 1 {
		t.Errorf("no link to the trace: %v", page.links("/trace"))
	}
	if text := r.get("/calls?type=identify").shows(200, "traits").text(); strings.Contains(text, "nobody") {
		t.Error("the filter by type does not work")
	}
	r.get("/calls?messageId="+url.QueryEscape(hostile)).shows(200, "event_type_invalid").escapes()
	r.get("/calls?messageId=none").shows(200, "No call fits these filters")
	r.get("/calls?outcome=nonsense&reason=nonsense").shows(200, "good")
	r.get("/calls?type="+url.QueryEscape(hostile)).shows(200, "No call fits these filters")
	r.get("/calls?cursor=wrong").shows(400, "This page of the list is gone")
	r.asViewer()
	r.get("/calls").shows(403, "analyst")
}
