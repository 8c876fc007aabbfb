package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Clocks that are a year wrong. The clock of the process itself is not moved
// here: Go asks the kernel without the C library, so faketime does not reach
// it, time namespaces do not have the wall clock, and to set the machine's would
// move every other process, too. What can be wrong from outside are the clocks
// of clients, and a client's sentAt corrects its timestamps. The rooms take the
// clock from their options or run under testing/synctest.
func TestCallsOfClientsWhoseClocksAreAYearWrongAreStoredInTheirTime(t *testing.T) {
	t.Parallel()
	s, _ := newFaultyServer(t)
	s.launch()
	s.becomesReady()
	const year = 365 * 24 * time.Hour
	now := time.Now()
	for id, skew := range map[string]time.Duration{"ahead": year, "behind": -year, "right": 0} {
		clock := now.Add(skew).UTC().Format(time.RFC3339Nano)
		body := fmt.Sprintf(`{"writeKey":%q,"sentAt":%q,"batch":[{"type":"track","messageId":%q,"userId":"u1","event":"A","timestamp":%q}]}`, writeKey, clock, id, clock)
		for range 2 { // the second is recognised whatever the clock says
			response, err := http.Post(s.URL+"/v1/batch", "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK {
				t.Fatalf("%s: %s", id, response.Status)
			}
		}
	}
	s.waitForCalls([]string{"ahead", "behind", "right"})
	stored := s.events()
	for _, e := range stored {
		if off := e.Time.Sub(now); off < -time.Minute || off > time.Minute {
			t.Errorf("%s is stored at %v, which is %v off", e.ForeignID, e.Time, off)
		}
	}
	t.Logf("clocks a year wrong: sent 6, acknowledged 6, stored %d, lost 0, doubled %d", len(stored), len(stored)-3)
	if len(stored) != 3 {
		t.Errorf("%d events, want 3", len(stored))
	}
}
