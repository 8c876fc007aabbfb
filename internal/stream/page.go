package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pageWait bounds how long the server may be silent while it sends a page.
const pageWait = 5 * time.Second

// pageRequest asks the server for messages in order: JetStream's direct get in
// batches (server 2.11). It needs no consumer, so the server keeps no position
// that could differ from the reader's own, and it is bounded by bytes, so that
// nothing overflows and is dropped on the way.
type pageRequest struct {
	Sequence uint64     `json:"seq,omitempty"`          // the first wanted, or the next after it that exists
	Since    *time.Time `json:"start_time,omitempty"`   // instead of Sequence
	Subject  string     `json:"next_by_subj,omitempty"` // filter; may have wildcards
	Batch    int        `json:"batch"`                  // at most
	MaxBytes int        `json:"max_bytes,omitempty"`    // stop at the first message that reaches it
}

// page returns the messages asked for that exist, oldest first; none is no error.
func (s *Streams) page(ctx context.Context, stream string, request pageRequest) ([]stored, error) {
	if request.MaxBytes == 0 {
		request.MaxBytes = pageBytes
	}
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, s.closedOr(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := sub.SetPendingLimits(-1, -1); err != nil { // the request is the limit
		return nil, s.closedOr(err)
	}
	if err := s.nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return nil, s.closedOr(err)
	}
	var page []stored
	for {
		m, err := nextMessage(ctx, sub, pageWait)
		if err != nil {
			return nil, s.closedOr(err)
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			message, err := storedMessage(m)
			if err != nil {
				return nil, err
			}
			page = append(page, message)
		case "204", "404": // end of the batch; nothing there
			return page, nil
		default: // 503: nobody serves the stream now; 408, 413: not understood
			return nil, fmt.Errorf("%w: the server answered %s %s", ErrUnavailable, status, m.Header.Get("Description"))
		}
	}
}

// nextMessage waits for the next of several answers, for a bounded time.
func nextMessage(ctx context.Context, sub *nats.Subscription, wait time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errSilent)
	defer cancel()
	m, err := sub.NextMsgWithContext(ctx)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: nobody serves the stream", ErrUnavailable)
	case context.Cause(ctx) == errSilent:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, errSilent)
	}
	return nil, err
}

var errSilent = errors.New("the server was silent")

// storedMessage reads the headers that a direct get puts on a message.
func storedMessage(m *nats.Msg) (stored, error) {
	sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return stored{}, fmt.Errorf("the server sent a message without a sequence: %w", err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return stored{}, fmt.Errorf("the server sent message %d without a time: %w", sequence, err)
	}
	return stored{sequence: sequence, time: at, subject: m.Header.Get(jetstream.SubjectHeader), header: m.Header, data: m.Data}, nil
}

// state asks the stream's leader how the stream stands.
func (s *Streams) state(ctx context.Context, stream string) (jetstream.StreamState, error) {
	info, err := s.info(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, err
	}
	return info.State, nil
}

func (s *Streams) info(ctx context.Context, stream string, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	handle, err := s.js.Stream(ctx, stream)
	if err == nil {
		if len(options) == 0 {
			return handle.CachedInfo(), nil // just fetched
		}
		var info *jetstream.StreamInfo
		if info, err = handle.Info(ctx, options...); err == nil {
			return info, nil
		}
	}
	if passing(err) {
		err = fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return nil, fmt.Errorf("state of stream %s: %w", stream, s.closedOr(err))
}

// purgeBefore removes every message of the stream with a lower sequence.
func (s *Streams) purgeBefore(ctx context.Context, stream string, sequence uint64) error {
	handle, err := s.js.Stream(ctx, stream)
	if err == nil {
		err = handle.Purge(ctx, jetstream.WithPurgeSequence(sequence))
	}
	if err != nil {
		return fmt.Errorf("trim stream %s before %d: %w", stream, sequence, s.closedOr(err))
	}
	return nil
}

// backwards calls visit with the messages below the sequence before (0: from
// the end) that match the filter, newest first, until visit returns false.
func (s *Streams) backwards(ctx context.Context, stream, filter string, before uint64, visit func(stored) (bool, error)) error {
	state, err := s.state(ctx, stream)
	if err != nil {
		return err
	}
	if state.Msgs == 0 {
		return nil
	}
	if before == 0 || before > state.LastSeq {
		before = state.LastSeq + 1
	}
	// The server only reads forwards, so this reads windows of sequences from
	// the end; wider ones where few messages match.
	const narrow, wide = 64, 1024
	for window := uint64(narrow); before > state.FirstSeq; {
		from := state.FirstSeq
		if before > from+window {
			from = before - window
		}
		var found []stored
		err := s.forwards(ctx, stream, filter, from, before-1, func(m stored) (bool, error) {
			found = append(found, m)
			return true, nil
		})
		if err != nil {
			return err
		}
		for i := len(found) - 1; i >= 0; i-- {
			if more, err := visit(found[i]); err != nil || !more {
				return err
			}
		}
		before = from
		window = narrow
		if len(found) < narrow/4 {
			window = wide
		}
	}
	return nil
}

// forwards calls visit with the messages from one sequence to another, both
// included, that match the filter, oldest first, until visit returns false.
func (s *Streams) forwards(ctx context.Context, stream, filter string, from, to uint64, visit func(stored) (bool, error)) error {
	for from = max(from, 1); from <= to; {
		page, err := s.page(ctx, stream, pageRequest{Sequence: from, Subject: filter, Batch: 256})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, m := range page {
			if m.sequence > to {
				return nil
			}
			if more, err := visit(m); err != nil || !more {
				return err
			}
			from = m.sequence + 1
		}
	}
	return nil
}
