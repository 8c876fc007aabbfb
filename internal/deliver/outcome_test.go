package deliver

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// R46, the whole of it.
func TestEveryAnswerHasOneOutcome(t *testing.T) {
	t.Parallel()
	want := map[outcome][]int{
		delivered: {200, 201, 202, 204, 226, 299},
		retry:     {0, 101, 300, 301, 302, 303, 304, 307, 308, 408, 423, 429, 500, 502, 503, 504, 505, 507, 511, 520, 522, 529, 599, 600, 999},
		paused:    {401, 403},
		refused:   {400, 402, 404, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 418, 421, 422, 424, 425, 426, 428, 431, 451, 460, 499, 501},
	}
	for outcome, statuses := range want {
		for _, status := range statuses {
			if got := classify(status, nil); got != outcome {
				t.Errorf("status %d: outcome %d, want %d", status, got, outcome)
			}
		}
	}
	for _, test := range []struct {
		err  error
		want outcome
	}{
		{errors.New("connection reset by peer"), retry},
		{errTimeout, retry},
		{fmt.Errorf("dial: %w", ErrEndpointNotAllowed), paused},
	} {
		if got := classify(0, test.err); got != test.want {
			t.Errorf("%v: outcome %d, want %d", test.err, got, test.want)
		}
	}
}

func TestWaitsGrowToTheLongestAndNeverLeaveTheRange(t *testing.T) {
	t.Parallel()
	s := defaultSchedule
	for failures := 1; failures <= 100; failures++ {
		ceiling := s.longest
		if failures < 9 {
			ceiling = time.Second << failures
		}
		var least, most time.Duration = time.Hour, 0
		for range 400 {
			d := s.after(failures, 0)
			least, most = min(least, d), max(most, d)
		}
		if least < time.Second || most > ceiling {
			t.Fatalf("after %d failures: %s to %s, want 1s to %s", failures, least, most, ceiling)
		}
		if most-least < (ceiling-time.Second)*8/10 {
			t.Errorf("after %d failures: %s to %s is no full jitter up to %s", failures, least, most, ceiling)
		}
	}
}

func TestRetryAfterIsReadAndBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		header string
		want   time.Duration // the wait that follows; 0: our own schedule
	}{
		{"", 0},
		{"7", 7 * time.Second},
		{" 120 ", 2 * time.Minute},
		{"0", time.Second},
		{"-5", time.Second},
		{"7200", time.Hour},
		{"99999999999999999", time.Hour},
		{now.Add(90 * time.Second).Format(http.TimeFormat), 90 * time.Second},
		{now.Add(-time.Hour).Format(http.TimeFormat), time.Second},
		{now.Add(48 * time.Hour).Format(http.TimeFormat), time.Hour},
		{"soon", 0},
		{"1.5", 0},
	} {
		header := http.Header{}
		if test.header != "" {
			header.Set("Retry-After", test.header)
		}
		asked := retryAfter(header, now)
		if test.want == 0 {
			if asked != 0 {
				t.Errorf("%q: asked %s, want nothing", test.header, asked)
			}
			continue
		}
		if got := defaultSchedule.after(1, asked); got != test.want {
			t.Errorf("%q: wait %s, want %s", test.header, got, test.want)
		}
	}
}

func TestAnAnswerThatRepeatsTheWriteKeyDoesNotShowIt(t *testing.T) {
	t.Parallel()
	const key = "a-write-key-of-some-length"
	basic := base64.StdEncoding.EncodeToString([]byte(key + ":"))
	for body, want := range map[string]string{
		"no " + key + " or Basic " + basic:                     "no [secret] or Basic [secret]",
		strings.Repeat("x", maxAnswer-5) + key:                 strings.Repeat("x", maxAnswer-5) + "[secr",
		strings.Repeat("x", maxAnswer+5) + key:                 strings.Repeat("x", maxAnswer),
		"a" + strings.Repeat(" ", 10) + "short answer, no key": "a          short answer, no key",
	} {
		if got := readAnswer(strings.NewReader(body), key); got != want {
			t.Errorf("%q is shown as %q", body, got)
		}
	}
	if got := readAnswer(strings.NewReader("a poisoned call"), "poison"); got != "a poisoned call" {
		t.Errorf("a key that is a word spoils the answer: %q", got)
	}
}
