package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// pageBytes bounds one request to the server, which does not write to the
	// stream while it reads for us.
	pageBytes = 2 << 20
	// pollEvery is how often a waiting reader looks without having been told
	// of anything new: a word from another node may be lost.
	pollEvery = time.Second
)

// Frame is what one append wrote: one or more records, in order of arrival.
type Frame struct {
	Sequence uint64    // position in its stream; counts from 1 without holes
	Time     time.Time // when it became durable
	Records  []Record
}

// A GapError says that frames are missing where a reader wants to go on: they
// were trimmed before the reader came to them, or the storage lost them. It
// wraps ErrGone.
type GapError struct {
	Stream Name
	After  uint64 // the last frame before the hole
	Next   uint64 // the first that is there again; Read after Next-1 to accept the loss
}

func (e *GapError) Error() string {
	return fmt.Sprintf("stream %s: frames %d to %d are %v", e.Stream, e.After+1, e.Next-1, ErrGone)
}

func (e *GapError) Unwrap() error { return ErrGone }

// A Reader follows one stream from a position. It is for one goroutine.
type Reader struct {
	journal *journal
	after   uint64 // the last frame delivered
	broken  error  // what comes after it cannot be delivered
	closed  bool
}

// Read starts reading after the frame with the given sequence; 0 is the
// beginning of what is there. The position is the caller's: the stream keeps
// nothing of the reader.
//
// Errors: ErrAhead when the stream ends before that position; a *GapError when
// it begins behind it.
func (s *Streams) Read(ctx context.Context, name Name, after uint64) (*Reader, error) {
	j, err := s.journal(name)
	if err != nil {
		return nil, err
	}
	first, last, _, err := s.Bounds(ctx, name)
	if err != nil {
		return nil, err
	}
	switch {
	case after > last:
		return nil, fmt.Errorf("read %s after %d: %w, which is at %d", name, after, ErrAhead, last)
	case after == 0:
		after = first - 1
	case first > after+1:
		return nil, &GapError{Stream: name, After: after, Next: first}
	}
	j.grew(last)
	return &Reader{journal: j, after: after}, nil
}

// Next returns the frames that follow, oldest first: at least one when any is
// there, then as many as fit in maxBytes. Without any it waits at most wait
// and returns none.
//
// Errors: a *GapError when frames are missing; ErrCorrupt when the next frame
// cannot be decoded (it is the one after the last delivered); ErrClosed;
// ErrUnavailable; ctx's own. After an error the reader stays where it was.
func (r *Reader) Next(ctx context.Context, maxBytes int, wait time.Duration) ([]Frame, error) {
	if r.closed {
		return nil, fmt.Errorf("read %s: %w", r.journal.name, ErrClosed)
	}
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	for tries := 0; ; tries++ {
		growth := r.journal.grown()
		frames, err := r.fill(ctx, maxBytes)
		if len(frames) > 0 {
			return frames, nil // an error comes again with the next call
		}
		// A hole is looked at again before it is believed: replicas differ for
		// moments.
		var gap *GapError
		if err != nil && (tries == 3 || !errors.As(err, &gap)) {
			return nil, fmt.Errorf("read %s: %w", r.journal.name, err)
		}
		poll := pollEvery
		if err != nil || r.journal.last.Load() > r.after {
			poll = 20 * time.Millisecond // it exists; a replica is a little behind
		}
		select {
		case <-growth:
		case <-time.After(poll):
		case <-deadline.C:
			return nil, nil
		case <-r.journal.streams.closing.Done():
			return nil, fmt.Errorf("read %s: %w", r.journal.name, ErrClosed)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fill reads what is there now.
func (r *Reader) fill(ctx context.Context, maxBytes int) ([]Frame, error) {
	var frames []Frame
	for maxBytes > 0 && r.broken == nil {
		page, err := r.journal.streams.page(ctx, string(r.journal.name), pageRequest{
			Sequence: r.after + 1, Batch: 1024, MaxBytes: min(maxBytes, pageBytes),
		})
		if err != nil {
			return frames, err
		}
		if len(page) == 0 {
			return frames, nil
		}
		for _, m := range page {
			if m.sequence != r.after+1 {
				r.broken = &GapError{Stream: r.journal.name, After: r.after, Next: m.sequence}
				break
			}
			// A page may end a little over the limit; what is over is read again.
			if len(frames) > 0 && len(m.data) > maxBytes {
				return frames, nil
			}
			frame, err := m.frame()
			if err != nil {
				r.broken = err
				break
			}
			frames = append(frames, frame)
			maxBytes -= len(m.data)
			r.after = m.sequence
		}
	}
	err := r.broken
	if len(frames) == 0 {
		r.broken = nil // look again at the next call: a replica may catch up
	}
	return frames, err
}

// Close releases the reader. It is safe to call twice.
func (r *Reader) Close() { r.closed = true }

// Continue makes an empty stream go on behind a sequence, so that a reader whose
// position outlived the stream finds all that will come. A stream that holds
// frames is left alone, with ErrAhead: what they are only their owner can tell.
func (s *Streams) Continue(ctx context.Context, name Name, after uint64) error {
	first, last, _, err := s.Bounds(ctx, name)
	if err != nil {
		return err
	}
	if after <= last {
		return nil
	}
	if first <= last {
		return fmt.Errorf("stream %s holds frames %d to %d, so it cannot go on behind %d: %w", name, first, last, after, ErrAhead)
	}
	return s.purgeBefore(ctx, string(name), after+1)
}

// Frame returns one frame; ErrGone when it was trimmed or never existed.
func (s *Streams) Frame(ctx context.Context, name Name, sequence uint64) (Frame, error) {
	if _, err := s.journal(name); err != nil {
		return Frame{}, err
	}
	page, err := s.page(ctx, string(name), pageRequest{Sequence: max(sequence, 1), Batch: 1})
	if err != nil {
		return Frame{}, fmt.Errorf("frame %d of %s: %w", sequence, name, err)
	}
	if len(page) == 0 || page[0].sequence != sequence {
		return Frame{}, fmt.Errorf("frame %d of %s: %w", sequence, name, ErrGone)
	}
	return page[0].frame()
}

// Bounds returns the first and the last sequence that are there and the bytes
// they take. An empty stream has first = last+1.
func (s *Streams) Bounds(ctx context.Context, name Name) (first, last, bytes uint64, err error) {
	if _, err := s.journal(name); err != nil {
		return 0, 0, 0, err
	}
	state, err := s.state(ctx, string(name))
	if err != nil {
		return 0, 0, 0, err
	}
	first = state.FirstSeq
	if state.Msgs == 0 {
		first = state.LastSeq + 1
	}
	return first, state.LastSeq, state.Bytes, nil
}

// grown returns a channel that is closed when the stream grows.
func (j *journal) grown() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.growth
}

// grew notes that a frame exists and wakes the readers.
func (j *journal) grew(sequence uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if sequence > j.last.Load() {
		j.last.Store(sequence)
		close(j.growth)
		j.growth = make(chan struct{})
	}
}

// growthSubject is where nodes tell each other of new frames.
func (j *journal) growthSubject() string { return "causeway.grew." + string(j.name) }

// announce tells the readers of other nodes of a new frame. It is a courtesy:
// when it is lost they find out by themselves.
func (j *journal) announce(sequence uint64) {
	if j.streams.embedded == nil {
		_ = j.streams.nc.Publish(j.growthSubject(), strconv.AppendUint(nil, sequence, 10))
	}
}

// listen hears of the frames of other nodes.
func (j *journal) listen() error {
	_, err := j.streams.nc.Subscribe(j.growthSubject(), func(m *nats.Msg) {
		if sequence, err := strconv.ParseUint(string(m.Data), 10, 64); err == nil {
			j.grew(sequence)
		}
	})
	if err != nil {
		return fmt.Errorf("listen for new frames of %s: %w", j.name, err)
	}
	return nil
}

// stored is one message as the server keeps it.
type stored struct {
	sequence uint64
	time     time.Time
	subject  string
	header   nats.Header
	data     []byte
}

// frame decodes the message as a frame of records.
func (m stored) frame() (Frame, error) {
	records, err := DecodeFrame(m.data)
	if err != nil {
		return Frame{}, fmt.Errorf("frame %d: %w", m.sequence, err)
	}
	return Frame{Sequence: m.sequence, Time: m.time, Records: records}, nil
}

// closedOr says that the streams are closed when that is why err happened.
func (s *Streams) closedOr(err error) error {
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return ErrClosed
	}
	return err
}
