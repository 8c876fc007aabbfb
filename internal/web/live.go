package web

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/tail"
)

// livePage shows what happened last and, with its script, what happens.
type livePage struct {
	layout
	Query    string
	Wrong    string // what is wrong with the query
	Kinds    []choice
	Outcomes []choice
	Kind     string
	Outcome  string
	Rows     []liveRow
	Stream   string // URL of the live stream
	Calls    bool   // whether a call was ever seen here, for the empty state
}

// choice is one of a few values of a filter, as a link.
type choice struct {
	Name, URL string
	Current   bool
}

// liveRow is one line of the list. The script makes the same from a tail.Item.
type liveRow struct {
	Kind          tail.Kind
	Time          time.Time
	Type          string
	Outcome       string
	Summary       string
	Configuration string
	MessageID     string // of calls: what opens the row
	Detail        string // of others: JSON
}

const (
	liveHistory = 60 // rows of each kind that are there before anything happens
	liveBurst   = 40 // items of one write of the stream, of which there are ten a second
)

// liveQuery is the filter that the URL holds.
type liveQuery struct {
	kind, outcome, words string
	filter               *tail.Filter
}

func readLiveQuery(q url.Values) (liveQuery, error) {
	l := liveQuery{kind: q.Get("kind"), outcome: q.Get("outcome"), words: q.Get("q")}
	words := l.words
	if l.outcome != "" {
		words += " outcome:" + strconv.Quote(l.outcome)
	}
	var err error
	l.filter, err = tail.ParseFilter(tail.Kind(l.kind), "", words)
	return l, err
}

func (s *Server) live(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Live tail")
	}
	page := livePage{layout: s.layout(r, "Live tail")}
	q, err := readLiveQuery(r.URL.Query())
	page.Query, page.Kind, page.Outcome = q.words, q.kind, q.outcome
	for _, kind := range []struct{ name, value string }{{"All", ""}, {"Calls", "call"}, {"Impressions", "impression"}, {"SDK events", "event"}, {"Deliveries", "delivery"}, {"Refused", "refused"}} {
		page.Kinds = append(page.Kinds, choice{kind.name, page.Link("/live", "kind", kind.value, "q", q.words), kind.value == q.kind})
	}
	for _, outcome := range []string{"", "stored", "ignored", "dropped"} {
		page.Outcomes = append(page.Outcomes, choice{cmp.Or(outcome, "any"), page.Link("/live", "kind", q.kind, "outcome", outcome, "q", q.words), outcome == q.outcome})
	}
	var wrong *tail.FilterError
	if errors.As(err, &wrong) {
		page.Wrong = wrong.Text
		return s.showStatus(r, http.StatusBadRequest, "live", page)
	}
	if err != nil {
		return err
	}
	page.Stream = page.Link("/live/stream", "kind", q.kind, "outcome", q.outcome, "q", q.words)
	if page.Rows, err = s.liveHistory(r, q); err != nil {
		return storeFailed(err)
	}
	if len(page.Rows) == 0 {
		calls, err := s.Store.Calls(r.Context(), store.CallQuery{Environment: r.env.ID, Span: store.Span{Limit: 1}})
		if err != nil {
			return storeFailed(err)
		}
		page.Calls = len(calls.Items) > 0
	}
	return s.show(r, "live", page)
}

// liveHistory is what the store knows of the newest, in the form of the live
// stream. Refused requests are not stored, and SDK events are with the events.
func (s *Server) liveHistory(r *request, q liveQuery) ([]liveRow, error) {
	ctx, span := r.Context(), store.Span{Limit: liveHistory}
	var rows []liveRow
	add := func(item tail.Item, messageID string) {
		if !q.filter.Matches(item) {
			return
		}
		row := liveRow{item.Kind, item.Time, item.Type, item.Outcome, strings.ReplaceAll(item.Summary, " -> ", " → "), item.Configuration, messageID, ""}
		if messageID == "" {
			row.Detail = prettyJSON(item.Detail)
		}
		rows = append(rows, row)
	}
	wants := func(kind tail.Kind) bool { return q.kind == "" || q.kind == string(kind) }
	if wants(tail.Call) {
		// Of a narrow outcome more is worth asking for; words filter what is there.
		if q.words != "" {
			span.Limit = 500
		}
		page, err := s.Store.Calls(ctx, store.CallQuery{Environment: r.env.ID, Outcome: reason.Outcome(q.outcome), Span: span})
		if err != nil {
			return nil, err
		}
		for _, call := range page.Items {
			add(callRowItem(call), call.MessageID)
		}
		span.Limit = liveHistory
	}
	if wants(tail.Impression) && (q.outcome == "" || q.outcome == string(reason.Stored)) {
		page, err := s.Store.Impressions(ctx, store.ImpressionQuery{Environment: r.env.ID, Span: span})
		if err != nil {
			return nil, err
		}
		for _, imp := range page.Items {
			add(tail.Item{Kind: tail.Impression, Time: imp.ReceivedAt, Environment: string(r.env.ID), Type: imp.Flag, Outcome: string(reason.Stored),
				Summary: imp.TrafficType + " " + imp.Key + " saw " + imp.Flag + ": " + imp.Treatment, Detail: imp}, "")
		}
	}
	if wants(tail.Delivery) {
		for _, source := range r.snapshot.Sources(r.env.ID) {
			page, err := s.Store.Deliveries(ctx, store.DeliveryQuery{Source: source.ID, Span: span})
			if err != nil {
				return nil, err
			}
			for _, d := range page.Items {
				add(deliveryItem(d), "")
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b liveRow) int { return b.Time.Compare(a.Time) })
	return rows[:min(len(rows), liveHistory)], nil
}

// callRowItem is a stored call as the live stream shows one.
func callRowItem(c store.CallRow) tail.Item {
	became := ""
	join := func(text string) {
		if became != "" {
			became += ", "
		}
		became += text
	}
	if c.Outcome == reason.Stored {
		if c.Events > 0 {
			join(plural(c.Events, "event"))
		}
		if c.Attributes > 0 {
			join(plural(c.Attributes, "attribute"))
		}
	}
	for _, note := range c.Reasons {
		join(string(note.Code))
	}
	summary := c.Type
	if c.Name != "" {
		summary += " " + c.Name
	}
	if became != "" {
		summary += " -> " + became
	}
	return tail.Item{Kind: tail.Call, Time: c.ReceivedAt, Environment: string(c.Environment), Configuration: c.Configuration,
		Type: c.Type, Outcome: string(c.Outcome), Summary: summary, Detail: map[string]string{"messageId": c.MessageID}}
}

func deliveryItem(d store.Delivery) tail.Item {
	status := strconv.Itoa(d.Status)
	if d.Status == 0 {
		status = "no answer"
	}
	return tail.Item{Kind: tail.Delivery, Time: d.StartedAt, Configuration: d.Source, Type: status, Outcome: d.Outcome,
		Summary: plural(d.Calls, "call") + " to Segment: " + status + " in " + shortDuration(d.Duration), Detail: d}
}

// atOnce ends a stream after its first write.
var atOnce = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// liveStream is the page's stream of server-sent events; with turn= it ends
// after what there is, and the page comes again.
func (s *Server) liveStream(r *request) error {
	q, err := readLiveQuery(r.URL.Query())
	if err != nil || r.env == nil {
		return refuse(http.StatusBadRequest, "No stream", "The filter cannot be read.")
	}
	if after := r.URL.Query().Get("after"); after != "" && r.Header.Get("Last-Event-ID") == "" {
		r.Header.Set("Last-Event-ID", after) // a browser sends it only when it comes back by itself
	}
	if !s.Feed.Join() {
		r.w.Header().Set("Retry-After", "5")
		return refuse(http.StatusServiceUnavailable, "No place", "All live streams are taken. Close one, or reload the page to see what is new.")
	}
	defer s.Feed.Leave()
	closed := s.closed
	if r.URL.Query().Has("turn") {
		closed = atOnce
	}
	visible := s.liveVisible(r)
	s.Feed.Stream(r.w, r.Request, closed, liveBurst, func(item tail.Item) (tail.Item, bool) {
		return item, visible(item) && q.filter.Matches(item)
	})
	return nil
}

// liveVisible lets through what belongs to the chosen environment. What belongs
// to none, such as a request with an unknown key, is for who may see
// the whole server.
func (s *Server) liveVisible(r *request) func(tail.Item) bool {
	env, all := r.env.ID, r.who.May(auth.SeePeople, "")
	return func(item tail.Item) bool {
		if item.Kind == tail.Delivery {
			source, ok := s.Catalog.Snapshot().Source(item.Configuration)
			if !ok {
				return all
			}
			for _, e := range source.Environments {
				if e.ID == env {
					return true
				}
			}
			return false
		}
		if item.Environment == "" {
			return all
		}
		return fme.EnvironmentID(item.Environment) == env
	}
}

// prettyCall writes a call as one would with Segment's library: the arguments
// a developer would look for, and the rest below.
func prettyCall(raw json.RawMessage) string {
	var call struct {
		Type, UserID, AnonymousID, GroupID, Event, Name, Category string
		Properties, Traits                                        json.RawMessage
	}
	if json.Unmarshal(raw, &call) != nil {
		return ""
	}
	arguments := []string{}
	text := func(t string) {
		if t != "" {
			quoted, _ := json.Marshal(t)
			arguments = append(arguments, string(quoted))
		}
	}
	object := func(o json.RawMessage) {
		if len(o) > 0 && string(o) != "null" {
			arguments = append(arguments, prettyJSON(o))
		}
	}
	switch call.Type {
	case "track":
		text(call.Event)
		object(call.Properties)
	case "page", "screen":
		text(call.Category)
		text(call.Name)
		object(call.Properties)
	case "identify":
		text(cmp.Or(call.UserID, call.AnonymousID))
		object(call.Traits)
	case "group":
		text(call.GroupID)
		object(call.Traits)
	default:
		return ""
	}
	out := "analytics." + call.Type + "("
	for i, argument := range arguments {
		if i > 0 {
			out += ", "
		}
		out += argument
	}
	return out + ")"
}
