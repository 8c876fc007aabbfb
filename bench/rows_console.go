//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	pageTries   = 20                    // how often each page is asked for
	pageTarget  = 200.0                 // ms
	pagesTried  = 3                     // pages of one route that are measured; the slowest counts
	loadSlice   = 2 * time.Second       // the load is looked at this often
	consoleUser = "bench@example.com"   // made by the bench in its own server
	consolePass = "a password of bench" // likewise
)

// shopCalls is what fills the store of the row console: mostly small events of
// a few types, some traits, and some calls that nothing is made of. Each is sent
// its share of --events times.
var shopCalls = []struct {
	share float64
	item  string
}{
	{.55, `{"type":"track","messageId":"view-` + idMark + `","userId":"user-` + userMark + `","event":"Product Viewed","properties":{"sku":"sku-1","price":12.5}}`},
	{.25, `{"type":"page","messageId":"page-` + idMark + `","userId":"user-` + userMark + `","name":"Pricing","properties":{"path":"/pricing"}}`},
	{.20, call},
	{.02, `{"type":"identify","messageId":"who-` + idMark + `","userId":"user-` + userMark + `","traits":{"plan":"pro","logins":3}}`},
	{.02, `{"type":"track","messageId":"none-` + idMark + `","userId":"user-` + userMark + `","properties":{"sku":"sku-1"}}`},
}

// console fills the store through the tracking route and measures how long each
// page of the console takes until its last byte.
func (b *bench) console() (err error) {
	s, err := b.serve("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	begun := time.Now()
	calls, first := 0, uint64(0)
	for _, kind := range shopCalls {
		n, next, err := b.fill(s, segmentBatch(destinationKey).of(kind.item), int(kind.share*float64(b.stock)), first)
		if err != nil {
			return err
		}
		calls, first = calls+n, next
	}
	if _, _, err := b.fill(s, splitBulk(sdkKey), b.stock/20, first); err != nil {
		return err
	}
	if _, stored, repeated, err := s.drained(b.ctx, calls, 10*time.Minute); err != nil || stored+repeated < calls {
		return errors.Join(err, fmt.Errorf("%d of %d calls came to the store", stored+repeated, calls))
	}
	types, err := s.eventTypes(b.ctx)
	if err != nil {
		return err
	}
	events := 0
	for _, n := range types {
		events += n
	}
	b.figure("console", "events in the store", float64(events), "", nil, fmt.Sprintf("sent through the tracking route in %s", time.Since(begun).Round(time.Second)))

	v, err := s.signIn(b.ctx)
	if err != nil {
		return err
	}
	pages, err := v.pages(b.ctx)
	if err != nil {
		return err
	}
	for _, p := range pages {
		took := make([]time.Duration, 0, pageTries)
		size := 0
		before, err := cpuOf(s.pid())
		if err != nil {
			return err
		}
		for range pageTries {
			asked := time.Now()
			body, err := v.get(b.ctx, p.path)
			if err != nil {
				return err
			}
			took, size = append(took, time.Since(asked)), len(body)
		}
		after, err := cpuOf(s.pid())
		if err != nil {
			return err
		}
		slices.Sort(took)
		b.figure("console", p.path+", p95", milliseconds(took[pageTries*95/100]), "ms", atMost(pageTarget),
			fmt.Sprintf("median %s, server CPU %s, %d bytes, %s", amount(milliseconds(took[pageTries/2]), "ms"),
				amount(milliseconds(after-before)/pageTries, "ms"), size, p.route))
	}
	return nil
}

// of is the form with another item.
func (f form) of(item string) form {
	f.item = item
	return f
}

// fill sends so many items, and a few more, and returns how many were accepted
// and the next free number.
func (b *bench) fill(s *server, f form, items int, first uint64) (accepted int, next uint64, err error) {
	request := newTemplate(s.address.String(), f, 5*callsInBatch)
	for next = first; accepted < items; {
		out, err := load{address: s.address, request: request, connections: 8, duration: loadSlice, first: next}.run(b.ctx)
		if err != nil {
			return accepted, next, err
		}
		if out.accepted == 0 {
			return accepted, next, fmt.Errorf("nothing was accepted; answers by status: %v", out.statuses)
		}
		accepted, next = accepted+out.accepted*request.items, out.next
		// No further ahead of the store than a few seconds, so that a bench of
		// many events needs no disk for a backlog.
		if _, _, _, err := s.drained(b.ctx, accepted, time.Second); err != nil {
			return accepted, next, err
		}
	}
	return accepted, next, nil
}

// viewer is somebody who is signed in to the console.
type viewer struct {
	base   string
	client *http.Client
}

// signIn makes the server's first account.
func (s *server) signIn(ctx context.Context) (*viewer, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	v := &viewer{"http://" + s.address.String(), &http.Client{Jar: jar, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	location, err := v.post(ctx, "/setup/link", url.Values{"adminToken": {adminToken}})
	if err != nil {
		return nil, err
	}
	setup, err := url.Parse(location)
	if err != nil {
		return nil, err
	}
	_, err = v.post(ctx, "/setup", url.Values{"token": {setup.Query().Get("token")}, "email": {consoleUser}, "password": {consolePass}})
	return v, err
}

func (v *viewer) post(ctx context.Context, path string, form url.Values) (location string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		return "", fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return response.Header.Get("Location"), nil
}

// errNoPage means that a link leads to something that is no page.
var errNoPage = errors.New("no page")

func (v *viewer) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, v.base+path, nil)
	if err != nil {
		return "", err
	}
	response, err := v.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		return "", fmt.Errorf("GET %s: %s, %w", path, response.Status, errNoPage)
	}
	return string(body), nil
}

// consolePage is a page and the route that answers it.
type consolePage struct{ path, route string }

var (
	measuredRoute = regexp.MustCompile(`causeway_console_request_duration_seconds_count\{route="(GET [^"]+)"\}`)
	link          = regexp.MustCompile(`<a\b[^>]*\shref="(/[^"]*)"`)
)

// pages follows links and returns a few pages of each route that links lead to.
func (v *viewer) pages(ctx context.Context) ([]consolePage, error) {
	response, err := v.client.Get(v.base + "/metrics")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	metrics, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	routes := http.NewServeMux()
	for _, match := range measuredRoute.FindAllStringSubmatch(string(metrics), -1) {
		routes.HandleFunc(match[1], func(http.ResponseWriter, *http.Request) {})
	}
	var pages []consolePage
	tried, seen := map[string]int{}, map[string]bool{}
	for queue := []string{"/", "/?span=7+d", "/?span=30+d"}; len(queue) > 0; queue = queue[1:] {
		path := queue[0]
		request, err := http.NewRequest(http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		_, route := routes.Handler(request)
		if route == "" || seen[path] || tried[route] >= pagesTried || strings.HasPrefix(path, "/docs/") {
			continue // a guide is the same with an empty store
		}
		seen[path] = true
		body, err := v.get(ctx, path)
		if errors.Is(err, errNoPage) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tried[route]++
		pages = append(pages, consolePage{path, route})
		for _, match := range link.FindAllStringSubmatch(body, -1) {
			to, _, _ := strings.Cut(html.UnescapeString(match[1]), "#")
			queue = append(queue, to)
		}
	}
	return pages, nil
}
