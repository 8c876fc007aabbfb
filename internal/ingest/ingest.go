// Package ingest is the public HTTP doors: the tracking API of Segment's
// clients, Segment's own deliveries, Split SDKs, and impressions from
// elsewhere. It checks who sends and whether the body can be read, and hands
// the body on as it came. It decides nothing about what a call becomes.
//
// Contract:
//   - A 2xx is written only after Append returned nil for everything of the
//     request that will be kept. The routes whose content is not kept (browser
//     metrics, legacy SDK metrics) say so at their handler.
//   - Every request is answered, in bounded time and from bounded memory: a
//     slow body is cut off (Options.BodyWait), a stream that does not answer is
//     not waited for (Options.AppendWait), bodies under way share a budget
//     (Options.MaxHeldBytes) and count after decompression. On Segment's
//     delivery routes the whole takes less than 5 s (R31).
//   - No answer is a redirect, HTML, or tells more than the caller knows (R34).
//   - A key sends as much as its limits allow (Options.Limits); beyond that, and
//     for too many wrong keys from one address, the answer is 429 with the real
//     wait, and nothing was appended.
//   - A refused request is counted by route and reason and shown in the tail,
//     without its credential and without its payload.
//   - A record holds no credential: headers and the keys of SDKs are not kept,
//     and a write key within a body is masked.
//   - A request that was sent twice is appended twice; the readers of the
//     streams know repeats by their ids (R18, R48).
package ingest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/peer"
	"causeway/internal/stream"
	"causeway/internal/tail"
)

// Options says what a Server works with.
type Options struct {
	// Snapshot gives the configuration in force. Required.
	Snapshot func() *catalog.Snapshot
	// Append makes a record durable (stream.Streams.Append). Required.
	Append func(context.Context, stream.Name, stream.Record) error
	// Tail is told of refused requests. Default: a hub nobody watches.
	Tail *tail.Hub
	// Metrics registers the room's metrics. Default: a registry of its own.
	Metrics prometheus.Registerer
	// Log receives what an operator must know. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock for receipt times. Default: time.Now.
	Now func() time.Time

	// AppendWait bounds the wait for Append, and on Segment's delivery routes
	// the whole request. Default 4 s.
	AppendWait time.Duration
	// BodyWait bounds how long a body may take to arrive. Default 30 s.
	BodyWait time.Duration
	// MaxHeldBytes bounds the memory of all bodies under way; beyond it
	// requests are answered 503. Default 256 MiB.
	MaxHeldBytes int64
	// Limits bounds each destination that has no limits of its own. SDK keys and
	// listeners have only their own: the Split SDKs and Harness FME lose what is
	// answered 429. Default: no bounds.
	Limits catalog.Limits
	// Strangers bounds the requests of an address without a known credential.
	// Default: one of this room alone.
	Strangers *peer.Limiter
}

// Server serves the data routes.
type Server struct {
	opt     Options
	routes  map[string]*route
	metrics *metrics
	held    atomic.Int64 // bytes of bodies under way
	gzips   sync.Pool    // of *gzip.Reader
	warn    rate.Sometimes
	waits   waits

	quotas quotas
}

// New makes a Server. It fails when a required option is missing or a metric
// is registered already.
func New(o Options) (*Server, error) {
	if o.Snapshot == nil || o.Append == nil {
		return nil, errors.New("ingest: Options.Snapshot and Options.Append are required")
	}
	if o.Tail == nil {
		o.Tail = new(tail.Hub)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Log = cmp.Or(o.Log, slog.Default())
	o.AppendWait = cmp.Or(o.AppendWait, 4*time.Second)
	o.BodyWait = cmp.Or(o.BodyWait, 30*time.Second)
	o.MaxHeldBytes = cmp.Or(o.MaxHeldBytes, 256<<20)
	if o.Strangers == nil {
		o.Strangers = peer.NewStrangers()
	}
	s := &Server{
		opt: o, warn: rate.Sometimes{Interval: time.Second},
		waits: waits{most: o.AppendWait},
	}
	s.routes = s.table()
	var err error
	if s.metrics, err = newMetrics(o.Metrics, s.held.Load); err != nil {
		return nil, err
	}
	return s, nil
}

// Routes is the handler of every data route. Paths it does not know are
// answered with a JSON 404.
func (s *Server) Routes() http.Handler { return http.HandlerFunc(s.serve) }

// exchange is one request under way.
type exchange struct {
	w     http.ResponseWriter
	r     *http.Request
	route *route
	name  string // the variable part of the path

	received time.Time
	// until is when the whole request must be over; zero: no limit of its own.
	until time.Time
	held  int64 // bytes of the Server's budget

	quota       *quota // of the credential; nil: it is not limited
	calls, size int    // what it pays with: calls, and bytes of the body decompressed

	// Set once the credential is known, for the tail.
	environment   fme.EnvironmentID
	configuration string

	status int // of the answer, once it is written
}

// record starts the record of an accepted request.
func (c *exchange) record(kind stream.Kind, scheme string, body []byte) stream.Record {
	return stream.Record{
		Kind:          kind,
		Environment:   string(c.environment),
		Configuration: c.configuration,
		Scheme:        scheme,
		Seed:          seed(),
		ReceivedAt:    c.received,
		Body:          body,
	}
}

// seed is what the messageIds of calls that brought none are made from (R18).
func seed() (random [16]byte) {
	_, _ = rand.Read(random[:]) // never fails: without randomness the process ends
	return random
}

// append makes a record durable, or returns a refusal.
//
// A caller that hung up after its body arrived does not stop it: pages send
// what they have while they go away and do not wait for the answer.
func (s *Server) append(c *exchange, name stream.Name, record stream.Record) error {
	ctx := s.waits.beginning(time.Now())
	if !c.until.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(c.r.Context()), c.until)
		defer cancel()
	}
	err := s.opt.Append(ctx, name, record)
	if err != nil {
		return s.notDurable(c, name, err)
	}
	s.metrics.bytes.WithLabelValues(c.route.name).Add(float64(len(record.Body)))
	return nil
}

// waits bounds how long requests wait for Append. All that begin within
// waitStep of each other share a context: a timer for each request would cost
// more than the wait itself.
type waits struct {
	most   time.Duration
	mu     sync.Mutex
	shared context.Context
	begun  time.Time
}

const waitStep = 100 * time.Millisecond

// beginning returns the context of requests that begin now. It ends after most
// and less than waitStep more.
func (w *waits) beginning(now time.Time) context.Context {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.shared == nil || now.Sub(w.begun) >= waitStep {
		ctx, cancel := context.WithTimeout(context.Background(), w.most+waitStep)
		context.AfterFunc(ctx, cancel)
		w.shared, w.begun = ctx, now
	}
	return w.shared
}
