package deliver

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// deadLetters is where calls go that are not sent again.
type deadLetters interface {
	SetAside(ctx context.Context, id string, letters []stream.DeadLetter) error
}

const (
	recordWait  = 10 * time.Second // for one acknowledgement or dead letter
	recordRetry = time.Second      // after one that failed
)

// worker delivers what waits for one source, one batch at a time: first in,
// first out, as far as refusals allow (R47).
type worker struct {
	source string
	poster poster
	dead   deadLetters
	show   func(stream.DeliveryState)      // how the source stands
	record func(store.Delivery)            // each attempt
	done   func(calls int, outcome string) // calls that are delivered or set aside
	log    *slog.Logger

	schedule schedule
	retryFor time.Duration
	quiet    time.Duration // how long nothing must come before a removed source ends

	target atomic.Pointer[target] // nil: the source was removed
	wake   chan struct{}          // signalled when the target changes

	// What follows belongs to the goroutine of run.
	state    stream.DeliveryState
	failures int       // attempts in a row that are to be repeated
	failing  time.Time // since when they do
	next     time.Time // no attempt before
	last     answer    // of the last attempt that failed
}

// aim tells the worker where to send from now on; nil: the source was removed.
// A change ends every wait.
func (w *worker) aim(t *target) {
	before := w.target.Swap(t)
	if (before == nil) == (t == nil) && (t == nil || *before == *t) {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// resume takes over what the last process said of the source. Time in which
// nobody tried does not count as failing.
func (w *worker) resume(state stream.DeliveryState) {
	w.state = state
	if state.State == stream.DeliveryRetrying {
		w.failing = time.Now().Add(-state.UpdatedAt.Sub(state.Since))
		w.state.Since = w.failing.UTC()
	}
}

// run delivers parcels until ctx ends, or until the source was removed and
// nothing has come for a while.
func (w *worker) run(ctx context.Context, parcels <-chan incoming) {
	var queue []item
	for ctx.Err() == nil {
		if len(queue) == 0 {
			first, ok := w.await(ctx, parcels)
			if !ok {
				return
			}
			queue = w.open(ctx, queue, first)
		}
		for fill(queue) == len(queue) { // what waits goes along
			more, ok := poll(parcels)
			if !ok {
				break
			}
			queue = w.open(ctx, queue, more)
		}
		n := fill(queue)
		if w.ship(ctx, queue[:n:n]) != nil {
			return
		}
		queue = slices.Clone(queue[n:])
	}
}

// await returns the next parcel; false when there is nothing to wait for.
func (w *worker) await(ctx context.Context, parcels <-chan incoming) (incoming, bool) {
	if in, ok := poll(parcels); ok {
		return in, true
	}
	w.idle()
	for {
		var over <-chan time.Time
		if w.target.Load() == nil {
			over = time.After(w.quiet)
		}
		select {
		case in := <-parcels:
			return in, true
		case <-w.wake:
			w.woken()
			w.idle()
		case <-over:
			return incoming{}, false
		case <-ctx.Done():
			return incoming{}, false
		}
	}
}

func poll(parcels <-chan incoming) (incoming, bool) {
	select {
	case in := <-parcels:
		return in, true
	default:
		return incoming{}, false
	}
}

// open puts the calls of a parcel behind the queue.
func (w *worker) open(ctx context.Context, queue []item, in incoming) []item {
	items := in.items(in.calls)
	if len(items) == 0 {
		w.acknowledge(ctx, in.parcel)
	}
	return append(queue, items...)
}

// ship returns nil when every item of the batch is delivered or set aside, and
// ctx's error when it ends before.
func (w *worker) ship(ctx context.Context, batch []item) error {
	trip := trip{id: rand.Text()}
	batch, err := w.giveUp(ctx, batch)
	if err != nil {
		return err
	}
	for parts := [][]item{batch}; len(parts) > 0; {
		last := len(parts) - 1
		rest, err := w.step(ctx, &trip, parts[last])
		if err != nil {
			return err
		}
		parts = append(parts[:last], rest...)
	}
	return nil
}

// step tries one part of a batch, or waits until it may, and returns what is
// left of the part: the last one is to be tried first.
func (w *worker) step(ctx context.Context, trip *trip, part []item) ([][]item, error) {
	if len(part) == 0 {
		return nil, nil
	}
	to := w.target.Load()
	if code := unsendable(part, to); code != "" {
		return nil, w.setAside(ctx, part, verdict{code: code})
	}
	if wait := time.Until(w.next); wait > 0 {
		return [][]item{part}, w.pause(ctx, wait) // then look again: the target may have changed
	}
	a := w.attempt(ctx, *to, trip, part)
	switch {
	case ctx.Err() != nil && a.status == 0:
		return nil, ctx.Err()
	case a.outcome == delivered:
		w.resolve(ctx, part, outcomeDelivered)
		return nil, nil
	case a.outcome == retry:
		alive, err := w.giveUp(ctx, part)
		return [][]item{alive}, err
	case a.outcome == refused && len(part) == 1:
		return nil, w.setAside(ctx, part, verdict{reason.RefusedBySegment, a.status, a.text})
	case a.outcome == refused:
		half := len(part) / 2
		return [][]item{part[half:], part[:half]}, nil
	default: // paused
		return [][]item{part}, nil
	}
}

// trip is one batch on its way, with everything that is tried for it.
type trip struct {
	id       string
	attempts int
}

// unsendable says why a part need not be tried; empty: it can be. A call that
// is too large stands alone, see fill.
func unsendable(part []item, to *target) reason.Code {
	switch {
	case to == nil:
		return reason.ConfigurationGone
	case part[0].tooLarge():
		return reason.TooLarge
	}
	return ""
}

// giveUp sets aside the items that were retried for long enough, and returns
// the others. While attempts fail it is asked after each of them, and about
// each new batch, which needs no attempt of its own to be as old as its failure.
func (w *worker) giveUp(ctx context.Context, items []item) ([]item, error) {
	n := 0
	for n < len(items) && w.exhausted(items[n].parcel) {
		n++
	}
	return items[n:], w.setAside(ctx, items[:n], verdict{reason.RetriesExhausted, w.last.status, w.last.problem()})
}

// exhausted reports that a parcel was retried for long enough: counted from
// its publishing, but no longer than the source has been failing without a
// success, a pause or a change in between.
func (w *worker) exhausted(p *parcel) bool {
	if w.failures == 0 {
		return false
	}
	since := p.publishedAt
	if since.Before(w.failing) {
		since = w.failing
	}
	return time.Since(since) >= w.retryFor
}

// pause waits until the time is over or the target changes.
func (w *worker) pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.wake:
		w.woken()
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// woken forgets what was learned about the target that was.
func (w *worker) woken() {
	w.failures, w.failing, w.next = 0, time.Time{}, time.Time{}
	w.state.State = ""
}

// attempt sends items once and tells everybody what came of it.
func (w *worker) attempt(ctx context.Context, to target, trip *trip, items []item) answer {
	trip.attempts++
	started := time.Now()
	a := w.poster.post(ctx, to, items)
	d := store.Delivery{
		ID: trip.id, Source: w.source, Attempt: trip.attempts, StartedAt: started.UTC(), Duration: time.Since(started),
		Calls: len(items), Bytes: a.bytes, Status: a.status, Answer: a.text,
		// Not the call itself, which would keep its whole parcel in memory.
		Sample: bytes.Clone(items[0].call),
	}
	if a.err != nil {
		d.Error = a.err.Error()
	}
	if !errors.Is(a.err, errStopped) { // which says nothing about the endpoint
		w.learn(a)
	}
	d.Outcome = w.outcomeName(a, items)
	w.record(d)
	return a
}

// learn turns an answer into what the worker does next.
func (w *worker) learn(a answer) {
	now := time.Now()
	switch a.outcome {
	case delivered, refused: // the endpoint answers, if only with a refusal
		w.failures, w.failing, w.next = 0, time.Time{}, time.Time{}
		w.enter(stream.DeliveryState{State: stream.DeliveryRunning})
	case retry:
		w.failures++
		if w.failing.IsZero() {
			w.failing = now
		}
		w.last, w.next = a, now.Add(w.schedule.after(w.failures, a.asked))
		w.enter(stream.DeliveryState{State: stream.DeliveryRetrying, Status: a.status, Answer: a.problem(), NextAttempt: w.next.UTC()})
	case paused:
		code := reason.CredentialsRefused
		if errors.Is(a.err, ErrEndpointNotAllowed) {
			code = reason.EndpointNotAllowed
		}
		w.failures, w.failing, w.next = 0, time.Time{}, now.Add(w.schedule.pause)
		w.enter(stream.DeliveryState{State: stream.DeliveryPaused, Reason: code, Status: a.status, Answer: a.problem(), NextAttempt: w.next.UTC()})
	}
}

func (w *worker) outcomeName(a answer, items []item) string {
	switch {
	case a.outcome == delivered:
		return outcomeDelivered
	case a.outcome == paused:
		return outcomePaused
	case a.outcome == refused && len(items) > 1:
		return outcomeHalved
	case a.outcome == refused:
		return outcomeDead
	}
	if w.exhausted(items[len(items)-1].parcel) {
		return outcomeDead
	}
	return outcomeRetry
}

// setAside puts items among the dead letters, which ends only with success or
// with ctx: what is in neither place would be lost.
func (w *worker) setAside(ctx context.Context, items []item, v verdict) error {
	for rest := items; len(rest) > 0; {
		var same []item
		same, rest = byParcel(rest)
		id, list := letters(w.source, same, v, time.Now().UTC())
		if err := w.bury(ctx, id, list); err != nil {
			return err
		}
		w.resolve(ctx, same, string(v.code))
	}
	return nil
}

func (w *worker) bury(ctx context.Context, id string, list []stream.DeadLetter) error {
	for {
		err := w.settle(ctx, func(ctx context.Context) error { return w.dead.SetAside(ctx, id, list) })
		if err == nil {
			return nil
		}
		if errors.Is(err, stream.ErrTooLarge) && shorten(list) {
			continue
		}
		w.log.Error("setting calls aside failed; it is tried again", "source", w.source, "calls", len(list), "err", err)
		w.enter(stream.DeliveryState{State: stream.DeliveryRetrying, Answer: "calls cannot be set aside: " + err.Error()})
		if err := w.pause(ctx, recordRetry); err != nil {
			return err
		}
		w.state.State = "" // so that the next answer, or having nothing to do, ends the trouble
	}
}

// resolve closes items, and acknowledges the parcels that have no other.
func (w *worker) resolve(ctx context.Context, items []item, outcome string) {
	w.done(len(items), outcome)
	for _, it := range items {
		if it.parcel.open--; it.parcel.open == 0 {
			w.acknowledge(ctx, it.parcel)
		}
	}
}

// acknowledge is done with a parcel. If it fails the parcel comes again, and
// Segment drops its calls by their messageIds.
func (w *worker) acknowledge(ctx context.Context, p *parcel) {
	if err := w.settle(ctx, p.ack); err != nil {
		w.log.Warn("acknowledging sent calls failed; they will be sent again", "source", w.source, "parcel", p.sequence, "err", err)
	}
}

// settle records what has happened already, so it outlives ctx for a moment.
func (w *worker) settle(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordWait)
	defer cancel()
	return do(ctx)
}
