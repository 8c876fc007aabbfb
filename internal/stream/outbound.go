package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Every message of an outbound stream says in its headers how far the source
// has come, so that the newest one alone, which is never trimmed, answers what
// was published already.
const (
	originHeader   = "Causeway-Origin"   // the frame the calls came from
	completeHeader = "Causeway-Complete" // the newest origin that is published whole, this message included
	coveredHeader  = "Causeway-Covered"  // how many of origin's calls are published, this message included
	sumHeader      = "Causeway-Sum"      // of those calls: a count says nothing when origin's calls are others the next time
	replayHeader   = "Causeway-Replay"   // present on replayed calls; the marks above are then as they were before
)

// mark is what those headers say.
type mark struct {
	origin, complete uint64
	covered          int
	sum              string
	replay           bool
}

func (m mark) headers() nats.Header {
	h := nats.Header{}
	h.Set(originHeader, strconv.FormatUint(m.origin, 10))
	h.Set(completeHeader, strconv.FormatUint(m.complete, 10))
	h.Set(coveredHeader, strconv.Itoa(m.covered))
	h.Set(sumHeader, m.sum)
	if m.replay {
		h.Set(replayHeader, "1")
	}
	return h
}

func readMark(h nats.Header) (m mark, err error) {
	var errs [3]error
	m.origin, errs[0] = strconv.ParseUint(h.Get(originHeader), 10, 64)
	m.complete, errs[1] = strconv.ParseUint(h.Get(completeHeader), 10, 64)
	m.covered, errs[2] = strconv.Atoi(h.Get(coveredHeader))
	m.sum = h.Get(sumHeader)
	m.replay = h.Get(replayHeader) != ""
	return m, errors.Join(errs[:]...)
}

// An outbox is the outbound stream of one source, seen from the publisher. It
// remembers how the stream ends; every publish says where it thinks the stream
// ends and is refused when that is wrong, so two publishers cannot both
// publish the same origin.
type outbox struct {
	source, stream, subject string

	exists atomic.Bool // the stream was seen

	opening sync.Mutex
	queue   *Outbound // once it was opened; under opening

	mu    sync.Mutex
	known bool   // last and mark are the stream's
	last  uint64 // sequence of the newest message
	mark  mark   // of the newest message
}

const outboundPrefix = "outbound-"

// checkSlug refuses ids that cannot be part of a subject or stream name.
func checkSlug(what, id string) error {
	if id == "" || strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}) {
		return fmt.Errorf("%s %q is not an id of letters, digits, dashes and underscores", what, id)
	}
	return nil
}

// outbox finds the outbound stream of a source, and makes it when it is missing.
func (s *Streams) outbox(ctx context.Context, source string) (*outbox, error) {
	if err := checkSlug("source", source); err != nil {
		return nil, err
	}
	s.mu.Lock()
	box, ok := s.outboxes[source]
	if !ok {
		box = &outbox{source: source, stream: outboundPrefix + source, subject: "outbound." + source}
		s.outboxes[source] = box
	}
	s.mu.Unlock()
	if box.exists.Load() {
		return box, nil
	}
	err := s.ensureStream(ctx, jetstream.StreamConfig{
		Name:     box.stream,
		Subjects: []string{box.subject},
		Discard:  jetstream.DiscardNew,
		MaxBytes: s.options.Budget.Outbound,

		Duplicates: publishWindow,
	})
	if err != nil {
		return nil, err
	}
	box.exists.Store(true)
	return box, nil
}

// PublishOutbound makes the calls that frame origin gave rise to durable in
// the source's outbound stream, in order. Publishing the same origin again
// does nothing; one that was cut short is completed, or, when it gives rise to
// other calls by now (a configuration changed), published from its first call:
// what Segment gets twice then it knows by the messageId. Origins must not go
// back: one older than LastOrigin counts as published. No calls: no-op.
//
// Each publish is a sync; where many small frames give rise to calls it is
// cheaper to publish them together, under the last of the frames.
//
// Errors: ErrFull, ErrUnavailable, ErrTooLarge (a single call), ctx's own.
func (s *Streams) PublishOutbound(ctx context.Context, source string, origin uint64, calls []json.RawMessage) error {
	if len(calls) == 0 {
		return nil
	}
	err := s.changeOutbox(ctx, source, func(now mark) (next mark, part []json.RawMessage, id string) {
		switch {
		case origin <= now.complete:
			return now, nil, ""
		case origin != now.origin || now.covered >= len(calls) || now.sum != sumOf(calls[:now.covered]):
			now = mark{origin: origin, complete: now.complete}
		}
		part = fitting(calls[now.covered:], s.parcelBytes())
		next = mark{origin: origin, complete: now.complete, covered: now.covered + len(part)}
		next.sum = sumOf(calls[:next.covered])
		if next.covered == len(calls) {
			next.complete = origin
		}
		return next, part, fmt.Sprintf("origin-%d-%d-%s", origin, next.covered, next.sum)
	}, func(int) {})
	if err != nil {
		s.metrics.refuse(outboundPrefix+source, err)
		return fmt.Errorf("publish the calls of frame %d to %s: %w", origin, source, err)
	}
	return nil
}

// sumOf tells lists of calls apart.
func sumOf(calls []json.RawMessage) string {
	sum := sha256.Sum256(encodeCalls(calls))
	return hex.EncodeToString(sum[:8])
}

// republish publishes calls that were dead, under their own id, and leaves the
// marks of the outbox as they are.
func (s *Streams) republish(ctx context.Context, source, id string, calls []json.RawMessage) error {
	done := 0
	return s.changeOutbox(ctx, source, func(now mark) (mark, []json.RawMessage, string) {
		part := fitting(calls[done:], s.parcelBytes())
		if len(part) == 0 {
			return now, nil, ""
		}
		now.replay = true
		return now, part, fmt.Sprintf("replay-%s-%d", id, done)
	}, func(published int) { done += published })
}

// A step sees how an outbox stands and returns how it stands after the next
// parcel, the parcel's calls and its message id; no calls: there is nothing
// left to publish.
type step func(now mark) (next mark, part []json.RawMessage, id string)

// changeOutbox publishes parcel after parcel as next says; sent hears of each
// that is durable.
func (s *Streams) changeOutbox(ctx context.Context, source string, next step, sent func(calls int)) error {
	box, err := s.outbox(ctx, source)
	if err != nil {
		return err
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	for {
		done, err := s.nextParcel(ctx, box, next, sent)
		if errors.Is(err, ErrUnavailable) {
			box.exists.Store(false) // another node may have dropped the stream
		}
		if done || err != nil {
			return err
		}
	}
}

// nextParcel publishes one parcel, or reports that there was none left.
func (s *Streams) nextParcel(ctx context.Context, box *outbox, next step, sent func(calls int)) (done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.AppendWait)
	defer cancel()
	if err := box.load(ctx, s); err != nil {
		return false, err
	}
	after, part, id := next(box.mark)
	if len(part) == 0 {
		return true, nil
	}
	durable, err := s.send(ctx, box, after, part, id)
	if durable {
		sent(len(part))
	}
	return false, err
}

// send publishes one parcel behind the newest one. When somebody else was
// faster it is neither durable nor an error: the caller looks again.
func (s *Streams) send(ctx context.Context, box *outbox, next mark, part []json.RawMessage, id string) (durable bool, err error) {
	body := encodeCalls(part)
	if len(body) > s.maxMessage() {
		return false, fmt.Errorf("%w: a call of %d bytes", ErrTooLarge, len(body))
	}
	msg := &nats.Msg{Subject: box.subject, Data: body, Header: next.headers()}
	options := []jetstream.PublishOpt{
		jetstream.WithMsgID(id), jetstream.WithExpectStream(box.stream), jetstream.WithExpectLastSequence(box.last),
	}
	ack, err := s.publish(ctx, msg, options...)
	if errors.Is(err, ErrFull) && !s.diskLow.Load() {
		if trimmed, _ := s.trimOutbox(ctx, box); trimmed {
			ack, err = s.publish(ctx, msg, options...)
		}
	}
	switch {
	case errors.Is(err, errSequence):
		box.known = false
		return false, nil
	case err != nil:
		box.known = false // it may have happened
		return false, err
	case ack.Duplicate: // an earlier try had happened
		box.known = false
		return true, nil
	}
	box.last, box.mark = ack.Sequence, next
	box.mark.replay = false
	s.metrics.frame(box.stream, len(part), len(body))
	return true, nil
}

// close ends the queue, if it was opened.
func (box *outbox) close() {
	box.opening.Lock()
	defer box.opening.Unlock()
	if box.queue != nil {
		_ = box.queue.answers.Unsubscribe() // or the connection is closed
	}
}

// load learns how the stream ends. The caller holds box.mu.
func (box *outbox) load(ctx context.Context, s *Streams) error {
	for !box.known {
		state, err := s.state(ctx, box.stream)
		if err != nil {
			return err
		}
		box.last, box.mark = state.LastSeq, mark{}
		if state.Msgs == 0 {
			box.known = true
			return nil
		}
		page, err := s.page(ctx, box.stream, pageRequest{Sequence: state.LastSeq, Batch: 1})
		if err != nil {
			return err
		}
		if len(page) == 0 || page[0].sequence != state.LastSeq {
			select { // a replica is a little behind, or somebody was faster
			case <-ctx.Done():
				return fmt.Errorf("%w: the newest parcel of %s cannot be read", ErrUnavailable, box.source)
			case <-time.After(20 * time.Millisecond):
			}
			continue
		}
		if box.mark, err = readMark(page[0].header); err != nil {
			return fmt.Errorf("%w: parcel %d of %s: %w", ErrCorrupt, state.LastSeq, box.source, err)
		}
		box.mark.replay = false
		box.known = true
	}
	return nil
}

// fitting returns the first of the calls, as many as fit in one parcel, but at
// least one.
func fitting(calls []json.RawMessage, most int) []json.RawMessage {
	size := 0
	for i, call := range calls {
		if size += len(call) + 8; size > most && i > 0 {
			return calls[:i]
		}
	}
	return calls
}

// parcelBytes is how large a parcel of several calls may be.
func (s *Streams) parcelBytes() int { return min(frameBytes, s.maxMessage()) }

// LastOrigin returns the newest origin that was published whole; 0: none yet.
func (s *Streams) LastOrigin(ctx context.Context, source string) (uint64, error) {
	box, err := s.outbox(ctx, source)
	if err != nil {
		return 0, err
	}
	box.mu.Lock()
	defer box.mu.Unlock()
	if s.embedded == nil {
		box.known = false // another node may have published
	}
	if err := box.load(ctx, s); err != nil {
		return 0, fmt.Errorf("last origin of %s: %w", source, err)
	}
	return box.mark.complete, nil
}

// OutboundSources lists the sources that have an outbound stream.
func (s *Streams) OutboundSources(ctx context.Context) ([]string, error) {
	var sources []string
	names := s.js.StreamNames(ctx, jetstream.WithStreamListSubject("outbound.*"))
	for name := range names.Name() {
		if source, ok := strings.CutPrefix(name, outboundPrefix); ok {
			sources = append(sources, source)
		}
	}
	if err := names.Err(); err != nil {
		return nil, fmt.Errorf("list the outbound streams: %w", s.closedOr(err))
	}
	return sources, nil
}

// DropOutbound removes a source's outbound stream with everything in it, and
// its delivery state. Dropping one that does not exist is no error.
func (s *Streams) DropOutbound(ctx context.Context, source string) error {
	if err := checkSlug("source", source); err != nil {
		return err
	}
	s.mu.Lock()
	box := s.outboxes[source]
	delete(s.outboxes, source)
	s.mu.Unlock()
	if box != nil {
		box.close()
	}
	if err := s.js.DeleteStream(ctx, outboundPrefix+source); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("drop the outbound stream of %s: %w", source, s.closedOr(err))
	}
	s.metrics.forget(outboundPrefix + source)
	return s.dropDeliveryState(ctx, source)
}

// trimOutboxes trims the outbound streams that this process uses, and reports
// what each holds.
func (s *Streams) trimOutboxes() {
	s.mu.Lock()
	boxes := make([]*outbox, 0, len(s.outboxes))
	for _, box := range s.outboxes {
		if box.exists.Load() {
			boxes = append(boxes, box)
		}
	}
	s.mu.Unlock()
	for _, box := range boxes {
		ctx, cancel := context.WithTimeout(s.closing, houseWait)
		_, err := s.trimOutbox(ctx, box)
		cancel()
		if err != nil && s.closing.Err() == nil {
			s.log.Warn("cannot trim an outbound stream now", "source", box.source, "err", err)
		}
	}
}

// trimOutbox removes the parcels that are acknowledged together with all
// before them, but never the newest parcel, which carries the marks. It
// reports whether anything was removed.
func (s *Streams) trimOutbox(ctx context.Context, box *outbox) (bool, error) {
	state, err := s.state(ctx, box.stream)
	if err != nil {
		return false, err
	}
	unprocessed, floor := state.Msgs, uint64(0)
	consumer, err := s.js.Consumer(ctx, box.stream, deliverer)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
	case err != nil:
		return false, fmt.Errorf("consumer of %s: %w", box.source, s.closedOr(err))
	default:
		info := consumer.CachedInfo()
		unprocessed = info.NumPending + uint64(info.NumAckPending)
		floor = info.AckFloor.Stream
	}
	s.metrics.holds(box.stream, state.Bytes, s.options.Budget.Outbound, unprocessed)
	cut := min(floor+1, state.LastSeq)
	if state.Msgs == 0 || cut <= state.FirstSeq {
		return false, nil
	}
	return true, s.purgeBefore(ctx, box.stream, cut)
}
