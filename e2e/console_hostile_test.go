package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// hostile are texts that people, programs and attackers put into calls.
var hostile = []string{
	`"><script>window.hacked=1</script>`,
	`'><img src=x onerror="window.hacked=1">`,
	`javascript:window.hacked=1//`,
	"{{.}} ${7*7} %s %!d(MISSING)",
	`?#%/&=+;..//%2e%2e/%00`,
	"..",
	"مرحبا \u202eابجد\u202c gnp.exe",
	"👩‍👩‍👧‍👦🏳️‍🌈 é\u0301\u0301\u0301",
	strings.Repeat("m", 10_000),
	strings.Repeat("<b>", 80),
}

// Whatever stands in a call is shown as the text that it is, on every page that
// shows it; links to it lead to it; and no page becomes wider than the screen.
func TestConsoleShowsHostileNamesAsText(t *testing.T) {
	t.Parallel()
	s := startServer(t, strings.Replace(shop, "    segment:\n", "    flags:\n      - {name: button, trafficType: user}\n    segment:\n", 1)+
		"  - {name: \"it's <b>&amp; \\\"x\\\"\", trafficTypes: [user], environments: [{name: \"<i>env\"}]}\n")
	admin := s.admin()
	var want int
	for i, text := range hostile {
		name, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf(`"h%d"`, i)
		if len(text) < 200 {
			id = string(name)
		}
		calls := []string{
			fmt.Sprintf(`{"type":"identify","messageId":"i%d","userId":%s,"traits":{%s:%s,"plan":%s}}`, i, name, name, name, name),
			fmt.Sprintf(`{"type":"track","messageId":%s,"userId":%s,"event":"Order Completed","properties":{"revenue":1,%s:%s}}`, id, name, name, name),
			fmt.Sprintf(`{"type":"track","messageId":"e%d","userId":%s,"event":%s}`, i, name, name),
			fmt.Sprintf(`{"type":"page","messageId":"p%d","userId":%s,"name":%s}`, i, name, name),
		}
		want += len(calls)
		if err := s.batch(calls...); err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("all calls are decided", func() error {
		calls, err := list[call](s, environmentPath+"/calls", nil)
		if err == nil && len(calls) < want {
			err = fmt.Errorf("%d of %d calls are known", len(calls), want)
		}
		return err
	})

	pages := admin.crawl("/", len(hostile))
	shown := map[string]bool{}
	p := admin.open("/")
	for _, one := range pages {
		if !one.html {
			continue
		}
		shown[one.route] = true
		p.visit(one.path)
		if eval[bool](p, `window.hacked !== undefined || document.querySelector("main b, main img, main i") !== null`) {
			t.Errorf("%.200s: a text became part of the page", one.path)
		}
		for _, width := range []int64{400, 1280} {
			p.resize(width)
			for _, wide := range overflowing(p) {
				t.Errorf("%.200s: %d px: wider than the screen: %s", one.path, width, wide)
			}
		}
		for _, what := range p.troubles() {
			t.Errorf("%.200s: %s", one.path, what)
		}
	}
	for _, route := range []string{"GET /customers/{type}/{key...}", "GET /trace/{messageId...}", "GET /events/{type...}", "GET /calls", "GET /live"} {
		if !shown[route] {
			t.Errorf("no page of %s was looked at", route)
		}
	}

	// As it stands in the call, so it is read.
	p.visit("/customers?trafficType=user&key=" + "%22%3E%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E")
	p.shows(hostile[0])
	// Live, too: what the script makes is text as well.
	p.visit("/live")
	p.state("live")
	if err := s.batch(fmt.Sprintf(`{"type":"track","messageId":"now","userId":%q,"event":"Now","properties":{"x":%q}}`, hostile[1], hostile[1])); err != nil {
		t.Fatal(err)
	}
	p.shows("of user " + hostile[1])
	p.click("#rows tr")
	p.shows("Outcome")
	if eval[bool](p, `window.hacked !== undefined || document.querySelector("main img") !== null`) {
		t.Error("a text of the live stream became part of the page")
	}
	p.quiet()
	if response, err := admin.client.Get(s.URL + "/find?q=" + "%22%3E%3Cscript%3E"); err != nil || response.StatusCode != http.StatusSeeOther {
		t.Errorf("finding a hostile text: %v %v", response, err)
	}
}
