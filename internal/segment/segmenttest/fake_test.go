package segmenttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func call(id, more string) string {
	return fmt.Sprintf(`{"type":"track","event":"get_treatment","userId":"u1","messageId":%q,"timestamp":"2026-01-02T03:04:05.006Z"%s}`, id, more)
}

func batch(calls ...string) string {
	return `{"batch":[` + strings.Join(calls, ",") + `],"sentAt":"2026-01-02T03:04:05.006Z"}`
}

// post sends a body and returns the answer's status and body; 0 when there was none.
func post(t *testing.T, f *Fake, key, body string, change ...func(*http.Request)) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, f.URL+"/v1/batch", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.SetBasicAuth(key, "")
	}
	for _, f := range change {
		f(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Error(err)
	}
	return answer.StatusCode, string(text)
}

func TestBatchesAreAnsweredAsSegmentDoes(t *testing.T) {
	t.Parallel()
	many := make([]string, maxBatchCalls+1)
	for i := range many {
		many[i] = call(fmt.Sprintf("m%d", i), "")
	}
	pad := func(n int) string { return fmt.Sprintf(`,"properties":{"pad":%q}`, strings.Repeat("x", n)) }
	for _, test := range []struct {
		name, key, body string
		status          int
		calls           int
		violation       string // part of the first one
	}{
		{"one call", "wk", batch(call("m1", "")), 200, 1, ""},
		{"the same call twice", "wk", batch(call("m1", ""), call("m1", "")), 200, 1, ""},
		{"no write key", "", batch(call("m1", "")), 401, 0, "no Basic auth"},
		{"not JSON", "wk", `{"batch":[`, 400, 0, "not JSON"},
		{"empty batch", "wk", batch(), 200, 0, "empty batch"},
		{"too many calls", "wk", batch(many...), 200, 0, "batch of 2501 calls"},
		{"a call over 32 KB", "wk", batch(call("m1", pad(maxCallBytes))), 400, 0, "call of"},
		{"a batch over 500 KB", "wk", batch(call("m1", pad(maxBatchBytes))), 400, 0, ""},
		{"another type", "wk", batch(strings.Replace(call("m1", ""), "track", "page", 1)), 200, 1, "want track"},
		{"both ids", "wk", batch(call("m1", `,"anonymousId":"a1"`)), 200, 1, "exactly one"},
		{"no id", "wk", batch(strings.Replace(call("m1", ""), "userId", "user", 1)), 200, 1, "exactly one"},
		{"long messageId", "wk", batch(call(strings.Repeat("m", 100), "")), 200, 1, "messageId of 100"},
		{"no messageId", "wk", batch(call("", "")), 200, 1, "messageId of 0"},
		{"bad time", "wk", batch(strings.Replace(call("m1", ""), "2026-01", "2026-1", 1)), 200, 1, "ISO 8601"},
		{"poison", "poison", batch(call("m1", ""), call("m2", `,"properties":{"poison":1}`)), 400, 0, ""},
		{"no poison", "poison", batch(call("m1", "")), 200, 1, ""},
		{"fail-401", "fail-401", batch(call("m1", "")), 401, 0, ""},
		{"fail-400", "fail-400", batch(call("m1", "")), 400, 0, ""},
		{"fail-429", "fail-429", batch(call("m1", "")), 429, 0, ""},
		{"fail-500", "fail-500", batch(call("m1", "")), 500, 0, ""},
		{"reset", "reset", batch(call("m1", "")), 0, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := Start(t, Options{})
			status, body := post(t, f, test.key, test.body)
			if status != test.status {
				t.Errorf("status %d (%s), want %d", status, body, test.status)
			}
			if got := len(f.Calls()); got != test.calls {
				t.Errorf("%d calls kept, want %d", got, test.calls)
			}
			violations := strings.Join(f.Violations(), "\n")
			if test.violation == "" && violations != "" || !strings.Contains(violations, test.violation) {
				t.Errorf("violations %q, want %q", violations, test.violation)
			}
			if n := len(f.Requests()); n != 1 {
				t.Errorf("%d requests recorded, want 1", n)
			}
		})
	}
}

func TestGzipIsReadAndOtherEncodingsAreViolations(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{})
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, batch(call("m1", "")))
	_ = w.Close()
	if status, _ := post(t, f, "wk", b.String(), func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }); status != 200 {
		t.Errorf("gzip: status %d", status)
	}
	if status, _ := post(t, f, "wk", "x", func(r *http.Request) { r.Header.Set("Content-Encoding", "br") }); status != 400 {
		t.Errorf("br: status %d", status)
	}
	if status, _ := post(t, f, "wk", "x", func(r *http.Request) { r.URL.Path = "/v1/track" }); status != 404 {
		t.Errorf("another path: status %d", status)
	}
	if status, _ := post(t, f, "wk", "", func(r *http.Request) { r.Method = http.MethodGet }); status != 405 {
		t.Errorf("GET: status %d", status)
	}
	if got := f.Totals(); got.Calls != 1 || got.Violations != 3 {
		t.Errorf("totals %+v, violations %q", got, f.Violations())
	}
}

func TestAKeyWithANumberMisbehavesOnlyAtFirst(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{RetryAfter: 2 * time.Second})
	for i, want := range []int{429, 429, 200} {
		if status, _ := post(t, f, "fail-429-2", batch(call("m1", ""))); status != want {
			t.Errorf("request %d: status %d, want %d", i, status, want)
		}
	}
	r := f.misbehave("fail-429", 10, nil)
	if got := r.Header.Get("Retry-After"); got != "2" {
		t.Errorf("Retry-After %q, want 2", got)
	}
}

func TestRepeatsAreCountedAcrossWriteKeys(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{})
	post(t, f, "one", batch(call("m1", "")))
	post(t, f, "two", batch(call("m1", ""), call("m2", "")))
	if got := f.Totals(); got.Calls != 2 || got.Repeats != 1 || got.Requests != 2 {
		t.Errorf("totals %+v", got)
	}
}

func TestAProgrammedAnswerWinsAndMayKeepTheCalls(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{})
	f.Respond(func(r Request) (Answer, bool) {
		return Answer{Status: 503, Keep: true}, r.WriteKey == "lost"
	})
	if status, _ := post(t, f, "lost", batch(call("m1", ""))); status != 503 {
		t.Errorf("status %d, want 503", status)
	}
	if status, _ := post(t, f, "wk", batch(call("m1", ""))); status != 200 {
		t.Errorf("status %d, want 200", status)
	}
	if got := f.Totals(); got.Calls != 1 || got.Repeats != 1 {
		t.Errorf("totals %+v, want the kept call and its repeat", got)
	}
}

func TestMemoryIsBoundedWhenAsked(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{KeepCalls: 3})
	for i := range 20 {
		post(t, f, "wk", batch(call(fmt.Sprintf("m%d", i), "")))
	}
	calls := f.Calls()
	if len(calls) >= 6 || len(f.Requests()) >= 6 || len(f.seen) != len(calls) {
		t.Errorf("kept %d calls, %d requests, %d ids", len(calls), len(f.Requests()), len(f.seen))
	}
	if last := calls[len(calls)-1].MessageID; last != "m19" {
		t.Errorf("newest call is %s, want m19", last)
	}
	if got := f.Totals().Calls; got != 20 {
		t.Errorf("total %d, want 20", got)
	}
}

func TestWaitReturnsWhenTheCallsAreThere(t *testing.T) {
	t.Parallel()
	f := Start(t, Options{Slow: 20 * time.Millisecond})
	go post(t, f, "slow", batch(call("m1", ""), call("m2", "")))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := f.Wait(ctx, 2); err != nil {
		t.Error(err)
	}
	cancel()
	if err := f.Wait(ctx, 3); err == nil {
		t.Error("waiting for a call that never comes ended well")
	}
}
