package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/segment/segmenttest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The paths of impressions and of events, by POST and by beacon.
const (
	impressionsPath = "/testImpressions/b"
	eventsPath      = "/api/events/b"
)

// again says which SDKs send impressions once more when they were refused; the
// others drop them, and events are dropped by all (facts: retry behaviour of
// SDKs). What was never acknowledged may be missing.
var again = map[string]bool{"splitio 11.11": true, "splitio 11.9": true, "splitio-browserjs, destroyed": true}

// Whatever goes wrong between an SDK and the server: what was acknowledged is
// stored, once, and arrives at Segment once, also when the SDK was not told and
// sends it again. An SDK that tries again loses nothing at all.
func TestAfterAFaultWhatASplitSDKWasAcknowledgedIsStoredOnce(t *testing.T) {
	for _, s := range sdks() {
		for _, f := range faults {
			t.Run(s.name+", "+string(f), func(t *testing.T) {
				t.Parallel()
				segment := segmenttest.Start(t, segmenttest.Options{})
				server := startServer(t, flagShop(segment.URL))
				p := startProxy(t, server)
				p.misbehave(impressionsPath, f)
				p.misbehave(eventsPath, f)
				u := use{host: p.URL, mode: "DEBUG", script: everything}
				if again[s.name] {
					u.before = func() {
						eventually(t, "the SDK sends its impressions again", func() error {
							if len(p.exchanges(impressionsPath)) < 2 {
								return errors.New("it did not")
							}
							return nil
						})
					}
				}
				if _, err := s.run(t, u); err != nil {
					t.Fatal(err)
				}
				var sent []exchange
				eventually(t, "the SDK has sent its last", func() error {
					if sent = p.exchanges(""); len(p.exchanges(impressionsPath)) == 0 || len(p.exchanges(eventsPath)) == 0 {
						return errors.New("it did not")
					}
					return nil
				})
				if n := len(slices.DeleteFunc(slices.Clone(sent), func(e exchange) bool { return e.Fault == none })); n != 2 {
					t.Errorf("%d requests were disturbed, want 2", n)
				}
				tell(t, sent)
				stored := checkAcknowledged(t, server, sent)
				if want := len(expected("DEBUG").impressions); again[s.name] && len(stored) != want {
					t.Errorf("%d impressions are stored, want all %d", len(stored), want)
				}
				if len(stored) > 0 {
					checkSegment(t, segment, stored)
				}
			})
		}
	}
}

// sentImpression and sentEvent are what tells one from another.
type (
	sentImpression struct {
		Flag, Key string
		Time      int64
	}
	sentEvent struct {
		Key, Type string
		Time      int64
	}
)

// checkAcknowledged holds what is stored against what the server acknowledged.
// It returns the stored impressions.
func checkAcknowledged(t *testing.T, server *server, sent []exchange) []impression {
	t.Helper()
	impressions, events := map[sentImpression]bool{}, map[sentEvent]bool{}
	for _, e := range sent {
		if !e.acknowledged() {
			continue
		}
		switch {
		case strings.Contains(e.Path, impressionsPath):
			for _, flag := range entries[struct {
				F string
				I []struct {
					K string
					M int64
				}
			}](t, e.Body) {
				for _, i := range flag.I {
					impressions[sentImpression{flag.F, i.K, i.M}] = true
				}
			}
		case strings.Contains(e.Path, eventsPath):
			for _, e := range entries[struct {
				Key, EventTypeID string
				Timestamp        int64
			}](t, e.Body) {
				events[sentEvent{e.Key, e.EventTypeID, e.Timestamp}] = true
			}
		}
	}
	var stored []impression
	eventually(t, "what was acknowledged is stored", func() (err error) {
		if stored, err = server.impressions(); err != nil {
			return err
		}
		var gotImpressions []sentImpression
		for _, i := range stored {
			gotImpressions = append(gotImpressions, sentImpression{i.Flag, i.Key, i.Time.UnixMilli()})
		}
		var gotEvents []sentEvent
		for _, e := range server.events() {
			gotEvents = append(gotEvents, sentEvent{e.Key, e.EventType, e.Time.UnixMilli()})
		}
		return errors.Join(same("impressions", impressions, gotImpressions), same("events", events, gotEvents))
	})
	return stored
}

// same compares what was acknowledged with what is stored.
func same[T comparable](what string, acknowledged map[T]bool, stored []T) error {
	var want []T
	for one := range acknowledged {
		want = append(want, one)
	}
	less := func(a, b T) bool { return fmt.Sprint(a) < fmt.Sprint(b) }
	if diff := cmp.Diff(want, stored, cmpopts.SortSlices(less), cmpopts.EquateEmpty()); diff != "" {
		return fmt.Errorf("%s acknowledged and stored (-want +got):\n%s", what, diff)
	}
	return nil
}

// entries opens a body: a list, or a beacon that holds one.
func entries[T any](t *testing.T, body []byte) []T {
	t.Helper()
	var list []T
	if json.Unmarshal(body, &list) == nil {
		return list
	}
	var beacon struct{ Entries []T }
	if err := json.Unmarshal(body, &beacon); err != nil {
		t.Errorf("a body that is neither a list nor a beacon: %.200s", body)
	}
	return beacon.Entries
}

// A page that is left sends all that the SDK holds as beacons: the key is in
// the body, and nobody reads the answer.
func TestAPageThatIsLeftSendsEverythingAsBeacons(t *testing.T) {
	for mode, paths := range map[string][]string{
		"OPTIMIZED": {"/api/testImpressions/beacon", "/api/testImpressions/count/beacon", "/api/events/beacon", "/api/v1/keys/cs/beacon"},
		"DEBUG":     {"/api/testImpressions/beacon", "/api/testImpressions/count/beacon", "/api/events/beacon", "/api/v1/keys/cs/beacon"},
		"NONE":      {"/api/testImpressions/count/beacon", "/api/events/beacon", "/api/v1/keys/cs/beacon"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			segment := segmenttest.Start(t, segmenttest.Options{})
			server := startServer(t, flagShop(segment.URL))
			p := startProxy(t, server)
			if _, err := splitBrowser(unhurried, (*tab).leave)(t, use{host: p.URL, mode: mode, script: everything}); err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				eventually(t, "a beacon to "+path, func() error {
					sent := slices.DeleteFunc(p.exchanges(path), func(e exchange) bool { return e.Path != path })
					if len(sent) != 1 {
						return fmt.Errorf("%d requests", len(sent))
					}
					if sent[0].Server/100 != 2 || sent[0].Header.Get("Authorization") != "" {
						t.Errorf("answered %d, Authorization %q", sent[0].Server, sent[0].Header.Get("Authorization"))
					}
					return nil
				})
			}
			if bulk := p.exchanges("/bulk"); len(bulk) > 0 {
				t.Errorf("something was sent before the page was left: %s", bulk[0].Path)
			}
			checkTotals(t, server, expected(mode))
			checkTracked(t, server, time.Now().Add(-time.Minute))
		})
	}
}
