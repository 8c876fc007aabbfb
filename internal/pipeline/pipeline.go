// Package pipeline reads what was accepted and turns it into what is known:
// it deduplicates, translates, writes, shows, and schedules what goes out.
//
// Contract:
//   - Each of its two consumers (calls, impressions) follows its stream in
//     order, and stores rows and the position reached in one transaction. On
//     any error, and after a restart, it starts again from the stored position;
//     doing a frame twice gives the same rows and the same outgoing calls.
//   - Outgoing calls are published before the transaction commits, each under
//     the frame it came from, so that a crash between the two repeats nothing
//     and loses nothing.
//   - A store or stream that fails is retried for ever; meanwhile nothing is
//     skipped and Stalled says so, as it does when one hangs.
//   - When stream and store do not fit together (frames that the store needs
//     are gone, or the store is ahead of the stream) Stalled says so at once.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"causeway/internal/catalog"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"
)

// Streams is what the pipeline needs of stream.Streams.
type Streams interface {
	Read(ctx context.Context, name stream.Name, after uint64) (*stream.Reader, error)
	Processed(name stream.Name, sequence uint64)
	Outgoing
}

// Store is what the pipeline needs of store.Store.
type Store interface {
	Position(ctx context.Context, consumer string) (uint64, error)
	Write(ctx context.Context, batch *store.Batch, beforeCommit func(store.Written) error) (store.Written, error)
}

// Options of a Pipeline. Streams, Store and Snapshot are required.
type Options struct {
	Snapshot func() *catalog.Snapshot
	Streams  Streams
	Store    Store
	Tail     *tail.Hub             // default: nobody watches
	Metrics  prometheus.Registerer // default: not registered
	Log      *slog.Logger          // default: discarded

	// BatchBytes bounds the frames of one transaction. Default 16 MiB.
	BatchBytes int
	// Linger is how long a batch gathers after its first frame arrived.
	// Default 150 ms: short against the second within which a call must be
	// seen, long against the cost of a commit.
	Linger time.Duration
	// StallAfter is how long a consumer may fail, or be busy with one batch,
	// before Stalled says so. Default 30 s.
	StallAfter time.Duration
}

// Pipeline runs the consumers. Create it with New.
type Pipeline struct {
	opt       Options
	metrics   *metrics
	consumers []*consumer
}

// New returns a pipeline that is not yet running.
func New(opt Options) (*Pipeline, error) {
	if opt.Snapshot == nil || opt.Streams == nil || opt.Store == nil {
		return nil, errors.New("pipeline: Snapshot, Streams and Store are required")
	}
	if opt.Tail == nil {
		opt.Tail = new(tail.Hub)
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.BatchBytes == 0 {
		opt.BatchBytes = 16 << 20
	}
	if opt.Linger == 0 {
		opt.Linger = 150 * time.Millisecond
	}
	if opt.StallAfter == 0 {
		opt.StallAfter = 30 * time.Second
	}
	p := &Pipeline{opt: opt, metrics: newMetrics(opt.Metrics)}
	p.consumers = []*consumer{
		{Pipeline: p, stream: stream.Calls, work: p.calls},
		{Pipeline: p, stream: stream.Impressions, work: p.impressions},
	}
	return p, nil
}

// Run consumes until ctx ends. The batch under way is finished or rolled back.
func (p *Pipeline) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range p.consumers {
		g.Go(func() error { return c.run(ctx) })
	}
	return g.Wait()
}

// Stalled returns why a consumer has not moved for longer than StallAfter, or
// why it cannot move without help, or nil.
func (p *Pipeline) Stalled() error {
	var errs []error
	for _, c := range p.consumers {
		errs = append(errs, c.stalled(time.Now()))
	}
	return errors.Join(errs...)
}

// A prepared batch is what a consumer made of some frames: the rows, what has
// to go out before they are committed, and what to do once they are.
type prepared struct {
	batch        *store.Batch
	beforeCommit func(context.Context, store.Written) error // may be nil
	committed    func(store.Written)
}

// consumer follows one stream.
type consumer struct {
	*Pipeline
	stream stream.Name
	work   func([]stream.Frame) *prepared

	mu           sync.Mutex
	failingSince time.Time // zero while all is well
	lastError    error
	busySince    time.Time // zero while no batch is being stored
}

// run keeps following the stream, whatever fails, until ctx ends.
func (c *consumer) run(ctx context.Context) error {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	pause := first
	for {
		moved, err := c.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if moved {
			pause = first
		}
		c.failed(err)
		if errors.Is(err, stream.ErrAhead) {
			// Once the stream had grown to the position, reading would go on as
			// if nothing had been, past frames that nobody stored.
			c.opt.Log.Error("pipeline stops: "+misfit, "stream", c.stream, "err", err)
			<-ctx.Done()
			return nil
		}
		c.opt.Log.Error("pipeline starts again from the stored position", "stream", c.stream, "err", err, "pause", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, most)
	}
}

// follow reads from the stored position and stores batch after batch until
// something fails. It reports whether any batch was stored.
func (c *consumer) follow(ctx context.Context) (moved bool, err error) {
	position, err := c.opt.Store.Position(ctx, string(c.stream))
	if err != nil {
		return false, fmt.Errorf("read the position of %s: %w", c.stream, err)
	}
	reader, err := c.opt.Streams.Read(ctx, c.stream, position)
	if err != nil {
		return false, fmt.Errorf("read %s after %d: %w", c.stream, position, err)
	}
	defer reader.Close()
	c.opt.Streams.Processed(c.stream, position)
	for {
		frames, err := c.gather(ctx, reader)
		if err != nil {
			return moved, fmt.Errorf("read %s after %d: %w", c.stream, position, err)
		}
		if len(frames) == 0 {
			c.succeeded()
			continue
		}
		to := frames[len(frames)-1].Sequence
		if err := c.store(ctx, frames, position, to); err != nil {
			return moved, fmt.Errorf("store %s %d to %d: %w", c.stream, position+1, to, err)
		}
		position, moved = to, true
		c.opt.Streams.Processed(c.stream, to)
		c.succeeded()
	}
}

// gather returns the frames of the next batch; none after a quiet second.
func (c *consumer) gather(ctx context.Context, reader *stream.Reader) ([]stream.Frame, error) {
	frames, err := reader.Next(ctx, c.opt.BatchBytes, time.Second)
	if err != nil || len(frames) == 0 {
		return nil, err
	}
	room := c.opt.BatchBytes - size(frames)
	for end := time.Now().Add(c.opt.Linger); room > 0; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		more, err := reader.Next(ctx, room, left)
		if err != nil {
			return nil, err
		}
		frames, room = append(frames, more...), room-size(more)
	}
	return frames, nil
}

func size(frames []stream.Frame) (bytes int) {
	for _, f := range frames {
		for _, r := range f.Records {
			bytes += len(r.Body)
		}
	}
	return bytes
}

// store writes what the frames became, in one transaction with the position.
func (c *consumer) store(ctx context.Context, frames []stream.Frame, from, to uint64) error {
	start := time.Now()
	c.busy(start)
	defer c.busy(time.Time{})
	w := c.work(frames)
	w.batch.Consumer, w.batch.From, w.batch.To = string(c.stream), from, to
	translated := time.Now()
	var before func(store.Written) error
	if w.beforeCommit != nil {
		before = func(written store.Written) error { return w.beforeCommit(ctx, written) }
	}
	written, err := c.opt.Store.Write(ctx, w.batch, before)
	if err != nil {
		return err
	}
	c.metrics.stored(c.stream, translated.Sub(start), time.Since(translated), frames)
	w.committed(written)
	return nil
}

func (c *consumer) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failingSince.IsZero() {
		c.failingSince = time.Now()
	}
	c.lastError = err
	c.metrics.failures.WithLabelValues(string(c.stream)).Inc()
}

func (c *consumer) succeeded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failingSince, c.lastError = time.Time{}, nil
}

func (c *consumer) busy(since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busySince = since
}

// misfit says what to do when retrying cannot help.
const misfit = `stream and store are not of the same time; see "Streams and store that do not fit" in docs/operating.md`

func (c *consumer) stalled(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case errors.Is(c.lastError, stream.ErrAhead), errors.Is(c.lastError, stream.ErrGone):
		return fmt.Errorf("%s are not stored: %w: %s", c.stream, c.lastError, misfit)
	case !c.failingSince.IsZero() && now.Sub(c.failingSince) >= c.opt.StallAfter:
		return fmt.Errorf("%s have not been stored since %s: %w", c.stream, c.failingSince.UTC().Format(time.RFC3339), c.lastError)
	case !c.busySince.IsZero() && now.Sub(c.busySince) >= c.opt.StallAfter:
		return fmt.Errorf("%s have not been stored since %s: the store has not answered yet", c.stream, c.busySince.UTC().Format(time.RFC3339))
	}
	return nil
}
