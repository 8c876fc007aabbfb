package stream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// frameBytes is when a frame is full. Larger ones gain nothing: the sync
	// is shared by a thousand records by then.
	frameBytes = 1 << 20
	// headerRoom is what a message needs beside its body.
	headerRoom = 4 << 10
	// maxWaiting bounds what may wait for its turn in one stream; beyond it an
	// append is refused at once instead of after its wait.
	maxWaiting = 64 << 20
	// attemptWait is how long one try of a publish may take before the same
	// frame is tried again under the same id.
	attemptWait = time.Second

	// For so long a stream knows the ids of its messages again.
	appendWindow  = 30 * time.Second // of calls and impressions, of which there are thousands each second
	publishWindow = 2 * time.Minute
)

// A journal is one of the streams that records are appended to.
type journal struct {
	streams *Streams
	name    Name
	budget  int64

	mu      sync.Mutex
	waiting []*gathering  // frames to be; the last one still gathers
	bytes   int           // in waiting
	spare   []byte        // a buffer to use again
	closed  bool          // no more appends
	work    chan struct{} // holds a token when waiting is not empty, or closed is set
	stopped chan struct{} // closed when the last frame was answered

	last      atomic.Uint64 // highest sequence known to exist
	growth    chan struct{} // closed and replaced whenever last grew; under mu
	processed atomic.Uint64 // highest sequence told to Processed
	trimming  sync.Mutex    // one at a time makes room
	refusing  atomic.Bool   // the last frame found no room
}

// gathering is a frame that callers put their records into. Whoever is in it
// waits for done and then reads err.
type gathering struct {
	data     []byte
	records  int
	deadline time.Time
	done     chan struct{}
	err      error
}

// openJournal makes the stream when it is missing and starts its publisher.
func (s *Streams) openJournal(ctx context.Context, name Name, budget int64) error {
	err := s.ensureStream(ctx, jetstream.StreamConfig{
		Name:     string(name),
		Subjects: []string{string(name)},
		Discard:  jetstream.DiscardNew,
		MaxBytes: budget,
		// Long enough for the retries of one publish, short because every id
		// in the window costs memory.
		Duplicates: max(appendWindow, 4*s.options.AppendWait),
	})
	if err != nil {
		return err
	}
	j := &journal{
		streams: s, name: name, budget: budget,
		work: make(chan struct{}, 1), stopped: make(chan struct{}), growth: make(chan struct{}),
	}
	state, err := s.state(ctx, string(name))
	if err != nil {
		return err
	}
	j.last.Store(state.LastSeq)
	if s.embedded == nil {
		if err := j.listen(); err != nil {
			return err
		}
	}
	s.journals[name] = j
	go j.publishFrames()
	return nil
}

// Append makes the record durable in the stream (Calls or Impressions) and
// then returns. Callers that wait at the same time share a frame.
//
// Errors: ErrFull, ErrUnavailable, ErrTooLarge, ErrClosed, or ctx's own. After
// any of them but ErrTooLarge the record may exist all the same.
func (s *Streams) Append(ctx context.Context, name Name, r Record) error {
	j, err := s.journal(name)
	if err != nil {
		return err
	}
	start := time.Now()
	g, err := j.enqueue(&r)
	if err == nil {
		select {
		case <-g.done:
			err = g.err
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil {
		s.metrics.refuse(string(name), err)
		return fmt.Errorf("append to %s: %w", name, err)
	}
	s.metrics.appended(string(name), time.Since(start))
	return nil
}

// journal finds a stream by its name.
func (s *Streams) journal(name Name) (*journal, error) {
	if j, ok := s.journals[name]; ok {
		return j, nil
	}
	return nil, fmt.Errorf("there is no stream %q", name)
}

// enqueue puts the record into the frame that gathers, or begins one.
func (j *journal) enqueue(r *Record) (*gathering, error) {
	size, most := r.encodedSize(), j.streams.maxMessage()
	if size > most {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, most)
	}
	if j.streams.diskLow.Load() {
		return nil, ErrDiskLow
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil, ErrClosed
	}
	if j.bytes+size > maxWaiting {
		return nil, fmt.Errorf("%w: %d bytes are waiting already", ErrUnavailable, j.bytes)
	}
	var g *gathering
	if n := len(j.waiting); n > 0 && len(j.waiting[n-1].data)+size <= min(frameBytes, most) {
		g = j.waiting[n-1]
	} else {
		g = &gathering{
			data:     j.spare[:0],
			deadline: time.Now().Add(j.streams.options.AppendWait),
			done:     make(chan struct{}),
		}
		j.spare = nil
		j.waiting = append(j.waiting, g)
	}
	before := len(g.data)
	g.data = r.Encode(g.data)
	g.records++
	j.bytes += len(g.data) - before
	j.signal()
	return g, nil
}

// signal wakes the publisher.
func (j *journal) signal() {
	select {
	case j.work <- struct{}{}:
	default:
	}
}

// close refuses further appends and waits until those under way are answered.
func (j *journal) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.signal()
	<-j.stopped
}

// take removes the oldest frame from the queue; nil when none waits.
func (j *journal) take() (g *gathering, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) == 0 {
		return nil, j.closed
	}
	g = j.waiting[0]
	j.waiting[0] = nil
	j.waiting = j.waiting[1:]
	j.bytes -= len(g.data)
	return g, false
}

// publishFrames publishes one frame after the other, in order. While one is
// being acknowledged the next gathers, so the busier the stream, the larger
// the frames; nothing ever waits for a timer.
func (j *journal) publishFrames() {
	defer close(j.stopped)
	for range j.work {
		for {
			// Who was just answered, and whose request has arrived meanwhile,
			// runs first, so that its record is in this frame and not in one
			// of its own. When nobody is there this costs nothing.
			runtime.Gosched()
			g, closed := j.take()
			if closed {
				return
			}
			if g == nil {
				break
			}
			g.err = j.publishFrame(g)
			close(g.done)
			j.reuse(g)
		}
	}
}

// reuse keeps the buffer of an answered frame for one to come.
func (j *journal) reuse(g *gathering) {
	if cap(g.data) > 2*frameBytes {
		return
	}
	j.mu.Lock()
	j.spare = g.data
	j.mu.Unlock()
}

// publishFrame makes one frame durable, or says why not by its deadline.
func (j *journal) publishFrame(g *gathering) error {
	ctx, cancel := context.WithDeadline(context.Background(), g.deadline)
	defer cancel()
	if ctx.Err() != nil {
		return fmt.Errorf("%w: those before took too long", ErrUnavailable)
	}
	msg := &nats.Msg{Subject: string(j.name), Data: g.data}
	options := []jetstream.PublishOpt{jetstream.WithMsgID(rand.Text()), jetstream.WithExpectStream(string(j.name))}
	ack, err := j.streams.publish(ctx, msg, options...)
	if errors.Is(err, ErrFull) && j.makeRoom(ctx, int64(len(g.data))) {
		ack, err = j.streams.publish(ctx, msg, options...)
	}
	j.refusing.Store(errors.Is(err, ErrFull))
	if err != nil {
		return err
	}
	j.streams.metrics.frame(string(j.name), g.records, len(g.data))
	j.grew(ack.Sequence)
	j.announce(ack.Sequence)
	return nil
}

// maxMessage is how large the body of a message may be.
func (s *Streams) maxMessage() int { return int(s.nc.MaxPayload()) - headerRoom }

// publish stores one message and returns when it is durable. It tries again,
// with the same message id, until ctx ends: a lost acknowledgement never
// doubles a message.
//
// Errors: ErrFull, ErrTooLarge, errSequence, ErrUnavailable, or what the
// server answered.
func (s *Streams) publish(ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	options = append(options, jetstream.WithRetryAttempts(0))
	pause := 10 * time.Millisecond
	for {
		if s.diskLow.Load() {
			return nil, ErrDiskLow
		}
		attempt, cancel := context.WithTimeout(ctx, attemptWait)
		ack, err := s.js.PublishMsg(attempt, msg, options...)
		cancel()
		if err == nil {
			return ack, nil
		}
		if err = publishError(err); !errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			s.stuck.Store(true)
			return nil, err
		case <-time.After(pause):
			pause = min(2*pause, 200*time.Millisecond)
		}
	}
}

// errSequence means that the stream did not end where the publisher thought.
var errSequence = errors.New("the stream has moved on")

// publishError says what an answer means to the publisher. ErrUnavailable does
// not wrap its cause: the end of an attempt must not look like the end of the
// caller's context.
func publishError(err error) error {
	const (
		storeFailed         = 10077 // the description says why
		insufficient        = 10023
		storageExceeded     = 10047
		accountExceeded     = 10002
		duplicateInProgress = 10158
	)
	var answer *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrMaxPayload), errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return ErrClosed
	case !errors.As(err, &answer):
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	switch answer.ErrorCode {
	case storeFailed:
		if strings.Contains(answer.Description, "exceeded") {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	case insufficient, storageExceeded, accountExceeded:
		return fmt.Errorf("%w: %w", ErrFull, err)
	case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errSequence, err)
	case duplicateInProgress:
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	if answer.Code == 503 {
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return err
}
