package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/translate"
)

// TranslateCalls gives what the calls would become in a destination, one by
// one, exactly as the destination route would make it.
func TranslateCalls(d *translate.Destination, r io.Reader, now time.Time) iter.Seq2[translate.Result, error] {
	return func(yield func(translate.Result, error) bool) {
		for item, err := range Calls(r) {
			if err != nil {
				yield(translate.Result{}, err)
				return
			}
			if !yield(d.Call(translate.Call{Item: item, Route: translate.Direct, ReceivedAt: now}), nil) {
				return
			}
		}
	}
}

// TranslateImpressions gives what impressions in the Split SDK's bulk form
// would become for a source, in order.
func TranslateImpressions(s *SourceUnderTest, r io.Reader, now time.Time) iter.Seq2[translate.Sent, error] {
	return func(yield func(translate.Sent, error) bool) {
		for value, err := range Values(r) {
			if err != nil {
				yield(translate.Sent{}, err)
				return
			}
			group := append(append([]byte("["), value...), ']')
			impressions, bad, err := fme.DecodeImpressions(group)
			if err != nil {
				yield(translate.Sent{}, fmt.Errorf("impressions in the Split SDK's form are expected, [{\"f\":FLAG,\"i\":[...]}]: %w", err))
				return
			}
			for i := 0; len(impressions)+len(bad) > 0; i++ {
				var sent translate.Sent
				if len(bad) > 0 && bad[0].Index <= i {
					sent = translate.Sent{Outcome: "skipped", Reasons: []reason.Note{bad[0].Note}}
					bad = bad[1:]
				} else if len(impressions) > 0 {
					sent = s.send(impressions[0], now)
					impressions = impressions[1:]
				} else {
					continue
				}
				if !yield(sent, nil) {
					return
				}
			}
		}
	}
}

func (s *SourceUnderTest) send(imp fme.Impression, now time.Time) translate.Sent {
	imp.Environment, imp.ReceivedAt = s.environment, now
	if imp.Time.IsZero() {
		imp.Time = now.Truncate(time.Millisecond)
	}
	imp.TrafficType = s.flags[imp.Flag]
	imp.MakeID()
	return s.source.Impression(s.environment, s.environmentAPIID, imp)
}

// translateRequest is what the playground takes: one of Destination and
// Source, and the calls.
type translateRequest struct {
	// Destination is the name of a destination, or the settings of one as in
	// the configuration file.
	Destination json.RawMessage `json:"destination"`
	Source      string          `json:"source"`
	// Environment is "project/environment": of a source that has several, and
	// of settings that are no destination yet.
	Environment string `json:"environment"`
	// Calls is any JSON that the CLI takes, or text with NDJSON in it.
	Calls json.RawMessage `json:"calls"`
}

// Bounds of the playground.
const (
	maxTranslateBytes = 4 << 20
	maxTranslateCalls = 5000
)

func (s *Server) translate(r *request) error {
	var want translateRequest
	if err := r.decode(&want, maxTranslateBytes); err != nil {
		return err
	}
	if len(want.Calls) == 0 {
		return refuse(http.StatusBadRequest, "body_invalid", "Give calls: a call, a list, a batch, or text with one call a line.")
	}
	input := []byte(want.Calls)
	if input[0] == '"' {
		var text string
		if err := json.Unmarshal(want.Calls, &text); err != nil {
			return err
		}
		input = []byte(text)
	}
	doc := s.catalog.Snapshot().Document()
	switch {
	case (len(want.Destination) > 0) == (want.Source != ""):
		return refuse(http.StatusBadRequest, "body_invalid", "Give either destination or source.")
	case want.Source != "":
		source, err := SourceIn(doc, want.Source, want.Environment, s.version)
		if err != nil {
			return err
		}
		return answerResults(r, TranslateImpressions(source, bytes.NewReader(input), time.Now()))
	}
	destination, err := wantedDestination(doc, want)
	if err != nil {
		return err
	}
	return answerResults(r, TranslateCalls(destination, bytes.NewReader(input), time.Now()))
}

func answerResults[T any](r *request, results iter.Seq2[T, error]) error {
	out := struct {
		Results []T `json:"results"`
	}{[]T{}}
	for result, err := range results {
		if err != nil {
			return refuse(http.StatusBadRequest, "calls_unreadable", "The calls cannot be read: %v.", err)
		}
		if len(out.Results) == maxTranslateCalls {
			return refuse(http.StatusBadRequest, "too_many_calls", "More than %d calls were given. Use \"causeway translate\" for long files.", maxTranslateCalls)
		}
		out.Results = append(out.Results, result)
	}
	return r.answer(out)
}
