package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/store"
)

func attributeRoutes() []route {
	return []route{
		{pattern: "GET /attributes", need: auth.See, handle: (*Server).attributes},
		{pattern: "GET /attributes/{type}/{id}", need: auth.See, handle: (*Server).attributeForm},
		{pattern: "POST /attributes/{type}/{id}", need: auth.Change, handle: (*Server).saveAttribute},
		{pattern: "POST /attributes/{type}/{id}/forget", need: auth.Change, handle: (*Server).forgetAttribute},
	}
}

// attributesPage lists the attributes of a traffic type: those that were seen,
// and those that are described and were not.
type attributesPage struct {
	dataPage
	TrafficType  string
	TrafficTypes []option
	Attributes   []attributeLine
	Nothing      *nothing
}

// attributeLine is an attribute as data and configuration know it.
type attributeLine struct {
	Spec catalog.AttributeSpec
	Use  store.AttributeUse
	Name string // what people call it
	URL  string
}

func (s *Server) attributes(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Attributes")
	}
	types := r.env.Project.TrafficTypes
	p := attributesPage{dataPage: s.dataPage(r, "Attributes")}
	if p.TrafficType = oneOf(r, "trafficType", types...); p.TrafficType == "" && len(types) > 0 {
		p.TrafficType = types[0]
	}
	p.TrafficTypes = options(p.TrafficType, types...)
	uses, err := s.Store.AttributeUses(r.Context(), r.env.ID, p.TrafficType)
	if err != nil {
		return storeFailed(err)
	}
	described := map[string]catalog.AttributeSpec{}
	for _, a := range r.env.Project.Attributes {
		if a.TrafficType == p.TrafficType {
			described[a.ID] = a
		}
	}
	for _, use := range uses {
		p.add(described[use.ID], use)
		delete(described, use.ID)
	}
	for _, a := range r.env.Project.Attributes { // in their own order
		if _, unseen := described[a.ID]; unseen && a.TrafficType == p.TrafficType {
			p.add(a, store.AttributeUse{ID: a.ID})
		}
	}
	if len(p.Attributes) == 0 {
		if p.Nothing, err = s.nothingFromCalls(r, p.layout, wantAttributes); err != nil {
			return err
		}
	}
	return s.show(r, "attributes", p)
}

func (p *attributesPage) add(a catalog.AttributeSpec, use store.AttributeUse) {
	p.Attributes = append(p.Attributes, attributeLine{Spec: a, Use: use, Name: cmp.Or(a.DisplayName, use.ID), URL: p.attributeURL(p.TrafficType, use.ID)})
}

func (l layout) attributeURL(trafficType, id string) string {
	return l.Link("/attributes/" + url.PathEscape(trafficType) + "/" + url.PathEscape(id))
}

// attributePage describes one attribute.
type attributePage struct {
	dataPage
	TrafficType, ID string
	Use             store.AttributeUse
	Described       bool
	File            string // that the configuration comes from
	Tag             string
	Form            form
	Types           []option
	Back            string
}

func (s *Server) attributeForm(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Attribute")
	}
	spec, described := s.describedAttribute(r)
	f := form{Values: url.Values{"displayName": {spec.DisplayName}, "description": {spec.Description}, "type": {spec.Type}, "values": {strings.Join(spec.Values, "\n")}}}
	f.Values.Set("tag", catalog.NoTag)
	if described {
		f.Values.Set("tag", catalog.TagOf(spec))
	}
	return s.showAttribute(r, http.StatusOK, f)
}

// describedAttribute is what the configuration says of the attribute that the
// path names.
func (s *Server) describedAttribute(r *request) (catalog.AttributeSpec, bool) {
	i := slices.IndexFunc(r.env.Project.Attributes, func(a catalog.AttributeSpec) bool {
		return a.TrafficType == r.PathValue("type") && a.ID == r.PathValue("id")
	})
	if i < 0 {
		return catalog.AttributeSpec{TrafficType: r.PathValue("type"), ID: r.PathValue("id")}, false
	}
	return r.env.Project.Attributes[i], true
}

func (s *Server) showAttribute(r *request, status int, f form) error {
	spec, described := s.describedAttribute(r)
	uses, err := s.Store.AttributeUses(r.Context(), r.env.ID, spec.TrafficType)
	if err != nil {
		return storeFailed(err)
	}
	p := attributePage{dataPage: s.dataPage(r, spec.ID), TrafficType: spec.TrafficType, ID: spec.ID, Described: described, File: s.Catalog.File(), Form: f}
	p.Back = p.Link("/attributes", "trafficType", spec.TrafficType)
	p.Types = options(f.Value("type"), catalog.AttributeTypes...)
	at := slices.IndexFunc(uses, func(u store.AttributeUse) bool { return u.ID == spec.ID })
	if at >= 0 {
		p.Use = uses[at]
	} else if !described && f.Errors == nil {
		return notFound("No %s in %s has an attribute %q, and the configuration does not describe one.", spec.TrafficType, r.env.ID, cutText(spec.ID, 100))
	}
	return s.showStatus(r, status, "attribute", p)
}

func (s *Server) saveAttribute(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Attribute")
	}
	f, err := readForm(r)
	if err != nil {
		return err
	}
	spec := catalog.AttributeSpec{TrafficType: r.PathValue("type"), ID: r.PathValue("id"), DisplayName: strings.TrimSpace(f.Value("displayName")),
		Description: strings.TrimSpace(f.Value("description")), Type: f.Value("type")}
	for line := range strings.Lines(f.Value("values")) {
		if value := strings.TrimSpace(line); value != "" {
			spec.Values = append(spec.Values, value)
		}
	}
	_, err = s.Catalog.PutObject(r.Context(), r.env.Project.Name, spec, f.Value("tag"), r.who.Actor())
	var invalid *catalog.InvalidError
	var stale *catalog.StaleObjectError
	switch {
	case errors.As(err, &invalid):
		for _, finding := range invalid.Findings {
			field, _, _ := strings.Cut(finding.Path, "[")
			if field == "displayName" || field == "description" || field == "type" || field == "values" {
				f.Errors[field] = finding.Message + ". " + finding.Fix
			} else {
				f.Error = finding.Message + ". " + finding.Fix
			}
		}
		return s.showAttribute(r, http.StatusUnprocessableEntity, f)
	case errors.As(err, &stale):
		f.Error = "Somebody else changed this attribute meanwhile. What you see is yours; saving now replaces theirs."
		f.Values.Set("tag", catalog.NoTag)
		if stale.Now != nil {
			f.Values.Set("tag", catalog.TagOf(stale.Now))
		}
		return s.showAttribute(r, http.StatusConflict, f)
	case err != nil:
		return err
	}
	return s.redirect(r, s.layout(r, "").Link("/attributes", "trafficType", spec.TrafficType), "Saved.")
}

// forgetAttribute takes a description away; the attribute itself stays.
func (s *Server) forgetAttribute(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Attribute")
	}
	spec, described := s.describedAttribute(r)
	if described {
		if _, err := s.Catalog.RemoveObject(r.Context(), r.env.Project.Name, catalog.Attributes, spec.TrafficType+"/"+spec.ID, catalog.AnyTag, r.who.Actor()); err != nil {
			return err
		}
	}
	return s.redirect(r, s.layout(r, "").Link("/attributes", "trafficType", spec.TrafficType), "The description is removed.")
}
