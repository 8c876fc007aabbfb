package web

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/customer"
	"causeway/internal/store"
)

const (
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
	Found        []who // keys that begin with it
	Many         bool  // and there may be more
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
	var exact []who
	for _, trafficType := range types {
		known, err := s.knownCustomer(r, trafficType, key)
		if err != nil {
			return err
		}
		if known {
			exact = append(exact, who{trafficType, key})
		}
	}
	if len(exact) == 1 {
		if key == "." || key == ".." {
			return s.showCustomer(r, exact[0].TrafficType, key)
		}
		return s.redirect(r, p.Customer(exact[0].TrafficType, key), "")
	}
	p.Found = exact
	if len(exact) == 0 {
		found, err := s.Store.Keys(r.Context(), r.env.ID, p.TrafficType, key)
		if err != nil {
			return storeFailed(err)
		}
		for _, k := range found {
			p.Found = append(p.Found, who{k.TrafficType, k.Key})
		}
		p.Many = len(found) == store.MostKeys
	}
	if len(p.Found) == 0 {
		p.Nothing = &nothing{Title: "No customer has this key, or one that begins so",
			Text: fmt.Sprintf("%q was looked for as %s in %s, with capitals as they are. Identify and group calls, events and impressions make customers known.", cutText(key, 100), strings.Join(types, ", "), r.env.ID),
			URL:  p.Link("/customers"), Action: "Recently seen customers"}
	}
	return s.show(r, "customers", p)
}

// knownCustomer reports whether anything was heard of a key.
func (s *Server) knownCustomer(r *request, trafficType, key string) (bool, error) {
	_, found, err := s.customerRooms().Find(r.Context(), customer.Who{Environment: r.env.ID, TrafficType: trafficType, Key: key})
	return found, storeFailed(err)
}

func (s *Server) customerRooms() customer.Rooms {
	return customer.Rooms{Store: s.Store, Streams: s.Streams}
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
	Profile          *customer.Profile
	Shown            []attribute // of its attributes
	MoreAttributes   int
	Days             []day
	Show             []option
	EventTypeFilter  string
	Filtered         bool
	Older            string
	Export           string // address of the export
	Form             form   // of the erasure
}

type attribute struct {
	ID string
	store.AttributeValue
	DisplayName string // in the catalog
}

// day is one day of a timeline.
type day struct {
	Date  time.Time
	Items []customer.Moment
}

func (s *Server) customer(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Customer")
	}
	return s.showCustomer(r, r.PathValue("type"), r.PathValue("key"))
}

func (s *Server) showCustomer(r *request, trafficType, key string) error {
	return s.showCustomerForm(r, http.StatusOK, customer.Who{Environment: r.env.ID, TrafficType: trafficType, Key: key}, form{})
}

func (s *Server) showCustomerForm(r *request, status int, who customer.Who, f form) error {
	profile, found, err := s.customerRooms().Find(r.Context(), who)
	if err != nil {
		return storeFailed(err)
	}
	if !found {
		return notFound("Nothing is known of %s %q in %s. Identify and group calls, events and impressions make customers known.", who.TrafficType, cutText(who.Key, 100), r.env.ID)
	}
	p := customerPage{dataPage: s.dataPage(r, cutText(who.Key, 80)), TrafficType: who.TrafficType, Key: who.Key, Profile: profile, Form: f}
	own := p.Customer(who.TrafficType, who.Key)
	if p.paged {
		p.Newest = own
	}
	p.Export = p.Link("/customers/export", "trafficType", who.TrafficType, "key", who.Key)
	for _, id := range slices.Sorted(maps.Keys(profile.Attributes)) {
		shown := attribute{ID: id, AttributeValue: profile.Attributes[id]}
		if i := slices.IndexFunc(r.env.Project.Attributes, func(a catalog.AttributeSpec) bool { return a.TrafficType == who.TrafficType && a.ID == id }); i >= 0 {
			shown.DisplayName = r.env.Project.Attributes[i].DisplayName
		}
		p.Shown = append(p.Shown, shown)
	}
	if n := len(p.Shown); n > attributesShown {
		p.Shown, p.MoreAttributes = p.Shown[:attributesShown], n-attributesShown
	}
	filter := customer.Filter{Show: oneOf(r, "show", customer.OnlyEvents, customer.OnlyImpressions), EventType: r.URL.Query().Get("eventType")}
	if filter.EventType != "" {
		filter.Show = customer.OnlyEvents
	}
	p.EventTypeFilter, p.Show, p.Filtered = filter.EventType, options(filter.Show, customer.OnlyEvents, customer.OnlyImpressions), filter.Show != ""
	moments, next, err := s.customerRooms().Timeline(r.Context(), who, filter, r.URL.Query().Get("cursor"))
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
	query := []string{"show", filter.Show, "eventType", filter.EventType, "cursor", next}
	if strings.HasPrefix(own, "/customers?") {
		query = append(query, "trafficType", who.TrafficType, "key", who.Key)
	}
	if next != "" {
		p.Older = p.Link(p.Path, query...)
	}
	return s.showStatus(r, status, "customer", p)
}

// exportCustomer gives everything that is kept of a key as a file.
func (s *Server) exportCustomer(r *request) error {
	who, err := s.whoOf(r, r.URL.Query())
	if err != nil {
		return err
	}
	if known, err := s.knownCustomer(r, who.TrafficType, who.Key); err != nil || !known {
		return cmp.Or(err, notFound("Nothing is known of this key, so there is nothing to export."))
	}
	header := r.w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	header.Set("Content-Disposition", `attachment; filename="customer.json"`) // the key may be anything
	header.Set("Cache-Control", "no-store")
	if err := s.customerRooms().Export(r.Context(), who, r.now, r.w); err != nil {
		// The file has begun: breaking it off is the only way to say so.
		s.Log.ErrorContext(r.Context(), "an export broke off", "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// eraseCustomer removes what is kept of a key, when the key was typed.
func (s *Server) eraseCustomer(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	who, err := s.whoOf(r, f.Values)
	if err != nil {
		return err
	}
	if f.Value("confirm") != who.Key {
		f.Errors["confirm"] = "This is not the key. Nothing was erased."
		return s.showCustomerForm(r, http.StatusUnprocessableEntity, who, f)
	}
	erasure, err := s.customerRooms().Erase(r.Context(), who)
	if errors.Is(err, customer.ErrBacklog) {
		f.Error = "Accepted requests wait to be stored, and may be about this key. Nothing was erased; try again when /readyz says that the pipeline moves."
		return s.showCustomerForm(r, http.StatusServiceUnavailable, who, f)
	}
	if err != nil {
		return storeFailed(err)
	}
	s.Accounts.Record(r.Context(), r.who.Actor(), customer.ErasedAction, who.Fingerprint(), erasure.String())
	return s.redirect(r, s.layout(r, "").Link("/customers"), "Erased: "+erasure.String()+".")
}

// whoOf reads whom a form or an address is about.
func (s *Server) whoOf(r *request, values url.Values) (customer.Who, error) {
	if r.env == nil {
		return customer.Who{}, notFound("There is no environment.")
	}
	who := customer.Who{Environment: r.env.ID, TrafficType: values.Get("trafficType"), Key: values.Get("key")}
	if who.TrafficType == "" || who.Key == "" {
		return customer.Who{}, refuse(http.StatusBadRequest, "Whom?", "Open the customer's page and begin there.")
	}
	return who, nil
}
