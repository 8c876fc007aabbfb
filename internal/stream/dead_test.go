package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"causeway/internal/reason"

	"github.com/google/go-cmp/cmp"
)

// letters makes n dead letters of one source and reason.
func letters(source string, code reason.Code, kind string, n int) []DeadLetter {
	var all []DeadLetter
	for i := range n {
		all = append(all, DeadLetter{
			Source: source, Environment: "shop/production", Kind: kind, Reason: code,
			MessageID: fmt.Sprintf("%s-%s-%d", source, code, i),
			Status:    400, Answer: "no", At: time.UnixMilli(int64(i)).UTC(),
			Body: json.RawMessage(fmt.Sprintf(`{"messageId":"%s-%s-%d","b":"<&>"}`, source, code, i)),
		})
	}
	return all
}

func setAsideTest(t *testing.T, s *Streams, id string, letters []DeadLetter) {
	t.Helper()
	if err := s.SetAside(t.Context(), id, letters); err != nil {
		t.Fatal(err)
	}
}

// ids lists every letter that the query selects, page by page.
func ids(t *testing.T, s *Streams, q DeadLetterQuery) []string {
	t.Helper()
	var all []string
	for {
		page, next, err := s.DeadLetters(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range page {
			all = append(all, letter.MessageID)
		}
		if next == "" {
			return all
		}
		q.Cursor = next
	}
}

func count(t *testing.T, s *Streams) []DeadLetterCount {
	t.Helper()
	counts, err := s.CountDeadLetters(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestDeadLettersAreKeptWholeAndListedNewestFirst(t *testing.T) {
	s := openTest(t, Options{})
	want := letters("a", reason.RefusedBySegment, DeadCall, 3)
	setAsideTest(t, s, "first", want)
	got, next, err := s.DeadLetters(t.Context(), DeadLetterQuery{})
	if err != nil || next != "" || len(got) != 3 {
		t.Fatal(got, next, err)
	}
	for i, letter := range got {
		wanted := want[2-i]
		wanted.Sequence = letter.Sequence
		if diff := cmp.Diff(wanted, letter); diff != "" {
			t.Errorf("letter %d (-want +got):\n%s", i, diff)
		}
	}
	if got[0].Sequence <= got[1].Sequence {
		t.Errorf("sequences %d, %d", got[0].Sequence, got[1].Sequence)
	}
}

func TestSettingAsideAgainUnderTheSameIDDoesNothing(t *testing.T) {
	s := openTest(t, Options{})
	mixed := append(letters("a", reason.RefusedBySegment, DeadCall, 2), letters("b", reason.TrafficTypeUnknown, DeadImpression, 2)...)
	setAsideTest(t, s, "frame-7", mixed)
	setAsideTest(t, s, "frame-7", mixed)
	setAsideTest(t, s, "frame-8", mixed[:1])
	if diff := cmp.Diff([]DeadLetterCount{{"a", reason.RefusedBySegment, 3}, {"b", reason.TrafficTypeUnknown, 2}}, count(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestManyDeadLettersAreCountedFilteredAndPaged(t *testing.T) {
	s := openTest(t, Options{})
	a, b := letters("a", reason.RefusedBySegment, DeadCall, 230), letters("b", reason.RefusedBySegment, DeadCall, 20)
	c := letters("a", reason.RetriesExhausted, DeadCall, 5)
	setAsideTest(t, s, "1", a[:150])
	setAsideTest(t, s, "2", b)
	setAsideTest(t, s, "3", append(a[150:], c...))
	want := []DeadLetterCount{{"a", reason.RefusedBySegment, 230}, {"a", reason.RetriesExhausted, 5}, {"b", reason.RefusedBySegment, 20}}
	if diff := cmp.Diff(want, count(t, s)); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		query DeadLetterQuery
		want  int
	}{
		{DeadLetterQuery{}, 255},
		{DeadLetterQuery{Limit: 7}, 255},
		{DeadLetterQuery{Source: "a", Limit: 33}, 235},
		{DeadLetterQuery{Reason: reason.RefusedBySegment}, 250},
		{DeadLetterQuery{Source: "a", Reason: reason.RetriesExhausted, Limit: 5}, 5},
		{DeadLetterQuery{Source: "nobody"}, 0},
	} {
		seen := make(map[string]bool)
		for _, id := range ids(t, s, c.query) {
			if seen[id] {
				t.Errorf("%+v lists %s twice", c.query, id)
			}
			seen[id] = true
		}
		if len(seen) != c.want {
			t.Errorf("%+v lists %d, want %d", c.query, len(seen), c.want)
		}
	}
	if _, _, err := s.DeadLetters(t.Context(), DeadLetterQuery{Cursor: "x"}); !errors.Is(err, ErrCursor) {
		t.Errorf("%v, want ErrCursor", err)
	}
	if _, _, err := s.DeadLetters(t.Context(), DeadLetterQuery{Source: "a.*"}); err == nil {
		t.Error("a source with a wildcard was accepted")
	}
}

func TestABodyThatIsNoJSONIsKeptAsText(t *testing.T) {
	s := openTest(t, Options{})
	setAsideTest(t, s, "1", []DeadLetter{{Source: "a", Reason: "r", Kind: DeadCall, Body: json.RawMessage(`{"cut`)}})
	got, _, err := s.DeadLetters(t.Context(), DeadLetterQuery{})
	if err != nil || len(got) != 1 || string(got[0].Body) != `"{\"cut"` {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestReplaySendsCallsToTheirSourceAndImpressionsThroughThePipeline(t *testing.T) {
	s := openTest(t, Options{})
	publishTest(t, s, "a", 9, calls("x", 1))
	dead := letters("a", reason.RefusedBySegment, DeadCall, 3)
	setAsideTest(t, s, "1", dead)
	setAsideTest(t, s, "2", letters("b", reason.TrafficTypeUnknown, DeadImpression, 2))

	dry, err := s.Replay(t.Context(), DeadLetterQuery{}, true)
	if diff := cmp.Diff(ReplayResult{Matched: 5, Calls: 3, Impressions: 2}, dry); diff != "" || err != nil {
		t.Errorf("dry run: %v (-want +got):\n%s", err, diff)
	}
	if got := len(ids(t, s, DeadLetterQuery{})); got != 5 {
		t.Fatalf("the dry run left %d of 5", got)
	}

	steps := 0
	result, err := s.Replay(t.Context(), DeadLetterQuery{Progress: func(ReplayResult) { steps++ }}, false)
	if diff := cmp.Diff(ReplayResult{Matched: 5, Calls: 3, Impressions: 2, Replayed: 5}, result); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if steps == 0 {
		t.Error("no progress was told")
	}
	if got := ids(t, s, DeadLetterQuery{}); len(got) != 0 || len(count(t, s)) != 0 {
		t.Errorf("still dead: %q", got)
	}
	if last, err := s.LastOrigin(t.Context(), "a"); last != 9 || err != nil {
		t.Errorf("the replay changed the last origin to %d, %v", last, err)
	}
	publishTest(t, s, "a", 9, calls("x", 1)) // still known
	publishTest(t, s, "a", 10, calls("y", 1))
	want := texts(calls("x", 1), []json.RawMessage{dead[0].Body, dead[1].Body, dead[2].Body}, calls("y", 1))
	if diff := cmp.Diff(want, drain(t, outboundTest(t, s, "a"))); diff != "" {
		t.Errorf("outgoing (-want +got):\n%s", diff)
	}
	frames := readAll(t, s, Impressions, 0)
	var records []Record
	for _, f := range frames {
		records = append(records, f.Records...)
	}
	if len(records) != 2 || records[0].Kind != ReplayedImpression || records[0].Configuration != "b" || records[0].Environment != "shop/production" {
		t.Errorf("impressions: %+v", records)
	}
}

func TestReplayOfSomeLettersLeavesTheOthers(t *testing.T) {
	s := openTest(t, Options{})
	outboundTest(t, s, "a")
	setAsideTest(t, s, "1", letters("a", reason.RefusedBySegment, DeadCall, 4))
	all, _, err := s.DeadLetters(t.Context(), DeadLetterQuery{})
	if err != nil {
		t.Fatal(err)
	}
	q := DeadLetterQuery{Sequences: []uint64{all[0].Sequence, all[2].Sequence}}
	result, err := s.Replay(t.Context(), q, false)
	if err != nil || result.Replayed != 2 {
		t.Fatal(result, err)
	}
	want := []string{all[1].MessageID, all[3].MessageID}
	if diff := cmp.Diff(want, ids(t, s, DeadLetterQuery{})); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if got := len(drain(t, outboundTest(t, s, "a"))); got != 2 {
		t.Errorf("%d went out", got)
	}
	if result, err := s.Replay(t.Context(), q, false); err != nil || result.Matched != 0 {
		t.Errorf("replayed again: %+v, %v", result, err)
	}
}

func TestAReplayThatWasCutShortRepeatsAndLosesNothing(t *testing.T) {
	s := openTest(t, Options{})
	outboundTest(t, s, "a")
	dead := letters("a", reason.RefusedBySegment, DeadCall, 2)
	setAsideTest(t, s, "1", dead)
	// A crash after the letters were published and before they were removed.
	r := &replay{streams: s}
	bodies := []json.RawMessage{dead[0].Body, dead[1].Body}
	if err := r.send(t.Context(), 1, dead, bodies, nil); err != nil {
		t.Fatal(err)
	}
	if result, err := s.Replay(t.Context(), DeadLetterQuery{}, false); err != nil || result.Replayed != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if diff := cmp.Diff(texts(bodies), drain(t, outboundTest(t, s, "a"))); diff != "" {
		t.Errorf("soon after, the message id makes it one (-want +got):\n%s", diff)
	}
}

func TestLettersThatCannotBeReplayedStay(t *testing.T) {
	s := openTest(t, Options{Budget: Budget{Outbound: 1 << 20}})
	outboundTest(t, s, "a")
	setAsideTest(t, s, "1", letters("gone", reason.RefusedBySegment, DeadCall, 2))
	setAsideTest(t, s, "2", letters("a", reason.RefusedBySegment, DeadCall, 1))
	setAsideTest(t, s, "3", letters("gone", reason.RefusedBySegment, "other", 1))
	result, err := s.Replay(t.Context(), DeadLetterQuery{}, false)
	if err != nil || result.Replayed != 1 || result.Failed != 3 || result.Problem == "" {
		t.Errorf("%+v, %v", result, err)
	}
	if diff := cmp.Diff([]DeadLetterCount{{"gone", reason.RefusedBySegment, 3}}, count(t, s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Replay(ctx, DeadLetterQuery{}, false); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want Canceled", err)
	}
}

func TestDeadLettersCanBeDiscarded(t *testing.T) {
	s := openTest(t, Options{})
	setAsideTest(t, s, "1", letters("a", reason.RefusedBySegment, DeadCall, 120))
	setAsideTest(t, s, "2", letters("b", reason.RefusedBySegment, DeadCall, 3))
	one, _, err := s.DeadLetters(t.Context(), DeadLetterQuery{Source: "a", Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.DiscardDeadLetters(t.Context(), DeadLetterQuery{Sequences: []uint64{one[0].Sequence}}); n != 1 || err != nil {
		t.Errorf("discarded %d, %v", n, err)
	}
	if n, err := s.DiscardDeadLetters(t.Context(), DeadLetterQuery{Source: "a"}); n != 119 || err != nil {
		t.Errorf("discarded %d, %v", n, err)
	}
	if got := len(ids(t, s, DeadLetterQuery{})); got != 3 {
		t.Errorf("%d left, want 3", got)
	}
}
