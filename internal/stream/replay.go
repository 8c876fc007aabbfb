package stream

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// replay is one run of Replay.
type replay struct {
	streams *Streams
	query   DeadLetterQuery
	dryRun  bool
	result  ReplayResult
	stuck   map[string]error // sources that took nothing more: not tried again
}

// Replay sends the selected letters on their way again, oldest first: calls to
// their source's outbound stream, impressions to Impressions as records of
// kind ReplayedImpression. A letter is removed once it is durable there; a
// crash between the two repeats it with the same messageId. Letters set aside
// while it runs are left alone. With dryRun it only counts.
//
// A letter that cannot be sent stays and is counted Failed. The error is about
// the dead letters themselves, or ctx's own; the result is then what was done
// so far.
func (s *Streams) Replay(ctx context.Context, q DeadLetterQuery, dryRun bool) (ReplayResult, error) {
	r := &replay{streams: s, query: q, dryRun: dryRun, stuck: make(map[string]error)}
	err := s.eachDead(ctx, q, r.message)
	if err != nil {
		err = fmt.Errorf("replay dead letters: %w", err)
	}
	return r.result, err
}

// DiscardDeadLetters removes the selected letters for good and returns how
// many there were.
func (s *Streams) DiscardDeadLetters(ctx context.Context, q DeadLetterQuery) (int, error) {
	discarded := 0
	err := s.eachDead(ctx, q, func(ctx context.Context, m stored, selected, rest []DeadLetter) error {
		err := s.removeLetters(ctx, m, rest)
		if err == nil {
			discarded += len(selected)
		}
		return err
	})
	if err != nil {
		return discarded, fmt.Errorf("discard dead letters: %w", err)
	}
	return discarded, nil
}

// eachDead visits the messages that hold selected letters, oldest first, as
// far as they are there now.
func (s *Streams) eachDead(ctx context.Context, q DeadLetterQuery, visit func(ctx context.Context, m stored, selected, rest []DeadLetter) error) error {
	filter, err := q.filter()
	if err != nil {
		return err
	}
	state, err := s.state(ctx, deadStream)
	if err != nil {
		return err
	}
	from, to := state.FirstSeq, state.LastSeq
	if len(q.Sequences) > 0 {
		from = max(from, slices.Min(q.Sequences)/lettersPerMessage)
		to = min(to, slices.Max(q.Sequences)/lettersPerMessage)
	}
	return s.forwards(ctx, deadStream, filter, from, to, func(m stored) (bool, error) {
		letters, err := m.letters()
		if err != nil {
			return false, err
		}
		var selected, rest []DeadLetter
		for _, letter := range letters {
			if q.selects(letter) {
				selected = append(selected, letter)
			} else {
				rest = append(rest, letter)
			}
		}
		if len(selected) == 0 {
			return true, ctx.Err()
		}
		return true, errors.Join(visit(ctx, m, selected, rest), ctx.Err())
	})
}

// message replays the selected letters of one message.
func (r *replay) message(ctx context.Context, m stored, selected, rest []DeadLetter) error {
	var calls []json.RawMessage
	var impressions []Record
	for _, letter := range selected {
		switch letter.Kind {
		case DeadCall:
			calls = append(calls, letter.Body)
		case DeadImpression:
			impressions = append(impressions, Record{
				Kind:          ReplayedImpression,
				Environment:   letter.Environment,
				Configuration: letter.Source,
				ReceivedAt:    time.Now(),
				Body:          letter.Body,
			})
		}
	}
	r.result.Matched += len(selected)
	r.result.Calls += len(calls)
	r.result.Impressions += len(impressions)
	if r.dryRun {
		return nil
	}
	source := selected[0].Source
	err := r.stuck[source]
	if err == nil {
		err = r.move(ctx, m, selected, rest, calls, impressions)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.stuck[source] = err
		r.result.Failed += len(selected)
		if r.result.Problem == "" {
			r.result.Problem = err.Error()
		}
	} else {
		r.result.Replayed += len(selected)
	}
	if r.query.Progress != nil {
		r.query.Progress(r.result)
	}
	return nil
}

// move sends the letters and then removes them.
func (r *replay) move(ctx context.Context, m stored, selected, rest []DeadLetter, calls []json.RawMessage, impressions []Record) error {
	r.streams.replaying.Lock()
	defer r.streams.replaying.Unlock()
	if err := r.send(ctx, m.sequence, selected, calls, impressions); err != nil {
		return err
	}
	return r.streams.removeLetters(ctx, m, rest)
}

// send makes the letters durable where they go.
func (r *replay) send(ctx context.Context, message uint64, selected []DeadLetter, calls []json.RawMessage, impressions []Record) error {
	source := selected[0].Source
	if len(calls)+len(impressions) < len(selected) {
		return fmt.Errorf("message %d holds letters of a kind that this version cannot replay", message)
	}
	if len(calls) > 0 {
		// Not made here: a stream that nobody delivers would only hide them.
		if _, err := r.streams.js.Stream(ctx, outboundPrefix+source); errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("source %s is not configured any more", source)
		}
		if err := r.streams.republish(ctx, source, contentID(message, calls), calls); err != nil {
			return fmt.Errorf("publish to %s: %w", source, err)
		}
	}
	return r.streams.appendAll(ctx, Impressions, impressions)
}

// removeLetters removes a message, and keeps the rest of its letters in a new
// one. A crash between the two leaves some of them twice, never none.
func (s *Streams) removeLetters(ctx context.Context, m stored, rest []DeadLetter) error {
	if len(rest) > 0 {
		bodies := make([]json.RawMessage, len(rest))
		for i, letter := range rest {
			bodies[i] = letter.Body
		}
		if err := s.setGroupAside(ctx, "rest-"+contentID(m.sequence, bodies), rest); err != nil {
			return fmt.Errorf("keep the other letters of message %d: %w", m.sequence, err)
		}
	}
	handle, err := s.js.Stream(ctx, deadStream)
	if err == nil {
		err = handle.DeleteMsg(ctx, m.sequence)
	}
	if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("remove message %d: %w", m.sequence, s.closedOr(err))
	}
	return nil
}

// contentID names some of the letters of one message: other letters of it have
// another id, the same ones after a crash have the same.
func contentID(message uint64, bodies []json.RawMessage) string {
	sum := sha256.Sum256(encodeCalls(bodies))
	return fmt.Sprintf("%d-%x", message, sum[:12])
}

// appendAll appends several records and returns when all are durable.
func (s *Streams) appendAll(ctx context.Context, name Name, records []Record) error {
	j, err := s.journal(name)
	if err != nil {
		return err
	}
	frames := make([]*gathering, 0, len(records))
	for i := range records {
		g, err := j.enqueue(&records[i])
		if err != nil {
			return fmt.Errorf("append to %s: %w", name, err)
		}
		frames = append(frames, g)
	}
	for _, g := range frames {
		select {
		case <-g.done:
			if g.err != nil {
				return fmt.Errorf("append to %s: %w", name, g.err)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
