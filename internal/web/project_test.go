package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/web"
)

// go follows a redirect.
func (a answer) follow(r *rig) answer {
	a.t.Helper()
	if a.status != 303 {
		a.t.Fatalf("%s: status %d, want a redirect: %.600s", a.path, a.status, a.text())
	}
	return r.get(a.header.Get("Location"))
}

func TestAProjectIsAddedFilledAndRemoved(t *testing.T) {
	r := configured(t)
	r.get("/projects").shows(200, "shop", "production, staging", "A project cannot be renamed")
	r.post("/projects", url.Values{"name": {"shop"}, "environments": {"live"}, "trafficTypes": {"player"}}).shows(422, "The project \"shop\" is at").has(`value="live"`, `value="player"`)
	r.post("/projects", url.Values{"name": {"a/b"}}).shows(422, "has a slash in it")
	r.post("/projects", url.Values{"name": {nasty}, "trafficTypes": {"a, a"}}).shows(422, "Give each its own name").lacks("<script>alert")
	r.post("/projects", url.Values{"name": {"My game?"}, "environments": {"live, test"}, "trafficTypes": {"player"}}).follow(r).shows(200, "The project My game? is there", "live", "test", "player")

	const game = "/projects/My%20game%3F"
	r.post(game+"/traffic-types", url.Values{"trafficTypes": {"player\nguild\nguild"}}).shows(422, "Give each its own name").has("guild\nguild</textarea>")
	r.post(game+"/traffic-types", url.Values{"trafficTypes": {"player\nguild"}}).follow(r).shows(200, "The traffic types are saved")
	r.post(game+"/environments", url.Values{"name": {"live"}, "id": {"env-9"}}).shows(422, "Give each its own name").has(`value="env-9"`)
	r.post(game+"/environments", url.Values{"name": {"canary"}, "id": {"env-9"}}).follow(r).shows(200, "The environment is there", "env-9")
	r.post(game+"/remove", url.Values{"confirm": {"My game"}}).shows(422, "Type My game? to remove it")
	r.post(game+"/remove", url.Values{"confirm": {"My game?"}}).goes("/projects")
	r.get("/projects").shows(200, "The project My game? is removed").lacks(game)
	r.get(game).shows(404, "There is no project")
	r.get("/audit?object=My+game").shows(200, "configuration changed")
}

func TestSDKKeysAreMadeShownOnceReplacedAndRevoked(t *testing.T) {
	r := configured(t)
	const here = "/projects/shop/environments/production"
	r.get(here).shows(200, "backend", "server_side").has(`value="env-1"`).lacks("sdk-key")
	r.post(here+"/keys", url.Values{"name": {"backend"}, "type": {"client_side"}}).shows(422, "Give each its own name").has(`<option value="client_side" selected`)
	r.post(here+"/keys", url.Values{"name": {"web"}, "type": {"magic"}}).shows(422, "is not one of")
	key := r.post(here+"/keys", url.Values{"name": {"web"}, "type": {"client_side"}}).shows(200, "This is the SDK key web", "client_side").secret()
	known := func(key string, want bool) {
		t.Helper()
		if _, ok := r.catalog.Snapshot().SDKKey(key); ok != want {
			t.Errorf("the key is known: %v", ok)
		}
	}
	known(key, true)
	r.get(here).lacks(key)
	second := r.post(here+"/keys/rotate", url.Values{"name": {"web"}}).shows(200, "This is the SDK key web").secret()
	known(key, false)
	known(second, true)
	r.post(here+"/keys/rotate", url.Values{"name": {"none"}}).shows(404, "there is no SDK key")
	r.post(here+"/keys/revoke", url.Values{"name": {"web"}}).follow(r).shows(200, "The SDK key web works no longer")
	known(second, false)
	r.post(here, url.Values{"id": {" x "}}).shows(422, "has blanks around it").has(`value=" x "`)
	r.post(here, url.Values{"id": {"env-2"}}).follow(r).shows(200, "Saved").has(`value="env-2"`)
	r.get("/keys").shows(200, "backend", "API key of a destination", "webhook secret").lacks("destination-key", "hook-secret", "elsewhere")
	r.post(here+"/remove", url.Values{"confirm": {"production"}}).shows(422, "The project has no environment \"production\"")
	r.post("/projects/shop/environments/staging/remove", url.Values{"confirm": {"staging"}}).follow(r).shows(200, "The environment staging is removed")
	r.get("/projects/shop/environments/staging").shows(404, "There is no environment")
}

// flagForm is a form of a flag as the page sends it.
func flagForm(tag string, more ...string) url.Values {
	form := url.Values{"tag": {tag}, "trafficType": {"user"}, "serve": {"rollout"}, "treatment": {"on", "off", "", ""}, "percent": {"30", "70", "", ""}, "config": {`{"c":1}`, "", "", ""}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

var tagOfForm = regexp.MustCompile(`name="tag" value="([^"]*)"`)

func (a answer) tag() string {
	a.t.Helper()
	match := tagOfForm.FindStringSubmatch(a.body)
	if match == nil {
		a.t.Fatalf("%s: there is no tag", a.path)
	}
	return match[1]
}

func TestAFlagIsAddedChangedKilledAndRemoved(t *testing.T) {
	r := configured(t)
	r.get("/flags").shows(200, "button", "known, not served", "Add a flag")
	r.get("/projects/shop/new-flag").shows(200, "New flag", "As the code asks for it")
	add := flagForm("", "name", "button")
	r.post("/projects/shop/new-flag", add).shows(409, "There is a flag of that name already")
	add.Set("name", "check "+nasty)
	add["percent"] = []string{"30", "60", "", ""}
	r.post("/projects/shop/new-flag", add).shows(422, "The percentages of the rollout make 90, not 100").has(`value="60"`, `value="{&#34;c&#34;:1}"`).lacks("<script>")
	add["percent"] = []string{"30", "a", "", ""}
	r.post("/projects/shop/new-flag", add).shows(422, "is no whole number")
	add.Set("name", "checkout")
	add["percent"] = []string{"30", "70", "", ""}
	const here = "/projects/shop/flags/checkout"
	page := r.post("/projects/shop/new-flag", add).follow(r).shows(200, "Saved. SDKs get it", "on 30% · off 70%")

	// Unchanged, it changes nothing.
	revision := r.catalog.Snapshot().Revision
	r.post(here, flagForm(page.tag())).follow(r)
	if now := r.catalog.Snapshot().Revision; now != revision {
		t.Errorf("saving what was there made revision %d of %d: %s", now, revision, r.get("/audit").text())
	}

	// In one environment only.
	env := r.get(here+"?in=production").shows(200, "What is different in production", "word for word", `"treatment": "on"`)
	same := url.Values{"tag": {env.tag()}, "serve": {""}, "treatment": {"on", "off"}, "percent": {"", ""}, "config": {"", ""}}
	r.post(here+"?in=production", same).follow(r)
	if now := r.catalog.Snapshot().Revision; now != revision {
		t.Errorf("saying nothing of an environment made revision %d of %d", now, revision)
	}
	other := flagForm(env.tag(), "trafficAllocation", "50")
	other["percent"] = []string{"100", "", "", ""}
	r.post(here+"?in=production", other).follow(r).shows(200, "on 100%, to 50% of keys", "differs")
	r.get(here).shows(200, "on 30% · off 70%")
	r.get("/flags").shows(200, "on 100%, to 50% of keys", "differs in production")

	r.post(here+"/kill?in=production", url.Values{"killed": {"true"}}).follow(r).shows(200, "checkout is killed", "in production", "Bring it back")
	r.get("/flags").shows(200, "killed")
	served, _ := r.catalog.Snapshot().Environment("shop/production")
	if !strings.Contains(string(served.Serving.Flags[0].Definition), `"killed":true`) {
		t.Errorf("served: %s", served.Serving.Flags[0].Definition)
	}
	r.post(here+"/kill?in=production", url.Values{"killed": {"false"}}).follow(r).shows(200, "brought back")
	r.post("/projects/shop/flags/none/kill", url.Values{"killed": {"true"}}).shows(404, "there is no flag")

	// A definition, word for word.
	definition := `{"defaultTreatment":"off","conditions":[{"partitions":[{"treatment":"on","size":100}],"matcherGroup":{"matchers":[{"matcherType":"ALL_KEYS"}]}}],"seed":12345678901,"note":"${HOME}"}`
	staging := r.get(here + "?in=staging")
	whole := url.Values{"tag": {staging.tag()}, "serve": {"definition"}, "definition": {"{"}}
	r.post(here+"?in=staging", whole).shows(422, "This is no JSON object").has(">{</textarea>")
	whole.Set("definition", `{"conditions":[]}`)
	r.post(here+"?in=staging", whole).shows(422)
	r.post(here+"?in=staging", url.Values{"tag": {staging.tag()}, "serve": {"definition"}, "definition": {definition}}).shows(422, "Rollout has no effect beside a definition")
	only := flagForm(page.tag(), "name", "elsewhere", "serve", "definition", "definition", definition)
	r.post("/projects/shop/new-flag", only).follow(r).shows(200, "a definition of its own")
	r.get("/projects/shop/flags/elsewhere?in=staging").shows(200, "12345678901", "${HOME}")

	r.post(here+"/remove", url.Values{"confirm": {"x"}}).shows(422, "Type checkout to remove it")
	r.post(here+"/remove", url.Values{"confirm": {"checkout"}}).follow(r).shows(200, "The flag checkout is removed")
	r.get(here).shows(404, "There is no flag")
}

func TestAStaleEditOfAFlagShowsTheDifference(t *testing.T) {
	r := configured(t)
	const here = "/projects/shop/flags/button"
	mine := r.get(here).tag()
	r.post(here, flagForm(r.get(here).tag(), "defaultTreatment", "on")).follow(r) // somebody else
	page := r.post(here, flagForm(mine, "trafficAllocation", "20")).shows(409, "Somebody else saved meanwhile", "What saving now would change", "trafficAllocation", "defaultTreatment").has(`value="20"`)
	r.post(here, flagForm(page.tag(), "trafficAllocation", "20")).follow(r).shows(200, "Saved", "to 20% of keys")

	mine = r.get(here).tag()
	r.post(here+"/remove", url.Values{"confirm": {"button"}}).follow(r)
	gone := r.post(here, flagForm(mine)).shows(409, "Somebody else removed it meanwhile").has(`value="30"`)
	r.post(here, flagForm(gone.tag())).follow(r).shows(200, "Saved", "on 30%")
}

func TestSegmentsOfKeysAreChangedKeyByKey(t *testing.T) {
	r := configured(t)
	r.get("/key-segments").shows(200, "No segments of keys yet")
	r.post("/projects/shop/key-segments", url.Values{"name": {""}, "keys": {"u1"}}).shows(422, "Give the segment a name").has(">u1</textarea>")
	r.post("/projects/shop/key-segments", url.Values{"name": {"beta"}, "keys": {"u1\r\n" + nasty + "\r\n\r\nu3"}}).follow(r).shows(200, "3 keys", nasty).lacks("<script>alert")
	r.post("/projects/shop/key-segments", url.Values{"name": {"beta"}}).shows(422, "There is a segment of that name already")
	const here = "/projects/shop/key-segments/beta"
	r.post(here, url.Values{"keys": {"u4\nu1"}, "remove": {"u3"}}).follow(r).shows(200, "3 keys", "u4")
	r.post(here, url.Values{"keys": {strings.Repeat("x", 300)}}).shows(422, "The key has 300 characters")
	r.post(here+"?in=production", url.Values{"keys": {"p1"}}).follow(r).shows(200, "4 keys in production", "differs", "Same as everywhere again")
	r.get(here).shows(200, "3 keys")
	r.get(here+"?q=U4").shows(200, "u4").lacks("<code>u1</code>")
	r.post(here+"?in=production", url.Values{"what": {"same"}}).follow(r).shows(200, "3 keys in production, as everywhere")
	r.post(here+"/remove", url.Values{"confirm": {"beta"}}).follow(r).shows(200, "The segment beta is removed")
}

// What comes from a file is shown and not edited behind its back.
func TestAConfigurationFromAFileIsShownAndNotChanged(t *testing.T) {
	r := configured(t)
	doc, findings := catalog.Decode("", []byte(configuration), nil)
	if len(findings) > 0 {
		t.Fatal(findings)
	}
	if _, err := r.catalog.ApplyFile(t.Context(), "/etc/causeway.yaml", doc); err != nil {
		t.Fatal(err)
	}
	for _, page := range []string{"/projects", "/projects/shop", "/projects/shop/environments/production", "/flags", "/projects/shop/flags/button", "/projects/shop/flags/button?in=production", "/key-segments", "/keys"} {
		r.get(page).shows(200, "The configuration comes from the file causeway.yaml").lacks("/remove", "/kill", `action="/projects?`, "Revoke")
	}
	revision := r.catalog.Snapshot().Revision
	for _, rt := range web.RouteList() {
		if !strings.HasPrefix(rt.Pattern, "POST /projects") {
			continue
		}
		_, path := example(strings.NewReplacer("{project}", "shop", "{environment}", "production", "{flag}", "button").Replace(rt.Pattern))
		got := r.post(path, flagForm("x", "name", "new", "confirm", map[bool]string{true: "shop", false: "production"}[!strings.Contains(path, "/environments/")]))
		if got.status < 400 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	if now := r.catalog.Snapshot().Revision; now != revision {
		t.Errorf("revision %d became %d", revision, now)
	}
}

// The role counts in the project of the path, whatever environment is chosen.
func TestTheProjectOfThePathDecides(t *testing.T) {
	r := configured(t)
	r.as("ada@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Viewer, "other": auth.Editor}})
	r.get("/projects/shop?env=other/production").shows(200, "shop").lacks("Add an environment")
	r.post("/projects/shop/environments?env=other/production", url.Values{"name": {"x"}}).shows(403, "in the project shop")
	r.post("/projects/other/environments?env=shop/production", url.Values{"name": {"x"}}).follow(r).shows(200, "The environment is there")
	r.post("/projects", url.Values{"name": {"x"}}).shows(403, "on the whole server")
	r.get("/projects/nothing").shows(403)
}
