package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Who the demo lets in.
const (
	demoEmail    = "demo@example.com"
	demoPassword = "causeway demo"
)

// theDemo is one `causeway demo` for every test that changes nothing: a shop
// with a month of history, live traffic, and deliveries that fail.
var theDemo struct {
	once    sync.Once
	url     string
	log     lockedBuffer
	process *exec.Cmd
	err     error
}

// lockedBuffer is a text that is read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// demo is the address of the demo, whose history is in the store.
func demo(t *testing.T) string {
	t.Helper()
	theDemo.once.Do(func() {
		address := freeAddress(t)
		theDemo.url = "http://" + address
		theDemo.process = exec.Command(binary, "demo", "--listen", address)
		theDemo.process.Stdout, theDemo.process.Stderr = &theDemo.log, &theDemo.log
		if theDemo.err = theDemo.process.Start(); theDemo.err != nil {
			return
		}
		theDemo.err = errors.New("its history is not complete in time")
		for end := time.Now().Add(2 * patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if strings.Contains(theDemo.log.String(), "history  3000 of 3000") && strings.Contains(theDemo.log.String(), "delivered") {
				theDemo.err = nil
				return
			}
		}
	})
	if theDemo.err != nil {
		t.Fatalf("the demo: %v\n%s", theDemo.err, tail(theDemo.log.String(), 4000))
	}
	return theDemo.url
}

// closeDemo ends the demo, if there is one; it removes its folder itself.
func closeDemo() {
	if theDemo.process == nil || theDemo.process.Process == nil {
		return
	}
	_ = theDemo.process.Process.Signal(os.Interrupt) // it may be gone already
	_ = theDemo.process.Wait()
}

// visitor is a person at the console without a browser: it keeps cookies and
// follows no redirects.
type visitor struct {
	t      *testing.T
	base   string
	client *http.Client
}

// signIn signs a person in with a password.
func signIn(t *testing.T, base, email, password string) *visitor {
	t.Helper()
	v := stranger(t, base)
	response, err := v.client.PostForm(base+"/signin", url.Values{"email": {email}, "password": {password}, "next": {"/"}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("signing in as %s: %s", email, response.Status)
	}
	return v
}

// stranger is somebody who is not signed in.
func stranger(t *testing.T, base string) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t, base, &http.Client{Jar: jar, Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// consoleTab is a page of the console in the browser, and what went wrong in it.
type consoleTab struct {
	*tab
	base string

	mu      sync.Mutex
	trouble []string // console errors, blocked content, other hosts
	asked   int      // requests so far
}

// open opens a page in a profile of its own, as the visitor. Before the page is
// asked for, prepare may change the tab.
func (v *visitor) open(path string, prepare ...chromedp.Action[chromedp.Void]) *consoleTab {
	v.t.Helper()
	p := newConsoleTab(v.t, startBrowser(v.t), v.base, chromedp.WithNewBrowserContext())
	for _, cookie := range v.cookies() {
		httpOnly := true
		p.must1(chromedp.Call(p.ctx, network.SetCookie, network.SetCookieParams{Name: cookie.Name, Value: cookie.Value, URL: v.base, HTTPOnly: &httpOnly, SameSite: network.CookieSameSiteLax}))
	}
	p.must(chromedp.Do(p.ctx, prepare...))
	p.visit(path)
	return p
}

// another opens a page in another tab of the same window.
func (p *consoleTab) another(path string) *consoleTab {
	p.t.Helper()
	other := newConsoleTab(p.t, p.ctx, p.base)
	other.visit(path)
	return other
}

// newConsoleTab is an empty tab that is listened to. It is closed when the test
// ends.
func newConsoleTab(t *testing.T, parent context.Context, base string, options ...chromedp.ContextOption) *consoleTab {
	t.Helper()
	p := &consoleTab{base: base}
	ctx, cancel := chromedp.NewContext(parent, append(options, chromedp.WithListener(p.hear))...)
	t.Cleanup(cancel)
	p.tab = &tab{t: t, ctx: ctx}
	p.must(chromedp.Do(ctx))
	p.must1(chromedp.Call(ctx, network.Enable, network.EnableParams{}))
	p.must1(chromedp.Call(ctx, log.Enable, cdp.Empty{}))
	p.look(light, 1280)
	return p
}

func (v *visitor) cookies() []*http.Cookie {
	u, err := url.Parse(v.base)
	if err != nil {
		v.t.Fatal(err)
	}
	return v.client.Jar.Cookies(u)
}

// hear notes what a page must not do. Navigating away from a stream is no
// trouble, and a page with an error status is one that the test asked for.
func (p *consoleTab) hear(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	note := func(format string, args ...any) { p.trouble = append(p.trouble, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var words []string
			for _, arg := range e.Args {
				words = append(words, string(arg.Value)+arg.Description)
			}
			note("console %s: %s", e.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		note("exception: %s", text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning || e.Entry.Source == log.EntrySourceSecurity {
			note("%s %s: %s (%s)", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		p.asked++
		if u := e.Request.URL; !strings.HasPrefix(u, p.base+"/") && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "blob:") && u != "about:blank" {
			note("it asks another host: %s", u)
		}
	}
}

// troubles are what was heard since the last time.
func (p *consoleTab) troubles() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	heard := p.trouble
	p.trouble = nil
	return heard
}

// quiet fails the test when the page did what it must not. Browsers call an
// answer with an error status trouble; expected are those that the test wants.
func (p *consoleTab) quiet(expected ...int) {
	p.t.Helper()
	for _, what := range p.troubles() {
		wanted := func(status int) bool {
			return strings.Contains(what, fmt.Sprintf("the server responded with a status of %d", status))
		}
		if !slices.ContainsFunc(expected, wanted) {
			p.t.Error(what)
		}
	}
}

func (p *consoleTab) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p *consoleTab) must1(_ any, err error) {
	p.t.Helper()
	p.must(err)
}

// visit goes to a path of the console.
func (p *consoleTab) visit(path string) {
	p.t.Helper()
	p.goTo(p.base + path)
}

// Themes, as the system has them.
const (
	light = "light"
	dark  = "dark"
)

// look sets theme and width of the page.
func (p *consoleTab) look(theme string, width int64) {
	p.t.Helper()
	p.must1(chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}))
	p.resize(width)
}

func (p *consoleTab) resize(width int64) {
	p.t.Helper()
	p.must1(chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1}))
}

// eval is the value of an expression in the page, awaited when it is a promise.
func eval[T any](p *consoleTab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// text is what a person reads of the page.
func (p *consoleTab) text() string {
	p.t.Helper()
	return eval[string](p, "document.body.innerText")
}

// path is where the page is, without the host.
func (p *consoleTab) path() string {
	p.t.Helper()
	return eval[string](p, "location.pathname + location.search")
}

// shows waits until the page shows each text.
func (p *consoleTab) shows(texts ...string) {
	p.t.Helper()
	for _, want := range texts {
		var text string
		eventually(p.t, fmt.Sprintf("the page shows %q", want), func() error {
			var err error
			if text, err = chromedp.Run(p.ctx, chromedp.Evaluate[string]("document.body.innerText")); err != nil {
				return err
			}
			if !strings.Contains(strings.Join(strings.Fields(text), " "), want) {
				return fmt.Errorf("it shows: %.2000s", text)
			}
			return nil
		})
	}
}

// press types keys into whatever has the focus.
func (p *consoleTab) press(keys string, options ...chromedp.KeyOption) {
	p.t.Helper()
	p.must(chromedp.Do(p.ctx, chromedp.KeyEvent(keys, options...)))
}

// click clicks what a person would click, where it stands on the screen, and
// waits for the page that this loads.
func (p *consoleTab) click(selector string) {
	p.t.Helper()
	p.must(chromedp.Do(p.ctx, chromedp.ScrollIntoView(selector), chromedp.Click(selector)))
}

// routes are the console's, as the server's own measurements list them, and
// how often each was asked for.
func routes(t *testing.T, base string) map[string]int {
	t.Helper()
	response, err := http.Get(base + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := readAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, match := range regexp.MustCompile(`causeway_console_request_duration_seconds_count\{route="([^"]+)"\} (\d+)`).FindAllStringSubmatch(text, -1) {
		var n int
		if _, err := fmt.Sscan(match[2], &n); err != nil {
			t.Fatal(err)
		}
		counts[match[1]] = n
	}
	if len(counts) < 20 {
		t.Fatalf("the server measures %d routes of the console; there are more", len(counts))
	}
	return counts
}

// router finds the route of a path as the server does.
func router(counts map[string]int) func(path string) string {
	mux := http.NewServeMux()
	for pattern := range counts {
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	return func(path string) string {
		request, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return ""
		}
		_, pattern := mux.Handler(request)
		return pattern
	}
}

// sorted are the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
