package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"
)

// chromium is the browser of all tests; each test has a tab of its own in a
// profile of its own.
var chromium struct {
	once   sync.Once
	ctx    context.Context
	cancel context.CancelFunc
	folder string
	err    error
}

// chromiumPath is where Debian puts it.
const chromiumPath = "/usr/bin/chromium"

// startBrowser starts the browser once.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	chromium.once.Do(func() {
		if _, err := os.Stat(chromiumPath); err != nil {
			chromium.err = fmt.Errorf("%s is missing: on Debian, apt-get install --no-install-recommends chromium", chromiumPath)
			return
		}
		if chromium.folder, chromium.err = os.MkdirTemp("", "causeway-e2e-chromium-"); chromium.err != nil {
			return
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(chromiumPath), chromedp.UserDataDir(chromium.folder), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
		allocator, cancelAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, cancel := chromedp.NewContext(allocator)
		chromium.ctx, chromium.cancel = ctx, func() { cancel(); cancelAllocator() }
		chromium.err = chromedp.Do(ctx)
	})
	if chromium.err != nil {
		t.Fatal(chromium.err)
	}
	return chromium.ctx
}

// closeBrowser ends the browser, if there is one.
func closeBrowser() {
	if chromium.cancel != nil {
		chromium.cancel()
	}
	_ = os.RemoveAll(chromium.folder) // a temporary folder, or none
}

// tab is a page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// openTab opens the page in a fresh profile. It is closed when the test ends.
func openTab(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(startBrowser(t), chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatalf("opening %s: %v", url, err)
	}
	return &tab{t: t, ctx: ctx}
}

// goTo leaves the page for another.
func (b *tab) goTo(url string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.Navigate(url)); err != nil {
		b.t.Fatalf("going to %s: %v", url, err)
	}
}

// shut closes the tab as its owner would: the page hears that it is hidden.
func (b *tab) shut() {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, page.Close, cdp.Empty{}); err != nil {
		b.t.Fatalf("closing the page: %v", err)
	}
}

// waitFor waits until the expression is true in the page.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	eventually(b.t, expression, func() error {
		is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression))
		if err == nil && !is {
			err = errors.New("it is false")
		}
		return err
	})
}

// callPage calls a function of the page with an argument as JSON and waits for
// what it promises.
func callPage[T any](b *tab, function string, argument any) (T, error) {
	var none T
	text, err := json.Marshal(argument)
	if err != nil {
		return none, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 2*patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, chromedp.Evaluate[T](function+"("+string(text)+")", chromedp.EvalAwaitPromise))
	if err != nil {
		return none, fmt.Errorf("%s in the page: %w", function, err)
	}
	return answer, nil
}

// servePages serves clients/ and the browser builds of the libraries, from an
// origin that is not Causeway's.
func servePages(t *testing.T) string {
	t.Helper()
	next := repository(t, npmCI, "node_modules", "@segment", "analytics-next", "dist", "umd")
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("clients")))
	mux.Handle("/analytics-next/", http.StripPrefix("/analytics-next/", http.FileServer(http.Dir(next))))
	mux.HandleFunc("/splitio-browserjs.js", func(w http.ResponseWriter, r *http.Request) {
		text, err := splitBundle()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(text) // the browser may have left
	})
	pages := httptest.NewServer(mux)
	t.Cleanup(pages.Close)
	return pages.URL
}

// splitBundle is the Split SDK for browsers in one file: its package has only
// modules, which are meant to be bundled.
var splitBundle = sync.OnceValues(func() ([]byte, error) {
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join("node_modules", "@splitsoftware", "splitio-browserjs", "esm", "index.js")},
		Bundle:      true, Platform: api.PlatformBrowser, Format: api.FormatIIFE, GlobalName: "splitio",
	})
	if len(built.Errors) > 0 {
		return nil, fmt.Errorf("bundling the Split SDK (%s): %s", npmCI, built.Errors[0].Text)
	}
	return built.OutputFiles[0].Contents, nil
})
