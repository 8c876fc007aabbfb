// Package flags serves flag definitions, segments and memberships to Split
// SDKs, in the form of Split's own servers, so that unmodified SDKs work.
//
// Contract:
//   - Everything is answered from the catalog's Snapshot in memory: nothing
//     here waits, writes or fails halfway. What an administrator applied is
//     what the next request is told.
//   - A list is never null and an answer to who is up to date repeats the
//     number that it asked with: some SDKs never become ready, and others ask
//     without pause, where that does not hold.
//   - An SDK that missed changes is told all of them, however many; one that
//     asks with a number newer than the server's (after a restore, or coming
//     from another server) is told everything and the server's number.
//   - What is served is made once per change and kept, also compressed; asking
//     costs a lookup.
package flags

import (
	"cmp"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/catalog"
	"causeway/internal/cors"
	"causeway/internal/fme"
	"causeway/internal/peer"
)

// Options says what a Server works with.
type Options struct {
	// Snapshot gives the configuration in force. Required.
	Snapshot func() *catalog.Snapshot
	// Metrics registers the room's metrics. Default: a registry of its own.
	Metrics prometheus.Registerer
	// Log receives what an operator must know. Default: slog.Default().
	Log *slog.Logger
	// Strangers bounds the requests of an address without a known key.
	// Default: one of this room alone.
	Strangers *peer.Limiter
}

// Server serves the routes that SDKs read.
type Server struct {
	snapshot  func() *catalog.Snapshot
	log       *slog.Logger
	strangers *peer.Limiter
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec

	mu    sync.Mutex
	views map[fme.EnvironmentID]*view // the latest of each environment
}

// New makes a Server. It fails when a required option is missing or a metric
// is registered already.
func New(o Options) (*Server, error) {
	if o.Snapshot == nil {
		return nil, errors.New("flags: Options.Snapshot is required")
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Strangers == nil {
		o.Strangers = peer.NewStrangers()
	}
	s := &Server{
		strangers: o.Strangers,
		snapshot:  o.Snapshot, log: cmp.Or(o.Log, slog.Default()), views: make(map[fme.EnvironmentID]*view),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_flags_requests_total", Help: "Requests of SDKs that read, by route and status.",
		}, []string{"route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_flags_request_duration_seconds", Help: "From a request's headers to its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{s.requests, s.seconds} {
		if err := o.Metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// exchange is one request under way.
type exchange struct {
	w http.ResponseWriter
	r *http.Request
	// name is the variable part of the path: a key or a segment.
	name   string
	view   *view
	client bool // the SDK key is a client-side one
	status int  // of the answer, once it is written
}

// Routes is the handler of the paths that Serves knows.
func (s *Server) Routes() http.Handler { return http.HandlerFunc(s.serve) }

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c := &exchange{w: w, r: r}
	route, name := find(r.URL.EscapedPath())
	if route == nil {
		route = &unknown
	}
	c.name = name
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			s.log.Error("a request made the server panic", "route", route.name, "panic", v, "stack", string(debug.Stack()))
			if c.status == 0 {
				c.refuse(http.StatusInternalServerError, "internal error")
			}
		}
		s.requests.WithLabelValues(route.name, strconv.Itoa(c.status)).Inc()
		s.seconds.WithLabelValues(route.name).Observe(time.Since(began).Seconds())
	}()
	cors.Allow(w.Header(), r)
	switch {
	case route.handle == nil:
		c.refuse(http.StatusNotFound, "there is nothing at this path")
	case r.Method == http.MethodOptions:
		cors.Preflight(w.Header(), r, http.MethodGet)
		c.answer(http.StatusNoContent, "")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		c.refuse(http.StatusMethodNotAllowed, "this path takes GET")
	case route.open || s.admit(c):
		route.handle(c)
	default:
		if wait := s.strangers.Take(peer.Address(r.RemoteAddr), time.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			c.answer(http.StatusTooManyRequests, "")
			return
		}
		// Without a body, as the Split Proxy.
		c.answer(http.StatusUnauthorized, "")
	}
}
