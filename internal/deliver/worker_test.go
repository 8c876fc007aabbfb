package deliver

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// bench is a worker with everything around it in memory, so that a test can
// let days pass within synctest.
type bench struct {
	*worker
	endpoint endpoint
	sent     []sent              // requests, in order
	letters  []stream.DeadLetter // set aside
	refuse   int                 // so many calls of SetAside fail first
	most     int                 // bytes that a letter may have; 0: any
	attempts []store.Delivery
	states   []stream.DeliveryState
	acked    []uint64 // parcel sequences
	outcomes map[string]int
}

type sent struct {
	at  time.Time
	key string
	ids []string
}

// endpoint answers one batch.
type endpoint func(n int, key string, ids []string) (status int, header http.Header, body string, err error)

func always(status int) endpoint {
	return func(int, string, []string) (int, http.Header, string, error) {
		return status, nil, `{"message":"` + http.StatusText(status) + `"}`, nil
	}
}

func newBench(e endpoint) *bench {
	b := &bench{endpoint: e, outcomes: map[string]int{}}
	b.worker = &worker{
		source: "prod",
		poster: poster{client: &http.Client{Transport: b}, userAgent: "causeway/test", timeout: 30 * time.Second, drain: drainFor},
		dead:   b, log: slog.New(slog.DiscardHandler),
		show:     func(s stream.DeliveryState) { b.states = append(b.states, s) },
		record:   func(d store.Delivery) { b.attempts = append(b.attempts, d) },
		done:     func(calls int, outcome string) { b.outcomes[outcome] += calls },
		schedule: defaultSchedule, retryFor: 72 * time.Hour, quiet: quietFor,
		wake: make(chan struct{}, 1),
	}
	b.target.Store(&target{"https://segment.test", "wk"})
	return b
}

func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	unzipped, err := gzip.NewReader(r.Body)
	if err != nil {
		return nil, err
	}
	var body struct {
		Batch []struct {
			MessageID string `json:"messageId"`
		} `json:"batch"`
	}
	if err := json.NewDecoder(unzipped).Decode(&body); err != nil {
		return nil, err
	}
	one := sent{at: time.Now()}
	one.key, _, _ = r.BasicAuth()
	for _, call := range body.Batch {
		one.ids = append(one.ids, call.MessageID)
	}
	b.sent = append(b.sent, one)
	status, header, text, err := b.endpoint(len(b.sent)-1, one.key, one.ids)
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
}

func (b *bench) SetAside(_ context.Context, _ string, letters []stream.DeadLetter) error {
	if b.refuse > 0 {
		b.refuse--
		return stream.ErrUnavailable
	}
	for _, l := range letters {
		if b.most > 0 && len(l.Body) > b.most {
			return stream.ErrTooLarge
		}
	}
	b.letters = append(b.letters, letters...)
	return nil
}

// parcel makes a parcel published now, with calls m<from> to m<to-1>.
func (b *bench) parcel(sequence uint64, from, to int) []item {
	p := &parcel{sequence: sequence, publishedAt: time.Now()}
	p.ack = func(context.Context) error {
		b.acked = append(b.acked, sequence)
		return nil
	}
	var list []json.RawMessage
	for i := from; i < to; i++ {
		list = append(list, testCall(fmt.Sprintf("m%d", i), ""))
	}
	return p.items(list)
}

func testCall(id, more string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"messageId":%q,"type":"track","event":"get_treatment","userId":"u1","properties":{"split":"f"%s},"timestamp":"2026-01-02T03:04:05.006Z"}`, id, more))
}

func (b *bench) letterIDs() []string {
	var ids []string
	for _, l := range b.letters {
		ids = append(ids, l.MessageID)
	}
	return ids
}

func TestTheScheduleLastsRetryForAndThenSetsAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(always(503))
		start := time.Now()
		if err := b.ship(t.Context(), b.parcel(1, 0, 3)); err != nil {
			t.Fatal(err)
		}
		lasted := time.Since(start)
		if lasted < 72*time.Hour || lasted > 72*time.Hour+5*time.Minute {
			t.Errorf("given up after %s, want 72h and at most one wait more", lasted)
		}
		for i := 1; i < len(b.sent); i++ {
			wait := b.sent[i].at.Sub(b.sent[i-1].at)
			if longest := time.Second << min(i, 9); wait < time.Second || wait > min(longest, 5*time.Minute) {
				t.Fatalf("wait %d is %s", i, wait)
			}
		}
		if n := len(b.sent); n < 1400 || n > 2200 { // 72 h at 2.5 minutes on average
			t.Errorf("%d attempts in 72 h", n)
		}
		if want := []string{"m0", "m1", "m2"}; !slices.Equal(b.letterIDs(), want) {
			t.Errorf("set aside %v, want %v", b.letterIDs(), want)
		}
		if l := b.letters[0]; l.Reason != reason.RetriesExhausted || l.Status != 503 || l.Kind != stream.DeadCall || !strings.Contains(l.Answer, "Service Unavailable") {
			t.Errorf("letter %+v", l)
		}
		if last := b.attempts[len(b.attempts)-1]; last.Outcome != outcomeDead || last.Attempt != len(b.sent) || last.ID != b.attempts[0].ID {
			t.Errorf("last attempt %+v", last)
		}
		if !slices.Equal(b.acked, []uint64{1}) {
			t.Errorf("acknowledged %v", b.acked)
		}
	})
}

func TestABacklogAsOldAsTheFailureIsSetAsideWithoutASpareAttemptEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(always(500))
		first, second := b.parcel(1, 0, 1), b.parcel(2, 1, 2)
		if err := b.ship(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		before := len(b.sent)
		if err := b.ship(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if len(b.sent) != before || len(b.letters) != 2 {
			t.Errorf("%d more attempts, %d letters", len(b.sent)-before, len(b.letters))
		}
		// One that was published since is still retried for its own 72 h.
		start := time.Now()
		if err := b.ship(t.Context(), b.parcel(3, 2, 3)); err != nil {
			t.Fatal(err)
		}
		if lasted := time.Since(start); lasted < 72*time.Hour {
			t.Errorf("a new parcel was given up after %s", lasted)
		}
	})
}

func TestALongStandstillOfOursIsNoReasonToGiveUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(always(500))
		items := b.parcel(1, 0, 1)
		// Failing for 10 hours when the process ended, 100 hours ago.
		state := stream.DeliveryState{State: stream.DeliveryRetrying, Since: time.Now(), UpdatedAt: time.Now().Add(10 * time.Hour)}
		time.Sleep(110 * time.Hour)
		b.resume(state)
		start := time.Now()
		if err := b.ship(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		if lasted := time.Since(start); lasted < 62*time.Hour || lasted > 63*time.Hour {
			t.Errorf("given up after %s, want the 62 hours that were left", lasted)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status int
		header func() string
		want   time.Duration
	}{
		{429, func() string { return "7" }, 7 * time.Second},
		{503, func() string { return "600" }, 10 * time.Minute},
		{503, func() string { return time.Now().Add(42 * time.Second).UTC().Format(http.TimeFormat) }, 42 * time.Second},
		{500, func() string { return "86400" }, time.Hour},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(func(n int, _ string, _ []string) (int, http.Header, string, error) {
				if n > 0 {
					return 200, nil, "", nil
				}
				return test.status, http.Header{"Retry-After": {test.header()}}, "", nil
			})
			start := time.Now()
			if err := b.ship(t.Context(), b.parcel(1, 0, 1)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != test.want {
				t.Errorf("status %d: waited %s, want %s", test.status, got, test.want)
			}
		})
	}
}

func TestRefusedCredentialsPauseUntilTheSourceChanges(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(func(_ int, key string, _ []string) (int, http.Header, string, error) {
				if key == "right" {
					return 200, nil, "", nil
				}
				return status, nil, "no such key", nil
			})
			done := make(chan error)
			go func() { done <- b.ship(t.Context(), b.parcel(1, 0, 2)) }()
			time.Sleep(100*time.Hour + time.Second)
			synctest.Wait()
			if n := len(b.sent); n != 100*12+1 {
				t.Errorf("%d attempts in 100 h, want one every 5 minutes", n)
			}
			state := b.states[len(b.states)-1]
			if state.State != stream.DeliveryPaused || state.Reason != reason.CredentialsRefused || state.Status != status || state.Answer != "no such key" {
				t.Errorf("state %+v", state)
			}
			if got := time.Since(state.Since); got < 100*time.Hour {
				t.Errorf("paused since %s, want since the first refusal", got)
			}
			changed := time.Now()
			b.aim(&target{"https://segment.test", "right"})
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(changed); waited != 0 {
				t.Errorf("the change was noticed after %s, want at once", waited)
			}
			if len(b.letters) != 0 || b.outcomes[outcomeDelivered] != 2 {
				t.Errorf("letters %d, outcomes %v", len(b.letters), b.outcomes)
			}
			if last := b.states[len(b.states)-1]; last.State != stream.DeliveryRunning || last.Reason != "" {
				t.Errorf("state after the change %+v", last)
			}
		})
	}
}

func TestAPauseDoesNotCountAgainstTheRetryTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		b = newBench(func(int, string, []string) (int, http.Header, string, error) {
			if len(b.sent) < 1000 { // 83 h
				return 401, nil, "", nil
			}
			return 503, nil, "", nil
		})
		if err := b.ship(t.Context(), b.parcel(1, 0, 1)); err != nil {
			t.Fatal(err)
		}
		paused := 999 * 5 * time.Minute
		if got := time.Since(b.sent[0].at) - paused; got < 72*time.Hour {
			t.Errorf("retried for %s beside the pause, want 72h", got)
		}
	})
}

func TestHalvingFindsTheOneBadCallAmongAThousand(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 413, 422, 501} {
		b := newBench(func(_ int, _ string, ids []string) (int, http.Header, string, error) {
			if slices.Contains(ids, "m617") {
				return status, nil, strings.Repeat("a", 3000), nil
			}
			return 200, nil, "", nil
		})
		items := append(b.parcel(1, 0, 400), b.parcel(2, 400, 1000)...)
		if err := b.ship(t.Context(), items); err != nil {
			t.Fatal(err)
		}
		var delivered []string
		for i, a := range b.attempts {
			if a.Outcome == outcomeDelivered {
				delivered = append(delivered, b.sent[i].ids...)
			}
		}
		if len(delivered) != 999 || slices.Contains(delivered, "m617") || !slices.IsSortedFunc(delivered, byNumber) {
			t.Errorf("status %d: %d delivered, want the other 999 in order", status, len(delivered))
		}
		if len(b.letters) != 1 || len(b.sent) > 2*10+1 {
			t.Fatalf("status %d: %d letters after %d requests", status, len(b.letters), len(b.sent))
		}
		l := b.letters[0]
		if l.MessageID != "m617" || l.Reason != reason.RefusedBySegment || l.Status != status || l.Answer != strings.Repeat("a", 1024) {
			t.Errorf("letter %+v", l)
		}
		if string(l.Body) != string(testCall("m617", "")) {
			t.Errorf("the letter holds %s", l.Body)
		}
		if !slices.Equal(b.acked, []uint64{1, 2}) {
			t.Errorf("acknowledged %v", b.acked)
		}
	}
}

func byNumber(a, b string) int {
	m, _ := strconv.Atoi(a[1:])
	n, _ := strconv.Atoi(b[1:])
	return m - n
}

func TestHalvesAreRetriedLikeWholeBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(n int, _ string, ids []string) (int, http.Header, string, error) {
			switch {
			case n%3 == 1:
				return 0, nil, "", errors.New("connection reset by peer")
			case slices.Contains(ids, "m2"):
				return 400, nil, "", nil
			}
			return 200, nil, "", nil
		})
		if err := b.ship(t.Context(), b.parcel(1, 0, 4)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(b.letterIDs(), []string{"m2"}) || b.outcomes[outcomeDelivered] != 3 {
			t.Errorf("letters %v, outcomes %v", b.letterIDs(), b.outcomes)
		}
	})
}

func TestNothingIsAcknowledgedBeforeItIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(always(400))
		b.refuse = 3
		start := time.Now()
		if err := b.ship(t.Context(), b.parcel(1, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if len(b.letters) != 1 || len(b.acked) != 1 || time.Since(start) != 3*recordRetry {
			t.Errorf("%d letters, %d acknowledged after %s", len(b.letters), len(b.acked), time.Since(start))
		}
		if s := b.states[len(b.states)-1]; s.State != stream.DeliveryRetrying || !strings.Contains(s.Answer, "set aside") {
			t.Errorf("the trouble is not shown: %+v", s)
		}
		if b.idle(); b.state.State != stream.DeliveryIdle {
			t.Errorf("the trouble is still shown: %+v", b.state)
		}
		// And when it never succeeds, stopping leaves the parcel for the next start.
		b.refuse = 1 << 30
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.ship(ctx, b.parcel(2, 1, 2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ended with %v", err)
		}
		if len(b.acked) != 1 {
			t.Errorf("acknowledged %v", b.acked)
		}
	})
}

func TestACallOver32KBIsSetAsideUnsent(t *testing.T) {
	t.Parallel()
	b := newBench(always(200))
	items := b.parcel(1, 0, 5)
	items[2].call = testCall("m2", `,"pad":"`+strings.Repeat("x", segment.MaxCallBytes)+`"`)
	for len(items) > 0 {
		n := fill(items)
		if err := b.ship(t.Context(), items[:n]); err != nil {
			t.Fatal(err)
		}
		items = items[n:]
	}
	if len(b.letters) != 1 || b.letters[0].Reason != reason.TooLarge || b.letters[0].MessageID != "m2" {
		t.Errorf("letters %v", b.letterIDs())
	}
	if b.outcomes[outcomeDelivered] != 4 || len(b.acked) != 1 {
		t.Errorf("outcomes %v, acknowledged %v", b.outcomes, b.acked)
	}
}

func TestACallThatNoMessageCanHoldDoesNotBlockItsSource(t *testing.T) {
	t.Parallel()
	b := newBench(always(200))
	b.most = 100_000
	items := b.parcel(1, 0, 1)
	items[0].call = testCall("m0", `,"pad":"`+strings.Repeat("x", 200_000)+`"`)
	if err := b.ship(t.Context(), items); err != nil {
		t.Fatal(err)
	}
	l := b.letters[0]
	if l.Reason != reason.TooLarge || !json.Valid(l.Body) || l.MessageID != "m0" || !strings.Contains(l.Answer, "beginning") {
		t.Errorf("letter %s, %s, %q", l.Reason, l.MessageID, l.Answer)
	}
	if len(b.acked) != 1 {
		t.Error("not acknowledged")
	}
}

func TestBatchesStayWithinSegmentsLimits(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for _, test := range []struct{ calls, pad, want int }{
		{10, 0, 10},
		{segment.MaxBatchCalls, 0, segment.MaxBatchCalls},
		{segment.MaxBatchCalls + 1, 0, segment.MaxBatchCalls},
		{100, 30_000, 16},
	} {
		items := b.parcel(1, 0, test.calls)
		for i := range items {
			items[i].call = testCall("m", `,"pad":"`+strings.Repeat("x", test.pad)+`"`)
		}
		n := fill(items)
		body := segment.BatchBody(calls(items[:n]), time.Now())
		if n != test.want || len(body) > 500_000 {
			t.Errorf("%d calls with %d bytes more: batch of %d, %d bytes", test.calls, test.pad, n, len(body))
		}
	}
}

func TestWhatWaitsForARemovedSourceIsSetAside(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(always(503))
		parcels := make(chan incoming, 2)
		for sequence := range uint64(2) {
			items := b.parcel(sequence+1, int(sequence)*2, int(sequence)*2+2)
			parcels <- incoming{items[0].parcel, calls(items)}
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.run(t.Context(), parcels)
		}()
		time.Sleep(time.Hour)
		b.aim(nil)
		<-ended
		if want := []string{"m0", "m1", "m2", "m3"}; !slices.Equal(b.letterIDs(), want) || b.letters[0].Reason != reason.ConfigurationGone {
			t.Errorf("letters %v", b.letterIDs())
		}
		if got := time.Since(b.sent[0].at); got != time.Hour+quietFor {
			t.Errorf("ended after %s", got)
		}
	})
}

func TestWhatWaitsGoesAlongAndTheStateFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(int, string, []string) (int, http.Header, string, error) {
			time.Sleep(time.Second) // the endpoint takes a while
			return 200, nil, "", nil
		})
		parcels := make(chan incoming, 10)
		give := func(sequence uint64) {
			items := b.parcel(sequence, int(sequence), int(sequence)+1)
			parcels <- incoming{items[0].parcel, calls(items)}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.run(ctx, parcels)
		}()
		synctest.Wait()
		give(1)
		synctest.Wait()
		for sequence := range uint64(4) {
			give(sequence + 2)
		}
		empty := &parcel{sequence: 9, ack: func(context.Context) error { b.acked = append(b.acked, 9); return nil }}
		parcels <- incoming{parcel: empty}
		time.Sleep(10 * time.Second)
		cancel()
		<-ended
		if len(b.sent) != 2 || len(b.sent[0].ids) != 1 || len(b.sent[1].ids) != 4 {
			t.Errorf("requests %+v, want one alone at once and the rest together", b.sent)
		}
		if !slices.Contains(b.acked, 9) || len(b.acked) != 6 {
			t.Errorf("acknowledged %v, want the empty parcel too", b.acked)
		}
		var states []string
		for _, s := range b.states {
			if len(states) == 0 || states[len(states)-1] != s.State {
				states = append(states, s.State)
			}
		}
		if want := []string{"idle", "running", "idle"}; !slices.Equal(states, want) {
			t.Errorf("states %v, want %v", states, want)
		}
	})
}

func TestARequestInFlightHasFiveSecondsWhenStopping(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		takes     time.Duration
		delivered bool
		lasts     time.Duration
	}{
		{3 * time.Second, true, 2 * time.Second},
		{20 * time.Second, false, drainFor},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(nil)
			b.poster.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(test.takes):
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() { done <- b.ship(ctx, b.parcel(1, 0, 1)) }()
			time.Sleep(time.Second)
			cancel()
			stopping := time.Now()
			err := <-done
			if got := time.Since(stopping); got != test.lasts {
				t.Errorf("answer after %s: stopping lasted %s, want %s", test.takes, got, test.lasts)
			}
			if (err == nil) != test.delivered || (len(b.acked) == 1) != test.delivered {
				t.Errorf("answer after %s: %v, acknowledged %v", test.takes, err, b.acked)
			}
			if s := b.state.State; !test.delivered && s == stream.DeliveryRetrying {
				t.Errorf("stopping made the source look as if its endpoint failed")
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestAnEndpointThatDoesNotAnswerIsRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(nil)
		first := true
		b.poster.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if first {
				first = false
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})
		start := time.Now()
		if err := b.ship(t.Context(), b.parcel(1, 0, 1)); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); got < 31*time.Second || got > 32*time.Second {
			t.Errorf("took %s, want the time-out of 30 s and one wait", got)
		}
		if a := b.attempts[0]; a.Status != 0 || !strings.Contains(a.Error, "no answer in time") || a.Outcome != outcomeRetry || a.Duration != 30*time.Second {
			t.Errorf("attempt %+v", a)
		}
	})
}

// Attempts say what an operator wants to know of them.
func TestAttemptsAreRecordedWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(func(n int, _ string, _ []string) (int, http.Header, string, error) {
			time.Sleep(40 * time.Millisecond)
			return []int{500, 400, 401, 200}[min(n, 3)], nil, strings.Repeat("é", 600), nil
		})
		if err := b.ship(t.Context(), b.parcel(1, 0, 2)); err != nil {
			t.Fatal(err)
		}
		var outcomes []string
		for i, a := range b.attempts {
			outcomes = append(outcomes, a.Outcome)
			if a.Attempt != i+1 || a.ID == "" || a.ID != b.attempts[0].ID || a.Source != "prod" || a.Duration != 40*time.Millisecond {
				t.Errorf("attempt %d: %+v", i, a)
			}
			if len(a.Answer) != 1024 || a.Bytes == 0 || !json.Valid(a.Sample) {
				t.Errorf("attempt %d: answer of %d bytes, body of %d, sample %s", i, len(a.Answer), a.Bytes, a.Sample)
			}
		}
		want := []string{outcomeRetry, outcomeHalved, outcomePaused, outcomeDelivered, outcomeDelivered}
		if !slices.Equal(outcomes, want) {
			t.Errorf("outcomes %v, want %v", outcomes, want)
		}
		if b.attempts[1].Calls != 2 || b.attempts[3].Calls != 1 {
			t.Errorf("calls %d, then %d", b.attempts[1].Calls, b.attempts[3].Calls)
		}
	})
}
