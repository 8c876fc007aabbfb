package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// calls makes n recognisable calls.
func calls(prefix string, n int) []json.RawMessage {
	var all []json.RawMessage
	for i := range n {
		all = append(all, json.RawMessage(fmt.Sprintf(`{"messageId":"%s-%d"}`, prefix, i)))
	}
	return all
}

func publishTest(t *testing.T, s *Streams, source string, origin uint64, calls []json.RawMessage) {
	t.Helper()
	if err := s.PublishOutbound(t.Context(), source, origin, calls); err != nil {
		t.Fatal(err)
	}
}

func outboundTest(t *testing.T, s *Streams, source string) *Outbound {
	t.Helper()
	o, err := s.Outbound(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// drain takes every parcel until none is pending, acknowledging each, and
// returns the calls as text.
func drain(t *testing.T, o *Outbound) []string {
	t.Helper()
	var all []string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		pending, _, err := o.Pending(t.Context())
		if err == nil && pending == 0 {
			return all
		}
		parcels, err := o.Next(t.Context(), 1000, time.Second)
		if err != nil && !errors.Is(err, ErrUnavailable) { // a cluster may be choosing a leader
			t.Fatal(err)
		}
		for _, p := range parcels {
			for _, call := range p.Calls {
				all = append(all, string(call))
			}
		}
		if err := o.Ack(t.Context(), parcels...); err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	t.Fatalf("parcels are still pending after 20 s and %d calls", len(all))
	return nil
}

func texts(groups ...[]json.RawMessage) []string {
	var all []string
	for _, group := range groups {
		for _, call := range group {
			all = append(all, string(call))
		}
	}
	return all
}

func TestParcelsArriveInOrderAndOncePerOrigin(t *testing.T) {
	s := openTest(t, Options{})
	publishTest(t, s, "segment-eu", 3, calls("a", 2))
	publishTest(t, s, "segment-eu", 3, calls("a", 2)) // again
	publishTest(t, s, "segment-eu", 7, calls("b", 1))
	publishTest(t, s, "segment-eu", 5, calls("old", 1)) // went back
	publishTest(t, s, "segment-eu", 9, nil)
	publishTest(t, s, "other", 3, calls("c", 1))
	if last, err := s.LastOrigin(t.Context(), "segment-eu"); last != 7 || err != nil {
		t.Errorf("last origin %d, %v", last, err)
	}
	o := outboundTest(t, s, "segment-eu")
	pending, oldest, err := o.Pending(t.Context())
	if pending != 2 || time.Since(oldest) > time.Minute || err != nil {
		t.Errorf("pending %d since %v, %v", pending, oldest, err)
	}
	parcels, err := o.Next(t.Context(), 10, time.Second)
	if err != nil || len(parcels) != 2 || parcels[0].Origin != 3 || parcels[1].Origin != 7 || parcels[0].Deliveries != 1 {
		t.Fatalf("parcels %+v, %v", parcels, err)
	}
	for _, p := range parcels {
		if err := errors.Join(p.Working(), p.Ack(t.Context())); err != nil {
			t.Error(err)
		}
	}
	if pending, oldest, err := o.Pending(t.Context()); pending != 0 || !oldest.IsZero() || err != nil {
		t.Errorf("pending %d since %v, %v after all was acknowledged", pending, oldest, err)
	}
	if diff := cmp.Diff(texts(calls("c", 1)), drain(t, outboundTest(t, s, "other"))); diff != "" {
		t.Errorf("the other source (-want +got):\n%s", diff)
	}
}

func TestLastOriginSurvivesTrimmingAndReopening(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	for origin := uint64(1); origin <= 5; origin++ {
		publishTest(t, s, "a", origin, calls("x", 1))
	}
	drain(t, outboundTest(t, s, "a"))
	s.trimOutboxes()
	state, err := s.state(t.Context(), "outbound-a")
	if err != nil || state.Msgs != 1 {
		t.Errorf("%d parcels are kept (%v), want the newest alone", state.Msgs, err)
	}
	s.Close()
	s = openTest(t, o)
	if last, err := s.LastOrigin(t.Context(), "a"); last != 5 || err != nil {
		t.Errorf("last origin %d, %v", last, err)
	}
	publishTest(t, s, "a", 5, calls("x", 1))
	if got := drain(t, outboundTest(t, s, "a")); len(got) != 0 {
		t.Errorf("origin 5 came again: %q", got)
	}
}

func TestAnOriginCutShortIsCompleted(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	publishTest(t, s, "a", 1, calls("x", 1))
	// What a crash between the parcels of origin 2 leaves behind.
	whole := calls("y", 5)
	box, err := s.outbox(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if durable, err := s.send(t.Context(), box, mark{origin: 2, complete: 1, covered: 2, sum: sumOf(whole[:2])}, whole[:2], "origin-2-2"); !durable || err != nil {
		t.Fatal(durable, err)
	}
	s.Close()

	s = openTest(t, o)
	if last, err := s.LastOrigin(t.Context(), "a"); last != 1 || err != nil {
		t.Errorf("last origin %d, %v; origin 2 is not whole", last, err)
	}
	publishTest(t, s, "a", 2, whole)
	publishTest(t, s, "a", 2, whole)
	if last, err := s.LastOrigin(t.Context(), "a"); last != 2 || err != nil {
		t.Errorf("last origin %d, %v", last, err)
	}
	if diff := cmp.Diff(texts(calls("x", 1), whole), drain(t, outboundTest(t, s, "a"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A configuration that changes between the crash and the restart changes what a
// frame gives rise to: then the count of what was published says nothing.
func TestAnOriginCutShortThatChangedLosesNothing(t *testing.T) {
	was := calls("y", 5)
	for name, becomes := range map[string][]json.RawMessage{
		"more, in front": append(calls("new", 2), was...),
		"fewer":          was[2:],
		"fewer by far":   was[4:],
		"others":         calls("z", 5),
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, Options{})
			publishTest(t, s, "a", 1, calls("x", 1))
			box, err := s.outbox(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			cutShort := mark{origin: 2, complete: 1, covered: 3, sum: sumOf(was[:3])}
			if durable, err := s.send(t.Context(), box, cutShort, was[:3], "origin-2-3-"+cutShort.sum); !durable || err != nil {
				t.Fatal(durable, err)
			}
			publishTest(t, s, "a", 2, becomes)
			publishTest(t, s, "a", 2, becomes)
			if last, err := s.LastOrigin(t.Context(), "a"); last != 2 || err != nil {
				t.Errorf("last origin %d, %v", last, err)
			}
			if diff := cmp.Diff(texts(calls("x", 1), was[:3], becomes), drain(t, outboundTest(t, s, "a"))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestManyCallsAreSplitIntoParcels(t *testing.T) {
	s := openTest(t, Options{})
	var many []json.RawMessage
	for i := range 120 {
		many = append(many, json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, i, strings.Repeat("x", 30<<10))))
	}
	publishTest(t, s, "a", 1, many)
	state, err := s.state(t.Context(), "outbound-a")
	if err != nil || state.Msgs < 4 || state.Msgs > 5 {
		t.Errorf("3.6 MB became %d parcels, %v", state.Msgs, err)
	}
	if diff := cmp.Diff(texts(many), drain(t, outboundTest(t, s, "a"))); diff != "" {
		t.Error("the calls came back different")
	}
}

func TestTwoPublishersNeverDoubleAnOrigin(t *testing.T) {
	o := Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	one := openTest(t, o)
	two := openTest(t, Options{URL: one.embedded.running().ClientURL(), Replicas: 1})
	var want []string
	var both sync.WaitGroup
	for _, s := range []*Streams{one, two} {
		both.Go(func() {
			for origin := uint64(1); origin <= 40; origin++ {
				if err := s.PublishOutbound(t.Context(), "a", origin, calls(fmt.Sprint(origin), 1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	for origin := 1; origin <= 40; origin++ {
		want = append(want, texts(calls(fmt.Sprint(origin), 1))...)
	}
	if diff := cmp.Diff(want, drain(t, outboundTest(t, two, "a"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAFullOutboundStreamRefusesAndLosesNothing(t *testing.T) {
	s := openTest(t, Options{Budget: Budget{Outbound: 1 << 20}})
	big := []json.RawMessage{json.RawMessage(`"` + strings.Repeat("x", 100<<10) + `"`)}
	origin := uint64(0)
	for ; origin < 100; origin++ {
		if err := s.PublishOutbound(t.Context(), "a", origin+1, big); errors.Is(err, ErrFull) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if origin < 8 || origin > 11 {
		t.Errorf("1 MiB took %d parcels of 100 KiB", origin)
	}
	if last, err := s.LastOrigin(t.Context(), "a"); last != origin || err != nil {
		t.Errorf("last origin %d, %v; want %d", last, err, origin)
	}
	o := outboundTest(t, s, "a")
	parcels, err := o.Next(t.Context(), 3, time.Second)
	if err != nil || len(parcels) != 3 {
		t.Fatal(parcels, err)
	}
	for _, p := range parcels {
		if err := p.Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	publishTest(t, s, "a", origin+1, big) // room is made by dropping what was acknowledged
	if got := len(drain(t, o)); got != int(origin)+1-3 {
		t.Errorf("%d parcels left, want %d", got, origin+1-3)
	}
}

func TestWhatWasHeldIsDeliveredAgainAfterReopening(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := openTest(t, o)
	publishTest(t, s, "a", 1, calls("x", 1))
	publishTest(t, s, "a", 2, calls("y", 1))
	parcels, err := outboundTest(t, s, "a").Next(t.Context(), 10, time.Second)
	if err != nil || len(parcels) != 2 {
		t.Fatal(parcels, err)
	}
	if err := parcels[0].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openTest(t, o)
	start := time.Now()
	if diff := cmp.Diff(texts(calls("y", 1)), drain(t, outboundTest(t, s, "a"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if took := time.Since(start); took > ParcelHold/2 {
		t.Errorf("it took %v", took)
	}
}

func TestManyParcelsAreFetchedWithinBounds(t *testing.T) {
	s := openTest(t, Options{})
	big := []json.RawMessage{json.RawMessage(`"` + strings.Repeat("x", 900<<10) + `"`)}
	const n = 40
	for origin := uint64(1); origin <= n; origin++ {
		publishTest(t, s, "a", origin, big)
	}
	o := outboundTest(t, s, "a")
	parcels, err := o.Next(t.Context(), n, time.Second)
	if err != nil || len(parcels) < 2 || len(parcels) > 20 {
		t.Errorf("%d parcels of 900 KiB at once, %v", len(parcels), err)
	}
	for _, p := range parcels {
		if err := p.Ack(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if got := len(parcels) + len(drain(t, o)); got != n {
		t.Errorf("%d of %d parcels came", got, n)
	}
}

func TestAnOutboundStreamCanBeDropped(t *testing.T) {
	s := openTest(t, Options{})
	publishTest(t, s, "a", 4, calls("x", 1))
	publishTest(t, s, "b", 4, calls("x", 1))
	if err := s.SaveDeliveryState(t.Context(), DeliveryState{Source: "a", State: DeliveryPaused}); err != nil {
		t.Fatal(err)
	}
	if err := s.DropOutbound(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.DropOutbound(t.Context(), "a"); err != nil {
		t.Errorf("dropping it again: %v", err)
	}
	sources, err := s.OutboundSources(t.Context())
	if diff := cmp.Diff([]string{"b"}, sources); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, ok, err := s.DeliveryState(t.Context(), "a"); ok || err != nil {
		t.Errorf("its delivery state is there: %v", err)
	}
	publishTest(t, s, "a", 1, calls("new", 1)) // a source of the same name begins anew
	if got := drain(t, outboundTest(t, s, "a")); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestSourcesAreSlugs(t *testing.T) {
	s := openTest(t, Options{})
	for _, source := range []string{"", "a.b", "a b", "*", ">", "a/b"} {
		if err := s.PublishOutbound(t.Context(), source, 1, calls("x", 1)); err == nil {
			t.Errorf("%q was accepted", source)
		}
		if _, err := s.Outbound(t.Context(), source); err == nil {
			t.Errorf("%q was opened", source)
		}
	}
}
