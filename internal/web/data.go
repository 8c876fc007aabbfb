package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"causeway/internal/auth"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// dataRoutes are the pages about what was received, stored and sent.
func dataRoutes() []route {
	return []route{
		{pattern: "GET /events", need: auth.See, handle: (*Server).eventTypes},
		{pattern: "GET /events/{type...}", need: auth.See, handle: (*Server).eventType},
		{pattern: "GET /customers", need: auth.SeePeople, handle: (*Server).customers},
		{pattern: "GET /customers/export", need: auth.SeePeople, lasting: true, handle: (*Server).exportCustomer},
		{pattern: "POST /customers/erase", need: auth.Administer, handle: (*Server).eraseCustomer},
		{pattern: "GET /customers/{type}/{key...}", need: auth.SeePeople, handle: (*Server).customer},
		{pattern: "GET /impressions", need: auth.See, handle: (*Server).impressions},
		{pattern: "GET /calls", need: auth.SeePeople, handle: (*Server).calls},
		{pattern: "GET /delivery", need: auth.See, handle: (*Server).delivery},
		{pattern: "GET /dead-letters", need: auth.See, handle: (*Server).deadLetters},
		{pattern: "POST /dead-letters/replay", need: auth.Change, lasting: true, handle: (*Server).replay},
	}
}

// dataPage is the layout of a page about data, with what its templates call.
type dataPage struct {
	layout
	// Newest is the address of the list's first page, when another is shown.
	Newest string
	// Path is this page's path as it stands in an address.
	Path  string
	paged bool // the list does not begin with the newest
}

// dataPage makes what is around a page about data.
func (s *Server) dataPage(r *request, title string) dataPage {
	return dataPage{layout: s.layout(r, title), Path: r.URL.EscapedPath(), paged: r.URL.Query().Get("cursor") != ""}
}

// Customer is the address of a customer's page. Keys that a browser would take
// for a step in the path are asked for in the query.
func (p dataPage) Customer(trafficType, key string) string {
	if trafficType == "" || key == "." || key == ".." {
		return p.Link("/customers", "trafficType", trafficType, "key", key)
	}
	return p.Link("/customers/" + url.PathEscape(trafficType) + "/" + url.PathEscape(key))
}

// EventType is the address of an event type's page.
func (p dataPage) EventType(name string) string { return p.Link("/events/" + url.PathEscape(name)) }

// Trace is the address of the trace of a messageId.
func (p dataPage) Trace(messageID string) string {
	return p.Link("/trace/" + url.PathEscape(messageID))
}

// Cut is the beginning of a text, of at most n characters.
func (dataPage) Cut(n int, v any) string { return cutText(textOf(v), n) }

func textOf(v any) string {
	if raw, ok := v.(json.RawMessage); ok {
		return string(raw)
	}
	return fmt.Sprint(v)
}

func cutText(text string, n int) string {
	text = strings.ToValidUTF8(text, "�")
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n]) + "…"
}

// storeFailed makes of an error of the store a page that says so.
func storeFailed(err error) error {
	if err == nil || errors.Is(err, store.ErrCursor) || errors.Is(err, stream.ErrUnavailable) || errors.Is(err, stream.ErrClosed) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return err
	}
	return &problem{http.StatusServiceUnavailable, "The store does not answer",
		"What is remembered cannot be read right now. Accepting goes on: what arrives is safe in the streams, and is stored as soon as the store works again. The server's log holds the cause.", err}
}

// oneOf is the value of a query parameter, or empty when it is none of those
// that there are.
func oneOf[T ~string](r *request, name string, allowed ...T) T {
	value := T(r.URL.Query().Get(name))
	if slices.Contains(allowed, value) {
		return value
	}
	return ""
}

// option is one option of a filter.
type option struct {
	Value, Name string
	Selected    bool
}

func options[T ~string](selected T, all ...T) []option {
	list := make([]option, 0, len(all))
	for _, value := range all {
		list = append(list, option{string(value), string(value), value == selected})
	}
	return list
}

// nothing says why a list is empty and what to do.
type nothing struct {
	Title, Text string
	URL, Action string // where to go on; empty: nowhere
}

// What a page can lack, and how an empty list of it is explained.
const (
	wantEvents     = "event"
	wantCustomers  = "customer"
	wantAttributes = "attribute"
)

// quietFor is how far back an empty list looks for what went wrong.
const quietFor = 7 * 24 * time.Hour

// nothingFromCalls says at which step there was nothing: no destination, no
// call, or no call that became what is wanted.
func (s *Server) nothingFromCalls(r *request, l layout, want string) (*nothing, error) {
	from := r.now.Truncate(time.Hour).Add(-quietFor)
	traffic, err := s.Store.Traffic(r.Context(), r.env.ID, from, r.now.Add(time.Hour), 24*time.Hour)
	if err != nil {
		return nil, storeFailed(err)
	}
	calls, all, _, _, _ := sums(traffic)
	if all > 0 {
		reasons, err := s.Store.Reasons(r.Context(), r.env.ID, from)
		if err != nil {
			return nil, storeFailed(err)
		}
		why := topReasons(reasons, func(code reason.Code) bool {
			info, _ := reason.Lookup(code)
			return info.Stage == reason.Ends && code != reason.RepeatedCall
		})
		if why != "" {
			why = " Most frequent: " + why + "."
		}
		outcome := reason.Dropped
		if calls[reason.Ignored] > calls[reason.Dropped] {
			outcome = reason.Ignored
		}
		return &nothing{
			Title: fmt.Sprintf("Calls arrived, but none made %s %s", article(want), want),
			Text: fmt.Sprintf("%s in the last 7 days: %s dropped, %s ignored.%s The list of calls says why and what to do.",
				plural(all, "call"), count(calls[reason.Dropped]), count(calls[reason.Ignored]), why),
			URL: l.Link("/calls", "outcome", string(outcome)), Action: "See these calls",
		}, nil
	}
	destinations := r.snapshot.Destinations(r.env.ID)
	if len(destinations) == 0 {
		return &nothing{
			Title: "No destination takes calls in",
			Text:  fmt.Sprintf("Segment's calls become data of %s through a destination, and none is configured for it.", r.env.ID),
			URL:   l.Link("/integrations"), Action: "Add a destination",
		}, nil
	}
	return &nothing{
		Title: "No call has arrived in the last 7 days",
		Text:  fmt.Sprintf("The destination %s is ready. Switch it on in Segment, or send a call yourself; it shows here within a second.", destinations[0].Name),
		URL:   l.Link("/integrations"), Action: "How to send one",
	}, nil
}

func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an"
	}
	return "a"
}

// Share is a share from 0 to 1 as a person reads it.
func (dataPage) Share(share float64) string { return percent(int64(share*1e6+.5), 1e6) }

// Part is a part of a whole as a share.
func (dataPage) Part(part, whole int) string { return percent(int64(part), int64(whole)) }
