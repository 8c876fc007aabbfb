// Package deliver sends what waits in the outbound streams to Segment: it
// batches, sends, reads the answer, backs off, pauses and sets aside (R45 to
// R47).
//
// Contract:
//   - Nothing is lost: a parcel is acknowledged only after each of its calls
//     was delivered or is among the dead letters. A crash in between repeats
//     calls, with the same messageIds, and nothing else.
//   - Each source has its own worker, connections and schedule. A dead, slow or
//     refusing endpoint delays no other source and nobody who publishes.
//   - A source sends one batch at a time, in the order of its stream. Whatever
//     waits when a batch ends goes out at once; nothing lingers for company.
//   - 408, 423, 429, 5xx but 501, redirects, network errors and time-outs are
//     retried for Options.RetryFor; 401, 403 and endpoints that may not be
//     reached pause the source until it changes, and are tried again every 5
//     minutes; any other answer but 2xx halves the batch until the call that is
//     refused stands alone, and sets that call aside.
//   - Sources may appear, change and disappear while Run runs. What waits for a
//     source that disappeared is set aside, then its stream is dropped.
//   - Attempts are recorded on the side. A store that is slow or away delays
//     nothing; the oldest records are dropped and counted.
//   - Run returns soon after its context ends. A request in flight has 5
//     seconds to be answered; what is not acknowledged stays for the next start.
//   - The address that is dialled is checked, not the name: see guard.
package deliver

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"

	"github.com/prometheus/client_golang/prometheus"
)

// MinRetryFor is the shortest time that retrying may be limited to (R46).
const MinRetryFor = 4 * time.Hour

// Options says what to deliver, and how. The zero value of a field means its
// default.
type Options struct {
	// Catalog is where sources come from; required.
	Catalog *catalog.Catalog
	// Streams hold what waits, and the dead letters; required.
	Streams *stream.Streams
	// Store is where attempts are recorded; required.
	Store Store
	// Tail shows attempts to whoever watches; nil: nobody.
	Tail *tail.Hub
	// Metrics registers the package's metrics; nil: none.
	Metrics prometheus.Registerer
	// Log receives what an operator should know. Default: nothing is logged.
	Log *slog.Logger

	// Version is Causeway's, for the User-Agent. Default "dev".
	Version string
	// RetryFor is how long a call is retried, from its publishing. Default
	// 72 h; at least MinRetryFor.
	RetryFor time.Duration
	// Timeout bounds one request with its answer. Default 30 s.
	Timeout time.Duration
	// AllowPrivateEndpoints lets sources send to loopback and private
	// addresses. Link-local and metadata addresses stay refused.
	AllowPrivateEndpoints bool
}

const (
	drainFor     = 5 * time.Second  // for a request in flight when Run ends
	orphansEvery = time.Minute      // between looks for streams without a source
	quietFor     = 15 * time.Second // before the stream of a removed source is dropped
	stateWait    = 5 * time.Second  // for what the last process said of the sources
)

// Deliver delivers. Make it with New.
type Deliver struct {
	opt      Options
	log      *slog.Logger
	metrics  *metrics
	guard    guard
	board    *board
	attempts *attempts
	schedule schedule
	quiet    time.Duration
	drain    time.Duration

	mu      sync.Mutex
	workers map[string]*worker // by source id
}

// New checks the options. Nothing is sent before Run.
func New(o Options) (*Deliver, error) {
	if o.Catalog == nil || o.Streams == nil || o.Store == nil {
		return nil, fmt.Errorf("deliver: Catalog, Streams and Store are required")
	}
	if o.RetryFor != 0 && o.RetryFor < MinRetryFor {
		return nil, fmt.Errorf("deliver: retrying for %s is too short, the least is %s", o.RetryFor, MinRetryFor)
	}
	o.RetryFor = cmp.Or(o.RetryFor, 72*time.Hour)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	o.Version = cmp.Or(o.Version, "dev")
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	return &Deliver{
		opt: o, log: o.Log, metrics: m,
		guard:    guard{allowPrivate: o.AllowPrivateEndpoints},
		board:    newBoard(o.Streams.SaveDeliveryState, o.Log),
		attempts: newAttempts(o.Store, m.lost, o.Log),
		schedule: defaultSchedule, quiet: quietFor, drain: drainFor,
		workers: map[string]*worker{},
	}, nil
}

// Run delivers until ctx ends. Call it once. It returns nil: whatever goes
// wrong on the way is retried, logged and shown as a source's state.
func (d *Deliver) Run(ctx context.Context) error {
	var workers, side sync.WaitGroup
	sideCtx, stopSide := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSide()
	side.Go(func() { d.board.run(sideCtx) })
	side.Go(func() { d.attempts.run(sideCtx) })

	states := d.states(ctx)
	orphans := time.NewTicker(orphansEvery)
	defer orphans.Stop()
	for ctx.Err() == nil {
		changed := d.opt.Catalog.Changed() // before the snapshot, so that no change is missed
		d.reconcile(ctx, &workers, states)
		select {
		case <-changed:
		case <-orphans.C:
		case <-ctx.Done():
		}
	}
	workers.Wait()
	stopSide()
	waitFor(&side, d.drain) // a store that hangs must not keep us
	return nil
}

func waitFor(group *sync.WaitGroup, limit time.Duration) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(limit):
	}
}

// states is what the last process said of the sources. Without it delivery
// goes on all the same: only the count of failing hours starts anew.
func (d *Deliver) states(ctx context.Context) map[string]stream.DeliveryState {
	ctx, cancel := context.WithTimeout(ctx, stateWait)
	defer cancel()
	states, err := d.opt.Streams.DeliveryStates(ctx)
	if err != nil {
		d.log.Warn("reading how deliveries stood failed", "err", err)
	}
	return states
}

// reconcile gives every source of the catalog a worker that aims right, and
// tells the workers of removed sources. A stream without a source gets a
// worker too, which sets aside what is in it.
func (d *Deliver) reconcile(ctx context.Context, group *sync.WaitGroup, states map[string]stream.DeliveryState) {
	snapshot := d.opt.Catalog.Snapshot()
	wanted := targets(snapshot)
	if snapshot.Revision > 0 { // else nothing was configured yet, and so nothing was removed
		streams, err := d.opt.Streams.OutboundSources(ctx)
		if err != nil && ctx.Err() == nil {
			d.log.Warn("listing the outbound streams failed; it is tried again", "err", err)
		}
		for _, source := range streams {
			if _, ok := wanted[source]; !ok {
				wanted[source] = nil
			}
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for source, w := range d.workers {
		w.aim(wanted[source])
	}
	for source, to := range wanted {
		if d.workers[source] == nil {
			w := d.newWorker(source, to, states[source])
			delete(states, source) // a source of that name that comes later is another one
			d.workers[source] = w
			group.Go(func() { d.work(ctx, w) })
		}
	}
}

// targets are the sources of the catalog.
func targets(snapshot *catalog.Snapshot) map[string]*target {
	wanted := map[string]*target{}
	for _, source := range snapshot.AllSources() {
		wanted[source.ID] = &target{endpoint: source.Endpoint, writeKey: source.WriteKey.Reveal()}
	}
	return wanted
}

func (d *Deliver) newWorker(source string, to *target, state stream.DeliveryState) *worker {
	w := &worker{
		source: source,
		poster: poster{client: d.guard.client(), userAgent: "causeway/" + d.opt.Version, timeout: d.opt.Timeout, drain: d.drain},
		dead:   d.opt.Streams,
		show: func(state stream.DeliveryState) {
			paused := 0.0
			if state.State == stream.DeliveryPaused {
				paused = 1
			}
			d.metrics.paused.WithLabelValues(source).Set(paused)
			d.board.post(state)
		},
		record: d.record,
		done: func(calls int, outcome string) {
			d.metrics.calls.WithLabelValues(source, outcome).Add(float64(calls))
		},
		log: d.log, schedule: d.schedule, retryFor: d.opt.RetryFor, quiet: d.quiet,
		wake: make(chan struct{}, 1),
	}
	w.target.Store(to)
	w.resume(state)
	if troubled(w.state.State) {
		w.show(w.state) // nothing may be waiting that would show it
	}
	return w
}

// work runs a worker until ctx ends or its source is gone for good.
func (d *Deliver) work(ctx context.Context, w *worker) {
	defer w.poster.client.CloseIdleConnections()
	for ctx.Err() == nil {
		in := newFeed(w.source, d.opt.Streams, d.metrics.oldest.WithLabelValues(w.source), d.log)
		stop := in.start(ctx)
		w.run(ctx, in.parcels)
		stop()
		if ctx.Err() == nil && d.retire(ctx, w) {
			return
		}
	}
}

// retire drops the stream of a removed source, unless the source came back or
// something waits again; then it reports false.
func (d *Deliver) retire(ctx context.Context, w *worker) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if to := targets(d.opt.Catalog.Snapshot())[w.source]; to != nil {
		w.aim(to)
		return false
	}
	if err := d.drop(ctx, w.source); err != nil {
		d.log.Warn("dropping the outbound stream of a removed source failed; it is tried again", "source", w.source, "err", err)
		return false
	}
	delete(d.workers, w.source)
	d.metrics.forget(w.source)
	d.log.Info("the outbound stream of a removed source is dropped", "source", w.source)
	return true
}

func (d *Deliver) drop(ctx context.Context, source string) error {
	queue, err := d.opt.Streams.Outbound(ctx, source)
	if err != nil {
		return err
	}
	waiting, _, err := queue.Pending(ctx)
	if err != nil {
		return err
	}
	if waiting > 0 {
		return fmt.Errorf("%d parcels still wait", waiting)
	}
	d.board.forget(source)
	return d.opt.Streams.DropOutbound(ctx, source)
}

// record tells everybody about an attempt.
func (d *Deliver) record(attempt store.Delivery) {
	d.metrics.attempt(attempt)
	d.attempts.add(attempt)
	if d.opt.Tail == nil || !d.opt.Tail.Watched() {
		return
	}
	status := "no answer"
	if attempt.Status != 0 {
		status = strconv.Itoa(attempt.Status)
	}
	d.opt.Tail.Publish(tail.Item{
		Kind: tail.Delivery, Time: attempt.StartedAt, Configuration: attempt.Source, Type: status, Outcome: attempt.Outcome,
		Summary: fmt.Sprintf("%s to Segment: %s in %s", counted(attempt.Calls), status, attempt.Duration.Round(time.Millisecond)),
		Detail:  attempt,
	})
}

// counted says how many calls there are.
func counted(calls int) string {
	if calls == 1 {
		return "1 call"
	}
	return fmt.Sprintf("%d calls", calls)
}
