package e2e

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What a page may weigh, in bytes, uncompressed, with all that it loads.
const maxWeight = 200_000

// lookedAt is how many pages of each route are looked at.
const lookedAt = 2

// found is a page that links lead to.
type found struct {
	path, route, from string
	html              bool
}

// Every page of the console is found by following links as an admin, and looked
// at in a browser. Whatever route is added is looked at, too, as soon as a page
// links to it; a route that nothing leads to fails the test.
func TestConsolePagesAreCleanInEveryLook(t *testing.T) {
	base := demo(t)
	admin := signIn(t, base, demoEmail, demoPassword)
	nobody := stranger(t, base)
	pages := admin.crawl("/", lookedAt)
	// One route, three forms: links lead to the sources' first.
	const integration = "GET /integrations/segment/{project}/{kind}/{name}"
	pages = append(pages, found{path: "/integrations/segment/shop/destinations/prod-events", route: integration, html: true})
	weights := map[string]float64{}
	var mu sync.Mutex
	t.Run("pages", func(t *testing.T) {
		for _, one := range pages {
			if one.html {
				t.Run(name(one.path), func(t *testing.T) {
					t.Parallel()
					weight := checkLooks(t, admin, one.path, false)
					mu.Lock()
					defer mu.Unlock()
					weights[one.route] = max(weights[one.route], weight)
				})
			}
		}
		for _, path := range []string{"/signin", "/setup", "/signin/a-link-that-was-used", "/password/a-link-that-was-used", "/share/a-link-that-was-removed", "/signin/oidc", "/signin/oidc/return?state=x&code=x"} {
			t.Run("signed out "+name(path), func(t *testing.T) {
				t.Parallel()
				checkLooks(t, nobody, path, true)
			})
		}
		for _, path := range []string{"/there-is-no-such-page", "/calls?cursor=x", "/live?q=color:red"} {
			t.Run("a problem "+name(path), func(t *testing.T) {
				t.Parallel()
				checkLooks(t, admin, path, true)
			})
		}
	})
	for _, route := range sorted(weights) {
		t.Logf("%-40s %6.0f bytes", route, weights[route])
	}
	for route, asked := range routes(t, base) {
		if strings.HasPrefix(route, "GET ") && asked == 0 {
			t.Errorf("%s was never visited: no page links to it", route)
		}
	}
}

// name is a path as the name of a test.
func name(path string) string { return strings.Trim(strings.ReplaceAll(path, "/", " "), " ") }

// checkLooks opens a page and checks it in light and dark, wide and narrow,
// from one load. It returns what the page weighs.
func checkLooks(t *testing.T, v *visitor, path string, refused bool) float64 {
	who := *v
	who.t = t
	p := who.open(path)
	for _, width := range []int64{360, 400, 768, 1280} {
		p.resize(width)
		for _, wide := range overflowing(p) {
			t.Errorf("%d px: wider than the screen: %s", width, wide)
		}
	}
	eval[float64](p, shortTables)
	for _, look := range []struct {
		theme string
		width int64
	}{{light, 1280}, {dark, 1280}, {dark, 400}, {light, 400}} {
		p.look(look.theme, look.width)
		for _, v := range axe(p) {
			t.Errorf("%s, %d px wide: %s", look.theme, look.width, v)
		}
	}
	weight := eval[float64](p, `["navigation", "resource"].flatMap((type) => performance.getEntriesByType(type)).reduce((sum, e) => sum + e.decodedBodySize, 0)`)
	if weight <= 1000 || weight > maxWeight {
		t.Errorf("it weighs %.0f bytes", weight)
	}
	if refused {
		p.quiet(400, 403, 404, 410) // the page itself, which is what was asked for
	} else {
		p.quiet()
	}
	return weight
}

// shortTables leaves ten rows of every table: the others are made like them, and
// measuring the contrast of each takes most of a test's time.
const shortTables = `[...document.querySelectorAll("tbody")].flatMap((body) => [...body.rows].slice(10)).map((row) => row.remove()).length`

// The checks above find what they are for.
func TestConsoleChecksFindWhatIsWrong(t *testing.T) {
	p := signIn(t, demo(t), demoEmail, demoPassword).open("/playground")
	if before := axe(p); len(before) > 0 {
		t.Fatalf("the page itself is not clean: %v", before)
	}
	eval[bool](p, `(() => {
		const main = document.querySelector("main");
		const pale = document.createElement("p"); pale.textContent = "too pale to read"; pale.style.color = "#ccd"; pale.style.background = "#fff";
		const image = document.createElement("img"); image.src = "data:image/gif;base64,R0lGODlhAQABAAAAACw=";
		const wide = document.createElement("p"); wide.id = "wide"; wide.textContent = "wide"; wide.style.width = "1500px";
		const script = document.createElement("script"); script.textContent = "window.ran = true";
		main.append(pale, image, wide, script);
		fetch("http://127.0.0.2:9/").catch(() => {});
		console.error("planted");
		return true;
	})()`)
	violations := strings.Join(axe(p), "\n")
	for _, want := range []string{"color-contrast", "image-alt"} {
		if !strings.Contains(violations, want) {
			t.Errorf("axe does not find %s: %s", want, violations)
		}
	}
	if wide := strings.Join(overflowing(p), "\n"); !strings.Contains(wide, "#wide") {
		t.Errorf("the wide paragraph is not found: %q", wide)
	}
	if eval[bool](p, "window.ran === true") {
		t.Error("an inline script ran")
	}
	eventually(t, "what is wrong is heard", func() error {
		heard := strings.Join(p.troubles(), "\n")
		for _, want := range []string{"planted", "Content Security Policy", "127.0.0.2"} {
			if !strings.Contains(heard, want) {
				eval[bool](p, `(() => { const s = document.createElement("script"); s.textContent = "1"; document.body.append(s); fetch("http://127.0.0.2:9/").catch(() => {}); console.error("planted"); return true; })()`)
				return fmt.Errorf("%q is not in %q", want, heard)
			}
		}
		return nil
	})
}

// axeSource is the accessibility checker, as its makers publish it.
var axeSource = sync.OnceValues(func() (string, error) {
	text, err := os.ReadFile(filepath.Join("node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("%s: %w", npmCI, err)
	}
	return string(text), nil
})

// axe checks the page as it looks now.
func axe(p *consoleTab) []string {
	p.t.Helper()
	source, err := axeSource()
	p.must(err)
	if !eval[bool](p, "typeof axe === 'object'") {
		eval[float64](p, source+";0")
	}
	type violation struct {
		ID, Help string
		Nodes    []string
	}
	found := eval[[]violation](p, `axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then((result) =>
		result.violations.map((v) => ({ID: v.id, Help: v.help, Nodes: v.nodes.slice(0, 3).map((n) => n.target.join(" ") + " " + n.html.slice(0, 200) + " " + (n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? ""))})))`)
	var texts []string
	for _, v := range found {
		texts = append(texts, v.ID+": "+v.Help+"\n\t"+strings.Join(v.Nodes, "\n\t"))
	}
	return texts
}

// overflowing names what makes the page wider than the screen. What scrolls by
// itself may be as wide as it likes.
func overflowing(p *consoleTab) []string {
	p.t.Helper()
	return eval[[]string](p, `(() => {
		const screen = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= screen && document.body.scrollWidth <= screen) return [];
		const scrolls = (e) => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement) if (getComputedStyle(p).overflowX !== "visible") return true; return false; };
		const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > screen + 0.5 && !scrolls(e));
		return wide.slice(-3).map((e) => e.tagName + (e.id ? "#" + e.id : "") + "." + e.className + " to " + e.getBoundingClientRect().right).concat(wide.length ? [] : ["the page, to " + document.documentElement.scrollWidth]);
	})()`)
}

var (
	linkTo  = regexp.MustCompile(`<a\b[^>]*\shref="([^"]+)"`)
	getForm = regexp.MustCompile(`<form\b[^>]*method="get"[^>]*\saction="([^"]+)"`)
)

// crawl follows links from a page and returns at most so many pages of each
// route. It asks for a few more; every link that it follows must lead to an
// answer.
func (v *visitor) crawl(start string, most int) []found {
	v.t.Helper()
	counts := routes(v.t, v.base)
	routeOf := router(counts)
	var pages []found
	asked, looked, shapes := map[string]int{}, map[string]int{}, map[string]bool{}
	queue := []found{{path: start}}
	for len(queue) > 0 {
		one := queue[0]
		queue = queue[1:]
		one.route = routeOf(strings.SplitN(one.path, "?", 2)[0])
		if one.route == "" {
			if !strings.HasPrefix(one.path, "/admin/v1/") { // the API's description
				v.t.Errorf("%s links to %s, which is no page", one.from, one.path)
			}
			continue
		}
		if shape := shapeOf(one.path); shapes[shape] || asked[one.route] >= most+3 || one.route == "GET /live/stream" {
			continue
		} else {
			shapes[shape] = true
		}
		asked[one.route]++
		links, isHTML := v.follow(one)
		one.html = isHTML
		if looked[one.route] < most {
			looked[one.route]++
			pages = append(pages, one)
		}
		for _, link := range links {
			queue = append(queue, found{path: link, from: one.path})
		}
	}
	return pages
}

// shapeOf is what pages have in common that differ only in the values of their
// queries.
func shapeOf(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	query := u.Query()
	query.Del("env")
	return u.EscapedPath() + "?" + strings.Join(sorted(query), "&")
}

// follow asks for a page and returns the links in it.
func (v *visitor) follow(one found) (links []string, isHTML bool) {
	v.t.Helper()
	response, err := v.client.Get(v.base + one.path)
	if err != nil {
		v.t.Fatalf("%s: %v", one.path, err)
	}
	defer response.Body.Close()
	body, err := readAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	if to := response.Header.Get("Location"); response.StatusCode == http.StatusSeeOther && to != "" {
		return []string{to}, false
	}
	if response.StatusCode != http.StatusOK {
		v.t.Errorf("%s links to %s, which answers %s", one.from, one.path, response.Status)
		return nil, false
	}
	isHTML = strings.HasPrefix(response.Header.Get("Content-Type"), "text/html")
	if !isHTML {
		return nil, false
	}
	for _, match := range slices.Concat(linkTo.FindAllStringSubmatch(body, -1), getForm.FindAllStringSubmatch(body, -1)) {
		link := html.UnescapeString(match[1])
		to, err := response.Request.URL.Parse(link)
		if err != nil {
			v.t.Errorf("%s links to %q: %v", one.path, link, err)
			continue
		}
		if "http://"+to.Host == v.base {
			to.Fragment = ""
			links = append(links, to.RequestURI())
		}
	}
	return links, true
}

func readAll(r io.Reader) (string, error) {
	text, err := io.ReadAll(r)
	return string(text), err
}

// picture is the page as it looks now.
func (p *consoleTab) picture() []byte {
	p.t.Helper()
	shot, err := chromedp.Call(p.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	p.must(err)
	return shot.Data
}
