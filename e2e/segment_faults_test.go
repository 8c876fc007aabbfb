package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// purchases are calls that become one event each.
func purchases(name string, n int) []sample {
	calls := make([]sample, n)
	for i := range calls {
		calls[i] = sample{Type: "track", Event: "Order Completed", UserID: "u1", AnonymousID: "a1", MessageID: fmt.Sprintf("%s-%d", name, i), Properties: map[string]any{"revenue": float64(i)}}
	}
	return calls
}

// Whatever goes wrong between a library and the server, after recovery every
// call is stored, none twice: what was acknowledged is not missing, and what
// the library sent again because it was not told is recognised.
func TestAfterAFaultEveryCallOfEveryLibraryIsStoredOnce(t *testing.T) {
	for _, l := range libraries() {
		for _, f := range faults {
			t.Run(l.name+", "+string(f), func(t *testing.T) {
				t.Parallel()
				s := startServer(t, shop)
				p := startProxy(t, s)
				calls := purchases("m", 5)
				p.misbehave("/v1/", f, f)
				ids, err := l.send(t, p.URL, calls)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(ids, "") {
					t.Errorf("the library gave up calls: %q", ids)
				}
				want := make([]string, len(calls))
				for i, c := range calls {
					want[i] = c.MessageID
				}
				s.waitForCalls(want)
				eventually(t, "the library is told that every call was taken", func() error { return told(p, want) })
				checkStoredOnce(t, s, p, want)
				tell(t, p.exchanges("/v1/"))
				disturbed := slices.DeleteFunc(p.exchanges("/v1/"), func(e exchange) bool { return e.Fault == none })
				if len(disturbed) != 2 {
					t.Errorf("%d requests were disturbed, want 2: %v", len(disturbed), disturbed)
				}
			})
		}
	}
}

// told says which calls the library has not yet heard to be taken.
func told(p *proxy, sent []string) error {
	left := slices.Clone(sent)
	for _, e := range p.exchanges("/v1/") {
		if e.Fault == none && e.acknowledged() {
			left = slices.DeleteFunc(left, func(id string) bool { return slices.Contains(e.messageIDs(), id) })
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("not of %q", left)
	}
	return nil
}

// checkStoredOnce holds what is stored against what was acknowledged.
func checkStoredOnce(t *testing.T, s *server, p *proxy, sent []string) {
	t.Helper()
	acknowledged, again := map[string]bool{}, 0
	for _, e := range p.exchanges("/v1/") {
		if !e.acknowledged() {
			continue
		}
		for _, id := range e.messageIDs() {
			if acknowledged[id] {
				again++
			}
			acknowledged[id] = true
		}
	}
	var stored []string
	for _, e := range s.events() {
		if e.TrafficType == "user" {
			stored = append(stored, e.ForeignID)
		}
	}
	slices.Sort(stored)
	if diff := cmp.Diff(sent, stored); diff != "" {
		t.Errorf("sent and stored (-want +got):\n%s", diff)
	}
	for id := range acknowledged {
		if !slices.Contains(stored, id) {
			t.Errorf("%s was acknowledged and is not stored", id)
		}
	}
	s.eventually("each call that came again is counted duplicate", func() error {
		all, err := list[call](s, environmentPath+"/calls", nil)
		if err != nil {
			return err
		}
		duplicates := 0
		for _, c := range all {
			if c.Outcome == "duplicate" {
				duplicates++
			}
		}
		// A server that is killed may have taken calls and told nobody: they
		// come again, too.
		if duplicates < again || duplicates > again && !s.wasKilled {
			return fmt.Errorf("%d calls are counted duplicate, %d were acknowledged again", duplicates, again)
		}
		return nil
	})
}

// kill -9 in the middle of what a library sends, and a start on the same
// folder: what was acknowledged is there, what was not is sent again, nothing
// is stored twice.
func TestAServerThatIsKilledWhileALibrarySendsLosesAndDoublesNothing(t *testing.T) {
	for name, send := range map[string]func(*testing.T, string, []sample) ([]string, error){
		"analytics-go": sendWithGo,
		"analytics-node 3": func(t *testing.T, host string, calls []sample) (ids []string, err error) {
			err = tryNode(t, "segment-node.mjs", map[string]any{"package": "@segment/analytics-node", "host": host, "writeKey": writeKey, "calls": calls, "flushAt": 20, "maxRetries": 10}, &ids)
			return ids, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, shop)
			p := startProxy(t, s)
			calls := purchases("k", 2000)
			type result struct {
				ids []string
				err error
			}
			sent := make(chan result, 1)
			go func() {
				ids, err := send(t, p.URL, calls)
				sent <- result{ids, err}
			}()
			s.eventually("the server acknowledged something", func() error {
				if len(p.exchanges("/v1/")) == 0 {
					return errors.New("nothing yet")
				}
				return nil
			})
			s.kill()
			s.wasKilled = true
			s.start()
			r := <-sent
			if r.err != nil {
				t.Fatal(r.err)
			}
			if slices.Contains(r.ids, "") {
				t.Error("the library gave up calls")
			}
			want := make([]string, len(calls))
			for i, c := range calls {
				want[i] = c.MessageID
			}
			slices.Sort(want)
			s.waitForCalls(want)
			checkStoredOnce(t, s, p, want)
			if failed := slices.ContainsFunc(p.exchanges("/v1/"), func(e exchange) bool { return e.Server == 0 }); !failed {
				t.Error("no request met the dead server: the test proves nothing")
			}
		})
	}
}
