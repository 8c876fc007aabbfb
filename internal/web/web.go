// Package web is the console: server-rendered pages for people.
//
// Contract:
//   - Every page works without JavaScript where it can; scripts make it
//     quicker to use. Nothing is ever loaded from another host, and the
//     Content-Security-Policy holds that.
//   - Who is not signed in sees the sign-in page and nothing else. Each route
//     names the permission it needs, and the server refuses without it.
//   - GET changes nothing, but for a one-time sign-in link. Requests that
//     other sites bring about are refused.
//   - A page is rendered whole before a byte is sent: a failure is a page that
//     says so, never half a page. What a sender chose is always escaped.
//   - A slow live stream loses items and is told how many; so is one that more
//     comes for than a person could read.
//     CloseStreams ends them all.
package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"causeway/docs"
	"causeway/internal/auth"
	"causeway/internal/backup"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/guide"
	"causeway/internal/segment/publicapi"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"

	"github.com/prometheus/client_golang/prometheus"
)

// Options is what the console shows and changes.
type Options struct {
	Catalog     *catalog.Catalog    // required
	Streams     *stream.Streams     // required
	Store       store.Store         // required
	Tail        *tail.Hub           // required
	Accounts    *auth.Accounts      // required
	Experiments *experiment.Service // required

	// Backups knows the last backup; nil: none can be made.
	Backups *backup.Backups
	// Metrics is where the server's counters are read, for what is counted
	// nowhere else (requests that were refused), and where the console's own are
	// kept. Default: a registry of its own.
	Metrics *prometheus.Registry
	Log     *slog.Logger // default: slog.Default()
	Version string       // of this build; default "unknown"
	Started time.Time    // of the process; default: now
	// Ready runs the readiness checks; default: none.
	Ready func(context.Context) []Check
	// DataURL is where clients reach the data routes, for what people copy;
	// default, and when it is empty: the address the console was asked on.
	DataURL func() string
	// Secure says that browsers come over TLS that ends elsewhere, at a proxy.
	// Over TLS of our own it is known.
	Secure bool
	// Notice is shown above every page, for example that the data is invented.
	Notice string
	// System is what the page of that name shows.
	System System
	// OIDC lets people in whom a sign-in provider vouches for; nil: none does.
	OIDC *auth.OIDC
	// Try sends a call where a source sends, for somebody who waits; Take gives
	// a body to a destination's door behind the check of its credential.
	// Without them the test buttons say that it cannot be done.
	Try  func(context.Context, *catalog.Source, json.RawMessage) Tried
	Take func(context.Context, *catalog.Destination, []byte) (status int, answer string)
	// PublicAPI asks Segment's Public API in a region with a token; default
	// publicapi.New.
	PublicAPI func(region, token string) (*publicapi.Client, error)
	// Feed is where live streams read, shared with the admin API; default: one
	// of its own on Tail, with 64 places.
	Feed *tail.Feed
	// Timeout bounds every answer but live streams; default 30 s.
	Timeout time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// Check is one readiness check and how it went.
type Check struct {
	Name   string
	OK     bool
	Detail string // a sentence, when not ok
}

// Tried is what came of a call that was sent to Segment.
type Tried struct {
	OK     bool
	Status int    // 0: there was no answer
	Answer string // the beginning of it, or why there is none
}

// Server answers the console's routes.
type Server struct {
	Options
	routes   []route
	segments map[string]bool // first segments of their paths
	pages    map[string]*template.Template
	assets   *assets
	guides   *guide.Book
	refused  *history
	took     *prometheus.HistogramVec // by route, in seconds
	handler  http.Handler

	closing sync.Once
	closed  chan struct{} // when the live streams must end
}

// New checks the options and parses every template.
func New(o Options) (*Server, error) {
	if o.Catalog == nil || o.Streams == nil || o.Store == nil || o.Tail == nil || o.Accounts == nil || o.Experiments == nil {
		return nil, errors.New("web: Catalog, Streams, Store, Tail, Accounts and Experiments are required")
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Started.IsZero() {
		o.Started = o.Now()
	}
	if o.Ready == nil {
		o.Ready = func(context.Context) []Check { return nil }
	}
	if o.DataURL == nil {
		o.DataURL = func() string { return "" }
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Feed == nil {
		o.Feed = tail.NewFeed(o.Tail, 64)
	}
	if o.PublicAPI == nil {
		o.PublicAPI = publicapi.New
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	s := &Server{Options: o, routes: tableOfContents(), closed: make(chan struct{}), refused: newHistory(o.Metrics, o.Now)}
	s.segments = firstSegments(s.routes)
	var err error
	if s.took, err = measureRoutes(o.Metrics, s.routes); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.guides, err = guide.Load(docs.Files); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.pages, err = s.parsePages(); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.handler = s.build()
	return s, nil
}

// Run keeps the history of refused requests until the context ends.
func (s *Server) Run(ctx context.Context) error {
	s.refused.run(ctx)
	return nil
}

// CloseStreams ends the live streams, which never end by themselves, so that
// the HTTP server can stop. It is safe to call twice.
func (s *Server) CloseStreams() {
	s.closing.Do(func() {
		close(s.closed)
		s.Feed.Close()
	})
}

// Routes serves the console.
func (s *Server) Routes() http.Handler { return s.handler }
