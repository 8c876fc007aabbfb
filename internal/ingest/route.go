package ingest

import (
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"

	"causeway/internal/cors"
	"causeway/internal/fme"
	"causeway/internal/stream"
)

// A route is one door. Several paths may lead to it.
type route struct {
	name   string // for metrics and the tail
	method string
	family family
	handle func(*exchange) error
}

// family is who calls, and so what an error must look like.
type family uint8

const (
	others         family = iota // {"message"}
	segmentClients               // {"success":false,"message","code"}
)

// table is the table of contents of the data routes, by path without the
// slashes at its ends. "*" stands for one segment of any text.
func (s *Server) table() map[string]*route {
	routes := make(map[string]*route)
	add := func(r route, paths ...string) {
		if r.method == "" {
			r.method = http.MethodPost
		}
		for _, path := range paths {
			routes[path] = &r
		}
	}

	for _, path := range []string{"track", "identify", "page", "screen", "group", "alias", "batch", "import", "t", "i", "p", "s", "g", "a", "b"} {
		add(route{name: "tracking", family: segmentClients, handle: s.tracking(path)}, "v1/"+path)
	}
	add(route{name: "browser_metrics", family: segmentClients, handle: s.unread(`{"success":true}`)}, "v1/m")
	add(route{name: "settings", family: segmentClients, method: http.MethodGet, handle: s.settings}, "v1/projects/*/settings", "projects/*/settings")

	add(route{name: "destination", handle: s.destination}, "segment/destination")
	add(route{name: "webhook", handle: s.webhook}, "segment/webhook/*")
	add(route{name: "listener", handle: s.listener}, "hooks/*")

	impressions := form{kind: stream.ImpressionsBulk, check: fme.IsList, list: lists{inner: "i"}, status: http.StatusOK}
	counts := form{kind: stream.ImpressionCounts, check: hasList("pf"), list: lists{outer: "pf"}, status: http.StatusOK}
	byFlag := form{kind: stream.UniqueKeysByFlag, check: hasList("keys"), list: lists{outer: "keys", inner: "ks"}, status: http.StatusOK}
	byKey := form{kind: stream.UniqueKeysByKey, check: hasList("keys"), list: lists{outer: "keys", inner: "fs"}, status: http.StatusOK}
	// 202 is what the public events API documents; SDKs take any 2xx.
	events := form{kind: stream.Events, check: fme.IsList, status: http.StatusAccepted}
	config := form{kind: stream.TelemetryConfig, check: fme.IsObject, status: http.StatusOK}
	usage := form{kind: stream.TelemetryUsage, check: fme.IsObject, status: http.StatusOK}
	// SDKs that are pointed at a proxy leave the v1 out.
	add(route{name: "impressions", handle: s.sdk(impressions)}, "api/testImpressions/bulk")
	add(route{name: "impressions", handle: s.beacon(impressions)}, "api/testImpressions/beacon")
	add(route{name: "impression_counts", handle: s.sdk(counts)}, "api/testImpressions/count")
	add(route{name: "impression_counts", handle: s.beacon(counts)}, "api/testImpressions/count/beacon")
	add(route{name: "unique_keys", handle: s.sdk(byFlag)}, "api/v1/keys/ss", "api/keys/ss")
	add(route{name: "unique_keys", handle: s.sdk(byKey)}, "api/v1/keys/cs", "api/keys/cs")
	add(route{name: "unique_keys", handle: s.beacon(byKey)}, "api/v1/keys/cs/beacon", "api/keys/cs/beacon")
	add(route{name: "events", handle: s.sdk(events)}, "api/events/bulk")
	add(route{name: "events", handle: s.sdk(events.ofOne())}, "api/events")
	add(route{name: "events", handle: s.beacon(events)}, "api/events/beacon")
	add(route{name: "telemetry", handle: s.sdk(config)}, "api/v1/metrics/config", "api/metrics/config")
	add(route{name: "telemetry", handle: s.sdk(usage)}, "api/v1/metrics/usage", "api/metrics/usage")
	add(route{name: "telemetry", handle: s.beacon(usage)}, "api/v1/metrics/usage/beacon", "api/metrics/usage/beacon")
	for _, path := range []string{"times", "time", "counters", "counter", "gauge"} {
		add(route{name: "legacy_metrics", handle: s.unread(`{}`)}, "api/metrics/"+path, "api/v1/metrics/"+path)
	}
	return routes
}

// find returns the route of an escaped path and what its variable part says.
// It is no http.ServeMux, because that answers untidy paths with a redirect,
// which some clients take for a delivery and others for a failure (R34).
func (s *Server) find(escaped string) (*route, string) {
	path := strings.Trim(escaped, "/")
	if r := s.routes[path]; r != nil {
		return r, ""
	}
	segments := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	for i, segment := range segments {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil, ""
		}
		segments[i] = plain
	}
	// A path has no variable part, or it is the third or the second segment.
	for _, i := range []int{-1, 2, 1} {
		if i >= len(segments) {
			continue
		}
		pattern, name := slices.Clone(segments), ""
		if i >= 0 {
			pattern[i], name = "*", segments[i]
		}
		if slices.ContainsFunc(pattern, func(s string) bool { return strings.Contains(s, "/") }) {
			continue // an escaped slash belongs to the variable part only
		}
		if r := s.routes[strings.Join(pattern, "/")]; r != nil {
			return r, name
		}
	}
	return nil, ""
}

// unknown is the route of paths that are none.
var unknown = map[bool]*route{
	false: {name: "unknown"},
	true:  {name: "unknown", family: segmentClients},
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	c := &exchange{w: w, r: r, received: s.opt.Now()}
	c.route, c.name = s.find(path)
	known := c.route != nil
	if !known {
		c.route = unknown[strings.HasPrefix(path, "/v1/")]
	}
	defer s.finish(c)
	cors.Allow(w.Header(), r)
	switch {
	case !known:
		s.refuse(c, &refusal{status: http.StatusNotFound, message: "there is nothing at this path"})
	case r.Method == http.MethodOptions:
		cors.Preflight(w.Header(), r, c.route.method)
		s.answer(c, http.StatusNoContent, "")
	case r.Method != c.route.method && (r.Method != http.MethodHead || c.route.method != http.MethodGet):
		w.Header().Set("Allow", c.route.method+", OPTIONS")
		s.refuse(c, &refusal{status: http.StatusMethodNotAllowed, message: "this path takes " + c.route.method})
	default:
		if err := c.route.handle(c); err != nil {
			s.refuse(c, s.estranged(c, err))
		}
	}
}

// finish gives back what the request held, charges and counts it, and makes an answer of a
// panic.
func (s *Server) finish(c *exchange) {
	defer func() {
		s.held.Add(-c.held)
		if c.quota != nil {
			c.quota.spend(c.received, c.calls, c.size)
		}
		s.metrics.done(c.route.name, c.status, s.opt.Now().Sub(c.received))
	}()
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler {
			panic(v)
		}
		s.opt.Log.Error("a request made the server panic", "route", c.route.name, "panic", v, "stack", string(debug.Stack()))
		if c.status == 0 {
			s.refuse(c, &refusal{status: http.StatusInternalServerError, message: "internal error"})
		}
	}
}
