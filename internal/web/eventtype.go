package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/plot"
	"causeway/internal/store"
	"causeway/internal/translate"
)

const (
	typesShown  = 100 // event types on a page
	eventsShown = 25  // events on a page
	// newestRead is how many of the newest events the page of a type, and of the
	// newest impressions that of a flag or customer, draws its figures from.
	newestRead      = 500
	propertiesShown = 60
	// propertyLimit is how many characters a property may have (R9).
	propertyLimit = 256
)

// eventTypesPage lists the types of events that were received.
type eventTypesPage struct {
	dataPage
	Query   string
	Types   []store.EventType
	Total   int
	Older   string
	Nothing *nothing
}

func (s *Server) eventTypes(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Event types")
	}
	types, err := s.Store.EventTypes(r.Context(), r.env.ID, r.now)
	if err != nil {
		return storeFailed(err)
	}
	query := r.URL.Query().Get("q")
	p := eventTypesPage{dataPage: s.dataPage(r, "Event types"), Query: query}
	known := len(types)
	types = slices.DeleteFunc(types, func(t store.EventType) bool {
		return !strings.Contains(strings.ToLower(t.Name), strings.ToLower(query))
	})
	slices.SortStableFunc(types, func(a, b store.EventType) int { return cmp.Compare(b.SevenDayCount, a.SevenDayCount) })
	p.Total = len(types)
	if p.paged {
		p.Newest = p.Link("/events", "q", query)
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	from = min(max(from, 0), len(types))
	if to := from + typesShown; to < len(types) {
		p.Older = p.Link("/events", "q", query, "cursor", strconv.Itoa(to))
		types = types[:to]
	}
	p.Types = types[from:]
	switch {
	case known == 0:
		if p.Nothing, err = s.nothingFromCalls(r, p.layout, wantEvents); err != nil {
			return err
		}
	case len(types) == 0:
		p.Nothing = &nothing{"No event type has this in its name", fmt.Sprintf("%s of other names were received.", plural(known, "type")), p.Link("/events"), "Show all"}
	}
	return s.show(r, "events", p)
}

// eventTypePage is one type of events.
type eventTypePage struct {
	dataPage
	Type       store.EventType
	Chart      template.HTML
	ChartTitle string
	Days       []store.EventTypeDay // what the chart draws
	Spellings  []string             // other types that look like this one
	Live       string               // address of its live stream
	Values     *distribution        // nil: none, or not for this reader
	Read       int                  // events that the figures are drawn from
	All        bool                 // and they are all there are
	Makers     []maker
	Properties []property
	More       int          // properties that are not shown
	Metrics    []metricLine // that use it
	Events     []fme.Event
	Older      string
}

// maker is something that can make events of a type.
type maker struct {
	Name string
	Ways []string // how, in words
	Made int      // of the events that were read
	Gone bool     // no longer configured
}

// property is one property of the events that were read.
type property struct {
	Name, Kinds, Example string
	Count                int
	AtLimit              int // texts that are as long as a property may be: most were cut (R9)
}

func (s *Server) eventType(r *request) error {
	name := r.PathValue("type")
	if r.env == nil {
		return s.noEnvironment(r, name)
	}
	types, err := s.Store.EventTypes(r.Context(), r.env.ID, r.now)
	if err != nil {
		return storeFailed(err)
	}
	at := slices.IndexFunc(types, func(t store.EventType) bool { return t.Name == name })
	if at < 0 {
		return notFound("No event of the type %q was received in %s. It may be mistyped, or older than what the listing keeps.", name, r.env.ID)
	}
	p := eventTypePage{dataPage: s.dataPage(r, name), Type: types[at]}
	if p.paged {
		p.Newest = p.EventType(name)
	}
	q := store.EventQuery{Environment: r.env.ID, EventType: name, Span: store.Span{Limit: newestRead}}
	newest, err := s.Store.Events(r.Context(), q)
	if err != nil {
		return storeFailed(err)
	}
	p.Read, p.All = len(newest.Items), newest.NextCursor == ""
	if p.Days, err = s.volume(r, name); err != nil {
		return err
	}
	p.Chart, p.ChartTitle = volumeChart(p.Days)
	p.Spellings = spellings(name, types)
	p.Live = p.Link("/live", "q", strconv.Quote(name))
	p.Makers = makers(name, r.snapshot.Destinations(r.env.ID), newest.Items)
	p.Metrics = metricsOf(p.layout, r.env.Project, name)
	people := r.may(auth.SeePeople)
	p.Properties = properties(newest.Items, people)
	if n := len(p.Properties); n > propertiesShown {
		p.Properties, p.More = p.Properties[:propertiesShown], n-propertiesShown
	}
	if people {
		p.Values = valuesOf(newest.Items)
		q.Limit, q.Cursor = eventsShown, r.URL.Query().Get("cursor")
		events, err := s.Store.Events(r.Context(), q)
		if err != nil {
			return storeFailed(err)
		}
		p.Events = events.Items
		if events.NextCursor != "" {
			p.Older = p.Link(p.Path, "cursor", events.NextCursor)
		}
	}
	return s.show(r, "event", p)
}

// daysShown is how far back the chart of a type goes.
const daysShown = 30

// volume counts a type's events of the last days, today included, also those
// days that had none.
func (s *Server) volume(r *request, name string) ([]store.EventTypeDay, error) {
	today := r.now.UTC().Truncate(24 * time.Hour)
	from := today.AddDate(0, 0, 1-daysShown)
	some, err := s.Store.EventTypeDays(r.Context(), r.env.ID, name, from, today)
	if err != nil {
		return nil, storeFailed(err)
	}
	days := make([]store.EventTypeDay, daysShown)
	for i := range days {
		days[i].Day = from.AddDate(0, 0, i)
	}
	for _, d := range some {
		if i := int(d.Day.Sub(from) / (24 * time.Hour)); i >= 0 && i < len(days) {
			days[i] = d
		}
	}
	return days, nil
}

func volumeChart(days []store.EventTypeDay) (template.HTML, string) {
	values, total := make([]float64, len(days)), int64(0)
	for i, d := range days {
		values[i] = float64(d.Events)
		total += d.Events
	}
	title := fmt.Sprintf("%s in %d days, by day of receipt", plural(total, "event"), len(days))
	return timeChart(title, days[0].Day, 24*time.Hour, series{Name: "events", Class: "t-main", Area: true, Values: values}), title
}

// distribution is how the values of events lie.
type distribution struct {
	N     int
	Marks []mark // least, quarters, greatest
	Chart template.HTML
}

type mark struct {
	Name  string
	Value float64
}

// buckets is how many bars a distribution is drawn with.
const buckets = 12

// valuesOf is the distribution of the values of events; nil: none has one.
func valuesOf(events []fme.Event) *distribution {
	var values []float64
	for _, e := range events {
		if e.Value != nil {
			values = append(values, *e.Value)
		}
	}
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[int(share*float64(len(values)-1)+.5)] }
	d := &distribution{N: len(values), Marks: []mark{
		{"least", values[0]}, {"a quarter is at most", at(.25)}, {"half is at most", at(.5)}, {"three quarters are at most", at(.75)}, {"95% are at most", at(.95)}, {"greatest", values[len(values)-1]},
	}}
	// What lies beyond 95% would flatten the rest; the last bar has it all.
	low, high := values[0], at(.95)
	width := (high - low) / buckets
	if !(width > 0) || math.IsInf(width, 0) {
		return d
	}
	counts := make([]float64, buckets)
	for _, v := range values {
		counts[int(math.Min(math.Max((v-low)/width, 0), buckets-1))]++
	}
	bars := plot.Bars{Frame: plot.Frame{Title: fmt.Sprintf("%s from %g to %g; the last bar has all that is greater", plural(len(values), "value"), low, at(1))}, Arms: []string{"events"}}
	for i, n := range counts {
		bars.Groups = append(bars.Groups, strconv.FormatFloat(low+float64(i)*width, 'g', 3, 64))
		bars.Values = append(bars.Values, []float64{n})
	}
	d.Chart = drawn(bars.Both())
	return d
}

// spellings are other types that a person would take for the same: they differ
// in capitals and separators only.
func spellings(name string, types []store.EventType) []string {
	fold := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "", ":", "").Replace(s))
	}
	var others []string
	for _, t := range types {
		if t.Name != name && fold(t.Name) == fold(name) {
			others = append(others, t.Name)
		}
	}
	return others
}

// makers says which destinations can make events of that name, and how many of
// the events each did make.
func makers(name string, destinations []*catalog.Destination, events []fme.Event) []maker {
	made := map[string]int{}
	sdks := 0
	for _, e := range events {
		if e.Source == fme.SourceSplit {
			sdks++
		} else {
			made[e.Configuration]++
		}
	}
	var list []maker
	for _, d := range destinations {
		if m := (maker{Name: d.Name, Made: made[d.ID], Ways: waysToMake(name, d.Translate)}); len(m.Ways) > 0 || m.Made > 0 {
			list = append(list, m)
		}
		delete(made, d.ID)
	}
	var gone []maker
	for id, n := range made {
		gone = append(gone, maker{Name: id, Made: n, Gone: true})
	}
	slices.SortFunc(gone, func(a, b maker) int { return cmp.Compare(a.Name, b.Name) })
	list = append(list, gone...)
	if sdks > 0 {
		list = append(list, maker{Name: "Split SDKs", Ways: []string{"events that an SDK tracked"}, Made: sdks})
	}
	return list
}

// waysToMake says which calls a destination would make events of that name of.
func waysToMake(name string, d *translate.Destination) []string {
	var ways []string
	if d.Track {
		ways = append(ways, fmt.Sprintf("track calls that have this name at %q", cmp.Or(d.EventType, translate.DefaultEventTypePath)))
	}
	for _, kind := range []struct {
		on             bool
		call, template string
	}{
		{d.Pages, "page", cmp.Or(d.PageTemplate, translate.DefaultPageTemplate)},
		{d.Screens, "screen", cmp.Or(d.ScreenTemplate, translate.DefaultScreenTemplate)},
	} {
		before, after, _ := strings.Cut(kind.template, "{name}")
		rest, ok := strings.CutPrefix(name, before)
		if rest, ok2 := strings.CutSuffix(rest, after); kind.on && ok && ok2 && rest != "" {
			ways = append(ways, fmt.Sprintf("%s calls named %q", kind.call, rest))
		}
	}
	return ways
}

// properties sums the properties of events by name, the most frequent first.
// Examples are people's data.
func properties(events []fme.Event, examples bool) []property {
	byName := map[string]*property{}
	for _, e := range events {
		fields := map[string]json.RawMessage{}
		if json.Unmarshal(e.Properties, &fields) != nil {
			continue // stored by us: an object, or nothing to see
		}
		for name, value := range fields {
			p := byName[name]
			if p == nil {
				p = &property{Name: name}
				byName[name] = p
			}
			p.Count++
			if kind := kindOf(value); !slices.Contains(strings.Split(p.Kinds, ", "), kind) {
				p.Kinds = strings.TrimPrefix(p.Kinds+", "+kind, ", ")
			}
			var text string
			if value[0] == '"' && json.Unmarshal(value, &text) == nil && utf8.RuneCountInString(text) >= propertyLimit {
				p.AtLimit++
			}
			if examples && p.Example == "" {
				p.Example = cutText(string(value), 80)
			}
		}
	}
	var list []property
	for _, p := range byName {
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b property) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return list
}

func kindOf(value json.RawMessage) string {
	switch value = bytes.TrimSpace(value); {
	case len(value) == 0 || value[0] == 'n':
		return "null"
	case value[0] == '"':
		return "text"
	case value[0] == 't' || value[0] == 'f':
		return "true or false"
	}
	return "number"
}
