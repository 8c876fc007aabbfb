package web_test

import (
	"io/fs"
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
