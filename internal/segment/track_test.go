package segment

import (
	"encoding/json"
	"testing"
	"time"
)

func TestATrackCallIsWrittenInOneOrder(t *testing.T) {
	track := Track{
		Event: "get_treatment", UserID: `u<1>"`, MessageID: "m1",
		Timestamp:  time.Date(2026, 1, 2, 4, 4, 5, 6_999_999, time.FixedZone("", 3600)),
		Properties: json.RawMessage(`{"split":"f"}`),
		Library:    "causeway", LibraryVersion: "1.2.3",
	}
	const want = `{"type":"track","event":"get_treatment","userId":"u<1>\"","messageId":"m1","timestamp":"2026-01-02T03:04:05.006Z",` +
		`"properties":{"split":"f"},"context":{"library":{"name":"causeway","version":"1.2.3"}}}`
	if got := string(track.JSON()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	bare := Track{Event: "e", AnonymousID: "a1", MessageID: "m", Library: "causeway"}
	const wantBare = `{"type":"track","event":"e","anonymousId":"a1","messageId":"m","properties":{},"context":{"library":{"name":"causeway"}}}`
	if got := string(bare.JSON()); got != wantBare {
		t.Errorf("got  %s\nwant %s", got, wantBare)
	}
}

func TestABatchIsNoLargerThanItsCost(t *testing.T) {
	sentAt := time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)
	calls := []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{"b":"<"}`)}
	if got := string(BatchBody(calls, sentAt)); got != `{"batch":[{"a":1},{"b":"<"}],"sentAt":"2026-01-02T03:04:05.006Z"}` {
		t.Errorf("batch: %s", got)
	}
	for n := range len(calls) + 1 {
		cost := BatchBaseBytes
		for _, call := range calls[:n] {
			cost += BatchCost(call)
		}
		body := BatchBody(calls[:n], sentAt)
		if len(body) > cost || len(body) < cost-1 {
			t.Errorf("%d calls: %d bytes, cost %d", n, len(body), cost)
		}
		if parsed, err := ParseTracking(true, body); err != nil || len(parsed.Items) != n {
			t.Errorf("%d calls: read again as %d, %v", n, len(parsed.Items), err)
		}
	}
}
