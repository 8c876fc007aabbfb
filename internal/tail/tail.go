// Package tail fans out what happens to whoever watches.
//
// Contract: Publish never blocks and never fails. A watcher that is too slow
// loses items and is told how many it missed.
package tail

import (
	"sync"
	"sync/atomic"
	"time"
)

// Kind says what an item is about.
type Kind string

// The kinds of items.
const (
	Call       Kind = "call"       // a Segment call, translated
	Impression Kind = "impression" // an impression, stored
	Event      Kind = "event"      // an event of a Split SDK
	Delivery   Kind = "delivery"   // a batch tried at Segment
	Refused    Kind = "refused"    // a request that was not accepted
)

// Item is one thing that happened.
type Item struct {
	Kind          Kind      `json:"kind"`
	Time          time.Time `json:"time"`
	Environment   string    `json:"environment,omitempty"` // "project/environment"
	Configuration string    `json:"configuration,omitempty"`
	Type          string    `json:"type,omitempty"`    // call type, route or status
	Outcome       string    `json:"outcome,omitempty"` // stored, dropped, delivered ...
	Summary       string    `json:"summary"`           // one readable line
	Detail        any       `json:"detail,omitempty"`  // the whole, for who asks
}

// Hub connects publishers with watchers. The zero value is ready.
type Hub struct {
	mu       sync.Mutex
	watchers map[*Watcher]struct{}
	watching atomic.Int32
}

// Watched reports whether anybody watches, so that a publisher can skip the
// work of describing an item nobody reads.
func (h *Hub) Watched() bool { return h.watching.Load() > 0 }

// Publish offers the item to every watcher.
func (h *Hub) Publish(item Item) {
	if !h.Watched() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.watchers {
		select {
		case w.items <- item:
		default:
			w.missed.Add(1)
		}
	}
}

// Watch starts watching; at most depth items wait. Close the watcher when done.
func (h *Hub) Watch(depth int) *Watcher {
	w := &Watcher{hub: h, items: make(chan Item, depth)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[*Watcher]struct{})
	}
	h.watchers[w] = struct{}{}
	h.watching.Add(1)
	return w
}

// Watcher receives items until it is closed.
type Watcher struct {
	hub    *Hub
	items  chan Item
	missed atomic.Int64
}

// Items is where they arrive. It is never closed.
func (w *Watcher) Items() <-chan Item { return w.items }

// Missed returns how many items were lost since it was last asked.
func (w *Watcher) Missed() int64 { return w.missed.Swap(0) }

// Close stops watching. It is safe to call twice.
func (w *Watcher) Close() {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if _, ok := w.hub.watchers[w]; ok {
		delete(w.hub.watchers, w)
		w.hub.watching.Add(-1)
	}
}
