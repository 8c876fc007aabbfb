package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/app"
	"causeway/internal/segment/segmenttest"
)

const token = "an-admin-token-for-tests"

// running is a whole Causeway with a fake Segment.
type running struct {
	*app.App
	t       *testing.T
	options app.Options
	fake    *segmenttest.Fake
	base    string
}

func configuration(endpoint string) string {
	return fmt.Sprintf(`projects:
  - name: shop
    trafficTypes: [user, anonymous, account]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: sdk-key}]}
    flags:
      - {name: checkout_button, trafficType: user}
    segment:
      sources:
        - {name: impressions, environments: [production], identities: {user: userId}, writeKey: write-key, endpoint: %q}
      destinations:
        - name: prod-events
          environment: production
          identities: {userId: [user], anonymousId: [anonymous]}
          track: {value: properties.revenue}
          apiKey: destination-key
          webhook: {secret: hook-secret}
`, endpoint)
}

func start(t *testing.T) *running {
	t.Helper()
	return startWith(t, func(*app.Options) {})
}

// startWith runs with other options than start's.
func startWith(t *testing.T, change func(*app.Options)) *running {
	t.Helper()
	fake := segmenttest.New(segmenttest.Options{})
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	folder := t.TempDir()
	config := filepath.Join(folder, "causeway.yaml")
	if err := os.WriteFile(config, []byte(configuration(server.URL)), 0o600); err != nil {
		t.Fatal(err)
	}
	// net/http counts a connection that has sent nothing yet as busy for 5 s:
	// draining must be given longer than that.
	r := &running{t: t, fake: fake, options: app.Options{
		Data: filepath.Join(folder, "data"), ConfigFile: config, Listen: "127.0.0.1:0", AdminToken: token,
		AllowPrivateEndpoints: true, Version: "test", DrainTimeout: 10 * time.Second, MinFreeDisk: 1 << 20,
	}}
	change(&r.options)
	r.run()
	t.Cleanup(func() {
		if err := r.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return r
}

func (r *running) run() {
	r.t.Helper()
	a, err := app.Start(r.t.Context(), r.options)
	if err != nil {
		r.t.Fatal(err)
	}
	r.App, r.base = a, "http://"+a.Address()
}

func (r *running) post(path, authorization, body string) int {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodPost, r.base+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

// get reads an admin route into a value and returns the status.
func (r *running) get(path string, into any) int {
	r.t.Helper()
	request, err := http.NewRequest(http.MethodGet, r.base+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if into != nil {
		if err := json.NewDecoder(bytes.NewReader(body)).Decode(into); err != nil {
			r.t.Fatalf("GET %s: %v: %s", path, err, body)
		}
	}
	return response.StatusCode
}

type list struct {
	Items []map[string]any `json:"items"`
}

// eventually waits for a condition that the pipeline brings about.
func (r *running) eventually(what string, holds func() bool) {
	r.t.Helper()
	for end := time.Now().Add(15 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s did not come about", what)
		}
	}
}

const environment = "/admin/v1/projects/shop/environments/production"

func TestACallComesInByWebhookAndAnImpressionGoesOut(t *testing.T) {
	r := start(t)
	if got := r.post("/segment/webhook/prod-events", "hook-secret", `{"type":"track","messageId":"m1","event":"Order Completed","userId":"u1",
		"properties":{"revenue":"39.95","split":[{"account":"acme"}]}}`); got != 200 {
		t.Fatalf("the webhook answers %d", got)
	}
	if got := r.post("/api/testImpressions/bulk", "Bearer sdk-key", `[{"f":"checkout_button","i":[{"k":"u1","t":"on","m":1767225600000,"c":7,"r":"default rule"}]}]`); got/100 != 2 {
		t.Fatalf("the SDK door answers %d", got)
	}
	var events list
	r.eventually("two events", func() bool {
		r.get(environment+"/events?messageId=m1", &events)
		return len(events.Items) == 2
	})
	if got := events.Items[0]["value"]; got != 39.95 {
		t.Errorf("value %v, want 39.95", got)
	}
	r.eventually("a call at Segment", func() bool { return len(r.fake.Calls()) == 1 })
	if problems := r.fake.Violations(); len(problems) > 0 {
		t.Errorf("Segment would object: %v", problems)
	}
}

func TestTestsGoThroughTheRealDoorsAndPastTheQueue(t *testing.T) {
	r := start(t)
	test := func(path string) (tried struct {
		OK        bool
		Status    int
		MessageID string
	}) {
		t.Helper()
		request, err := http.NewRequest(http.MethodPost, r.base+"/admin/v1/projects/shop/segment/"+path+"/test", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(&tried); err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: %d %v", path, response.StatusCode, err)
		}
		return tried
	}
	in := test("destinations/prod-events")
	if !in.OK || in.Status != 200 {
		t.Fatalf("the door answered %+v", in)
	}
	var events list
	r.eventually("the test's event", func() bool {
		r.get(environment+"/events?messageId="+in.MessageID, &events)
		return len(events.Items) > 0
	})
	if events.Items[0]["key"] != "causeway-test" {
		t.Errorf("stored %v", events.Items)
	}
	out := test("sources/impressions")
	if calls := r.fake.Calls(); !out.OK || len(calls) != 1 {
		t.Errorf("sent %+v, %d calls arrived", out, len(calls))
	}
	if problems := r.fake.Violations(); len(problems) > 0 {
		t.Errorf("Segment would object: %v", problems)
	}
}

func TestWhatWasAcceptedBeforeAStopIsThereAfterTheStart(t *testing.T) {
	r := start(t)
	const n = 50
	for i := range n {
		if got := r.post("/v1/track", "", fmt.Sprintf(`{"writeKey":"destination-key","messageId":"m%d","event":"A","userId":"u1"}`, i)); got != 200 {
			t.Fatalf("call %d: %d", i, got)
		}
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.run()
	var events list
	r.eventually("all events", func() bool {
		r.get(environment+"/events?limit=500", &events)
		return len(events.Items) == n
	})
}

func TestReloadTakesTheWholeFileOrKeepsTheOldConfiguration(t *testing.T) {
	r := start(t)
	good, err := os.ReadFile(r.options.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(r.options.ConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(strings.Replace(string(good), "trafficTypes", "trafficTpyes", 1))
	_, err = r.Reload(t.Context())
	var findings *app.FindingsError
	if !errors.As(err, &findings) || !strings.Contains(err.Error(), "trafficTypes") || !strings.Contains(err.Error(), ":3:") {
		t.Errorf("reload of a misspelt file gives %v, want line 3 and what was meant", err)
	}
	if got := r.post("/v1/track", "", `{"writeKey":"destination-key","event":"A","userId":"u1"}`); got != 200 {
		t.Errorf("with the old configuration the call is answered %d", got)
	}
	write(strings.Replace(string(good), "destination-key", "another-key", 1))
	if _, err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := r.post("/v1/track", "", `{"writeKey":"destination-key","event":"A","userId":"u1"}`); got != 401 {
		t.Errorf("the old key is answered %d, want 401", got)
	}
	if got := r.post("/v1/track", "", `{"writeKey":"another-key","event":"A","userId":"u1"}`); got != 200 {
		t.Errorf("the new key is answered %d, want 200", got)
	}
}

func TestReloadingUnderLoadDropsNoRequest(t *testing.T) {
	r := start(t)
	good, err := os.ReadFile(r.options.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if got := r.post("/v1/track", "", `{"writeKey":"destination-key","event":"A","userId":"u1"}`); got != 200 {
					t.Errorf("a request was answered %d while the configuration was reloaded", got)
					return
				}
			}
		})
	}
	for i := range 10 {
		changed := strings.Replace(string(good), "flags:\n", fmt.Sprintf("flags:\n      - {name: flag_%d, trafficType: user}\n", i), 1)
		if err := os.WriteFile(r.options.ConfigFile, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Reload(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	senders.Wait()
}

func TestHealthRoutesSayWhatIsWrong(t *testing.T) {
	r := start(t)
	var ready struct {
		Status string
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if got := r.get("/readyz", &ready); got != 200 || ready.Status != "ready" || len(ready.Checks) < 5 {
		t.Errorf("readyz %d %+v", got, ready)
	}
	for _, path := range []string{"/livez", "/version", "/metrics", "/"} {
		if got := r.get(path, nil); got != 200 {
			t.Errorf("%s answers %d", path, got)
		}
	}
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.options.MinFreeDisk = 1 << 60
	r.run()
	if got := r.get("/readyz", &ready); got != 503 {
		t.Errorf("with too little disk readyz answers %d", got)
	}
	if got := r.get("/livez", nil); got != 200 {
		t.Errorf("with too little disk livez answers %d", got)
	}
}

func TestTheAdminSideHasAnAddressOfItsOwnWhenAsked(t *testing.T) {
	r := start(t)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	r.options.AdminListen = "127.0.0.1:0"
	r.run()
	if got := r.get("/metrics", nil); got != 404 {
		t.Errorf("the data address answers /metrics with %d", got)
	}
	if got := r.get(environment+"/events", nil); got != 404 {
		t.Errorf("the data address answers the admin API with %d", got)
	}
	data := r.base
	r.base = "http://" + r.AdminAddress()
	if got := r.get(environment+"/events", nil); got != 200 {
		t.Errorf("the admin address answers the admin API with %d", got)
	}
	if got := r.post("/v1/track", "", `{"writeKey":"destination-key","event":"A","userId":"u1"}`); got != 404 {
		t.Errorf("the admin address answers a call with %d", got)
	}
	r.base = data
}

func TestASecondProcessOnTheSameFolderIsRefusedWithASentence(t *testing.T) {
	r := start(t)
	options := r.options
	_, err := app.Start(t.Context(), options)
	if err == nil {
		t.Fatal("two servers share one folder")
	}
	if !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("the error does not say what is taken: %v", err)
	}
}

func TestAfterTheStreamsFolderIsLostWhatComesIsStored(t *testing.T) {
	r := start(t)
	send := func(from, to int) {
		for i := from; i < to; i++ {
			if got := r.post("/v1/track", "", fmt.Sprintf(`{"writeKey":"destination-key","messageId":"m%d","event":"A","userId":"u1"}`, i)); got != 200 {
				t.Fatalf("call %d: %d", i, got)
			}
		}
	}
	stored := func(n int) func() bool {
		return func() bool {
			var events list
			r.get(environment+"/events?limit=500", &events)
			return len(events.Items) == n
		}
	}
	send(0, 20)
	r.eventually("20 events", stored(20))
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(r.options.Data, "streams")); err != nil {
		t.Fatal(err)
	}
	r.run()
	send(20, 50)
	r.eventually("50 events", stored(50))
}
