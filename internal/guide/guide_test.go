package guide_test

import (
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"causeway/docs"
	"causeway/internal/guide"
	"causeway/internal/reason"
)

func load(t *testing.T) *guide.Book {
	t.Helper()
	book, err := guide.Load(docs.Files)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	href         = regexp.MustCompile(`href="([^"]*)"`)
	htmlID       = regexp.MustCompile(`\sid="([^"]*)"`)
)

// ids are the places of a page.
func ids(t *testing.T, p *guide.Page) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, match := range htmlID.FindAllStringSubmatch(string(p.HTML), -1) {
		if found[match[1]] {
			t.Errorf("%s: the id %q is there twice", p.URL(), match[1])
		}
		found[match[1]] = true
	}
	return found
}

func TestEveryLinkOfEveryPageLeadsSomewhere(t *testing.T) {
	book, inside, outside := load(t), 0, 0
	err := fs.WalkDir(docs.Files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		source, err := fs.ReadFile(docs.Files, file)
		if err != nil {
			return err
		}
		// As files, for who reads them in a repository.
		for _, match := range markdownLink.FindAllStringSubmatch(string(source), -1) {
			u, err := url.Parse(match[1])
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
			if err != nil || u.IsAbs() || u.Path == "" {
				continue
			}
			outside++
			if _, err := os.Stat(filepath.Join("../../docs", path.Dir(file), u.Path)); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
		// As pages, for who reads them in the console.
		p, ok := book.Page(strings.TrimSuffix(strings.TrimSuffix(file, "README.md"), "/"))
		if !ok {
			t.Errorf("%s is no page", file)
			return nil
		}
		for _, match := range href.FindAllStringSubmatch(string(p.HTML), -1) {
			u, err := url.Parse(match[1])
			if err != nil || u.IsAbs() {
				continue
			}
			inside++
			to := p
			if u.Path != "" {
				if to, ok = book.Page(strings.TrimPrefix(u.Path, guide.Root)); !ok || !strings.HasPrefix(u.Path, guide.Root) {
					t.Errorf("%s links to %s, which is no page", file, match[1])
					continue
				}
			}
			if u.Fragment != "" && !ids(t, to)[u.Fragment] {
				t.Errorf("%s links to %s, where there is no such place", file, match[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside < 50 || outside < 50 {
		t.Errorf("only %d links of pages and %d of files were looked at", inside, outside)
	}
}

func TestEveryPageIsInTheTableOfContents(t *testing.T) {
	book, listed := load(t), map[string]bool{}
	for _, part := range book.Parts {
		for _, p := range part.Pages {
			listed[p.Path] = true
		}
	}
	names, err := fs.Glob(docs.Files, "*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	top, err := fs.Glob(docs.Files, "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, top...) {
		if p, _ := book.Page(name); p != nil && p.Path != "" && !listed[p.Path] && path.Dir(name) != "decisions" {
			t.Errorf("%s is not in docs/README.md", name)
		}
	}
}

func TestEveryReasonHasAPlace(t *testing.T) {
	p, ok := load(t).Page("reasons")
	if !ok {
		t.Fatal("there is no page of reasons")
	}
	places := ids(t, p)
	for _, info := range reason.List {
		if !places[string(info.Code)] {
			t.Errorf("%s has no place on %s", info.Code, p.URL())
		}
	}
}

func TestNothingOfAPageIsRunOrLoaded(t *testing.T) {
	book, err := guide.Load(fstest.MapFS{"README.md": {Data: []byte(
		"# A <b>page</b>\n\n<script>alert(1)</script>\n\nSome <img src=x onerror=alert(1)> text, [one](javascript:alert(1)), [two](../outside.md), [three](other.md#x), [four](https://example.com/).\n\n" +
			"| a | b |\n|---|--:|\n| 1 | `<i>` |\n\n```sh tried\necho '<b>'\n```\n\n```text\nplain\n```\n")},
		"other.md": {Data: []byte("# Other\n\n## X\n\n## X\n\n## `a_b` and C!\n")}})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := book.Page("")
	html := string(p.HTML)
	for _, bad := range []string{"<script", "<img", "<b>", "<i>", "javascript:", "style=", "outside"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page has %s: %s", bad, html)
		}
	}
	for _, want := range []string{`href="/docs/other#x"`, "two", `<a href="https://example.com/" rel="noreferrer">four</a>`, `<td>1</td>`, "data-copy=", "echo '&lt;b&gt;'", "</table></div>"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %s: %s", want, html)
		}
	}
	other, _ := book.Page("other")
	if got := ids(t, other); !got["x"] || !got["x-1"] || !got["a_b-and-c"] || len(other.Headings) != 3 {
		t.Errorf("the headings are %v %v", got, other.Headings)
	}
}

func TestAPageWithoutATitleIsAnError(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"no title":       {"README.md": {Data: []byte("text\n")}},
		"two titles":     {"README.md": {Data: []byte("# a\n\n# b\n")}},
		"no README file": {"a.md": {Data: []byte("# a\n")}},
	} {
		if _, err := guide.Load(files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
