package flags

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"causeway/internal/catalog"
)

// A route is one thing that SDKs ask for. Several paths may lead to it.
type route struct {
	name   string // for metrics
	open   bool   // needs no SDK key
	handle func(*exchange)
}

var unknown = route{name: "unknown"}

// The routes, by path without the slashes at its ends. Those of the second
// table have a key or a name after theirs.
var (
	plain = map[string]*route{
		"api/version":      {name: "version", open: true, handle: version},
		"api/splitChanges": {name: "split_changes", handle: splitChanges},
		"api/auth":         {name: "auth", handle: auth},
		"api/v2/auth":      {name: "auth", handle: auth},
	}
	named = map[string]*route{
		"api/segmentChanges": {name: "segment_changes", handle: segmentChanges},
		"api/mySegments":     {name: "my_segments", handle: mySegments},
		"api/memberships":    {name: "memberships", handle: memberships},
	}
)

// Serves reports whether a request is for this room, whatever its method.
func Serves(r *http.Request) bool {
	route, _ := find(r.URL.EscapedPath())
	return route != nil
}

// find returns the route of an escaped path and what its variable part says;
// nil: it is none of this room. The path is read escaped, because a key may
// have a slash in it. Slashes at the end are let be: old SDKs send them.
func find(escaped string) (*route, string) {
	path := strings.Trim(escaped, "/")
	if r := plain[path]; r != nil {
		return r, ""
	}
	for prefix, r := range named {
		if rest, ok := strings.CutPrefix(path, prefix+"/"); ok {
			if name, err := url.PathUnescape(rest); err == nil {
				return r, name
			}
		}
	}
	return nil, ""
}

// admit finds the environment of the SDK key (R33).
func (s *Server) admit(c *exchange) bool {
	scheme, key, _ := strings.Cut(strings.TrimSpace(c.r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	known, ok := s.snapshot().SDKKey(strings.TrimSpace(key))
	if !ok {
		return false
	}
	c.view, c.client = s.viewOf(known.Environment), known.Type == catalog.ClientSide
	return true
}

// viewOf is the present view of an environment.
func (s *Server) viewOf(e *catalog.Environment) *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.views[e.ID]
	if v == nil || v.serving != e.Serving {
		v = newView(e.Serving)
		s.views[e.ID] = v
	}
	return v
}

// version says that the server is there. The Go SDK takes a 404 for a Split
// Proxy and then works otherwise.
func version(c *exchange) { c.answer(http.StatusOK, `{"name":"causeway"}`) }

// auth says that nothing is pushed, so that SDKs poll.
func auth(c *exchange) { c.answer(http.StatusOK, `{"pushEnabled":false,"token":""}`) }

// splitChanges tells what changed of the flags since a change number.
func splitChanges(c *exchange) {
	query := c.r.URL.Query()
	spec, ok := specs[query.Get("s")]
	if !ok {
		c.refuse(http.StatusBadRequest, "this version of the flag specification is not supported")
		return
	}
	ask := question{spec: spec, since: number(query.Get("since")), ruleSince: number(query.Get("rbSince")), filter: filterOf(query)}
	c.send(c.view.splitChanges(ask))
}

// specs are the versions of the protocol, as SDKs name them. The oldest name none.
var specs = map[string]catalog.Spec{
	"": catalog.Spec10, "1.0": catalog.Spec10, "1.1": catalog.Spec11, "1.2": catalog.Spec12, "1.3": catalog.Spec13,
}

// number reads a change number; one that cannot be read is none, as for the
// Split Proxy.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// segmentChanges tells what changed of a segment's keys. Client-side SDK keys
// are public and segments hold users, so those are not told; their SDKs ask
// for memberships.
func segmentChanges(c *exchange) {
	if c.client {
		c.refuse(http.StatusForbidden, "this needs a server-side SDK key")
		return
	}
	body := c.view.segmentChanges(c.name, number(c.r.URL.Query().Get("since")))
	if body == nil {
		c.refuse(http.StatusNotFound, "there is no such segment")
		return
	}
	c.send(body)
}

// mySegments tells a key's segments, in the oldest form.
func mySegments(c *exchange) {
	type segment struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	list := []segment{}
	for _, name := range c.view.segmentsOf(c.name) {
		list = append(list, segment{Name: name})
	}
	c.sendJSON(struct {
		MySegments []segment `json:"mySegments"`
	}{list})
}

// member is one segment of a key.
type member struct {
	Name string `json:"n"`
}

// membership is a key's segments of one kind.
type membership struct {
	Segments     []member `json:"k"`
	ChangeNumber int64    `json:"cn,omitempty"`
}

// memberships tells a key's segments. There are no large ones.
func memberships(c *exchange) {
	mine := membership{Segments: []member{}, ChangeNumber: c.view.segmentsChange}
	for _, name := range c.view.segmentsOf(c.name) {
		mine.Segments = append(mine.Segments, member{name})
	}
	c.sendJSON(struct {
		Segments membership `json:"ms"`
		Large    membership `json:"ls"`
	}{mine, membership{Segments: []member{}}})
}

func (c *exchange) sendJSON(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers
	}
	c.send(newBody(text))
}

// refuse answers with an error in the Split Proxy's form.
func (c *exchange) refuse(status int, message string) {
	text, err := json.Marshal(struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}{status, message})
	if err != nil {
		panic(err) // a number and a text
	}
	c.answer(status, string(text))
}

// answer writes a short response. An empty body is none.
func (c *exchange) answer(status int, body string) {
	c.status = status
	h := c.w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if body != "" {
		h.Set("Content-Type", "application/json")
	}
	if status != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	c.w.WriteHeader(status)
	// Who hung up does not read it, and there is nobody else to tell.
	_, _ = c.w.Write([]byte(body))
}
