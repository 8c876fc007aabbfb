package deliver

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"causeway/internal/stream"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	feedDepth   = 4                // parcels fetched ahead, each up to about 1 MiB
	feedWait    = 5 * time.Second  // of one fetch for the first parcel
	feedRetry   = time.Second      // after a fetch that failed
	attendEvery = 10 * time.Second // signs of life, and a look at what waits
)

// incoming is a parcel with its calls, as it came from the stream.
type incoming struct {
	*parcel
	calls []json.RawMessage
}

// feed fetches the parcels of one source ahead of its worker and keeps those
// that are not done with from being handed out again.
type feed struct {
	source  string
	streams *stream.Streams
	oldest  prometheus.Gauge // age of the oldest parcel that waits, seconds
	log     *slog.Logger

	parcels chan incoming

	mu    sync.Mutex
	queue *stream.Outbound
	held  map[uint64]*stream.Parcel // by sequence
}

func newFeed(source string, streams *stream.Streams, oldest prometheus.Gauge, log *slog.Logger) *feed {
	return &feed{source: source, streams: streams, oldest: oldest, log: log, parcels: make(chan incoming, feedDepth), held: map[uint64]*stream.Parcel{}}
}

// start fetches until stop is called, which waits for the end of it.
func (f *feed) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { f.fetch(ctx) })
	running.Go(func() { f.attend(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

func (f *feed) fetch(ctx context.Context) {
	for complained := (time.Time{}); ; {
		queue, err := f.streams.Outbound(ctx, f.source)
		if err == nil {
			f.mu.Lock()
			f.queue = queue
			f.mu.Unlock()
			err = f.pass(ctx, queue)
		}
		if ctx.Err() != nil {
			return
		}
		if time.Since(complained) > time.Minute {
			complained = time.Now()
			f.log.Warn("reading what waits for a source failed; it is tried again", "source", f.source, "err", err)
		}
		select {
		case <-time.After(feedRetry):
		case <-ctx.Done():
			return
		}
	}
}

// pass hands parcels to the worker until the queue or ctx ends.
func (f *feed) pass(ctx context.Context, queue *stream.Outbound) error {
	for {
		parcels, err := queue.Next(ctx, feedDepth, feedWait)
		if err != nil {
			return err
		}
		for _, p := range parcels {
			if !f.hold(p) {
				continue
			}
			in := incoming{parcel: &parcel{sequence: p.Sequence, publishedAt: p.PublishedAt}, calls: p.Calls}
			in.ack = func(ctx context.Context) error {
				return f.release(p.Sequence).Ack(ctx)
			}
			select {
			case f.parcels <- in:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// hold reports false for a parcel that came again while it is still held: our
// signs of life did not get through, but the work goes on.
func (f *feed) hold(p *stream.Parcel) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, again := f.held[p.Sequence]
	f.held[p.Sequence] = p // the newest one is the one to acknowledge
	return !again
}

func (f *feed) release(sequence uint64) *stream.Parcel {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.held[sequence]
	delete(f.held, sequence)
	return p
}

func (f *feed) attend(ctx context.Context) {
	defer f.oldest.Set(0)
	tick := time.NewTicker(attendEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		queue := f.queue
		for _, p := range f.held {
			if err := p.Working(); err != nil {
				f.log.Debug("a sign of life did not get through", "source", f.source, "parcel", p.Sequence, "err", err)
			}
		}
		f.mu.Unlock()
		if queue == nil {
			continue
		}
		if _, oldest, err := queue.Pending(ctx); err == nil {
			f.showOldest(oldest)
		}
	}
}

func (f *feed) showOldest(oldest time.Time) {
	if oldest.IsZero() {
		f.oldest.Set(0)
		return
	}
	f.oldest.Set(time.Since(oldest).Seconds())
}
