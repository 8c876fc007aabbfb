package demo

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"causeway/internal/catalog"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func TestTheSameSeedInventsTheSameShop(t *testing.T) {
	if !reflect.DeepEqual(New(7, now).customers, New(7, now).customers) {
		t.Error("one seed invents two shops")
	}
	if reflect.DeepEqual(New(7, now).customers, New(8, now).customers) {
		t.Error("two seeds invent one shop")
	}
}

// TestTheShopIsWhatItsPageSays checks the invented truth against docs/demo.md
// within four standard errors.
func TestTheShopIsWhatItsPageSays(t *testing.T) {
	people, ordered := map[string]float64{}, map[string]float64{}
	banners, reported := map[string]float64{}, map[string]float64{}
	for _, c := range New(1, now).customers {
		people[c.button]++
		if len(c.orders) > 0 {
			ordered[c.button]++
		}
		banners[c.banner]++
		if c.bannerReported {
			reported[c.banner]++
		}
		if c.seen.After(now) || c.seen.Before(now.Add(-Days*24*time.Hour)) {
			t.Fatalf("%s was first seen at %s", c.id, c.seen)
		}
	}
	for treatment, rate := range map[string]float64{"on": orderRateOn, "off": orderRateOff} {
		n := people[treatment]
		if got, tolerance := ordered[treatment]/n, 4*math.Sqrt(rate*(1-rate)/n); math.Abs(got-rate) > tolerance {
			t.Errorf("%.3f of those who saw %s ordered, want %.2f ± %.3f", got, treatment, rate, tolerance)
		}
	}
	if reported["small"] != banners["small"] {
		t.Error("reports of the small banner were lost")
	}
	if lost := 1 - reported["large"]/banners["large"]; math.Abs(lost-lostBannerShare) > 0.05 {
		t.Errorf("%.3f of the large banner's reports were lost, want %.2f", lost, lostBannerShare)
	}
	page, err := os.ReadFile("../../docs/demo.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, figure := range []string{"3,000", "20 %", "25 %", "one in five", "$40"} {
		if !strings.Contains(string(page), figure) {
			t.Errorf("docs/demo.md does not say %q", figure)
		}
	}
}

func TestTheConfigurationHasNoFindings(t *testing.T) {
	_, findings := catalog.Decode("demo.yaml", []byte(Configuration("http://127.0.0.1:1", now)), func(string) (string, bool) { return "", false })
	for _, finding := range findings {
		t.Error(finding)
	}
}

// theFlags is what a server answers a Split SDK.
const theFlags = `{"since":-1,"till":19,"splits":[{"name":"checkout_button","changeNumber":17},{"name":"hero_banner","changeNumber":19}]}`

func TestTheHistoryIsSentWholeAndWithinTheLimits(t *testing.T) {
	calls, impressions := 0, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		switch r.URL.Path {
		case "/v1/batch":
			var batch struct{ Batch []json.RawMessage }
			if err := json.Unmarshal(body, &batch); err != nil || len(body) > 500<<10 || len(batch.Batch) > 2500 {
				t.Errorf("a batch of %d bytes and %d calls, %v", len(body), len(batch.Batch), err)
			}
			calls += len(batch.Batch)
		case "/api/testImpressions/bulk":
			var b bulk
			if err := json.Unmarshal(body, &b); err != nil {
				t.Error(err)
			}
			for _, f := range b {
				impressions += len(f.Impressions)
				for _, i := range f.Impressions {
					if want := map[string]int64{"checkout_button": 17, "hero_banner": 19}[f.Flag]; i.ChangeNumber != want {
						t.Fatalf("an impression of %s has the version %d", f.Flag, i.ChangeNumber)
					}
				}
			}
		case "/api/splitChanges":
			_, _ = io.WriteString(w, theFlags)
		default:
			t.Errorf("sent to %s", r.URL.Path)
		}
	}))
	defer server.Close()
	last := 0
	err := New(1, now).SendHistory(t.Context(), &Sender{Address: server.URL, Client: server.Client()}, now, func(done, _ int) { last = done })
	if err != nil || last != Customers {
		t.Fatalf("sent %d people, %v", last, err)
	}
	if calls < 3*Customers || impressions < Customers {
		t.Errorf("%d calls and %d impressions of %d people", calls, impressions, Customers)
	}
}

func TestLiveTrafficUsesEveryRouteAndStopsWhenRefused(t *testing.T) {
	paths := map[string]int{}
	refuse := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if paths[r.URL.Path]++; r.URL.Path == "/api/splitChanges" {
			_, _ = io.WriteString(w, theFlags)
			return
		}
		if refuse {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	world, sender := New(1, now), &Sender{Address: server.URL, Client: server.Client()}
	for range 300 {
		if err := world.Step(t.Context(), sender, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/v1/page", "/v1/track", "/v1/identify", "/v1/group", "/v1/batch", "/segment/webhook/prod-events", "/api/testImpressions/bulk"} {
		if paths[path] == 0 {
			t.Errorf("nothing was sent to %s", path)
		}
	}
	refuse = true
	if err := world.Live(t.Context(), sender, time.Millisecond); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("refused traffic ends with %v, want the status", err)
	}
}
