package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one line of the API's table of contents.
type route struct {
	method  string
	pattern string   // {name} stands for one segment of the escaped path
	query   []string // the query parameters it takes; any other is refused
	open    bool     // needs no token
	lasting bool     // may take longer than Options.Timeout
	handle  func(*Server, *request) error
}

const environmentPath = "/admin/v1/projects/{project}/environments/{environment}"

// paged is what every list takes.
func paged(more ...string) []string { return append(more, "from", "to", "limit", "cursor") }

// routes is the table of contents. openapi.yaml describes each.
var routes = []route{
	{method: "GET", pattern: environmentPath + "/events", query: paged("trafficType", "key", "eventType", "messageId"), handle: (*Server).events},
	{method: "GET", pattern: environmentPath + "/event-types", handle: (*Server).eventTypes},
	{method: "GET", pattern: environmentPath + "/impressions", query: paged("flag", "key", "treatment"), handle: (*Server).impressions},
	{method: "GET", pattern: environmentPath + "/flags", query: []string{"since"}, handle: (*Server).flags},
	{method: "GET", pattern: environmentPath + "/customers/{trafficType}/{key}", handle: (*Server).customer},
	{method: "GET", pattern: environmentPath + "/calls", query: paged("messageId", "outcome", "reason", "type", "configuration"), handle: (*Server).environmentCalls},
	{method: "GET", pattern: environmentPath + "/reasons", query: []string{"since"}, handle: (*Server).reasonCounts},

	{method: "GET", pattern: "/admin/v1/calls", query: paged("messageId", "outcome", "reason", "type", "configuration"), handle: (*Server).calls},
	{method: "GET", pattern: "/admin/v1/trace/{messageId}", handle: (*Server).trace},
	{method: "GET", pattern: "/admin/v1/tail", query: []string{"kind", "environment", "q", "detail"}, lasting: true, handle: (*Server).tail},
	{method: "GET", pattern: "/admin/v1/reasons", handle: (*Server).reasonList},
	{method: "POST", pattern: "/admin/v1/translate", handle: (*Server).translate},

	{method: "GET", pattern: "/admin/v1/sources", handle: (*Server).sources},
	{method: "GET", pattern: "/admin/v1/deliveries", query: paged("source", "outcome"), handle: (*Server).deliveries},
	{method: "GET", pattern: "/admin/v1/dead-letters", query: []string{"source", "reason", "limit", "cursor"}, handle: (*Server).deadLetters},
	{method: "POST", pattern: "/admin/v1/dead-letters/replay", lasting: true, handle: (*Server).replay},

	{method: "GET", pattern: "/admin/v1/catalog", query: []string{"format"}, handle: (*Server).exportCatalog},
	{method: "PUT", pattern: "/admin/v1/catalog", query: []string{"dryRun"}, handle: (*Server).applyCatalog},
	{method: "GET", pattern: "/admin/v1/projects", handle: (*Server).projects},
	{method: "GET", pattern: "/admin/v1/projects/{project}", handle: (*Server).project},
	{method: "GET", pattern: "/admin/v1/keys", handle: (*Server).keys},
	{method: "POST", pattern: "/admin/v1/keys/rotate", handle: (*Server).rotateKey},
	{method: "GET", pattern: "/admin/v1/audit", query: []string{"limit", "cursor"}, handle: (*Server).audit},

	{method: "GET", pattern: "/admin/v1/status", handle: (*Server).status},
	{method: "GET", pattern: "/admin/v1/openapi.yaml", open: true, handle: (*Server).openapiYAML},
	{method: "GET", pattern: "/admin/v1/openapi.json", open: true, handle: (*Server).openapiJSON},
}

// Routes serves the table of contents.
func (s *Server) Routes() http.Handler { return s }

// find takes the path apart as it was sent, so that a key may hold a slash
// (%2F) or be a dot. http.ServeMux would redirect such paths, and its own 404
// and 405 are no problems.
func (s *Server) find(r *http.Request) (*route, map[string]string, error) {
	segments := strings.Split(r.URL.EscapedPath(), "/")
	var allowed []string
	for i := range routes {
		rt := &routes[i]
		path, ok := rt.match(segments)
		if !ok {
			continue
		}
		if rt.method == r.Method || (rt.method == http.MethodGet && r.Method == http.MethodHead) {
			return rt, path, nil
		}
		allowed = append(allowed, rt.method)
	}
	if len(allowed) > 0 {
		if slices.Contains(allowed, http.MethodGet) {
			allowed = append(allowed, http.MethodHead)
		}
		p := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This route takes %s.", strings.Join(allowed, ", "))
		p.allow = strings.Join(allowed, ", ")
		return nil, nil, p
	}
	return nil, nil, refuse(http.StatusNotFound, "route_unknown", "There is no such route. /admin/v1/openapi.yaml lists them.")
}

// match gives the values of the pattern's names, unescaped.
func (rt *route) match(segments []string) (map[string]string, bool) {
	pattern := strings.Split(rt.pattern, "/")
	if len(pattern) != len(segments) {
		return nil, false
	}
	var path map[string]string
	for i, want := range pattern {
		name, variable := strings.CutPrefix(want, "{")
		if !variable {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if path == nil {
			path = make(map[string]string, 4)
		}
		path[strings.TrimSuffix(name, "}")] = value
	}
	return path, true
}
