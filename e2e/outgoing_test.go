package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"causeway/internal/segment/segmenttest"
)

// visitors are impressions of many keys.
func visitors(n int) script {
	var s script
	for i := range n {
		s.Evaluations = append(s.Evaluations, evaluation{Key: fmt.Sprintf("u%d", i), Flag: "checkout_button"})
	}
	return s
}

// report has an unmodified SDK report impressions, and returns them once they
// are stored.
func report(t *testing.T, server *server, s script) []impression {
	t.Helper()
	if _, err := splitWithGo(t, use{host: server.URL, mode: "DEBUG", script: s}); err != nil {
		t.Fatal(err)
	}
	var stored []impression
	eventually(t, "the impressions are stored", func() (err error) {
		if stored, err = server.impressions(); err == nil && len(stored) < len(s.Evaluations) {
			err = fmt.Errorf("%d of %d", len(stored), len(s.Evaluations))
		}
		return err
	})
	return stored
}

// first makes a Segment that gives the answer to the first n requests.
func first(n int32, answer segmenttest.Answer) func(segmenttest.Request) (segmenttest.Answer, bool) {
	var asked atomic.Int32
	return func(segmenttest.Request) (segmenttest.Answer, bool) {
		return answer, asked.Add(1) <= n
	}
}

// delivery is an attempt, as the admin API tells it.
type delivery struct {
	Attempt, Calls, Status int
	Outcome                string
}

func (s *server) deliveries() []delivery {
	s.t.Helper()
	all, err := list[delivery](s, "/admin/v1/deliveries", url.Values{"source": {"impressions"}})
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Reverse(all) // oldest first
	return all
}

// Whatever Segment answers, after recovery it has each impression once: what it
// took without saying so comes again under the same messageId. What it asks
// for with Retry-After is granted.
func TestAfterAFaultAtSegmentEveryImpressionIsThereOnce(t *testing.T) {
	for name, c := range map[string]struct {
		answer  segmenttest.Answer
		repeats bool // Segment is sent calls that it has
		pause   time.Duration
	}{
		"429 with Retry-After":      {answer: segmenttest.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}}, pause: 2 * time.Second},
		"503 with Retry-After":      {answer: segmenttest.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"2"}}}, pause: 2 * time.Second},
		"500":                       {answer: segmenttest.Answer{Status: http.StatusInternalServerError}},
		"500, but it took them":     {answer: segmenttest.Answer{Status: http.StatusInternalServerError, Keep: true}, repeats: true},
		"dropped before the answer": {answer: segmenttest.Answer{Reset: true}},
		"dropped, but it took them": {answer: segmenttest.Answer{Reset: true, Keep: true}, repeats: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			segment := segmenttest.Start(t, segmenttest.Options{})
			segment.Respond(first(1, c.answer))
			server := startServer(t, flagShop(segment.URL))
			stored := report(t, server, visitors(50))
			server.eventually("the attempts are told", func() error {
				var outcomes []string
				for _, d := range server.deliveries() {
					outcomes = append(outcomes, d.Outcome)
				}
				if len(outcomes) < 2 || outcomes[0] != "retry" || slices.ContainsFunc(outcomes[1:], func(o string) bool { return o != "delivered" }) {
					return fmt.Errorf("outcomes %q", outcomes)
				}
				return nil
			})
			checkSegment(t, segment, stored)
			if totals := segment.Totals(); (totals.Repeats > 0) != c.repeats {
				t.Errorf("%d calls came again, want some: %v", totals.Repeats, c.repeats)
			}
			requests := segment.Requests()
			if pause := requests[1].At.Sub(requests[0].At); pause < c.pause {
				t.Errorf("tried again after %v, Segment asked for %v", pause, c.pause)
			}
		})
	}
}

// A call that Segment refuses stops nobody: the others arrive, it lies among
// the dead letters with Segment's answer, and goes out when it is replayed.
func TestACallThatSegmentRefusesIsSetAsideAlone(t *testing.T) {
	t.Parallel()
	segment := segmenttest.Start(t, segmenttest.Options{})
	server := startServer(t, strings.Replace(flagShop(segment.URL), "segment-write-key", "poison", 1))
	s := visitors(20)
	s.Evaluations[7].Properties = map[string]any{"poison": true}
	stored := report(t, server, s)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := segment.Wait(ctx, len(stored)-1); err != nil {
		t.Fatal(err)
	}
	type letter struct {
		Reason string
		Status int
		Answer string
		Body   struct{ UserID string }
	}
	server.eventually("the refused call lies among the dead letters", func() error {
		letters, err := list[letter](server, "/admin/v1/dead-letters", nil)
		if err != nil {
			return err
		}
		if len(letters) != 1 || letters[0].Body.UserID != "u7" || letters[0].Status != http.StatusBadRequest || !strings.Contains(letters[0].Answer, "poisoned") {
			return fmt.Errorf("letters %+v", letters)
		}
		return nil
	})
	segment.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
		return segmenttest.Answer{Status: http.StatusOK, Keep: true}, true // mended
	})
	if err := server.post("/admin/v1/dead-letters/replay", map[string]any{"dryRun": false}); err != nil {
		t.Fatal(err)
	}
	if err := segment.Wait(ctx, len(stored)); err != nil {
		t.Fatal(err)
	}
	if n := segment.Totals().Repeats; n != 0 {
		t.Errorf("%d calls came twice", n)
	}
	noViolations(t, segment.Violations())
}

// A refused write key pauses the source and discards nothing; a correct one
// starts it at once.
func TestARefusedWriteKeyPausesTheSourceUntilItIsCorrected(t *testing.T) {
	t.Parallel()
	segment := segmenttest.Start(t, segmenttest.Options{})
	configuration := flagShop(segment.URL)
	server := startServer(t, strings.Replace(configuration, "segment-write-key", "fail-401", 1))
	stored := report(t, server, visitors(20))
	server.eventually("the source is paused", func() error {
		if all := server.deliveries(); len(all) == 0 || all[len(all)-1].Outcome != "paused" || all[len(all)-1].Status != http.StatusUnauthorized {
			return fmt.Errorf("deliveries %+v", all)
		}
		return nil
	})
	if err := os.WriteFile(filepath.Join(server.folder, "causeway.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := server.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	checkSegment(t, segment, stored)
}

// kill -9 while Segment is down: what waits to go out waits on disk.
func TestAServerThatIsKilledWhileSegmentIsDownDeliversAfterwards(t *testing.T) {
	t.Parallel()
	segment := segmenttest.Start(t, segmenttest.Options{})
	var down atomic.Bool
	down.Store(true)
	segment.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
		return segmenttest.Answer{Reset: true}, down.Load()
	})
	server := startServer(t, flagShop(segment.URL))
	stored := report(t, server, visitors(50))
	server.eventually("a delivery was tried", func() error {
		if len(segment.Requests()) == 0 {
			return errors.New("none was")
		}
		return nil
	})
	server.kill()
	down.Store(false)
	server.start()
	checkSegment(t, segment, stored)
}

// post asks the admin API for something to be done.
func (s *server) post(path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL+path, strings.NewReader(string(text)))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return nil
}
