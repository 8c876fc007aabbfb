package web_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/segment/publicapi"
	"causeway/internal/segment/segmenttest"
	"causeway/internal/stream"
	"causeway/internal/web"
)

const shopSegment = "/integrations/segment/shop"

// fields are what a form would send: its inputs, selects and ticked boxes.
func (a answer) fields() url.Values {
	form := a.body[strings.Index(a.body, `id="configuration"`):]
	form = form[:strings.Index(form, "</form>")]
	v := url.Values{}
	attribute := func(tag, name string) string {
		match := regexp.MustCompile(`\s` + name + `="([^"]*)"`).FindStringSubmatch(tag)
		if match == nil {
			return ""
		}
		return strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&#43;", "+", "&amp;", "&").Replace(match[1])
	}
	for _, tag := range regexp.MustCompile(`<input[^>]*>`).FindAllString(form, -1) {
		if attribute(tag, "type") == "checkbox" && !strings.Contains(tag, " checked") {
			continue
		}
		v.Add(attribute(tag, "name"), attribute(tag, "value"))
	}
	for _, sel := range regexp.MustCompile(`(?s)<select[^>]*>.*?</select>`).FindAllString(form, -1) {
		options := regexp.MustCompile(`(<option[^>]*>)([^<]*)</option>`).FindAllStringSubmatch(sel, -1)
		chosen := options[0]
		for _, option := range options {
			if strings.Contains(option[1], " selected") {
				chosen = option
			}
		}
		value := chosen[2]
		if strings.Contains(chosen[1], "value=") {
			value = attribute(chosen[1], "value")
		}
		v.Add(attribute(sel[:strings.Index(sel, ">")+1], "name"), value)
	}
	return v
}

// changed is the form with some fields set to other values.
func changed(form url.Values, pairs ...string) url.Values {
	out := url.Values{}
	for name, values := range form {
		out[name] = append([]string{}, values...)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		out.Set(pairs[i], pairs[i+1])
	}
	return out
}

func TestTheMarketplaceLeadsToTheProjectsPage(t *testing.T) {
	r := configured(t)
	r.get("/integrations").shows(200, "Marketplace", "Configured", "Choose a project", "shop", "2 configurations")
	r.get("/integrations?tab=configured").shows(200, "impressions to Segment", "events from Segment", "Waiting for the first call", "elsewhere")
	page := r.get(shopSegment).shows(200, "Send FME data to Segment (as a source)", "user → userId", "Receive from Segment (as a destination)",
		"User ID → user", "Anonymous ID → anonymous", "value properties.revenue", "Add configuration", "Impressions from elsewhere")
	if strings.Contains(page.body, "write-key") || strings.Contains(page.body, "hash:") || strings.Contains(page.body, "sealed:") {
		t.Error("the page shows a secret")
	}
	r.get("/integrations/segment/none").shows(404, "There is no project")
	r.get(shopSegment+"/things").shows(404, "no \"things\"")
	r.get(shopSegment+"/sources/none").shows(404, "There is no source")
}

func TestADestinationIsAddedAndItsSecretsAreShownOnce(t *testing.T) {
	r := configured(t)
	form := changed(r.get(shopSegment+"/destinations").shows(200, "New destination", "view_signup_page", "viewed_signup_screen", "Pick from a sample call").fields(),
		"name", "More events", "environment", "staging", "do", "save", "pageTemplate", "seen {name}")
	form["userId"] = []string{"account", "user"}
	page := r.post(shopSegment+"/destinations", form).shows(200, "More events", "Copy the secrets now", "Waiting for the first call", "curl -u 'cw_key_", "/segment/webhook/more-events", "Enable with Segment")
	key := regexp.MustCompile(`cw_key_\w+`).FindString(page.body)
	d, ok := r.catalog.Snapshot().DestinationByKey(key)
	if !ok || d.Name != "More events" || d.Translate.UserID[0] != "account" || d.Translate.UserID[1] != "user" || d.Translate.PageTemplate != "seen {name}" || d.Environment.Name != "staging" {
		t.Fatalf("the destination of %q is %+v", key, d)
	}
	again := r.get(shopSegment+"/destinations/more-events").shows(200, "••••••••", "Rotate, keep the old one", "seen_signup")
	if strings.Contains(again.body, "cw_key_") || strings.Contains(again.body, "cw_hook_") {
		t.Error("a secret is shown twice")
	}
	r.post(shopSegment+"/destinations", form).shows(409, "There is one of this name already")
}

func TestAWrongFormStaysWithItsFieldsNamed(t *testing.T) {
	r := configured(t)
	form := changed(r.get(shopSegment+"/sources").fields(), "name", nasty, "endpoint", "own", "ownEndpoint", "not a url", "do", "save", "event", "my event")
	page := r.post(shopSegment+"/sources", form).shows(422, "Not saved yet", "Paste the write key of the source in Segment", "The endpoint is not a", "slash in it")
	if !strings.Contains(page.body, `value="my event"`) || !strings.Contains(page.body, `aria-invalid="true"`) || strings.Contains(page.body, "<script>alert") {
		t.Error("what was entered is lost or not escaped")
	}
	form = changed(r.get(shopSegment+"/destinations/events").fields(), "pageTemplate", "no place", "callsPerSecond", "many", "do", "save")
	r.post(shopSegment+"/destinations/events", form).shows(422, "Write a whole number")
	form.Set("callsPerSecond", "")
	r.post(shopSegment+"/destinations/events", form).shows(422, "does not contain {name}")
	if d, _ := r.catalog.Snapshot().Destination("events"); d.Translate.PageTemplate == "no place" {
		t.Error("it was saved")
	}
}

func TestASourceKeepsItsWriteKeyUnlessAnotherIsGiven(t *testing.T) {
	r := configured(t)
	page := r.get(shopSegment+"/sources/impressions").shows(200, "A key is set", "Send a test impression")
	form := changed(page.fields(), "endpoint", "https://events.eu1.segmentapis.com", "sendControl", "true", "identity.anonymous", "anonymousId", "do", "save")
	r.post(shopSegment+"/sources/impressions", form).goes(shopSegment + "/sources/impressions")
	source, _ := r.catalog.Snapshot().Source("impressions")
	if source.WriteKey.Reveal() != "write-key" || source.Endpoint != "https://events.eu1.segmentapis.com" || !source.Translate.SendControl || source.Translate.TrafficToIdentity["anonymous"] != "anonymousId" {
		t.Errorf("%+v", source)
	}
	form = changed(r.get(shopSegment+"/sources/impressions").fields(), "writeKey", "another-key", "do", "save")
	r.post(shopSegment+"/sources/impressions", form).goes(shopSegment + "/sources/impressions")
	if source, _ := r.catalog.Snapshot().Source("impressions"); source.WriteKey.Reveal() != "another-key" {
		t.Error("the key was not replaced")
	}
}

func TestAStaleEditShowsTheDifferenceAndLosesNothing(t *testing.T) {
	r := configured(t)
	mine := changed(r.get(shopSegment+"/destinations/events").fields(), "value", "properties.total", "do", "save")
	theirs := changed(r.get(shopSegment+"/destinations/events").fields(), "value", "properties.amount", "repairNames", "true", "do", "save")
	r.post(shopSegment+"/destinations/events", theirs).goes(shopSegment + "/destinations/events")
	page := r.post(shopSegment+"/destinations/events", mine).shows(409, "Somebody else changed it meanwhile", "track.value", `"properties.revenue" "properties.amount" "properties.total"`, "repairNames")
	if !strings.Contains(page.body, `name="value" value="properties.total"`) {
		t.Error("what was entered is lost")
	}
	// Saving again puts it over theirs.
	r.post(shopSegment+"/destinations/events", changed(page.fields(), "do", "save")).goes(shopSegment + "/destinations/events")
	if d, _ := r.catalog.Snapshot().Destination("events"); d.Translate.Value != "properties.total" || d.Translate.RepairNames {
		t.Errorf("%+v", d.Translate)
	}
	// What changed elsewhere is no conflict.
	mine = changed(r.get(shopSegment+"/destinations/events").fields(), "value", "", "do", "save")
	if _, err := r.catalog.Edit(t.Context(), "bob", func(d *catalog.Document) error { d.Projects[1].TrafficTypes = []string{"user", "x"}; return nil }); err != nil {
		t.Fatal(err)
	}
	r.post(shopSegment+"/destinations/events", mine).goes(shopSegment + "/destinations/events")
	// One that was removed can be added anew.
	mine = changed(r.get(shopSegment+"/destinations/events").fields(), "value", "properties.x", "do", "save")
	if _, err := r.catalog.RemoveObject(t.Context(), "shop", catalog.Destinations, "events", catalog.AnyTag, "bob"); err != nil {
		t.Fatal(err)
	}
	page = r.post(shopSegment+"/destinations/events", mine).shows(409, "Somebody else removed it meanwhile")
	r.post(shopSegment+"/destinations", changed(page.fields(), "do", "save")).shows(200, "Copy the secrets now")
}

func TestRemovingNeedsTheName(t *testing.T) {
	r := configured(t)
	tag := r.get(shopSegment + "/destinations/events").fields().Get("tag")
	r.post(shopSegment+"/destinations/events/remove", url.Values{"confirm": {"event"}, "tag": {tag}}).shows(422, "Type the name, events")
	r.post(shopSegment+"/destinations/events/remove", url.Values{"confirm": {"events"}, "tag": {"stale"}}).shows(409, "it was not removed")
	r.post(shopSegment+"/destinations/events/remove", url.Values{"confirm": {"events"}, "tag": {tag}}).goes(shopSegment)
	r.get(shopSegment).shows(200, "The destination events was removed", "Nothing comes from Segment yet")
}

func TestSecretsRotateWithOverlap(t *testing.T) {
	r := configured(t)
	page := r.post(shopSegment+"/destinations/events/secret", url.Values{"secret": {"apiKey"}, "do": {"rotate"}}).shows(200, "The old one works beside it", "still works", "End the old one")
	key := regexp.MustCompile(`cw_key_\w+`).FindString(page.body)
	works := func(key string) bool { _, ok := r.catalog.Snapshot().DestinationByKey(key); return ok }
	if !works(key) || !works("destination-key") {
		t.Error("both must work")
	}
	r.post(shopSegment+"/destinations/events/secret", url.Values{"secret": {"apiKey"}, "do": {"end"}}).goes(shopSegment + "/destinations/events")
	if !works(key) || works("destination-key") {
		t.Error("only the new one must work")
	}
	r.post(shopSegment+"/destinations/events/secret", url.Values{"secret": {"webhook.secret"}, "do": {"now"}}).shows(200, "The old one no longer works", "cw_hook_")
	r.post(shopSegment+"/destinations/events/secret", url.Values{"secret": {"writeKey"}}).shows(400, "gives out no secret of that name")
}

func TestThePathPickerAndTheChecksUseRealCalls(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"checkout","properties":{"total":3,"note":`+quoted(nasty)+`}}`,
		`{"type":"track","messageId":"m2","userId":"u1","event":"checkout","properties":{"revenue":9.5,"total":7,"eventName":"paid"}}`,
	)
	page := r.get(shopSegment+"/destinations/events").shows(200, "checkout in all of the last 2 track calls", "a number in 1 of the last 2", "Receiving", "2 of 2")
	if strings.Contains(page.body, "<script>alert") || !strings.Contains(page.body, `name="fix" value="value=properties.total"`) {
		t.Error("the picker lacks a place, or a text is not escaped")
	}
	form := page.fields()
	picked := r.post(shopSegment+"/destinations/events", changed(form, "fix", "value=properties.total")).shows(200, "a number in all of the last 2")
	if picked.fields().Get("value") != "properties.total" {
		t.Error("picking changed nothing")
	}
	// The mistake that everybody makes.
	page = r.post(shopSegment+"/destinations/events", changed(form, "eventType", "checkout", "do", "save")).shows(422,
		"You typed checkout , which is an event’s name. This field wants the place where the name stands, usually event", "Use event", "Save it all the same")
	if r.post(shopSegment+"/destinations/events", changed(page.fields(), "fix", "eventType=event")).shows(200).fields().Get("eventType") != "event" {
		t.Error("the fix does not fix")
	}
	r.post(shopSegment+"/destinations/events", changed(form, "eventType", "properties.nowhere", "do", "save")).shows(422, "finds nothing in the last 2 track calls")
	r.post(shopSegment+"/destinations/events", changed(form, "eventType", "properties.nowhere", "do", "save", "anyway", "true")).goes(shopSegment + "/destinations/events")
	// Without calls the mistake is caught by what Segment's calls have.
	r.post(shopSegment+"/destinations", changed(r.get(shopSegment+"/destinations").fields(), "name", "n", "eventType", "checkout", "do", "save")).shows(422, "have no field checkout of their own")
	r.post(shopSegment+"/destinations", changed(r.get(shopSegment+"/destinations").fields(), "fix", "preset=segment")).shows(200, "viewed_signup_page")
}

func TestAPreviewChangesNothing(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(
		`{"type":"track","messageId":"m1","userId":"u1","event":"Order Completed","properties":{"revenue":9.5,"total":7}}`,
		`{"type":"track","messageId":"m2","userId":"u1","event":`+quoted(nasty)+`}`,
		`{"type":"page","messageId":"m3","userId":"u1","name":"signup"}`,
	)
	form := changed(r.get(shopSegment+"/destinations/events").fields(), "value", "properties.total", "repairNames", "true", "do", "preview")
	form.Del("pages")
	page := r.post(shopSegment+"/destinations/events", form).shows(200, "last 3 calls", "0 same · 1 changed · 1 newly kept · 1 would now be dropped", "newly dropped page", "page_off", "value 9.5", "value 7")
	if strings.Contains(page.body, "<script>alert") || page.fields().Get("value") != "properties.total" {
		t.Error("a text is not escaped, or what was entered is lost")
	}
	if d, _ := r.catalog.Snapshot().Destination("events"); d.Translate.Value != "properties.revenue" {
		t.Error("a preview was saved")
	}
	r.post(shopSegment+"/destinations/events", changed(form, "value", " . ")).shows(422, "empty step")
}

func TestTestsAreSentAndShown(t *testing.T) {
	var key string
	var r *rig
	r = configured(t, func(o *web.Options) {
		o.Try = func(_ context.Context, s *catalog.Source, call json.RawMessage) web.Tried {
			key = s.WriteKey.Reveal()
			return web.Tried{Status: 401, Answer: nasty}
		}
		o.Take = func(ctx context.Context, d *catalog.Destination, body []byte) (int, string) {
			err := r.streams.Append(ctx, stream.Calls, stream.Record{
				Kind: stream.Destination, Environment: string(d.Environment.ID), Configuration: d.ID, Scheme: "console", ReceivedAt: time.Now(), Body: body,
			})
			if err != nil {
				return 503, err.Error()
			}
			return 200, `{"success":true}`
		}
	})
	r.start()
	page := r.post(shopSegment+"/sources/impressions/test", nil).shows(200, "The test was not taken", "401", nasty, "causeway-test")
	if key != "write-key" || strings.Contains(page.body, "<script>alert") {
		t.Errorf("sent with %q", key)
	}
	r.post(shopSegment+"/destinations/events/test", nil).shows(200, "The test arrived", "Its trace", "Causeway Test", "Stored: it became 1 event")
	r.post(shopSegment+"/listeners/none/test", nil).shows(404)
	configured(t).post(shopSegment+"/sources/impressions/test", nil).shows(503, "The test cannot be made")
}

func TestAConfigurationFromAFileIsShownAndNotEdited(t *testing.T) {
	r := configured(t)
	doc, findings := catalog.Decode("", []byte(configuration), nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if _, err := r.catalog.ApplyFile(t.Context(), "/etc/causeway/shop.yaml", doc); err != nil {
		t.Fatal(err)
	}
	const from = "The configuration comes from shop.yaml ; edit the file and send SIGHUP"
	for _, path := range []string{"/integrations", shopSegment, shopSegment + "/destinations/events"} {
		r.get(path).shows(200, from)
	}
	page := r.get(shopSegment+"/destinations/events").shows(200, "It stands in shop.yaml", "Saved in shop.yaml , not here", "Preview")
	form := changed(page.fields(), "value", "properties.total", "do", "save")
	r.post(shopSegment+"/destinations/events", form).shows(409, "Nothing was saved: the configuration comes from shop.yaml", "value: properties.total", "- name: events")
	r.post(shopSegment+"/destinations/events", changed(form, "do", "preview")).shows(200, "Preview of your change")
	r.post(shopSegment+"/destinations/events", changed(form, "do", "yaml")).shows(200, "value: properties.total")
	r.post(shopSegment+"/destinations/events/secret", url.Values{"secret": {"apiKey"}}).shows(409, "Nothing was changed")
	r.post(shopSegment+"/destinations/events/remove", url.Values{"confirm": {"events"}, "tag": {"*"}}).shows(409, "Nothing was changed")
}

func TestWhoMayOnlySeeSeesNoSecretsAndNoButtons(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"track","messageId":"m1","userId":"a-person","event":"checkout"}`)
	r.as("viewer@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer}})
	for _, path := range []string{shopSegment, shopSegment + "/destinations/events", shopSegment + "/sources/impressions"} {
		page := r.get(path).shows(200)
		for _, bad := range []string{"hash:", "sealed:", `value="save"`, `value="preview"`, "Rotate", "a-person", "Add configuration", "Send a test"} {
			if strings.Contains(page.body, bad) {
				t.Errorf("%s shows %q", path, bad)
			}
		}
	}
	r.get("/integrations/segment/other").shows(403, "in the project other")
	r.post(shopSegment+"/destinations/events", url.Values{"do": {"save"}}).shows(403, "in the project shop")
}

func TestSegmentIsSetUpWithATokenAfterShowingWhat(t *testing.T) {
	api := segmenttest.NewPublicAPI("public-api-token", -1)
	fake := httptest.NewServer(api)
	defer fake.Close()
	r := configured(t, func(o *web.Options) {
		o.PublicAPI = func(region, token string) (*publicapi.Client, error) {
			if region != "eu" {
				return publicapi.New(region, token)
			}
			return publicapi.NewAt(fake.URL, token), nil
		}
	})
	const destination, source = shopSegment + "/destinations/events/enable", shopSegment + "/sources/impressions/enable"
	token := url.Values{"token": {"public-api-token"}, "region": {"eu"}, "do": {"plan"}}
	r.post(destination, url.Values{"region": {"eu"}}).shows(422, "Paste a Public API token")
	r.post(destination, changed(token, "region", "moon")).shows(502, "a workspace is in us or eu")
	r.post(destination, changed(token, "token", "wrong-token")).shows(502, "Segment does not accept the token")

	page := r.post(destination, token).shows(200, "In the workspace Shop <workspace>", "iOS <b>app</b>", "POST /destinations", "subscriptions", "/segment/webhook/events", "goes on working until you end it")
	if strings.Contains(page.body, "<b>app") || len(api.Destinations) != 0 {
		t.Error("a name is not escaped, or something was made before it was wanted")
	}
	r.post(destination, changed(token, "do", "go", "source", "source-2")).shows(200, "was made in Segment", "every identify, group, track, page and screen call", "still works")
	settings := api.Subscriptions[0]["settings"].(map[string]any)
	secret := settings["headers"].(map[string]any)["Authorization"].(string)
	d, _ := r.catalog.Snapshot().Destination("events")
	if api.Destinations[0]["sourceId"] != "source-2" || !d.CheckSecret(secret) || !d.CheckSecret("hook-secret") {
		t.Errorf("made %+v %+v", api.Destinations, api.Subscriptions)
	}

	r.post(source, token).shows(200, "POST /sources", "causeway-impressions", "becomes the write key here")
	r.post(source, changed(token, "do", "go")).shows(200, "The source causeway-impressions was made", "Its write key is the write key here now")
	if s, _ := r.catalog.Snapshot().Source("impressions"); s.WriteKey.Reveal() != "wk-of-causeway-impressions" {
		t.Error("the write key is not the new one")
	}
	r.post(source, changed(token, "do", "go")).shows(502, "Segment answered 409", "there already")
	api.FailNext = 500
	r.post(destination, changed(token, "do", "go", "source", "source-1")).shows(502, "Segment answered 500: it did not work")

	entries, err := r.streams.Audit(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	kept := r.log.String()
	for _, entry := range entries {
		kept += string(entry.Data)
	}
	if strings.Contains(kept, "public-api-token") || !strings.Contains(kept, "segment.made") {
		t.Errorf("the log or audit log is wrong: %s", kept)
	}
}

func TestListenersHaveAFormToo(t *testing.T) {
	r := configured(t)
	form := changed(r.get(shopSegment+"/listeners").shows(200, "New listener").fields(), "name", "from fme", "do", "save", "listenerKind", "fme_webhook")
	r.post(shopSegment+"/listeners", form).shows(200, "/hooks/from-fme", "cw_hook_")
	r.get(shopSegment).shows(200, "from fme", "Harness FME’s impressions webhook")
	r.post(shopSegment+"/listeners/from-fme/test", nil).shows(400, "Nothing to test")
}
