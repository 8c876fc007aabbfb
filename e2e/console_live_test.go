package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// An admin of the servers that tests start for themselves.
const (
	adminEmail    = "ada@example.com"
	adminPassword = "correct horse battery"
)

// admin makes the first account of a server, with the admin token, and signs
// it in.
func (s *server) admin() *visitor {
	s.t.Helper()
	v := stranger(s.t, s.URL)
	form := url.Values{"adminToken": {adminToken}}
	location := v.post("/setup/link", form)
	token, err := url.Parse(location)
	if err != nil {
		s.t.Fatal(err)
	}
	v.post("/setup", url.Values{"token": {token.Query().Get("token")}, "email": {adminEmail}, "password": {adminPassword}})
	return v
}

// post sends a form and returns where it leads.
func (v *visitor) post(path string, form url.Values) (location string) {
	v.t.Helper()
	response, err := v.client.PostForm(v.base+path, form)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		body, _ := readAll(response.Body) // for the message only
		v.t.Fatalf("POST %s: %s %.2000s", path, response.Status, body)
	}
	return response.Header.Get("Location")
}

// batch sends calls by the tracking route.
func (s *server) batch(calls ...string) error {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+"/v1/batch", strings.NewReader(`{"batch":[`+strings.Join(calls, ",")+`]}`))
	if err != nil {
		return err
	}
	request.SetBasicAuth(writeKey, "")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST /v1/batch: %s", response.Status)
	}
	return nil
}

// streams is how many live streams the server has open.
func (s *server) streams() (int, error) {
	response, err := http.Get(s.URL + "/metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := readAll(response.Body)
	if err != nil {
		return 0, err
	}
	match := regexp.MustCompile(`(?m)^causeway_tail_subscribers (\d+)`).FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("the server does not say how many streams are open")
	}
	var n int
	_, err = fmt.Sscan(match[1], &n)
	return n, err
}

// A browser has six connections to a host, for all its windows together. Eight
// windows with Live tail are all live, and a ninth page still loads.
func TestConsoleLiveTailInEightWindowsAtOnce(t *testing.T) {
	t.Parallel()
	s := startServer(t, shop)
	windows := []*consoleTab{s.admin().open("/live")}
	for range 7 {
		windows = append(windows, windows[0].another("/live"))
	}
	for _, w := range windows {
		w.state("live")
	}
	if err := s.batch(`{"type":"track","messageId":"one","userId":"u1","event":"One"}`); err != nil {
		t.Fatal(err)
	}
	for _, w := range windows {
		w.shows("track One → One of user u1")
		if skipped := eval[bool](w, `!document.querySelector("#skipped").hidden`); skipped {
			t.Error("a window says that it skipped something")
		}
	}
	begun := time.Now()
	ninth := windows[0].another("/events")
	ninth.shows("One")
	t.Logf("the ninth page was there after %v", time.Since(begun).Round(time.Millisecond))

	for _, w := range windows[1:] {
		eval[bool](w, `Object.defineProperty(document, "hidden", {get: () => true, configurable: true}) && document.dispatchEvent(new Event("visibilitychange"))`)
		w.state("not live")
	}
	s.eventually("windows that nobody sees give their streams back", func() error {
		n, err := s.streams()
		if err == nil && n != 1 {
			err = fmt.Errorf("%d streams are open", n)
		}
		return err
	})
	if err := s.batch(`{"type":"track","messageId":"two","userId":"u1","event":"Two"}`); err != nil {
		t.Fatal(err)
	}
	windows[0].shows("track Two → Two of user u1")
	for _, w := range windows[1:4] {
		eval[bool](w, `delete document.hidden && document.dispatchEvent(new Event("visibilitychange"))`)
		w.shows("track Two → Two of user u1") // what came meanwhile
	}
	for _, w := range append(windows, ninth) {
		w.quiet()
	}
}

// More comes than anybody can read: the page shows the newest, says how many it
// skipped, and answers as fast as before.
func TestConsoleLiveTailStaysResponsiveInAFlood(t *testing.T) {
	t.Parallel()
	s := startServer(t, shop)
	page := s.admin().open("/live")
	page.state("live")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent atomic.Int64
	flooded := make(chan error, 1)
	begun := time.Now()
	go func() {
		for n := 0; ctx.Err() == nil; n++ {
			var calls []string
			for i := range 2000 {
				calls = append(calls, fmt.Sprintf(`{"type":"track","messageId":"f-%d-%d","userId":"u%d","event":"Flood"}`, n, i, i%100))
			}
			if err := s.batch(calls...); err != nil {
				flooded <- err
				return
			}
			sent.Add(int64(len(calls)))
			if ahead := time.Duration(sent.Load())*time.Second/10_000 - time.Since(begun); ahead > 0 {
				time.Sleep(ahead) // 10,000 a second
			}
		}
		flooded <- nil
	}()
	page.shows("skipped: more came than can be read")
	var trips []time.Duration
	for range 60 {
		asked := time.Now()
		if rows := eval[int](page, `document.querySelector("#rows").rows.length`); rows > 200 {
			t.Fatalf("%d rows are on the page", rows)
		}
		trips = append(trips, time.Since(asked))
		time.Sleep(50 * time.Millisecond)
	}
	rate := float64(sent.Load()) / time.Since(begun).Seconds()
	// It can be worked with in the flood: pause holds it, and a row opens.
	page.click("#pause")
	page.state("paused")
	page.shows(" new ")
	page.click("#rows tr:nth-child(3)")
	page.shows("Outcome")
	stop()
	if err := <-flooded; err != nil && ctx.Err() == nil {
		t.Fatal(err)
	}
	slices.Sort(trips)
	t.Logf("%.0f calls a second; a round trip to the page: median %v, slowest %v", rate, trips[len(trips)/2], trips[len(trips)-1])
	if trips[len(trips)/2] > 250*time.Millisecond || trips[len(trips)-1] > 5*time.Second {
		t.Error("the page is too busy to answer")
	}
	page.quiet()
}

// The stream is cut off by a restart; the page goes on by itself.
func TestConsoleLiveTailOutlivesARestart(t *testing.T) {
	t.Parallel()
	s := startServer(t, shop)
	page := s.admin().open("/live?q=" + url.QueryEscape("-type:page"))
	page.state("live")
	s.kill()
	page.state("connecting")
	s.start()
	page.state("live")
	if err := s.batch(`{"type":"page","messageId":"p","userId":"u1","name":"Home"}`, `{"type":"track","messageId":"after","userId":"u1","event":"After"}`); err != nil {
		t.Fatal(err)
	}
	page.shows("track After → After of user u1")
	page.shows("The stream was interrupted. Reload the page")
	if strings.Contains(page.text(), "Home") {
		t.Error("the filter is forgotten")
	}
}

// state waits until Live tail says that its stream is in a state.
func (p *consoleTab) state(want string) {
	p.t.Helper()
	p.waitFor(`document.querySelector("#state-text").textContent === ` + strconv.Quote(want))
}
