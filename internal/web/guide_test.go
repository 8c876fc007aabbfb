package web_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"causeway/docs"
	"causeway/internal/auth"
	"causeway/internal/web"
)

func TestEveryGuideIsAPageForEverybody(t *testing.T) {
	r := configured(t)
	pages := []string{}
	err := fs.WalkDir(docs.Files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			pages = append(pages, strings.TrimSuffix(strings.TrimSuffix("/docs/"+strings.TrimSuffix(file, ".md"), "README"), "/"))
		}
		return err
	})
	if err != nil || len(pages) < 10 {
		t.Fatal(pages, err)
	}
	for _, page := range pages {
		r.get(page).shows(200, "Guides")
	}
	r.as("eve@example.com", auth.Grants{Projects: map[string]auth.Role{"other": auth.Viewer}})
	r.get("/docs/guides/segment-source").shows(200, "Send impressions to Segment", "On this page", "Overview")
	r.anew()
	for _, page := range pages {
		got := r.get(page).shows(200, "Sign in")
		if strings.Contains(got.body, "shop") && strings.Contains(got.body, "Project and environment") {
			t.Errorf("%s shows environments to who is not signed in", page)
		}
	}
	r.get("/docs/guides/segment-source.md").goes("/docs/guides/segment-source")
	r.get("/docs/").goes("/docs")
	r.get("/docs/<script>").shows(404, "There is no guide /docs/<script>")
	r.get("/signin").shows(200, "Guides")
}

func TestEveryPageOfTheMenuHasItsGuide(t *testing.T) {
	r := configured(t)
	for _, path := range web.MenuPaths() {
		if got := r.get(path); !strings.HasPrefix(path, "/docs") && !strings.Contains(got.body, `class="guide-link"`) {
			t.Errorf("%s has no guide", path)
		}
	}
}

func TestAReasonLeadsToItsPlace(t *testing.T) {
	r := configured(t)
	r.start()
	r.track(`{"type":"page","messageId":"m1","userId":"u1"}`)
	if got := r.get("/calls"); !strings.Contains(got.body, `href="/docs/reasons#unnamed_page"`) {
		t.Errorf("the reason is no link: %s", got.text())
	}
}

// The clicks that the guides describe, followed; what they call things is what
// the pages say.
func TestTheClicksOfTheGuidesAreThere(t *testing.T) {
	r := configured(t)
	follow := func(page answer, prefix string) answer {
		t.Helper()
		links := page.links(prefix)
		if len(links) == 0 {
			t.Fatalf("%s has no link to %s, but to %q", page.path, prefix, page.links("/integrations"))
		}
		return r.get(links[0])
	}
	marketplace := follow(r.get("/").shows(200, "Integrations"), "/integrations").shows(200, "Marketplace", "Segment", "Choose a project")
	segment := follow(marketplace, "/integrations/segment/shop").shows(200, "Send FME data to Segment (as a source)", "Receive from Segment (as a destination)", "Add configuration")
	for guide, c := range map[string]struct{ form, saved string }{
		"segment-source":      {"/integrations/segment/shop/sources", "/integrations/segment/shop/sources/impressions"},
		"segment-destination": {"/integrations/segment/shop/destinations", "/integrations/segment/shop/destinations/events"},
		"segment-webhook":     {"/integrations/segment/shop/destinations", "/integrations/segment/shop/destinations/events"},
	} {
		text, err := fs.ReadFile(docs.Files, "guides/"+guide+".md")
		if err != nil {
			t.Fatal(err)
		}
		clicks := regexp.MustCompile(`(?s)In the console.*?\n\n`).FindString(string(text))
		said := strings.Join(strings.Fields(r.get("/integrations").text()+segment.text()+follow(segment, c.form).shows(200).text()+follow(segment, c.saved).shows(200).text()), " ")
		labels := regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(clicks, -1)
		if len(labels) < 5 {
			t.Errorf("%s describes %d clicks", guide, len(labels))
		}
		for _, label := range labels {
			if want := strings.Join(strings.Fields(label[1]), " "); !strings.Contains(said, want) {
				t.Errorf("%s says %q, and no page does", guide, want)
			}
		}
	}
}
