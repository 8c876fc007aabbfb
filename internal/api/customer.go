package api

import (
	"errors"
	"net/http"
	"time"

	"causeway/internal/customer"
	"causeway/internal/fme"
	"causeway/internal/store"
)

func (s *Server) customerRooms() customer.Rooms {
	return customer.Rooms{Store: s.store, Streams: s.streams}
}

// who is the customer the path names.
func (s *Server) who(r *request) (customer.Who, error) {
	environment, err := s.environmentOf(r)
	return customer.Who{Environment: environment, TrafficType: r.path["trafficType"], Key: r.path["key"]}, err
}

func customerUnknown(w customer.Who) error {
	return refuse(http.StatusNotFound, "customer_unknown", "Nothing is known of %s %q here. Identify and group calls, events and impressions make customers known.", w.TrafficType, w.Key)
}

// customers finds keys by their beginning.
func (s *Server) customers(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	prefix := r.query.Get("prefix")
	if prefix == "" {
		return badParameter("prefix", "Give the beginning of a key as prefix.")
	}
	keys, err := s.store.Keys(r.Context(), environment, r.query.Get("trafficType"), prefix)
	if err != nil {
		return err
	}
	return r.answer(listFrom(keys, "", same[store.KeyFound]))
}

func (s *Server) customer(r *request) error {
	who, err := s.who(r)
	if err != nil {
		return err
	}
	profile, found, err := s.customerRooms().Find(r.Context(), who)
	if err != nil {
		return err
	}
	if !found {
		return customerUnknown(who)
	}
	return r.answer(profile)
}

// shownMoment is one thing of a timeline.
type shownMoment struct {
	Time       time.Time       `json:"time"`
	Event      *shownEvent     `json:"event,omitempty"`
	Impression *fme.Impression `json:"impression,omitempty"`
}

func showMoment(m customer.Moment) shownMoment {
	shown := shownMoment{Time: m.Time, Impression: m.Impression}
	if m.Event != nil {
		event := showEvent(*m.Event)
		shown.Event = &event
	}
	return shown
}

func (s *Server) timeline(r *request) error {
	who, err := s.who(r)
	if err != nil {
		return err
	}
	show, err := r.oneOf("show", customer.OnlyEvents, customer.OnlyImpressions)
	if err != nil {
		return err
	}
	moments, next, err := s.customerRooms().Timeline(r.Context(), who, customer.Filter{Show: show, EventType: r.query.Get("eventType")}, r.query.Get("cursor"))
	if err != nil {
		return err
	}
	return r.answer(listFrom(moments, next, showMoment))
}

// exportCustomer streams everything that is kept of a key. What goes wrong
// half way cuts the connection: the object then lacks its end.
func (s *Server) exportCustomer(r *request) error {
	who, err := s.who(r)
	if err != nil {
		return err
	}
	_, found, err := s.customerRooms().Find(r.Context(), who)
	if err != nil {
		return err
	}
	if !found {
		return customerUnknown(who)
	}
	r.w.Header().Set("Content-Type", "application/json")
	if err := s.customerRooms().Export(r.Context(), who, time.Now(), r.w); err != nil {
		s.log.ErrorContext(r.Context(), "an export was cut off", "request", r.id, "err", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// eraseCustomer removes what is kept of a key. Of a key that nothing is known
// of there may still be something to remove, so that is no error.
func (s *Server) eraseCustomer(r *request) error {
	who, err := s.who(r)
	if err != nil {
		return err
	}
	erasure, err := s.customerRooms().Erase(r.Context(), who)
	if errors.Is(err, customer.ErrBacklog) {
		p := refuse(http.StatusServiceUnavailable, "backlog", "Accepted requests wait to be stored and may be about this key. Nothing was erased; try again when GET /readyz says that the pipeline moves.")
		p.retryAfter = 30 * time.Second
		return p
	}
	if err != nil {
		return err
	}
	s.accounts.Record(r.Context(), actorOf(r), customer.ErasedAction, who.Fingerprint(), erasure.String())
	return r.answer(erasure)
}
