package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

const (
	timelineShown   = 50
	attributesShown = 200
	recentRead      = 200 // events that the recently seen customers are found among
	recentShown     = 25
)

// customersPage finds a customer by key.
type customersPage struct {
	dataPage
	TrafficTypes []option
	TrafficType  string
	Key          string
	Found        []who // several traffic types have the key
	Recent       []seen
	Nothing      *nothing
}

// who names a customer.
type who struct{ TrafficType, Key string }

// seen is a customer and when it last did something.
type seen struct {
	who
	EventType string
	At        time.Time
}

func (s *Server) customers(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Customers")
	}
	// Keys are matched whole, and may begin or end with blanks.
	key := r.URL.Query().Get("key")
	p := customersPage{dataPage: s.dataPage(r, "Customers"), Key: key}
	p.TrafficType = oneOf(r, "trafficType", r.env.Project.TrafficTypes...)
	p.TrafficTypes = options(p.TrafficType, r.env.Project.TrafficTypes...)
	if key == "" {
		if err := s.recentCustomers(r, &p); err != nil {
			return err
		}
		return s.show(r, "customers", p)
	}
	types := r.env.Project.TrafficTypes
	if p.TrafficType != "" {
		types = []string{p.TrafficType}
	}
	for _, trafficType := range types {
		known, err := s.knownCustomer(r, trafficType, key)
		if err != nil {
			return err
		}
		if known {
			p.Found = append(p.Found, who{trafficType, key})
		}
	}
	switch len(p.Found) {
	case 0:
		p.Nothing = &nothing{Title: "No customer has this key",
			Text: fmt.Sprintf("%q was looked for as %s in %s. Keys are matched whole, with capitals as they are. Identify and group calls, events and impressions make customers known.", cutText(key, 100), strings.Join(types, ", "), r.env.ID),
			URL:  p.Link("/customers"), Action: "Recently seen customers"}
	case 1:
		if key == "." || key == ".." {
			return s.showCustomer(r, p.Found[0].TrafficType, key)
		}
		return s.redirect(r, p.Customer(p.Found[0].TrafficType, key), "")
	}
	return s.show(r, "customers", p)
}

// knownCustomer reports whether anything was heard of a key.
func (s *Server) knownCustomer(r *request, trafficType, key string) (bool, error) {
	_, found, err := s.Store.Customer(r.Context(), r.env.ID, trafficType, key)
	if err != nil || found {
		return found, storeFailed(err)
	}
	impressions, err := s.Store.Impressions(r.Context(), store.ImpressionQuery{Environment: r.env.ID, Key: key, Span: store.Span{Limit: recentRead}})
	return slices.ContainsFunc(impressions.Items, func(i fme.Impression) bool { return i.TrafficType == trafficType }), storeFailed(err)
}

// recentCustomers are those of the newest events, each once.
func (s *Server) recentCustomers(r *request, p *customersPage) error {
	events, err := s.Store.Events(r.Context(), store.EventQuery{Environment: r.env.ID, TrafficType: p.TrafficType, Span: store.Span{Limit: recentRead}})
	if err != nil {
		return storeFailed(err)
	}
	known := map[who]bool{}
	for _, e := range events.Items {
		one := who{e.TrafficType, e.Key}
		if known[one] || len(p.Recent) == recentShown {
			continue
		}
		known[one] = true
		p.Recent = append(p.Recent, seen{one, e.EventType, e.Time})
	}
	if len(p.Recent) == 0 {
		p.Nothing, err = s.nothingFromCalls(r, p.layout, wantCustomers)
	}
	return err
}

// customerPage is everything that is known of one key.
type customerPage struct {
	dataPage
	TrafficType, Key string
	Attributes       []attribute
	MoreAttributes   int
	Treatments       []flagSeen
	Read             int  // impressions that Treatments is drawn from
	All              bool // and they are all there are
	Days             []day
	Show             []option
	EventTypeFilter  string
	Filtered         bool
	Older            string
}

type attribute struct {
	ID string
	store.AttributeValue
}

// flagSeen is a flag and the treatments of it that a customer was shown, the
// newest first.
type flagSeen struct {
	Flag       string
	Treatments []treatmentSeen
}

type treatmentSeen struct {
	Treatment string
	Count     int
	Last      time.Time
}

// Control reports whether the SDK could not evaluate the flag.
func (t treatmentSeen) Control() bool { return t.Treatment == fme.Control }

// day is one day of a timeline.
type day struct {
	Date  time.Time
	Items []moment
}

// moment is one thing of a timeline: an event or an impression.
type moment struct {
	Time       time.Time
	Event      *fme.Event
	Impression *fme.Impression
}

func (s *Server) customer(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Customer")
	}
	return s.showCustomer(r, r.PathValue("type"), r.PathValue("key"))
}

func (s *Server) showCustomer(r *request, trafficType, key string) error {
	customer, found, err := s.Store.Customer(r.Context(), r.env.ID, trafficType, key)
	if err != nil {
		return storeFailed(err)
	}
	p := customerPage{dataPage: s.dataPage(r, key), TrafficType: trafficType, Key: key}
	p.Title = cutText(key, 80)
	own := p.Customer(trafficType, key)
	if p.paged {
		p.Newest = own
	}
	impressions, err := s.Store.Impressions(r.Context(), store.ImpressionQuery{Environment: r.env.ID, Key: key, Span: store.Span{Limit: newestRead}})
	if err != nil {
		return storeFailed(err)
	}
	p.All = impressions.NextCursor == ""
	mine := slices.DeleteFunc(impressions.Items, func(i fme.Impression) bool { return !of(trafficType, i) })
	if p.Read = len(mine); !found && p.Read == 0 {
		return notFound("Nothing is known of %s %q in %s. Identify and group calls, events and impressions make customers known.", trafficType, cutText(key, 100), r.env.ID)
	}
	p.Treatments = treatmentsSeen(mine)
	for _, id := range slices.Sorted(maps.Keys(customer.Attributes)) {
		p.Attributes = append(p.Attributes, attribute{id, customer.Attributes[id]})
	}
	if n := len(p.Attributes); n > attributesShown {
		p.Attributes, p.MoreAttributes = p.Attributes[:attributesShown], n-attributesShown
	}
	show := oneOf(r, "show", "events", "impressions")
	p.EventTypeFilter = r.URL.Query().Get("eventType")
	if p.EventTypeFilter != "" {
		show = "events"
	}
	p.Show, p.Filtered = options(show, "events", "impressions"), show != ""
	line := timeline{s.Store, r.env.ID, trafficType, key, show, p.EventTypeFilter}
	moments, next, err := line.page(r.Context(), r.URL.Query().Get("cursor"))
	if err != nil {
		return storeFailed(err)
	}
	for _, m := range moments {
		date := m.Time.UTC().Truncate(24 * time.Hour)
		if n := len(p.Days); n == 0 || !p.Days[n-1].Date.Equal(date) {
			p.Days = append(p.Days, day{Date: date})
		}
		last := &p.Days[len(p.Days)-1]
		last.Items = append(last.Items, m)
	}
	query := []string{"show", show, "eventType", p.EventTypeFilter, "cursor", next}
	if strings.HasPrefix(own, "/customers?") {
		query = append(query, "trafficType", trafficType, "key", key)
	}
	if next != "" {
		p.Older = p.Link(p.Path, query...)
	}
	return s.show(r, "customer", p)
}

// of reports whether an impression may be of a key of that traffic type: an
// impression of a flag that the catalog does not know has none.
func of(trafficType string, i fme.Impression) bool {
	return i.TrafficType == "" || i.TrafficType == trafficType
}

// treatmentsSeen groups impressions, newest first, by flag and treatment.
func treatmentsSeen(impressions []fme.Impression) []flagSeen {
	var list []flagSeen
	for _, i := range impressions {
		at := slices.IndexFunc(list, func(f flagSeen) bool { return f.Flag == i.Flag })
		if at < 0 {
			at = len(list)
			list = append(list, flagSeen{Flag: i.Flag})
		}
		treatments := &list[at].Treatments
		of := slices.IndexFunc(*treatments, func(t treatmentSeen) bool { return t.Treatment == i.Treatment })
		if of < 0 {
			of = len(*treatments)
			*treatments = append(*treatments, treatmentSeen{Treatment: i.Treatment, Last: i.Time})
		}
		(*treatments)[of].Count++
	}
	slices.SortFunc(list, func(a, b flagSeen) int { return cmp.Compare(a.Flag, b.Flag) })
	return list
}

// timeline merges the events and impressions of a key, newest first.
type timeline struct {
	store            store.Store
	environment      fme.EnvironmentID
	trafficType, key string
	show             string // events, impressions; empty: both
	eventType        string
}

// A cursor of a timeline is the cursors of its two lists. A list that has been
// shown to its end has this one.
const endOfList = "-"

// page is one page and the cursor of the next, empty when there is none.
// Items that arrive meanwhile never shift what follows.
func (t timeline) page(ctx context.Context, cursor string) ([]moment, string, error) {
	eventsFrom, impressionsFrom, ok := strings.Cut(cursor, ".")
	if cursor != "" && !ok {
		return nil, "", store.ErrCursor
	}
	events, err := read(t.show != "impressions", eventsFrom, timelineShown, t.events(ctx))
	if err != nil {
		return nil, "", err
	}
	impressions, err := read(t.show != "events", impressionsFrom, timelineShown, t.impressions(ctx))
	if err != nil {
		return nil, "", err
	}
	var merged []moment
	e, i := 0, 0
	for len(merged) < timelineShown && e+i < len(events.Items)+len(impressions.Items) {
		if i == len(impressions.Items) || e < len(events.Items) && !events.Items[e].Time.Before(impressions.Items[i].Time) {
			merged = append(merged, moment{Time: events.Items[e].Time, Event: &events.Items[e]})
			e++
		} else {
			merged = append(merged, moment{Time: impressions.Items[i].Time, Impression: &impressions.Items[i]})
			i++
		}
	}
	nextEvents, err := after(events, e, eventsFrom, t.events(ctx))
	if err != nil {
		return nil, "", err
	}
	nextImpressions, err := after(impressions, i, impressionsFrom, t.impressions(ctx))
	if err != nil {
		return nil, "", err
	}
	merged = slices.DeleteFunc(merged, func(m moment) bool { return m.Impression != nil && !of(t.trafficType, *m.Impression) })
	if nextEvents == endOfList && nextImpressions == endOfList {
		return merged, "", nil
	}
	return merged, nextEvents + "." + nextImpressions, nil
}

type reader[T any] func(cursor string, limit int) (store.Page[T], error)

func (t timeline) events(ctx context.Context) reader[fme.Event] {
	return func(cursor string, limit int) (store.Page[fme.Event], error) {
		return t.store.Events(ctx, store.EventQuery{Environment: t.environment, TrafficType: t.trafficType, Key: t.key, EventType: t.eventType,
			Span: store.Span{Cursor: cursor, Limit: limit}})
	}
}

func (t timeline) impressions(ctx context.Context) reader[fme.Impression] {
	return func(cursor string, limit int) (store.Page[fme.Impression], error) {
		return t.store.Impressions(ctx, store.ImpressionQuery{Environment: t.environment, Key: t.key, Span: store.Span{Cursor: cursor, Limit: limit}})
	}
}

func read[T any](wanted bool, cursor string, limit int, list reader[T]) (store.Page[T], error) {
	if !wanted || cursor == endOfList {
		return store.Page[T]{}, nil
	}
	return list(cursor, limit)
}

// after is the cursor behind the first n items of a page that began at from.
// The store makes cursors of whole pages, so it is asked for one that ends there.
func after[T any](page store.Page[T], n int, from string, list reader[T]) (string, error) {
	switch {
	case n == len(page.Items):
		return cmp.Or(page.NextCursor, endOfList), nil
	case n == 0:
		return from, nil
	}
	shorter, err := list(from, n)
	if err == nil && shorter.NextCursor == "" {
		err = errors.New("a shorter page of the same list has no next one")
	}
	return shorter.NextCursor, err
}
