package e2e

import (
	"errors"
	"testing"
)

// batching is analytics-next's delivery strategy for batches, with a short wait.
var batching = map[string]any{"strategy": "batching", "config": map[string]any{"size": 100, "timeout": 200}}

// browserAdds are what analytics-next writes into pages: where the page is.
var browserAdds = map[string]map[string]any{
	"view_Home_Page_page": {"name": "Home Page", "title": "Shop", "path": "/segment.html", "url": present, "referrer": "", "search": ""},
}

// openShop opens a page that has loaded analytics-next with the settings
// document of the host.
func openShop(t *testing.T, host string, deliveryStrategy any) (*tab, error) {
	t.Helper()
	page := openTab(t, servePages(t)+"/segment.html")
	version, err := callPage[string](page, "load", map[string]any{"host": host, "writeKey": writeKey, "deliveryStrategy": deliveryStrategy})
	if err == nil && version == "" {
		err = errors.New("analytics-next did not load")
	}
	return page, err
}

// segmentBrowser sends with analytics-next; the page stays open until the test
// ends, so the library goes on with what it has still to deliver.
func segmentBrowser(deliveryStrategy any) func(*testing.T, string, []sample) ([]string, error) {
	return func(t *testing.T, host string, calls []sample) ([]string, error) {
		page, err := openShop(t, host, deliveryStrategy)
		if err != nil {
			return nil, err
		}
		return callPage[[]string](page, "send", calls)
	}
}

// A page that is left sends what it still holds with keepalive. The request
// asks for permission first (it carries an Authorization header), from a page
// that is gone.
func TestCallsOfAPageThatIsLeftArrive(t *testing.T) {
	for name, strategy := range map[string]any{
		"batching": map[string]any{"strategy": "batching", "config": map[string]any{"size": 100, "timeout": 3_600_000}},
		"standard": map[string]any{"config": map[string]any{"keepalive": true}},
	} {
		for way, leave := range map[string]func(*tab){
			"for another page": func(page *tab) { page.goTo("about:blank") },
			"by closing":       func(page *tab) { page.shut() },
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				s := startServer(t, shop)
				p := startProxy(t, s)
				page, err := openShop(t, p.URL, strategy)
				if err != nil {
					t.Fatal(err)
				}
				calls := purchases("left", 5)
				if _, err := callPage[bool](page, "sendWithoutWaiting", calls); err != nil {
					t.Fatal(err)
				}
				leave(page)
				var want []string
				for _, c := range calls {
					want = append(want, c.MessageID)
				}
				s.waitForCalls(want)
				checkStoredOnce(t, s, p, want)
			})
		}
	}
}

// The settings document decides where the library sends to: the page names
// only the host it loads its settings from.
func TestAnUnknownWriteKeyKeepsThePageFromStarting(t *testing.T) {
	t.Parallel()
	s := startServer(t, shop)
	page := openTab(t, servePages(t)+"/segment.html")
	if version, err := callPage[string](page, "load", map[string]any{"host": s.URL, "writeKey": "somebody-else"}); err == nil {
		t.Errorf("analytics-next %s started with a key that nobody gave out", version)
	}
}
