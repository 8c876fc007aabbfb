package customer

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// TimelinePage is how many moments a page of a timeline has at most.
const TimelinePage = 50

// What a timeline may be narrowed to.
const (
	OnlyEvents      = "events"
	OnlyImpressions = "impressions"
)

// Filter narrows a timeline.
type Filter struct {
	Show      string // OnlyEvents, OnlyImpressions; empty: both
	EventType string // events of this type only
}

// Moment is one thing of a timeline: an event or an impression.
type Moment struct {
	Time       time.Time       `json:"time"`
	Event      *fme.Event      `json:"event,omitempty"`
	Impression *fme.Impression `json:"impression,omitempty"`
}

// A cursor of a timeline is the cursors of its two lists. A list that has been
// shown to its end has this one.
const endOfList = "-"

// Timeline is one page of the events and impressions of a customer, newest
// first, and the cursor of the next page; empty: there is none. What arrives
// meanwhile never shifts what follows. ErrCursor as the store's lists.
func (r Rooms) Timeline(ctx context.Context, w Who, f Filter, cursor string) ([]Moment, string, error) {
	if f.EventType != "" {
		f.Show = OnlyEvents
	}
	eventsFrom, impressionsFrom, ok := strings.Cut(cursor, ".")
	if cursor != "" && !ok {
		return nil, "", store.ErrCursor
	}
	listEvents, listImpressions := r.events(ctx, w, f), r.impressions(ctx, w)
	events, err := read(f.Show != OnlyImpressions, eventsFrom, listEvents)
	if err != nil {
		return nil, "", err
	}
	impressions, err := read(f.Show != OnlyEvents, impressionsFrom, listImpressions)
	if err != nil {
		return nil, "", err
	}
	merged := []Moment{}
	e, i := 0, 0
	for len(merged) < TimelinePage && e+i < len(events.Items)+len(impressions.Items) {
		if i == len(impressions.Items) || e < len(events.Items) && !events.Items[e].Time.Before(impressions.Items[i].Time) {
			merged = append(merged, Moment{Time: events.Items[e].Time, Event: &events.Items[e]})
			e++
		} else {
			merged = append(merged, Moment{Time: impressions.Items[i].Time, Impression: &impressions.Items[i]})
			i++
		}
	}
	nextEvents, err := after(events, e, eventsFrom, listEvents)
	if err != nil {
		return nil, "", err
	}
	nextImpressions, err := after(impressions, i, impressionsFrom, listImpressions)
	if err != nil {
		return nil, "", err
	}
	merged = slices.DeleteFunc(merged, func(m Moment) bool { return m.Impression != nil && !w.saw(*m.Impression) })
	if nextEvents == endOfList && nextImpressions == endOfList {
		return merged, "", nil
	}
	return merged, nextEvents + "." + nextImpressions, nil
}

type reader[T any] func(cursor string, limit int) (store.Page[T], error)

func (r Rooms) events(ctx context.Context, w Who, f Filter) reader[fme.Event] {
	return func(cursor string, limit int) (store.Page[fme.Event], error) {
		return r.Store.Events(ctx, store.EventQuery{Environment: w.Environment, TrafficType: w.TrafficType, Key: w.Key, EventType: f.EventType,
			Span: store.Span{Cursor: cursor, Limit: limit}})
	}
}

func (r Rooms) impressions(ctx context.Context, w Who) reader[fme.Impression] {
	return func(cursor string, limit int) (store.Page[fme.Impression], error) {
		return r.Store.Impressions(ctx, store.ImpressionQuery{Environment: w.Environment, Key: w.Key, Span: store.Span{Cursor: cursor, Limit: limit}})
	}
}

func read[T any](wanted bool, cursor string, list reader[T]) (store.Page[T], error) {
	if !wanted || cursor == endOfList {
		return store.Page[T]{}, nil
	}
	return list(cursor, TimelinePage)
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
