// Package api is the admin JSON API under /admin/v1: it shows what happened,
// replays what was set aside, and changes the configuration. openapi.yaml is
// its reference; a test holds the two together.
//
// Contract:
//   - Every route but the reference itself asks for a token, on loopback too,
//     and names the permission it needs. The token is in no log and no answer.
//   - Every refusal is a Problem with a stable code and a sentence that says
//     what to do. A panic answers 500 and is logged once.
//   - GET changes nothing. PUT of the catalog needs If-Match and happens as a
//     whole or not at all; doing it twice is doing it once.
//   - Lists come newest first in pages of at most 500.
//   - At most 64 live streams; a slow one loses items, is told how many, and
//     never slows anyone else. CloseTails ends them all.
package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what the API shows and changes.
type Options struct {
	Catalog *catalog.Catalog // required
	Streams *stream.Streams  // required
	Store   store.Store      // required
	Tail    *tail.Hub        // required
	// Accounts knows personal tokens and keys; the admin token is of Catalog.
	Accounts *auth.Accounts // required
	// Experiments computes experiments.
	Experiments *experiment.Service // required
	// Backups makes the backups; nil: none can be made.
	Backups *backup.Backups
	// Settings are the server's own, for who administers it.
	Settings []Setting

	Log     *slog.Logger          // default: slog.Default()
	Metrics prometheus.Registerer // default: a registry of its own
	Version string                // of this build; default "unknown"
	Started time.Time             // of the process, for its uptime; default: now
	// Ready runs the readiness checks; default: none.
	Ready func(context.Context) []Check
	// Try sends a call where a source sends, for somebody who waits; Take gives
	// a body to a destination's door behind the check of its credential.
	// Without them tests are refused.
	Try  func(context.Context, *catalog.Source, json.RawMessage) Tried
	Take func(context.Context, *catalog.Destination, []byte) (status int, answer string)
	// MaxStreams is how many live streams may be open at once; default 64.
	MaxStreams int
	// Feed is where live streams read, for when the console shares it; default:
	// one of its own on Tail.
	Feed *tail.Feed
	// Timeout bounds every answer but live streams; default 30 s.
	Timeout time.Duration
}

// Setting is one setting of the server and where its value comes from.
type Setting struct {
	Name  string `json:"name"`  // of the flag
	Value string `json:"value"` // "[secret]" instead of a secret
	From  string `json:"from"`  // default, flag, environment variable NAME
	Help  string `json:"help"`
}

// Check is one readiness check and how it went.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // a sentence, when not ok
}

// Server answers the admin API.
type Server struct {
	catalog    *catalog.Catalog
	streams    *stream.Streams
	store      store.Store
	accounts   *auth.Accounts
	experiment *experiment.Service
	settings   []Setting
	backups    *backup.Backups
	feed       *tail.Feed
	log        *slog.Logger
	version    string
	ready      func(context.Context) []Check
	timeout    time.Duration
	started    time.Time
	try        func(context.Context, *catalog.Source, json.RawMessage) Tried
	take       func(context.Context, *catalog.Destination, []byte) (status int, answer string)

	guard   *guard
	closing sync.Once
	closed  chan struct{} // when the live streams must end

	requests     *prometheus.CounterVec
	durations    *prometheus.HistogramVec
	authFailures *prometheus.CounterVec
}

// New checks the options and registers the metrics. The server holds no
// resources while nobody listens to a live stream.
func New(o Options) (*Server, error) {
	if o.Catalog == nil || o.Streams == nil || o.Store == nil || o.Tail == nil || o.Accounts == nil || o.Experiments == nil {
		return nil, errors.New("api: Catalog, Streams, Store, Tail, Accounts and Experiments are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) []Check { return nil }
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 64
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	s := &Server{
		catalog: o.Catalog, streams: o.Streams, store: o.Store, accounts: o.Accounts, experiment: o.Experiments, backups: o.Backups, settings: o.Settings,
		log: o.Log, version: o.Version, ready: o.Ready, timeout: o.Timeout, try: o.Try, take: o.Take,
		started: o.Started, guard: newGuard(), closed: make(chan struct{}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_http_requests_total", Help: "Requests to the admin API, by route and status.",
		}, []string{"route", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_http_request_duration_seconds", Help: "Time to answer, by route; live streams are left out.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10, 30},
		}, []string{"route"}),
		authFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_auth_failures_total", Help: "Requests without a right token: missing, wrong, or blocked for too many wrong ones.",
		}, []string{"method"}),
	}
	s.feed = o.Feed
	if s.feed == nil {
		s.feed = tail.NewFeed(o.Tail, o.MaxStreams)
	}
	collectors := append(s.feed.Collectors(), s.requests, s.durations, s.authFailures)
	for _, c := range collectors {
		if err := o.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of the admin API: %w", err)
		}
	}
	return s, nil
}

// CloseTails ends the live streams, which never end by themselves, so that the
// HTTP server can stop. It is safe to call twice.
func (s *Server) CloseTails() {
	s.closing.Do(func() {
		close(s.closed)
		s.feed.Close()
	})
}

// ServeHTTP finds the route and answers; it is the only place that writes an
// error.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	started := time.Now()
	recorder := &statusRecorder{ResponseWriter: w}
	r := &request{Request: hr, w: recorder, id: requestID(hr)}
	header := w.Header()
	header.Set("X-Request-Id", r.id)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")

	rt, err := s.dispatch(r)
	if err != nil {
		s.answerError(hr.Context(), r, recorder, err)
	}
	pattern := "none"
	if rt != nil {
		pattern = rt.pattern
	}
	s.requests.WithLabelValues(pattern, strconv.Itoa(recorder.status)).Inc()
	if rt == nil || !rt.lasting {
		s.durations.WithLabelValues(pattern).Observe(time.Since(started).Seconds())
	}
}

// dispatch runs the handler of the request. A panic becomes an error.
func (s *Server) dispatch(r *request) (rt *route, err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	rt, path, notFound := s.find(r.Request)
	if rt == nil || rt.need != "" {
		// Who has no token learns nothing, not even which routes there are.
		if r.who, err = s.authorize(r.Request); err != nil {
			return rt, err
		}
	}
	if notFound != nil {
		return nil, notFound
	}
	if err := rt.permit(r.who, path); err != nil {
		return rt, err
	}
	if err := r.checkQuery(rt.query); err != nil {
		return rt, err
	}
	r.path = path
	if rt.lasting {
		// The server bounds every answer; not every writer of a test can be told.
		_ = http.NewResponseController(r.w).SetWriteDeadline(time.Time{})
	} else {
		ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
		defer cancel()
		r.Request = r.WithContext(ctx)
	}
	return rt, rt.handle(s, r)
}

// answerError writes the problem, unless the caller left or the answer began.
func (s *Server) answerError(caller context.Context, r *request, w *statusRecorder, err error) {
	if caller.Err() == context.Canceled {
		return // the caller left
	}
	p := asProblem(err)
	if p.Status >= 500 && p.cause != nil {
		s.log.ErrorContext(caller, "admin request failed", "request", r.id, "method", r.Method, "path", withoutSecret(r.URL.Path), "err", p.cause)
	}
	if w.status == 0 {
		p.write(w, r.id)
	}
}

var goodRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestID is the caller's own X-Request-Id if it is harmless, else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); goodRequestID.MatchString(id) {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// statusRecorder remembers the status for the metrics and for errors that come
// after the answer began.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (w *statusRecorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusRecorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }
