package web

import (
	"strings"

	"causeway/internal/guide"
)

// guideRoutes are the guides. They hold nothing of this server, so who is not
// signed in may read them too: it is then that one reads how to.
func guideRoutes() []route {
	return []route{
		{pattern: "GET /docs", handle: (*Server).guide},
		{pattern: "GET /docs/{page...}", handle: (*Server).guide},
	}
}

// guideOf names the guide of the pages under a first segment of a path.
var guideOf = map[string]string{
	"":            "guides/verify-events",
	"live":        "guides/verify-events",
	"trace":       "guides/verify-events",
	"calls":       "guides/troubleshooting",
	"playground":  "guides/troubleshooting",
	"experiments": "guides/experiments",
	"new":         "guides/experiments",

	"metric-definitions": "guides/experiments",
	"events":             "guides/verify-events",
	"customers":          "guides/customers",
	"attributes":         "guides/traffic-types",
	"impressions":        "guides/audiences",
	"integrations":       "guides/segment-destination",
	"delivery":           "guides/segment-source",
	"dead-letters":       "guides/troubleshooting",
	"projects":           "configuration",
	"flags":              "configuration",
	"key-segments":       "configuration",
	"keys":               "security",
	"users":              "operating",
	"tokens":             "operating",
	"profile":            "operating",
	"audit":              "security",
	"system":             "operating",
}

type guidePage struct {
	layout
	Page  *guide.Page
	Parts []guide.Part
}

func (s *Server) guide(r *request) error {
	page, ok := s.guides.Page(r.PathValue("page"))
	if !ok {
		return notFound("There is no guide %s. The table of contents is under %s.", r.URL.Path, guide.Root)
	}
	if to := page.URL(); r.URL.Path != to {
		return s.redirect(r, to, "") // as a link in a repository has it, with .md
	}
	p := guidePage{s.layout(r, page.Title), page, s.guides.Parts}
	p.Reading = true
	return s.show(r, "guide", p)
}

// guideFor is the guide of a console page; nil: it has none.
func (s *Server) guideFor(path string) *guide.Page {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, ok := guideOf[first]
	if !ok {
		return nil
	}
	page, _ := s.guides.Page(name)
	return page
}
