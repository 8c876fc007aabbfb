// Package playground shows what calls and impressions would become, under a
// configuration that may not be in use anywhere: a file that was never
// applied, settings that nobody saved. The console, the admin API and the
// shell share it.
//
// Contract: it uses the code that the real routes use, stores nothing, sends
// nothing, and reads whatever a person pastes. What a person can mend is an
// *Error, or the error of a sequence, which names the line.
package playground

import (
	"fmt"
	"io"
	"iter"
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
