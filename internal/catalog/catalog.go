// Package catalog holds everything that an administrator configures: projects,
// environments, keys, flags, and the ways in from and out to Segment.
//
// Contract:
//   - Snapshot is in memory and never waits; a new one replaces it as a whole,
//     so whoever works with the old one is not disturbed.
//   - A change is checked as a whole, applied as a whole by compare-and-swap,
//     or not at all. When Apply returns nil the change is durable and this
//     node's Snapshot shows it; the other nodes show it when their watch of the
//     store tells them.
//   - A change that changes nothing writes nothing. Applying the same document
//     twice, or again after an error that left the outcome open, is safe.
//   - Credentials that others present are stored as hashes. Those that
//     Causeway sends on or computes with are sealed with the master key.
//     Neither can be read from the store, an export, a log or an audit entry.
//   - When the store cannot be reached, the last Snapshot stays in use and
//     changes fail.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrStale means that somebody else changed the configuration first. Read it
// again, make the change again, and apply that.
var ErrStale = errors.New("the configuration was changed by somebody else meanwhile")

// Options of a Catalog.
type Options struct {
	// KV is the bucket that holds the configuration and nothing else. Required.
	KV jetstream.KeyValue
	// Audit keeps an entry for each applied change, a JSON AuditEntry. Default: none kept.
	Audit func(ctx context.Context, entry []byte) error
	// MasterKey seals the secrets that must be readable again; see LoadMasterKey. Required.
	MasterKey [32]byte
	// Version is what Causeway says of itself to Segment, in context.library.version (R42).
	Version string
	// Log is told what went wrong in the background. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock of audit entries. Default: time.Now.
	Now func() time.Time
}

// Catalog is the configuration of a server. Its methods may be used from any
// number of goroutines.
type Catalog struct {
	kv      jetstream.KeyValue
	audit   func(context.Context, []byte) error
	sealer  *sealer
	version string
	log     *slog.Logger
	now     func() time.Time

	snapshot atomic.Pointer[Snapshot]
	token    atomic.Pointer[adminToken]

	file atomic.Pointer[origin] // where the configuration comes from; nil: from whoever changes it

	writing chan struct{} // holds one token: one change at a time on this node

	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each new snapshot

	stop    context.CancelFunc
	stopped chan struct{} // closed when the watch has ended
}

// Open reads the configuration from the store and watches it until Close. An
// empty store is an empty configuration. It fails when what is stored cannot
// be read, most often because the master key is another one.
func Open(ctx context.Context, opt Options) (*Catalog, error) {
	if opt.KV == nil {
		return nil, errors.New("catalog: KV is required")
	}
	if opt.MasterKey == [32]byte{} {
		return nil, errors.New("catalog: MasterKey is required")
	}
	sealer, err := newSealer(opt.MasterKey)
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	c := &Catalog{
		kv: opt.KV, audit: opt.Audit, sealer: sealer, version: opt.Version, log: opt.Log, now: opt.Now,
		writing: make(chan struct{}, 1), changed: make(chan struct{}), stopped: make(chan struct{}),
	}
	if c.audit == nil {
		c.audit = func(context.Context, []byte) error { return nil }
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.snapshot.Store(emptySnapshot())
	c.token.Store(&adminToken{})
	if err := c.refresh(ctx); err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	watching, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.watch(watching)
	return c, nil
}

// Close ends the watch. The last Snapshot stays readable.
func (c *Catalog) Close() error {
	c.stop()
	<-c.stopped
	return nil
}

// Snapshot is the configuration as this node knows it. Never nil.
func (c *Catalog) Snapshot() *Snapshot { return c.snapshot.Load() }

// Changed returns a channel that is closed when there is a newer Snapshot.
// Take the channel before the Snapshot, or a change between the two is missed.
func (c *Catalog) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

// Export is the configuration as a document. Applying it, here or on an empty
// server with the same master key, changes nothing and gives the same.
func (c *Catalog) Export() *Document { return c.Snapshot().Document() }

// install makes a snapshot the present one unless a newer one is there already.
func (c *Catalog) install(s *Snapshot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.Revision <= c.snapshot.Load().Revision {
		return
	}
	c.snapshot.Store(s)
	close(c.changed)
	c.changed = make(chan struct{})
}
