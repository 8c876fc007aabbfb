package deliver

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"causeway/internal/stream"
)

const (
	saveEvery = time.Second     // running and idle alternate often: one save for all
	saveWait  = 5 * time.Second // for one save
)

// board is where workers post how their source stands. One goroutine saves
// what changed, so that no worker waits for it; trouble is saved at once.
type board struct {
	save func(context.Context, stream.DeliveryState) error
	log  *slog.Logger

	saving sync.Mutex // held while a state is saved

	mu      sync.Mutex
	current map[string]stream.DeliveryState
	saved   map[string]stream.DeliveryState
	urgent  chan struct{}
}

func newBoard(save func(context.Context, stream.DeliveryState) error, log *slog.Logger) *board {
	return &board{
		save: save, log: log,
		current: map[string]stream.DeliveryState{}, saved: map[string]stream.DeliveryState{},
		urgent: make(chan struct{}, 1),
	}
}

// post never blocks on a save.
func (b *board) post(state stream.DeliveryState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.current[state.Source].State
	b.current[state.Source] = state
	if troubled(state.State) || troubled(before) {
		select {
		case b.urgent <- struct{}{}:
		default:
		}
	}
}

func troubled(state string) bool {
	return state == stream.DeliveryRetrying || state == stream.DeliveryPaused
}

// forget drops a source; when it returns nothing of it will be saved any more.
func (b *board) forget(source string) {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.current, source)
	delete(b.saved, source)
}

// run saves until ctx ends, and then once more.
func (b *board) run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.urgent:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWait)
			defer cancel()
			b.flush(last)
			return
		}
		b.flush(ctx)
	}
}

// flush saves every state that is not what was saved last. A source that was
// at work in between and is back where it was is no news.
func (b *board) flush(ctx context.Context) {
	b.mu.Lock()
	current := maps.Clone(b.current)
	b.mu.Unlock()
	for source, state := range current {
		if ctx.Err() != nil {
			return
		}
		b.flushOne(ctx, source, state)
	}
}

func (b *board) flushOne(ctx context.Context, source string, state stream.DeliveryState) {
	b.saving.Lock()
	defer b.saving.Unlock()
	b.mu.Lock()
	before := b.saved[source]
	_, known := b.current[source]
	b.mu.Unlock()
	if !known || before == state || before.State == state.State && !troubled(state.State) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, saveWait)
	defer cancel()
	if err := b.save(ctx, state); err != nil {
		b.log.Warn("saving how a delivery stands failed; it is tried again", "source", source, "err", err)
		return
	}
	b.mu.Lock()
	b.saved[source] = state
	b.mu.Unlock()
}

// idle says that nothing waits. Trouble stays visible until an attempt goes
// well or the source changes.
func (w *worker) idle() {
	if !troubled(w.state.State) && w.state.State != stream.DeliveryIdle {
		w.enter(stream.DeliveryState{State: stream.DeliveryIdle})
	}
}

// enter shows a state; its log line comes once per change.
func (w *worker) enter(state stream.DeliveryState) {
	now := time.Now().UTC()
	before := w.state
	state.Source, state.Since, state.UpdatedAt = w.source, before.Since, now
	if state.State != before.State {
		state.Since = now
		w.logChange(before.State, state)
	}
	w.state = state
	w.show(state)
}

func (w *worker) logChange(before string, state stream.DeliveryState) {
	switch {
	case state.State == stream.DeliveryPaused:
		w.log.Error("delivery to Segment is paused", "source", w.source, "reason", state.Reason, "status", state.Status, "answer", state.Answer)
	case state.State == stream.DeliveryRetrying:
		w.log.Warn("delivery to Segment fails and is retried", "source", w.source, "status", state.Status, "answer", state.Answer)
	case troubled(before):
		w.log.Info("delivery to Segment works again", "source", w.source)
	}
}
