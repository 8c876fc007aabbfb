package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
)

func TestAttributesAreListedAndDescribed(t *testing.T) {
	r := configured(t)
	r.get("/attributes").shows(200, "No call has arrived")
	r.start()
	r.track(
		`{"type":"identify","messageId":"i1","userId":"u1","traits":{"plan":"pro","bio":"`+strings.Repeat("x", 300)+`"}}`,
		`{"type":"identify","messageId":"i2","userId":"u2","timestamp":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`","traits":{"plan":`+quoted(nasty)+`}}`,
		`{"type":"identify","messageId":"i3","anonymousId":"a1","traits":{"city":"Oslo"}}`,
	)
	page := r.get("/attributes").shows(200, "plan not said 2 0%", "bio not said 1 100%", "<script>alert(1)</script>")
	if strings.Contains(page.body, "<script>alert") || strings.Contains(page.text(), "city") {
		t.Errorf("the page shows %s", page.text())
	}
	r.get("/attributes?trafficType=anonymous").shows(200, "city", "Oslo")
	r.get("/attributes?trafficType=account").shows(200, "Calls arrived, but none made an attribute")

	form := url.Values{"tag": {"none"}, "displayName": {"Plan " + nasty}, "description": {"What they pay for"}, "type": {"text"}, "values": {"free\n\n pro \n"}}
	wrong := r.post("/attributes/user/plan", form).shows(422, "is not one of string, datetime, number, set", "What they pay for")
	if strings.Contains(wrong.body, "<script>alert") {
		t.Error("a text is not escaped")
	}
	form.Set("type", "string")
	r.post("/attributes/user/plan", form).goes("/attributes?env=shop/production&trafficType=user")
	r.get("/attributes").shows(200, "Saved.", "Plan "+nasty, "plan What they pay for string 2")
	if spec := r.catalog.Snapshot().Document().Projects[0].Attributes; len(spec) != 1 || strings.Join(spec[0].Values, ",") != "free,pro" {
		t.Errorf("the configuration has %+v", spec)
	}
	r.get("/attributes/user/plan").shows(200, "Keys with it 2", "Remove the description", "free pro")
	r.get("/customers/user/u1").shows(200, "Plan "+nasty+" plan pro")

	// Somebody else was first.
	form.Set("displayName", "Mine")
	r.post("/attributes/user/plan", form).shows(409, "Somebody else changed this attribute", "Remove the description")
	r.post("/attributes/user/plan/forget", nil).goes("/attributes?env=shop/production&trafficType=user")
	r.get("/attributes").shows(200, "The description is removed", "plan not said 2")
	r.get("/attributes/user/nothing").shows(404, "has an attribute")
	r.post("/attributes/nothing/plan", url.Values{"tag": {"none"}}).shows(422, "has no traffic type")
	r.post("/attributes/user/"+url.PathEscape("1 st"), url.Values{"tag": {"none"}}).shows(422, "no id of an attribute")

	r.as("vera@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer}})
	if text := r.get("/attributes").shows(200, "plan").text(); strings.Contains(text, "<script>alert") || strings.Contains(text, "pro ") {
		t.Errorf("a viewer sees a value: %s", text)
	}
	if text := r.get("/attributes/user/plan").shows(200, "Keys with it 2").text(); strings.Contains(text, "<script>alert") {
		t.Errorf("a viewer sees a value: %s", text)
	}
	r.post("/attributes/user/plan", form).shows(403, "editor")
}
