package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/catalog"
	"causeway/internal/tail"
)

// requests limits requests only.
func requests(perSecond int) catalog.Limits {
	return catalog.Limits{RequestLimits: catalog.RequestLimits{RequestsPerSecond: perSecond}}
}

// retryAfter is how long the answer says to wait.
func retryAfter(t *testing.T, w *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if err != nil || seconds < 1 {
		t.Errorf("Retry-After is %q", w.Header().Get("Retry-After"))
	}
	return time.Duration(seconds) * time.Second
}

func TestADestinationSendsAsManyRequestsAsItsLimitAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept memory
		registry := prometheus.NewRegistry()
		s := newServer(t, Options{Append: kept.append, Metrics: registry, Limits: requests(5)})
		for _, path := range []string{"/v1/track", "/v1/batch", "/segment/destination", "/segment/webhook/prod-events", "/v1/track"} {
			if w := post(s, path, doors[path]); w.Code != http.StatusOK {
				t.Fatalf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		for path, want := range map[string]string{
			"/v1/track":            `{"success":false,"message":"the limit of this key is used up","code":"too_many_requests"}`,
			"/segment/destination": `{"message":"the limit of this key is used up"}`,
		} {
			r := request(path, strings.NewReader(doors[path]))
			r.Header.Set("Origin", "https://shop.example")
			w := httptest.NewRecorder()
			s.Routes().ServeHTTP(w, r)
			if w.Code != http.StatusTooManyRequests || w.Body.String() != want {
				t.Errorf("%s over the limit: %d %s", path, w.Code, w.Body)
			}
			if h := w.Header(); h.Get("Access-Control-Allow-Origin") != "https://shop.example" || h.Get("X-RateLimit-Reset") != "" {
				t.Errorf("%s: headers %v", path, h)
			}
			if got := retryAfter(t, w); got != time.Second {
				t.Errorf("%s: Retry-After %s", path, got)
			}
		}
		if len(kept.records) != 5 {
			t.Errorf("%d records were appended, want the 5 that were answered 200", len(kept.records))
		}
		if got := fmt.Sprint(gather(t, registry)); !strings.Contains(got, `value:"rate_limited"`) {
			t.Error("the refusals were not counted as rate_limited")
		}
		other := httptest.NewRequest(http.MethodPost, "/v1/track", strings.NewReader(`{}`))
		other.SetBasicAuth("write-key-3", "")
		w := httptest.NewRecorder()
		if s.Routes().ServeHTTP(w, other); w.Code != http.StatusOK {
			t.Errorf("another destination pays for it: %d", w.Code)
		}
		time.Sleep(200 * time.Millisecond)
		if w := post(s, "/v1/track", `{}`); w.Code != http.StatusOK {
			t.Errorf("after the wait: %d", w.Code)
		}
	})
}

func gather(t *testing.T, registry *prometheus.Registry) any {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(fmt.Sprint(families), " ", "")
}

// TestTheWaitThatIsToldIsEnough: whoever does as Retry-After says gets in, and
// over time no more than the limit comes in, however large the batches are.
func TestTheWaitThatIsToldIsEnough(t *testing.T) {
	batch := `{"writeKey":"write-key-1","batch":[` + strings.TrimSuffix(strings.Repeat(`{"event":"x"},`, 500), ",") + `]}`
	for _, c := range []struct {
		name   string
		limits catalog.Limits
		least  time.Duration // that 20 batches take
	}{
		{"calls", catalog.Limits{CallsPerSecond: 100}, 19 * 500 / 100 * time.Second},
		{"bytes", catalog.Limits{RequestLimits: catalog.RequestLimits{BytesPerMinute: 10_000}}, 19 * time.Duration(len(batch)) * time.Minute / 10_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, Options{Limits: c.limits})
				start, waits := time.Now(), 0
				for range 20 {
					w := httptest.NewRecorder()
					s.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(batch)))
					if w.Code == http.StatusTooManyRequests {
						waits++
						time.Sleep(retryAfter(t, w))
						w = httptest.NewRecorder()
						s.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/batch", strings.NewReader(batch)))
					}
					if w.Code != http.StatusOK {
						t.Fatalf("%d %s", w.Code, w.Body)
					}
				}
				// The first second or minute comes from the full quota.
				if took := time.Since(start); took < c.least-time.Minute || took > c.least+time.Minute || waits < 15 {
					t.Errorf("20 batches took %s with %d waits, want about %s", took, waits, c.least)
				}
			})
		})
	}
}

func TestAKeyInTheHeaderIsLimitedBeforeTheBodyIsRead(t *testing.T) {
	s := newServer(t, Options{Limits: requests(1)})
	post(s, "/v1/track", `{}`)
	w := httptest.NewRecorder()
	s.Routes().ServeHTTP(w, request("/v1/batch", brokenReader{}))
	if w.Code != http.StatusTooManyRequests {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestTheServersLimitsAreNotThoseOfSDKsAndListeners: they lose what is
// answered 429.
func TestTheServersLimitsAreNotThoseOfSDKsAndListeners(t *testing.T) {
	s := newServer(t, Options{Limits: catalog.Limits{RequestLimits: catalog.RequestLimits{RequestsPerSecond: 1, BytesPerMinute: 1}, CallsPerSecond: 1}})
	for range 20 {
		for path, body := range doors {
			if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/segment/") {
				continue
			}
			if w := post(s, path, body); w.Code/100 != 2 {
				t.Fatalf("%s: %d", path, w.Code)
			}
		}
	}
	if len(s.quotas.of) > 0 {
		t.Errorf("%d quotas for keys without limits", len(s.quotas.of))
	}
}

func TestAnSDKKeyAndAListenerHaveTheLimitsOfTheConfiguration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept memory
		s := newServer(t, Options{Append: kept.append})
		codes := map[string][]int{}
		for range 3 {
			for _, c := range []struct{ name, path, authorization, body string }{
				{"SDK", "/api/testImpressions/bulk", "Bearer sdk-key-3", `[]`},
				{"another SDK", "/api/testImpressions/bulk", "Bearer sdk-key-2", `[]`},
				{"listener", "/hooks/limited", "listen-secret-3", "[" + strings.Repeat(" ", 60) + "]"},
			} {
				r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(c.body))
				r.Header.Set("Authorization", c.authorization)
				w := httptest.NewRecorder()
				s.Routes().ServeHTTP(w, r)
				codes[c.name] = append(codes[c.name], w.Code)
			}
		}
		want := map[string][]int{"SDK": {200, 200, 429}, "another SDK": {200, 200, 200}, "listener": {200, 200, 429}}
		if diff := cmp.Diff(want, codes); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if len(kept.records) != 7 {
			t.Errorf("%d records, want 7", len(kept.records))
		}
	})
}

func TestQuotasAreForgottenWhenTheirKeysAre(t *testing.T) {
	var q quotas
	now := time.Now()
	limits := requests(2)
	for i := range 1000 {
		q.get(uint64(i), fmt.Sprint("destination/", i), limits, now.Add(time.Duration(i)*time.Second)).admit(now)
	}
	if len(q.of) > 2 {
		t.Errorf("%d quotas are kept", len(q.of))
	}
	spent := q.get(1000, "busy", limits, now)
	spent.spend(now, 0, 0)
	spent.admit(now)
	spent.admit(now)
	if q.get(1001, "busy", limits, now).admit(now) == 0 {
		t.Error("a change of the configuration filled a used quota")
	}
	if q.get(1001, "busy", requests(3), now).admit(now) != 0 {
		t.Error("new limits do not apply")
	}
}

func TestWrongKeysAreLimitedByAddressAndCostNobodyElse(t *testing.T) {
	const atOnce = 100 // of peer.NewStrangers
	var log bytes.Buffer
	hub := new(tail.Hub)
	s := newServer(t, Options{Tail: hub, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	send := func(path, body, authorization, address string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", authorization)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		s.Routes().ServeHTTP(w, r)
		return w
	}
	answers := map[int]int{}
	var last *httptest.ResponseRecorder
	for i := range 1000 {
		for path, body := range doors {
			if strings.HasSuffix(path, "beacon") {
				continue
			}
			last = send(path, body, fmt.Sprintf("Bearer wrong-%d", i), "192.0.2.1:"+strconv.Itoa(1000+i))
			answers[last.Code]++
		}
	}
	if len(answers) != 2 || answers[http.StatusUnauthorized] < atOnce || answers[http.StatusUnauthorized] > 3*atOnce {
		t.Errorf("answers %v, want about %d times 401, then 429", answers, atOnce)
	}
	retryAfter(t, last)
	if w := send("/v1/track", `{"writeKey":"write-key-1"}`, "", "192.0.2.1:9"); w.Code != http.StatusOK {
		t.Errorf("a good key from that address is answered %d", w.Code)
	}
	if w := send("/v1/track", `{"writeKey":"nobody"}`, "", "192.0.2.2:9"); w.Code != http.StatusUnauthorized {
		t.Errorf("a wrong key from another address is answered %d", w.Code)
	}
	if log.Len() > 0 {
		t.Errorf("wrong keys were logged: %.300s", &log)
	}
	if len(s.quotas.of) > 0 {
		t.Error("a wrong key has a quota")
	}
}
