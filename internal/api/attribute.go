package api

import (
	"slices"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/store"
)

// shownAttribute is an attribute as the keys of a traffic type have it, with
// what the configuration says of it.
type shownAttribute struct {
	store.AttributeUse
	DisplayName string   `json:"displayName,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type,omitempty"`
	Values      []string `json:"values,omitempty"`
}

func (s *Server) attributeUses(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	project, err := s.projectOf(r)
	if err != nil {
		return err
	}
	trafficType, err := r.oneOf("trafficType", project.TrafficTypes...)
	if err != nil {
		return err
	}
	if trafficType == "" {
		return badParameter("trafficType", "Give the traffic type whose attributes to list.")
	}
	uses, err := s.store.AttributeUses(r.Context(), environment, trafficType)
	if err != nil {
		return err
	}
	return r.answer(listFrom(uses, "", func(use store.AttributeUse) shownAttribute {
		shown := shownAttribute{AttributeUse: use}
		if i := slices.IndexFunc(project.Attributes, func(a catalog.AttributeSpec) bool { return a.TrafficType == trafficType && a.ID == use.ID }); i >= 0 {
			a := project.Attributes[i]
			shown.DisplayName, shown.Description, shown.Type, shown.Values = a.DisplayName, a.Description, a.Type, a.Values
		}
		return shown
	}))
}

// shownDays is how far back days are counted unless the caller says otherwise.
const shownDays = 30

// eventTypeDays counts the events of a type by day; days without are left out.
func (s *Server) eventTypeDays(r *request) error {
	environment, err := s.environmentOf(r)
	if err != nil {
		return err
	}
	from, err := r.time("from")
	if err != nil {
		return err
	}
	to, err := r.time("to")
	if err != nil {
		return err
	}
	if to.IsZero() {
		to = time.Now()
	}
	if from.IsZero() {
		from = to.AddDate(0, 0, 1-shownDays)
	}
	days, err := s.store.EventTypeDays(r.Context(), environment, r.path["eventType"], from, to)
	if err != nil {
		return err
	}
	return r.answer(listFrom(days, "", same[store.EventTypeDay]))
}
