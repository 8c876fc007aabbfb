package web

import (
	"cmp"
	"fmt"
	"slices"

	"causeway/internal/reason"
	"causeway/internal/store"
)

const callsShown = 50

// callsPage lists the calls that came from Segment and what became of them.
type callsPage struct {
	dataPage
	MessageID    string
	Outcomes     []option
	Types        []option
	Reasons      []option
	Destinations []option
	Explained    *reason.Info // the reason that is filtered by
	Calls        []store.CallRow
	Older        string
	Filtered     bool
	Nothing      *nothing
}

var callTypes = []string{"identify", "group", "track", "page", "screen"}

func (s *Server) calls(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Calls")
	}
	p := callsPage{dataPage: s.dataPage(r, "Calls"), MessageID: r.URL.Query().Get("messageId")}
	seen, err := s.Store.Reasons(r.Context(), r.env.ID, r.now.Add(-quietFor))
	if err != nil {
		return storeFailed(err)
	}
	q := store.CallQuery{
		Environment: r.env.ID, MessageID: p.MessageID, Type: r.URL.Query().Get("type"),
		Outcome: oneOf(r, "outcome", reason.Stored, reason.Duplicate, reason.Ignored, reason.Dropped),
	}
	if info, ok := reason.Lookup(reason.Code(r.URL.Query().Get("reason"))); ok {
		q.Reason, p.Explained = info.Code, &info
	}
	types := slices.Clone(callTypes)
	if q.Type != "" && !slices.Contains(types, q.Type) {
		types = append(types, q.Type)
	}
	var destinations []string
	for _, d := range r.snapshot.Destinations(r.env.ID) {
		destinations = append(destinations, d.ID)
	}
	q.Configuration = oneOf(r, "destination", destinations...)
	p.Outcomes = options(q.Outcome, reason.Stored, reason.Duplicate, reason.Ignored, reason.Dropped)
	p.Types = options(q.Type, types...)
	p.Destinations = options(q.Configuration, destinations...)
	p.Reasons = reasonOptions(q.Reason, seen)
	p.Filtered = q.MessageID != "" || q.Type != "" || q.Outcome != "" || q.Reason != "" || q.Configuration != ""

	filters := []string{"messageId", q.MessageID, "type", q.Type, "outcome", string(q.Outcome), "reason", string(q.Reason), "destination", q.Configuration}
	if p.paged {
		p.Newest = p.Link("/calls", filters...)
	}
	q.Limit, q.Cursor = callsShown, r.URL.Query().Get("cursor")
	page, err := s.Store.Calls(r.Context(), q)
	if err != nil {
		return storeFailed(err)
	}
	if p.Calls = page.Items; page.NextCursor != "" {
		p.Older = p.Link("/calls", append(filters, "cursor", page.NextCursor)...)
	}
	switch {
	case len(p.Calls) > 0:
	case p.Filtered:
		p.Nothing = &nothing{"No call fits these filters", "A messageId is matched whole. Calls that were refused at the door are not listed; the live tail shows them.", p.Link("/calls"), "Show all calls"}
	default:
		if p.Nothing, err = s.nothingFromCalls(r, p.layout, wantEvents); err != nil {
			return err
		}
	}
	return s.show(r, "calls", p)
}

// reasonOptions are the reasons that applied to calls lately, the most
// frequent first, and then the others that can.
func reasonOptions(selected reason.Code, seen []store.ReasonCount) []option {
	counts := map[reason.Code]int64{}
	for _, c := range seen {
		if c.Type != "impression" && c.Type != "sdk_event" {
			counts[c.Code] += c.Count
		}
	}
	var codes []reason.Code
	for _, info := range reason.List {
		if info.Stage == reason.Ends || info.Stage == reason.Notes || info.Code == selected || counts[info.Code] > 0 {
			codes = append(codes, info.Code)
		}
	}
	slices.SortStableFunc(codes, func(a, b reason.Code) int { return cmp.Compare(counts[b], counts[a]) })
	list := options(selected, codes...)
	for i, code := range codes {
		if n := counts[code]; n > 0 {
			list[i].Name = fmt.Sprintf("%s (%s in 7 days)", code, count(n))
		}
	}
	return list
}
