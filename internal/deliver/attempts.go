package deliver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"causeway/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

// Store is where attempts are recorded.
type Store interface {
	WriteDeliveries(ctx context.Context, attempts []store.Delivery) error
}

const (
	maxAttempts   = 1024                   // that wait to be recorded
	attemptsEvery = 250 * time.Millisecond // one write for all that gathered
	attemptsRetry = 5 * time.Second        // after a write that failed
	attemptsDrain = 3 * time.Second        // for the last write when stopping
)

// attempts records delivery attempts without anybody waiting for the store:
// when it is slow or away, the oldest attempts make room for new ones.
type attempts struct {
	store Store
	log   *slog.Logger
	lost  prometheus.Counter

	mu      sync.Mutex
	waiting []store.Delivery
	losing  bool          // said so since the last write
	some    chan struct{} // signalled when something waits
}

func newAttempts(s Store, lost prometheus.Counter, log *slog.Logger) *attempts {
	return &attempts{store: s, lost: lost, log: log, some: make(chan struct{}, 1)}
}

// add never blocks.
func (a *attempts) add(d store.Delivery) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, d)
	a.bound()
	select {
	case a.some <- struct{}{}:
	default:
	}
}

// bound drops the oldest attempts over the limit. Call it with mu held.
func (a *attempts) bound() {
	over := len(a.waiting) - maxAttempts
	if over <= 0 {
		return
	}
	a.waiting = append(a.waiting[:0], a.waiting[over:]...)
	a.lost.Add(float64(over))
	if !a.losing {
		a.losing = true
		a.log.Warn("the store does not keep up: the oldest delivery attempts are not recorded; sending goes on")
	}
}

// run records until ctx ends, and then once more what is left.
func (a *attempts) run(ctx context.Context) {
	for wait := attemptsEvery; ; {
		select {
		case <-a.some:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptsDrain)
			defer cancel()
			a.flush(last)
			return
		}
		select { // let some more gather
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = attemptsEvery
		if !a.flush(ctx) {
			wait = attemptsRetry
		}
	}
}

// flush writes what waits; what could not be written waits on.
func (a *attempts) flush(ctx context.Context) bool {
	a.mu.Lock()
	batch := a.waiting
	a.waiting = nil
	a.mu.Unlock()
	if len(batch) == 0 {
		return true
	}
	err := a.store.WriteDeliveries(ctx, batch)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.losing = false
		return true
	}
	if ctx.Err() == nil {
		a.log.Warn("recording delivery attempts failed; it is tried again", "attempts", len(batch), "err", err)
	}
	a.waiting = append(batch, a.waiting...)
	a.bound()
	select {
	case a.some <- struct{}{}:
	default:
	}
	return false
}
