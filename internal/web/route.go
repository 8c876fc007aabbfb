package web

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"

	"github.com/prometheus/client_golang/prometheus"
)

// route is one line of the console's table of contents.
type route struct {
	pattern string // as http.ServeMux has it
	// need is the permission; empty: nobody needs to be signed in.
	need auth.Permission
	// server says that the permission is needed on the whole server. Otherwise
	// it is needed in the project that the path names as {project}, or else in
	// that of the chosen environment.
	server bool
	// lasting routes may take longer than Options.Timeout.
	lasting bool
	handle  func(*Server, *request) error
}

// logged is a request's path as a log may have it: the secret of a link is
// left out.
func (rt *route) logged(r *http.Request) string {
	if strings.HasSuffix(rt.pattern, "{link}") || strings.HasSuffix(rt.pattern, "{secret}") {
		return rt.pattern
	}
	return r.URL.Path
}

// tableOfContents is the console's.
func tableOfContents() []route {
	return append([]route{
		{pattern: "GET /setup", handle: (*Server).setupPage},
		{pattern: "POST /setup", handle: (*Server).setUp},
		{pattern: "POST /setup/link", handle: (*Server).setupLink},
		{pattern: "GET /signin", handle: (*Server).signInPage},
		{pattern: "POST /signin", handle: (*Server).signIn},
		{pattern: "GET /signin/{link}", handle: (*Server).signInByLink},
		{pattern: "GET /password/{link}", handle: (*Server).passwordPage},
		{pattern: "POST /password/{link}", handle: (*Server).setPassword},
		{pattern: "POST /signout", handle: (*Server).signOut},
		{pattern: "POST /theme", handle: (*Server).setTheme},

		{pattern: "GET /{$}", need: auth.See, handle: (*Server).overview},
		{pattern: "GET /find", need: auth.SeePeople, handle: (*Server).find},
		{pattern: "GET /live", need: auth.SeePeople, handle: (*Server).live},
		{pattern: "GET /live/stream", need: auth.SeePeople, lasting: true, handle: (*Server).liveStream},
		{pattern: "GET /trace", need: auth.SeePeople, handle: (*Server).traceForm},
		{pattern: "GET /trace/{messageId...}", need: auth.SeePeople, handle: (*Server).trace},
		{pattern: "GET /playground", need: auth.See, handle: (*Server).playgroundPage},
		{pattern: "POST /playground", need: auth.See, handle: (*Server).tryOut},
	}, slices.Concat(dataRoutes(), segmentRoutes(), experimentRoutes(), projectRoutes(), adminRoutes(), systemRoutes(), attributeRoutes(), guideRoutes(), oidcRoutes())...)
}

// firstSegments are the beginnings of the console's paths. Paths that begin
// otherwise are other doors'.
func firstSegments(routes []route) map[string]bool {
	segments := map[string]bool{"static": true, "favicon.ico": true}
	for _, rt := range routes {
		_, rest, _ := strings.Cut(rt.pattern, " /")
		first, _, _ := strings.Cut(strings.TrimSuffix(rest, "{$}"), "/")
		segments[first] = true
	}
	return segments
}

// otherDoors are the first segments of what clients and operators reach. The
// console must not take them, whatever pages it gets.
var otherDoors = []string{"admin", "v1", "api", "sse", "segment", "hooks", "livez", "readyz", "healthz", "metrics", "version"}

// Serves reports whether a request is the console's: one for its paths, or a
// browser's for a page that nobody has. Untidy paths are no page: the console
// would answer them with a redirect, which some clients take for a delivery
// (R34).
func (s *Server) Serves(r *http.Request) bool {
	if tidy := r.URL.EscapedPath(); path.Clean(tidy) != strings.TrimSuffix(tidy, "/") && tidy != "/" {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if s.segments[first] {
		return true
	}
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") && !slices.Contains(otherDoors, first)
}

// build makes the handler of the whole console.
func (s *Server) build() http.Handler {
	mux := http.NewServeMux()
	for i := range s.routes {
		mux.Handle(s.routes[i].pattern, s.measured(&s.routes[i]))
	}
	mux.HandleFunc("GET /static/{hash}/{name...}", s.assets.serve)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, s.assets.url("icon.svg"), http.StatusMovedPermanently)
	})
	mux.Handle("/", s.page(&route{handle: (*Server).nothingHere}))

	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(s.page(&route{handle: func(*Server, *request) error {
		return refuse(http.StatusForbidden, "Refused", "Another site brought this request about. Open the console itself and do it there.")
	}}))
	return withHeaders(protection.Handler(mux))
}

// measureRoutes makes the histogram of how long pages take. Every route is in it
// from the start, so that what nobody ever asked for can be seen, too.
func measureRoutes(metrics prometheus.Registerer, routes []route) (*prometheus.HistogramVec, error) {
	took := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "causeway_console_request_duration_seconds",
		Help:    "Time that the console took to answer, by route; of a live stream, how long it was open.",
		Buckets: []float64{.01, .05, .1, .2, .5, 1, 5},
	}, []string{"route"})
	if err := metrics.Register(took); err != nil {
		return nil, fmt.Errorf("register the console's metrics: %w", err)
	}
	for _, rt := range routes {
		took.WithLabelValues(rt.pattern)
	}
	return took, nil
}

func (s *Server) measured(rt *route) http.Handler {
	page, took := s.page(rt), s.took.WithLabelValues(rt.pattern)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now() // not Options.Now, which tests hold still
		defer func() { took.Observe(time.Since(begun).Seconds()) }()
		page.ServeHTTP(w, r)
	})
}

// The policy of every page: what it loads comes from here, and no text of a
// page is ever run.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		if r.TLS != nil {
			header.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}
