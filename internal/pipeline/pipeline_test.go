package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

func TestTheSeedsCallsBecomeEventsAndAttributes(t *testing.T) {
	r := newRig(t)
	r.start()
	r.append(stream.Calls, call(`{"type":"track","messageId":"ajs-f8ca","event":"Order Completed","userId":"41e5","anonymousId":"23ad",
		"properties":{"revenue":9.5,"split":[{"account":"4d34"}]},"originalTimestamp":"2015-12-12T19:11:01.152Z"}`))
	r.append(stream.Calls, call(`{"type":"group","messageId":"022b","userId":"7f24","groupId":"4d34","traits":{"split":{"account":"4d34"},"plan":"pro"}}`))
	r.append(stream.Calls, call(`{"type":"identify","messageId":"id-1","userId":"41e5","traits":{"company":{"name":"Acme"}}}`))
	r.settle()

	events := r.events(store.EventQuery{MessageID: "ajs-f8ca"})
	var legs []string
	for _, e := range events {
		legs = append(legs, e.TrafficType+" "+e.Key)
		if e.EventType != "Order_Completed" || e.Value == nil || *e.Value != 9.5 || e.Source != "Segment" || e.ForeignID != "ajs-f8ca" {
			t.Errorf("unexpected event %+v", e)
		}
	}
	slices.Sort(legs)
	if want := []string{"account 4d34", "anonymous 23ad", "user 41e5"}; !slices.Equal(legs, want) {
		t.Errorf("legs %v, want %v", legs, want)
	}
	for _, want := range []struct{ trafficType, key, id, value string }{
		{"account", "4d34", "plan", "pro"},
		{"user", "41e5", "company", `{"name":"Acme"}`},
	} {
		customer, found, err := r.store.Customer(t.Context(), production, want.trafficType, want.key)
		if err != nil || !found {
			t.Fatalf("customer %s %s: found %v, %v", want.trafficType, want.key, found, err)
		}
		if got := customer.Attributes[want.id].Value; got != want.value {
			t.Errorf("%s of %s %s is %q, want %q", want.id, want.trafficType, want.key, got, want.value)
		}
	}
}

func TestACallWithoutAMessageIDGetsTheSameOneEachTimeItIsRead(t *testing.T) {
	r := newRig(t)
	record := stream.Record{
		Kind: stream.Tracking, Environment: string(production), Configuration: "events", Seed: [16]byte{7},
		ReceivedAt: time.Now().UTC(), Body: []byte(`{"batch":[{"type":"track","userId":"u1","event":"A"},{"type":"track","userId":"u1","event":"B"}]}`),
	}
	f := &fault{happened: false}
	f.left.Store(2)
	r.options.Store = &faultyStore{Store: r.store, commit: f}
	r.append(stream.Calls, record)
	r.start()
	r.settle()
	calls := r.calls(store.CallQuery{})
	if len(calls) != 2 || calls[0].MessageID == calls[1].MessageID || !strings.HasPrefix(calls[0].MessageID, "cw-") {
		t.Errorf("calls %+v, want two with made ids that differ", calls)
	}
	if got := len(r.events(store.EventQuery{})); got != 2 {
		t.Errorf("%d events, want 2", got)
	}
}

func TestACallWhoseDestinationIsGoneIsDroppedWithThatReason(t *testing.T) {
	r := newRig(t)
	record := track("m1", "u1")
	record.Configuration = "removed"
	r.append(stream.Calls, record)
	r.append(stream.Calls, track("m2", "u2")) // a neighbour is not hurt
	r.start()
	r.settle()
	dropped := r.calls(store.CallQuery{Outcome: reason.Dropped, Reason: reason.ConfigurationGone})
	if len(dropped) != 1 || dropped[0].Configuration != "removed" {
		t.Errorf("dropped %+v, want the call of the removed destination", dropped)
	}
	if got := len(r.events(store.EventQuery{MessageID: "m2"})); got != 1 {
		t.Errorf("%d events of the neighbour, want 1", got)
	}
}

func TestImpressionsOfAnUnknownFlagWaitAndGoOutOnceTheFlagIsKnown(t *testing.T) {
	r := newRig(t)
	r.start()
	r.append(stream.Impressions, impression("new_flag", "u1", 1767225600000))
	r.settle()
	letters, _, err := r.streams.DeadLetters(t.Context(), stream.DeadLetterQuery{})
	if err != nil || len(letters) != 1 || letters[0].Reason != reason.TrafficTypeUnknown {
		t.Fatalf("letters %+v, %v, want one traffic_type_unknown", letters, err)
	}
	if got := len(r.outgoing("impressions")); got != 0 {
		t.Fatalf("%d calls go out, want 0", got)
	}
	r.apply(strings.Replace(configuration, "{name: button,", "{name: new_flag, trafficType: user}\n      - {name: button,", 1))
	result, err := r.streams.Replay(t.Context(), stream.DeadLetterQuery{Source: "impressions"}, false)
	if err != nil || result.Replayed != 1 {
		t.Fatalf("replay %+v, %v", result, err)
	}
	r.settle()
	if got := len(r.outgoing("impressions")); got != 1 {
		t.Errorf("%d calls go out after the replay, want 1", got)
	}
	if got := len(r.impressions()); got != 1 {
		t.Errorf("%d impressions stored, want still 1", got)
	}
}

func TestReasonsOfImpressionsAreCountedPerSource(t *testing.T) {
	r := newRig(t)
	r.start()
	r.append(stream.Impressions, stream.Record{
		Kind: stream.ImpressionsBulk, Environment: string(production), SDK: "nodejs-11.11.2", ReceivedAt: time.Now().UTC(),
		Body: []byte(`[{"f":"button","i":[{"k":"u1","t":"control","m":1767225600000,"r":"not ready"},{"k":7,"t":"on","m":1767225600001},{"t":"on","m":1}]}]`),
	})
	r.settle()
	counts, err := r.store.Reasons(t.Context(), production, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	got := map[reason.Code]int64{}
	for _, c := range counts {
		got[c.Code] += c.Count
	}
	if got[reason.ControlNotSent] != 1 || got[reason.ImpressionIncomplete] != 1 {
		t.Errorf("counts %v, want one control_not_sent and one impression_incomplete", got)
	}
	if got := len(r.impressions()); got != 2 {
		t.Errorf("%d impressions, want 2: the one without a key fails alone", got)
	}
}

func TestACallThatSegmentWouldNeverTakeIsCountedAndStopsNobody(t *testing.T) {
	r := newRig(t)
	r.start()
	huge := impression("button", "u1", 1767225600000)
	huge.MachineName = strings.Repeat("m", 40_000)
	r.append(stream.Impressions, huge)
	r.append(stream.Impressions, impression("button", "u2", 1767225600000))
	r.settle()
	if got := len(r.outgoing("impressions")); got != 1 {
		t.Errorf("%d calls go out, want the neighbour's", got)
	}
	counts, err := r.store.Reasons(t.Context(), production, time.Now().Add(-time.Hour))
	if err != nil || !slices.ContainsFunc(counts, func(c store.ReasonCount) bool { return c.Code == reason.TooLarge && c.Configuration == "impressions" }) {
		t.Errorf("counts %+v, %v, want too_large of the source", counts, err)
	}
}

func TestCountsUniqueKeysAndEventsOfSDKsAreStored(t *testing.T) {
	r := newRig(t)
	r.start()
	record := func(kind stream.Kind, body string) stream.Record {
		return stream.Record{Kind: kind, Environment: string(production), SDK: "go-6.10.0", ReceivedAt: time.Now().UTC(), Body: []byte(body)}
	}
	r.append(stream.Impressions, record(stream.ImpressionCounts, `{"pf":[{"f":"button","m":1767225600000,"rc":5}]}`))
	r.append(stream.Impressions, record(stream.UniqueKeysByFlag, `{"keys":[{"f":"button","ks":["u1","u2"]}]}`))
	r.append(stream.Impressions, record(stream.UniqueKeysByKey, `{"keys":[{"k":"u2","fs":["button"]}]}`))
	r.append(stream.Impressions, record(stream.TelemetryUsage, `{"iDr":3}`))
	r.append(stream.Impressions, record(stream.Events, `[{"key":"u1","trafficTypeName":"user","eventTypeId":"bought","value":3.5,"timestamp":1767225600000,"properties":{"a":1}},
		{"key":"u1","trafficTypeName":"planet","eventTypeId":"bought","timestamp":1767225600000}]`))
	r.append(stream.Impressions, impression("button", "u9", 1767225600000))
	r.settle()
	flags, err := r.store.Flags(t.Context(), production, time.Time{})
	if err != nil || len(flags) != 1 {
		t.Fatalf("flags %+v, %v", flags, err)
	}
	if f := flags[0]; f.Impressions != 1 || f.Evaluations != 6 || f.UniqueKeys != 3 {
		t.Errorf("flag %+v, want 1 impression, 6 evaluations, 3 unique keys", f)
	}
	events := r.events(store.EventQuery{})
	if len(events) != 1 || events[0].EventType != "bought" || events[0].Source != fme.SourceSplit {
		t.Errorf("events %+v, want the one of a known traffic type", events)
	}
}

func TestEventsThatAnSDKSendsAgainAreStoredOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	record := func(sdk, body string) stream.Record {
		return stream.Record{Kind: stream.Events, Environment: string(production), SDK: sdk, ReceivedAt: time.Now().UTC(), Body: []byte(body)}
	}
	const bought = `[{"key":"u1","trafficTypeName":"user","eventTypeId":"bought","timestamp":1767225600000},
		{"key":"u1","trafficTypeName":"user","eventTypeId":"bought","timestamp":1767225600000}]`
	const timeless = `[{"key":"u1","trafficTypeName":"user","eventTypeId":"clicked"}]`
	for range 2 {
		r.append(stream.Impressions, record("browserjs-1.7.1", bought))   // two events, sent twice
		r.append(stream.Impressions, record("browserjs-1.7.1", timeless)) // nothing tells the second from a new one
		r.append(stream.Impressions, record("", bought))                  // a sender of its own, which may mean it
	}
	r.settle()
	for eventType, want := range map[string]int{"bought": 2 + 4, "clicked": 2} {
		if got := len(r.events(store.EventQuery{EventType: eventType})); got != want {
			t.Errorf("%d events %s, want %d", got, eventType, want)
		}
	}
}

func TestAFullOutboundStreamSetsAsideInsteadOfStoppingTheRest(t *testing.T) {
	r := newRig(t)
	f := &fault{}
	f.left.Store(1)
	r.options.Streams = &fullStreams{Streams: r.streams, fault: f}
	r.start()
	r.append(stream.Impressions, impression("button", "u1", 1767225600000))
	r.settle()
	r.append(stream.Impressions, impression("button", "u2", 1767225600001))
	r.settle()
	letters, _, err := r.streams.DeadLetters(t.Context(), stream.DeadLetterQuery{Reason: reason.OutboundFull})
	if err != nil || len(letters) != 1 || letters[0].Kind != stream.DeadCall || letters[0].MessageID == "" {
		t.Fatalf("letters %+v, %v, want one outbound_full call", letters, err)
	}
	if _, err := r.streams.Replay(t.Context(), stream.DeadLetterQuery{}, false); err != nil {
		t.Fatal(err)
	}
	if got := len(r.outgoing("impressions")); got != 2 {
		t.Errorf("%d calls go out in the end, want 2", got)
	}
}

func TestThousandsOfCallsInManyFramesKeepTheirOrderAndCount(t *testing.T) {
	r := newRig(t)
	for i := range 200 {
		var body strings.Builder
		body.WriteString("[")
		for j := range 20 {
			if j > 0 {
				body.WriteString(",")
			}
			fmt.Fprintf(&body, `{"type":"identify","messageId":"m%d-%d","userId":"u1","timestamp":"2026-01-02T03:04:05Z","traits":{"n":%d}}`, i, j, i*20+j)
		}
		body.WriteString("]")
		r.append(stream.Calls, call(body.String()))
	}
	r.start()
	r.settle()
	customer, _, err := r.store.Customer(t.Context(), production, "user", "u1")
	if err != nil {
		t.Fatal(err)
	}
	if got := customer.Attributes["n"].Value; got != "3999" {
		t.Errorf("n is %s, want 3999: of equal call times the later receipt wins (X10)", got)
	}
}
