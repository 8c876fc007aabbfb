package web_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/web"
)

const hostile = `<script>alert(1)</script>`

// links are the addresses on a page that begin like this.
func (a answer) links(prefix string) []string {
	var list []string
	for _, match := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(a.body, -1) {
		if link := strings.ReplaceAll(match[1], "&amp;", "&"); strings.HasPrefix(link, prefix) {
			list = append(list, link)
		}
	}
	return list
}

// escapes fails the test when the page holds the hostile text as markup, or
// does not hold it as text.
func (a answer) escapes() answer {
	a.t.Helper()
	if strings.Contains(a.body, hostile) {
		a.t.Errorf("%s: what a sender chose is markup", a.path)
	}
	if !strings.Contains(a.text(), hostile) {
		a.t.Errorf("%s: the hostile text is not shown", a.path)
	}
	return a
}

// older opens the next page of a list; there must be one.
func (r *rig) older(a answer) answer {
	r.t.Helper()
	match := regexp.MustCompile(`<a class="button" rel="next" href="([^"]*)"`).FindStringSubmatch(a.body)
	if match == nil {
		r.t.Fatalf("%s: no next page", a.path)
	}
	return r.get(strings.ReplaceAll(match[1], "&amp;", "&"))
}

func trackCall(id, user, event, properties string, at time.Time) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,"userId":%q,"event":%q,"properties":%s,"timestamp":%q}`, id, user, event, properties, at.UTC().Format(time.RFC3339Nano))
}

// asViewer signs a viewer in.
func (r *rig) asViewer() { r.as("viewer@example.com", auth.Grants{Server: auth.Viewer}) }

func TestADeadStoreGivesAPageThatSaysSo(t *testing.T) {
	r := configured(t)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/events", "/events/x", "/customers", "/customers?key=x", "/customers/user/x", "/impressions", "/calls", "/delivery"} {
		r.get(path).shows(503, "The store does not answer", "Accepting goes on")
	}
	// Every other page shows what it can without the store, or says the same.
	for _, rt := range web.RouteList() {
		method, path := example(rt.Pattern)
		if method != "GET" || path == "/live/stream" {
			continue
		}
		if got := r.get(path); got.status >= 500 && (got.status != 503 || !strings.Contains(got.text(), "The store does not answer")) {
			t.Errorf("%s with a dead store: %d %.300s", rt.Pattern, got.status, got.text())
		}
	}
}
