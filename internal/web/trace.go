package web

import (
	"net/http"
	"net/url"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/store"
	"causeway/internal/trace"
)

// tracePage is one messageId on its way, or the question for one.
type tracePage struct {
	layout
	ID     string
	Asked  bool
	Copies []tracedCopy
	Events []fme.Event
	Found  *trace.Trace
}

// tracedCopy is one copy with what the page shows of it.
type tracedCopy struct {
	trace.Copy
	N          int    // from 1, newest first
	Pretty     string // as one would write the call
	Became     []fme.Event
	Set        []fme.Attribute
	Curl       string
	Playground string
}

func (s *Server) traceForm(r *request) error {
	if id := strings.TrimSpace(r.URL.Query().Get("id")); id != "" {
		return s.redirect(r, s.layout(r, "").Link("/trace/"+url.PathEscape(id)), "")
	}
	return s.show(r, "trace", tracePage{layout: s.layout(r, "Trace")})
}

func (s *Server) trace(r *request) error {
	id := r.PathValue("messageId")
	page := tracePage{layout: s.layout(r, "Trace"), ID: id, Asked: true}
	rooms := trace.Rooms{Snapshot: r.snapshot, Streams: s.Streams, Store: s.Store, Visible: func(project string) bool {
		return r.who.May(auth.SeePeople, project)
	}}
	found, err := rooms.Find(r.Context(), id)
	if err != nil {
		return storeFailed(err)
	}
	if found.Empty() {
		return s.showStatus(r, http.StatusNotFound, "trace", page)
	}
	page.Found = found
	for i, c := range found.Copies {
		shown := tracedCopy{Copy: c, N: i + 1, Pretty: prettyCall(c.Raw)}
		if c.Now != nil {
			shown.Became = c.Now.Events
			for _, identity := range c.Now.Identities {
				shown.Set = append(shown.Set, identity.Attributes...)
			}
		}
		if c.Raw != nil {
			shown.Curl = curlFor(s.base(r), c.Raw)
			shown.Playground = page.Link("/playground", "destination", c.Configuration, "message", id)
		}
		page.Copies = append(page.Copies, shown)
	}
	return s.show(r, "trace", page)
}

// curlFor sends the call again by hand, once the key is filled in.
func curlFor(base string, raw []byte) string {
	return "curl -u WRITE_KEY: " + base + "/v1/batch -H 'Content-Type: application/json' -d '{\"batch\":[" + strings.ReplaceAll(string(raw), "'", `'\''`) + "]}'"
}

// find sends a search to the page that answers it: an event type, a customer,
// or a messageId, in the order of what can be known quickly.
func (s *Server) find(r *request) error {
	q := strings.TrimSpace(r.URL.Query().Get("q"))
	l := s.layout(r, "Find")
	if q == "" || r.env == nil {
		return s.redirect(r, l.Link("/"), "")
	}
	ctx := r.Context()
	calls, err := s.Store.Calls(ctx, store.CallQuery{Environment: r.env.ID, MessageID: q, Span: store.Span{Limit: 1}})
	if err != nil {
		return err
	}
	if len(calls.Items) > 0 {
		return s.redirect(r, l.Link("/trace/"+url.PathEscape(q)), "")
	}
	types, err := s.Store.EventTypes(ctx, r.env.ID, r.now)
	if err != nil {
		return err
	}
	for _, t := range types {
		if strings.EqualFold(t.Name, q) && s.routeOf("/events") != nil {
			return s.redirect(r, l.Link("/events/"+url.PathEscape(t.Name)), "")
		}
	}
	for _, trafficType := range r.env.Project.TrafficTypes {
		_, found, err := s.Store.Customer(ctx, r.env.ID, trafficType, q)
		if err != nil {
			return err
		}
		if found && s.routeOf("/customers") != nil {
			return s.redirect(r, l.Link("/customers/"+url.PathEscape(trafficType)+"/"+url.PathEscape(q)), "")
		}
	}
	return s.redirect(r, l.Link("/live", "q", quoteWord(q)), "")
}

// quoteWord is a text as one word of a filter.
func quoteWord(text string) string {
	if strings.ContainsAny(text, ": ") || strings.HasPrefix(text, "-") {
		return `"` + strings.ReplaceAll(text, `"`, "") + `"`
	}
	return text
}
