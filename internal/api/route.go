package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"causeway/internal/auth"
)

// route is one line of the API's table of contents.
type route struct {
	method  string
	pattern string   // {name} stands for one segment of the escaped path
	query   []string // the query parameters it takes; any other is refused
	// need is the permission: in the project that the path names, else on the
	// whole server. Empty: no token is needed.
	need auth.Permission
	// some says that the permission in any project is enough: the handler shows
	// what is of those only.
	some    bool
	lasting bool // may take longer than Options.Timeout
	handle  func(*Server, *request) error
}

const environmentPath = "/admin/v1/projects/{project}/environments/{environment}"

// paged is what every list takes.
func paged(more ...string) []string { return append(more, "from", "to", "limit", "cursor") }

// routes is the table of contents. openapi.yaml describes each.
var routes = slices.Concat([]route{
	{method: "GET", pattern: environmentPath + "/events", need: auth.SeePeople, query: paged("trafficType", "key", "eventType", "messageId"), handle: (*Server).events},
	{method: "GET", pattern: environmentPath + "/event-types", need: auth.See, handle: (*Server).eventTypes},
	{method: "GET", pattern: environmentPath + "/impressions", need: auth.SeePeople, query: paged("flag", "key", "treatment"), handle: (*Server).impressions},
	{method: "GET", pattern: environmentPath + "/flags", need: auth.See, query: []string{"since"}, handle: (*Server).flags},
	{method: "GET", pattern: environmentPath + "/customers/{trafficType}/{key}", need: auth.SeePeople, handle: (*Server).customer},
	{method: "DELETE", pattern: environmentPath + "/customers/{trafficType}/{key}", need: auth.Administer, lasting: true, handle: (*Server).eraseCustomer},
	{method: "GET", pattern: environmentPath + "/customers/{trafficType}/{key}/timeline", need: auth.SeePeople, query: []string{"show", "eventType", "cursor"}, handle: (*Server).timeline},
	{method: "GET", pattern: environmentPath + "/customers/{trafficType}/{key}/export", need: auth.SeePeople, lasting: true, handle: (*Server).exportCustomer},
	{method: "GET", pattern: environmentPath + "/attributes", need: auth.SeePeople, query: []string{"trafficType"}, handle: (*Server).attributeUses},
	{method: "GET", pattern: environmentPath + "/event-types/{eventType}/days", need: auth.See, query: []string{"from", "to"}, handle: (*Server).eventTypeDays},
	{method: "GET", pattern: environmentPath + "/customers", need: auth.SeePeople, query: []string{"trafficType", "prefix"}, handle: (*Server).customers},
	{method: "GET", pattern: environmentPath + "/calls", need: auth.SeePeople, query: paged("messageId", "outcome", "reason", "type", "configuration"), handle: (*Server).environmentCalls},
	{method: "GET", pattern: environmentPath + "/reasons", need: auth.See, query: []string{"since"}, handle: (*Server).reasonCounts},

	{method: "GET", pattern: "/admin/v1/calls", need: auth.SeePeople, query: paged("messageId", "outcome", "reason", "type", "configuration"), handle: (*Server).calls},
	{method: "GET", pattern: "/admin/v1/trace/{messageId}", need: auth.SeePeople, some: true, handle: (*Server).trace},
	{method: "GET", pattern: "/admin/v1/tail", need: auth.SeePeople, some: true, query: []string{"kind", "environment", "q", "detail"}, lasting: true, handle: (*Server).tail},
	{method: "GET", pattern: "/admin/v1/reasons", need: auth.See, some: true, handle: (*Server).reasonList},
	{method: "POST", pattern: "/admin/v1/translate", need: auth.See, some: true, handle: (*Server).translate},

	{method: "GET", pattern: "/admin/v1/sources", need: auth.See, handle: (*Server).sources},
	{method: "GET", pattern: "/admin/v1/deliveries", need: auth.SeePeople, query: paged("source", "outcome"), handle: (*Server).deliveries},
	{method: "GET", pattern: "/admin/v1/dead-letters", need: auth.SeePeople, query: []string{"source", "reason", "limit", "cursor"}, handle: (*Server).deadLetters},
	{method: "POST", pattern: "/admin/v1/dead-letters/replay", need: auth.Change, lasting: true, handle: (*Server).replay},

	{method: "GET", pattern: "/admin/v1/catalog", need: auth.Change, query: []string{"format"}, handle: (*Server).exportCatalog},
	{method: "PUT", pattern: "/admin/v1/catalog", need: auth.Change, query: []string{"dryRun"}, handle: (*Server).applyCatalog},
	{method: "GET", pattern: "/admin/v1/projects", need: auth.See, some: true, handle: (*Server).projects},
	{method: "GET", pattern: "/admin/v1/projects/{project}", need: auth.Change, handle: (*Server).project},
	{method: "GET", pattern: "/admin/v1/keys", need: auth.Change, handle: (*Server).keys},
	{method: "POST", pattern: "/admin/v1/keys/rotate", need: auth.Change, handle: (*Server).rotateKey},
	{method: "POST", pattern: "/admin/v1/keys/end-rotation", need: auth.Change, handle: (*Server).endRotation},
	{method: "GET", pattern: "/admin/v1/audit", need: auth.Administer, query: paged("actor", "object"), handle: (*Server).audit},

	{method: "GET", pattern: "/admin/v1/users", need: auth.Administer, handle: (*Server).users},
	{method: "POST", pattern: "/admin/v1/users", need: auth.Administer, handle: (*Server).addUser},
	{method: "PUT", pattern: "/admin/v1/users/{email}", need: auth.Administer, handle: (*Server).changeUser},
	{method: "DELETE", pattern: "/admin/v1/users/{email}", need: auth.Administer, handle: (*Server).removeUser},
	{method: "POST", pattern: "/admin/v1/users/{email}/reset", need: auth.Administer, handle: (*Server).resetUser},
	{method: "GET", pattern: "/admin/v1/users/{email}/sessions", need: auth.Administer, handle: (*Server).sessions},
	{method: "DELETE", pattern: "/admin/v1/users/{email}/sessions", need: auth.Administer, handle: (*Server).endSessions},
	{method: "GET", pattern: "/admin/v1/tokens", need: auth.Administer, handle: (*Server).tokens},
	{method: "POST", pattern: "/admin/v1/tokens", need: auth.Administer, handle: (*Server).addToken},
	{method: "DELETE", pattern: "/admin/v1/tokens/{id}", need: auth.Administer, handle: (*Server).removeToken},

	{method: "POST", pattern: "/admin/v1/backup", need: auth.Administer, query: []string{"processed"}, lasting: true, handle: (*Server).backUp},
	{method: "GET", pattern: "/admin/v1/settings", need: auth.Administer, handle: (*Server).serverSettings},
	{method: "GET", pattern: "/admin/v1/status", need: auth.See, handle: (*Server).status},
	{method: "GET", pattern: "/admin/v1/openapi.yaml", handle: (*Server).openapiYAML},
	{method: "GET", pattern: "/admin/v1/openapi.json", handle: (*Server).openapiJSON},
}, segmentRoutes, projectRoutes(), experimentRoutes())

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
