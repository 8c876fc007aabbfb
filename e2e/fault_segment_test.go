package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/segment/segmenttest"
)

// Segment is dead for long, then slow, then drops connections after it took
// what was sent: ingestion is not touched, and in the end Segment has each call
// once. CAUSEWAY_TEST_OUTAGE sets the seconds of the outage.
func TestADeadSegmentIsWaitedForAndTouchesNothingElse(t *testing.T) {
	t.Parallel()
	outage := time.Duration(fromEnvironment(t, "CAUSEWAY_TEST_OUTAGE", 45)) * time.Second
	s, segment := newFaultyServer(t)
	s.launch()
	s.becomesReady()
	l := newLoad(s)
	l.pause = 20 * time.Millisecond
	l.start(4)
	time.Sleep(5 * time.Second)
	healthy, _ := l.p99()

	var failed atomic.Int32
	segment.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
		switch n := failed.Add(1); {
		case n <= 2:
			return segmenttest.Answer{Reset: true}, true
		case n == 3:
			return segmenttest.Answer{Status: http.StatusInternalServerError}, true
		default: // asks for a wait, so that the test need not wait for long after it
			return segmenttest.Answer{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"2"}}}, true
		}
	})
	arrived := segment.Totals().Calls
	time.Sleep(outage)
	dead, _ := l.p99()
	if n := segment.Totals().Calls; n != arrived {
		t.Errorf("%d calls were taken by a dead Segment", n-arrived)
	}
	if n := l.refusals(); n*100*itemsOf > l.acknowledgements() { // a machine with other work may refuse a few
		t.Errorf("%d requests were refused while Segment was dead", n)
	}
	if ready, text, err := s.readiness(); err != nil || !ready {
		t.Errorf("the server is not ready because Segment is dead: %s %v", text, err)
	}

	var slow atomic.Int32
	segment.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
		slow.Add(1)
		return segmenttest.Answer{Delay: time.Second}, true
	})
	s.within(time.Minute, "slow answers", func() error { return atLeast(slow.Load(), 5) })
	sluggish, _ := l.p99()

	var dropped atomic.Int32
	segment.Respond(func(segmenttest.Request) (segmenttest.Answer, bool) {
		return segmenttest.Answer{Reset: true, Keep: true}, dropped.Add(1) <= 2
	})
	s.within(time.Minute, "two answers were lost", func() error { return atLeast(dropped.Load(), 3) })
	l.stop()
	t.Logf("p99 of ingest: Segment healthy %v, dead for %v %v, slow %v; %d attempts while it was dead", healthy, outage, dead, sluggish, failed.Load())
	l.account("Segment dead, slow, resetting", segment)
	if segment.Totals().Repeats == 0 {
		t.Error("no call was sent again after its answer was lost")
	}
}

func atLeast(have, want int32) error {
	if have < want {
		return fmt.Errorf("%d of %d", have, want)
	}
	return nil
}

// deadLetter is what the admin API says of a call that was set aside.
type deadLetter struct {
	Source, Kind, MessageID, Reason, Answer string
	Status                                  int
}

// Segment refuses a batch of a thousand calls for the sake of one.
func TestOnePoisonedCallOfAThousandIsSetAsideAloneWithItsAnswer(t *testing.T) {
	t.Parallel()
	const n = 1000
	s, segment := newFaultyServer(t)
	var mu sync.Mutex
	poisoned := ""
	segment.Respond(func(r segmenttest.Request) (segmenttest.Answer, bool) {
		mu.Lock()
		defer mu.Unlock()
		if poisoned == "" {
			poisoned = r.MessageIDs[len(r.MessageIDs)*2/3]
		}
		if slices.Contains(r.MessageIDs, poisoned) {
			return segmenttest.Answer{Status: http.StatusBadRequest, Body: `{"message":"the poison was found"}`}, true
		}
		return segmenttest.Answer{}, false
	})
	s.launch()
	s.becomesReady()
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"k":"user-%d","t":"on","m":%d,"c":7,"r":"default rule"}`, i, 1767225600000+i)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/testImpressions/bulk",
		strings.NewReader(`[{"f":"button","i":[`+strings.Join(items, ",")+`]}]`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+serverKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode/100 != 2 {
		t.Fatalf("the batch is answered %s", response.Status)
	}
	var letters []deadLetter
	s.within(time.Minute, "all but one are delivered and that one is set aside", func() (err error) {
		if letters, err = list[deadLetter](s, "/admin/v1/dead-letters", url.Values{}); err != nil {
			return err
		}
		if calls := segment.Totals().Calls; calls != n-1 || len(letters) != 1 {
			return fmt.Errorf("%d delivered, %d set aside", calls, len(letters))
		}
		return nil
	})
	letter := letters[0]
	if letter.MessageID != poisoned || letter.Status != 400 || !strings.Contains(letter.Answer, "the poison was found") || letter.Reason != "refused_by_segment" {
		t.Errorf("the dead letter is %+v, the poisoned call was %s", letter, poisoned)
	}
	total := segment.Totals()
	stored, err := s.impressions()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one poisoned of %d: sent %d, acknowledged %d, stored %d, delivered %d, dead letters %d, lost 0, doubled %d (%d requests)",
		n, n, n, len(stored), total.Calls, len(letters), total.Repeats, total.Requests)
	if total.Repeats > 0 || len(stored) != n {
		t.Errorf("%d repeats, %d of %d stored", total.Repeats, len(stored), n)
	}
	noViolations(t, segment.Violations())
}
