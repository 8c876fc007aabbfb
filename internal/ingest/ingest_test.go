package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/reason"
	"causeway/internal/stream"
	"causeway/internal/tail"
)

// request is a POST with the credential that its path wants.
func request(path string, body io.Reader) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, body)
	authorize(r, path)
	return r
}

// authorize adds the credential that a path wants.
func authorize(r *http.Request, path string) {
	switch {
	case strings.HasPrefix(path, "/v1/"):
		r.SetBasicAuth("write-key-1", "")
	case strings.HasPrefix(path, "/segment/webhook"):
		r.Header.Set("Authorization", "hook-secret-1")
	case strings.HasPrefix(path, "/segment/"):
		r.Header.Set("Authorization", "Bearer write-key-1")
	case strings.HasPrefix(path, "/hooks/fme-webhook"):
		r.Header.Set("Authorization", "listen-secret-1")
	case strings.HasPrefix(path, "/hooks/"):
		r.Header.Set("Authorization", "listen-secret-2")
	default:
		r.Header.Set("Authorization", "Bearer sdk-key-1")
	}
}

// doors are one path of each kind with a body that it takes.
var doors = map[string]string{
	"/v1/track":                    `{"event":"x"}`,
	"/v1/batch":                    `{"batch":[]}`,
	"/segment/destination":         `{"type":"track"}`,
	"/segment/webhook/prod-events": `[{"type":"track"}]`,
	"/hooks/fme-webhook":           `[]`,
	"/hooks/synchronizer":          `{"impressions":[]}`,
	"/api/testImpressions/bulk":    `[]`,
	"/api/testImpressions/count":   `{"pf":[]}`,
	"/api/v1/keys/ss":              `{"keys":[]}`,
	"/api/keys/cs":                 `{"keys":[]}`,
	"/api/events/bulk":             `[]`,
	"/api/events":                  `{}`,
	"/api/events/beacon":           `{"entries":[],"token":"sdk-key-1"}`,
	"/api/v1/metrics/usage":        `{}`,
}

func post(s *Server, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.Routes().ServeHTTP(w, request(path, strings.NewReader(body)))
	return w
}

func TestEveryDoorAnswers503UntilTheRecordIsDurable(t *testing.T) {
	for _, failure := range []error{
		stream.ErrFull, fmt.Errorf("append: %w", stream.ErrUnavailable), context.DeadlineExceeded, stream.ErrClosed, errors.New("disk on fire at sector 7"),
	} {
		for path, body := range doors {
			s := newServer(t, Options{Append: (&memory{fail: func(int) error { return failure }}).append})
			w := post(s, path, body)
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("%s, %v: %d %s", path, failure, w.Code, w.Body)
			}
			if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("%s, %v: Retry-After %q", path, failure, w.Header().Get("Retry-After"))
			}
			if strings.Contains(w.Body.String(), "sector") {
				t.Errorf("%s: the inner error is shown: %s", path, w.Body)
			}
			if got := s.held.Load(); got != 0 {
				t.Errorf("%s: %d bytes still held", path, got)
			}
		}
	}
}

func TestEveryDoorAppendsToItsStream(t *testing.T) {
	for path, body := range doors {
		var kept memory
		if w := post(newServer(t, Options{Append: kept.append}), path, body); w.Code/100 != 2 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		want := stream.Impressions
		if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/segment/") {
			want = stream.Calls
		}
		if len(kept.names) != 1 || kept.names[0] != want {
			t.Errorf("%s: appended to %v, want %s once", path, kept.names, want)
		}
	}
}

func TestAStreamThatDoesNotAnswerIsNotWaitedFor(t *testing.T) {
	for path, body := range doors {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, Options{Append: func(ctx context.Context, _ stream.Name, _ stream.Record) error {
				<-ctx.Done()
				return ctx.Err()
			}})
			start := time.Now()
			w := post(s, path, body)
			if took := time.Since(start); took >= 5*time.Second || took < time.Second {
				t.Errorf("%s: answered after %s", path, took)
			}
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("%s: %d, Retry-After %q", path, w.Code, w.Header().Get("Retry-After"))
			}
		})
	}
}

func TestACallerThatHangsUpDoesNotStopTheAppend(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	s := newServer(t, Options{Append: func(ctx context.Context, _ stream.Name, _ stream.Record) error {
		hangUp()
		return ctx.Err()
	}})
	w := httptest.NewRecorder()
	s.Routes().ServeHTTP(w, request("/v1/track", strings.NewReader(`{}`)).WithContext(ctx))
	if w.Code != http.StatusOK {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestASlowBodyIsCutOff: over a real connection, because deadlines live there.
func TestASlowBodyIsCutOff(t *testing.T) {
	for _, c := range []struct {
		path    string
		options Options
	}{
		{"/v1/batch", Options{BodyWait: 60 * time.Millisecond}},
		{"/v1/m", Options{BodyWait: 60 * time.Millisecond}},
		{"/segment/destination", Options{AppendWait: 60 * time.Millisecond}}, // bounds the whole request there
	} {
		server := httptest.NewServer(newServer(t, c.options).Routes())
		t.Cleanup(server.Close)
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer write-key-1\r\nContent-Length: 1000\r\n\r\n{\"batch\":", c.path)
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(conn) // to the end: the connection is closed, too
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408 ") {
			t.Errorf("%s: err %v, answer %.200s", c.path, err, answer)
		}
	}
}

func TestABodyThatBreaksOffIsRefused(t *testing.T) {
	var kept memory
	s := newServer(t, Options{Append: kept.append})
	for path, body := range doors {
		w := httptest.NewRecorder()
		r := request(path, io.MultiReader(strings.NewReader(body), brokenReader{}))
		s.Routes().ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if len(kept.records) > 0 {
		t.Errorf("%d records were appended", len(kept.records))
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestBodiesShareABudget(t *testing.T) {
	s := newServer(t, Options{MaxHeldBytes: 100 << 10})
	if w := post(s, "/v1/batch", `{"batch":["`+strings.Repeat("x", 300<<10)+`"]}`); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
	}
	if w := post(s, "/v1/batch", `{"batch":["`+strings.Repeat("x", 60<<10)+`"]}`); w.Code != http.StatusOK {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
	if got := s.held.Load(); got != 0 {
		t.Errorf("%d bytes still held", got)
	}
}

func TestWhatAHeaderClaimsCostsNoMemory(t *testing.T) {
	s := newServer(t, Options{MaxHeldBytes: 70 << 10})
	r := request("/api/events/bulk", strings.NewReader("[]"))
	r.ContentLength = 16 << 20
	w := httptest.NewRecorder()
	s.Routes().ServeHTTP(w, r)
	if w.Code == http.StatusServiceUnavailable {
		t.Error("the claim was counted against the budget")
	}
}

// TestDeepNestingIsAnswered: a recursive reader would use up its stack.
func TestDeepNestingIsAnswered(t *testing.T) {
	s := newServer(t, Options{})
	for path := range doors {
		for _, unit := range []string{"[", `{"a":`, `{"batch":[`, `[{"i":[`} {
			if w := post(s, path, strings.Repeat(unit, 100_000/len(unit))); w.Code/100 != 4 {
				t.Errorf("%s, %s: %d", path, unit, w.Code)
			}
		}
	}
	if w := post(s, "/segment/destination", "["+strings.Repeat("[", 2_000_000)+strings.Repeat("]", 2_000_000)+"]"); w.Code/100 == 5 {
		t.Errorf("%d", w.Code)
	}
}

func TestAPanicIsAnsweredAndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{
		Log:    slog.New(slog.NewTextHandler(&log, nil)),
		Append: func(context.Context, stream.Name, stream.Record) error { panic("out of cheese") },
	})
	for path, want := range map[string]string{
		"/v1/track":        `{"success":false,"message":"internal error","code":"internal_error"}`,
		"/api/events/bulk": `{"message":"internal error"}`,
	} {
		log.Reset()
		w := post(s, path, doors[path])
		if w.Code != http.StatusInternalServerError || w.Body.String() != want || w.Header().Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if got := strings.Count(log.String(), "out of cheese"); got != 1 {
			t.Errorf("%s: logged %d times: %s", path, got, &log)
		}
		if got := s.held.Load(); got != 0 {
			t.Errorf("%d bytes still held", got)
		}
	}
}

func TestFailuresAreLoggedOnceASecond(t *testing.T) {
	var log bytes.Buffer
	s := newServer(t, Options{
		Log:    slog.New(slog.NewTextHandler(&log, nil)),
		Append: (&memory{fail: func(int) error { return stream.ErrFull }}).append,
	})
	for range 50 {
		post(s, "/v1/track", `{}`)
	}
	if got := strings.Count(log.String(), "could not be made durable"); got != 1 {
		t.Errorf("%d lines", got)
	}
}

func TestRefusalsAreCountedAndShownWithoutSecretsOrPayloads(t *testing.T) {
	var log bytes.Buffer
	registry := prometheus.NewRegistry()
	hub := new(tail.Hub)
	watcher := hub.Watch(1000)
	defer watcher.Close()
	s := newServer(t, Options{
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Metrics: registry, Tail: hub,
		Append: (&memory{fail: func(int) error { return stream.ErrUnavailable }}).append,
	})
	var seen strings.Builder // all that leaves the server
	const payload = "my-payload"
	for path := range doors {
		for _, body := range []string{payload, `{"batch":[{"event":"` + payload + `"}],"type":"` + payload + `","entries":"` + payload + `","token":"nobody-` + payload + `"}`, doors[path]} {
			for _, authorization := range []string{"keep", "", "Bearer " + payload, payload} {
				r := request(path+"?writeKey="+payload, strings.NewReader(body))
				if authorization != "keep" {
					r.Header.Set("Authorization", authorization)
				}
				w := httptest.NewRecorder()
				s.Routes().ServeHTTP(w, r)
				if w.Code < 400 {
					t.Errorf("%s %s: %d", path, body, w.Code)
				}
				fmt.Fprintln(&seen, w.Header(), w.Body)
			}
		}
	}
	for len(watcher.Items()) > 0 {
		item := <-watcher.Items()
		if item.Kind != tail.Refused || item.Type == "" || item.Outcome == "" || item.Time.IsZero() {
			t.Errorf("item %+v", item)
		}
		if _, ok := reason.Lookup(reason.Code(item.Outcome)); !ok {
			t.Errorf("%s is in no list", item.Outcome)
		}
		fmt.Fprintf(&seen, "%+v\n", item)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&seen, families, log.String())
	for _, secret := range append(secrets, payload) {
		if i := strings.Index(seen.String(), secret); i >= 0 {
			t.Errorf("%q is shown: %.200s", secret, seen.String()[max(0, i-100):])
		}
	}
	for _, want := range []string{
		`causeway_ingest_refused_total`, `causeway_ingest_requests_total`, `causeway_ingest_request_duration_seconds`, `causeway_ingest_held_bytes`,
		`value:"not_durable"`, `value:"credentials_unknown"`, `value:"credentials_missing"`, `value:"body_not_json"`, `value:"webhook"`, `value:"503"`,
	} {
		if !strings.Contains(strings.ReplaceAll(fmt.Sprint(families), " ", ""), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestEveryPathOfTheTableAnswersOptionsAndRefusesOtherMethods(t *testing.T) {
	s := newServer(t, Options{})
	for path, route := range s.routes {
		path = "/" + strings.ReplaceAll(path, "*", "prod-events")
		for _, path := range []string{path, path + "/"} {
			w := httptest.NewRecorder()
			s.Routes().ServeHTTP(w, httptest.NewRequest(http.MethodOptions, path, nil))
			if w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Origin") == "" {
				t.Errorf("OPTIONS %s: %d", path, w.Code)
			}
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, "WHATEVER"} {
				if method == route.method {
					continue
				}
				w := httptest.NewRecorder()
				s.Routes().ServeHTTP(w, httptest.NewRequest(method, path, nil))
				if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" || w.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s %s: %d", method, path, w.Code)
				}
			}
		}
	}
}

func TestRecordsCarryATimeAndASeedOfTheirOwn(t *testing.T) {
	var kept memory
	now := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	s := newServer(t, Options{Append: kept.append, Now: func() time.Time { return now }})
	post(s, "/v1/track", `{}`)
	post(s, "/v1/track", `{}`)
	if len(kept.records) != 2 || kept.records[0].Seed == kept.records[1].Seed || !kept.records[0].ReceivedAt.Equal(now) {
		t.Errorf("%+v", kept.records)
	}
}

func TestWhatASDKSaysOfItselfIsBounded(t *testing.T) {
	var kept memory
	s := newServer(t, Options{Append: kept.append})
	r := request("/api/events/bulk", strings.NewReader("[]"))
	r.Header.Set("SplitSDKVersion", strings.Repeat("ä", 5000))
	r.Header.Set("SplitSDKMachineName", "\xff\xfehost")
	s.Routes().ServeHTTP(httptest.NewRecorder(), r)
	if got := kept.records[0]; got.SDK != strings.Repeat("ä", 100) || got.MachineName != "host" {
		t.Errorf("%q, %q", got.SDK, got.MachineName)
	}
}

func TestOptionsThatCannotWorkAreErrors(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("no snapshot and no append, and no error")
	}
	registry := prometheus.NewRegistry()
	newServer(t, Options{Metrics: registry})
	if _, err := New(Options{Snapshot: newServer(t, Options{}).opt.Snapshot, Append: new(memory).append, Metrics: registry}); err == nil {
		t.Error("the same metrics twice, and no error")
	}
}

// TestWhatIsAnsweredIsInTheRealStream goes through real HTTP and a real stream.
func TestWhatIsAnsweredIsInTheRealStream(t *testing.T) {
	server := httptest.NewServer(newServer(t, Options{Append: streams.Append}).Routes())
	t.Cleanup(server.Close)
	ctx := t.Context()
	for path, body := range map[string]string{"/v1/batch": `{"batch":[{"type":"track"}]}`, "/api/testImpressions/bulk": `[{"f":"a","i":[]}]`} {
		r := request(path, nil)
		r2, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r2.Header = r.Header
		answer, err := server.Client().Do(r2)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v, err %v", path, answer, err)
		}
		answer.Body.Close()
		name := stream.Calls
		if strings.HasPrefix(path, "/api") {
			name = stream.Impressions
		}
		_, last, _, err := streams.Bounds(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := streams.Frame(ctx, name, last)
		if err != nil || len(frame.Records) != 1 || string(frame.Records[0].Body) != body {
			t.Errorf("%s: %+v, err %v", path, frame, err)
		}
	}
}
