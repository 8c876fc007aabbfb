package web

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// segmentRoutes are the pages of the integration with Segment. In each kind is
// sources, destinations or listeners.
func segmentRoutes() []route {
	const project = "/integrations/segment/{project}"
	return []route{
		{pattern: "GET /integrations", need: auth.See, handle: (*Server).integrations},
		{pattern: "GET " + project, need: auth.See, handle: (*Server).segmentProject},
		{pattern: "GET " + project + "/{kind}", need: auth.Change, handle: (*Server).newConfiguration},
		{pattern: "POST " + project + "/{kind}", need: auth.Change, handle: (*Server).saveConfiguration},
		{pattern: "GET " + project + "/{kind}/{name}", need: auth.See, handle: (*Server).configuration},
		{pattern: "POST " + project + "/{kind}/{name}", need: auth.Change, handle: (*Server).saveConfiguration},
		{pattern: "POST " + project + "/{kind}/{name}/secret", need: auth.Change, handle: (*Server).rotateSecret},
		{pattern: "POST " + project + "/{kind}/{name}/test", need: auth.Change, handle: (*Server).testConfiguration},
		{pattern: "POST " + project + "/{kind}/{name}/enable", need: auth.Change, handle: (*Server).enableWithSegment},
		{pattern: "POST " + project + "/{kind}/{name}/remove", need: auth.Change, handle: (*Server).removeConfiguration},
	}
}

// integrationsPage is the marketplace, and the list of what is configured.
type integrationsPage struct {
	layout
	Tab      string // marketplace or configured
	Projects []integrationProject
	File     string
}

type integrationProject struct {
	Name, URL string
	Cards     []configurationCard
}

// configurationCard is one source, destination or listener in a list.
type configurationCard struct {
	Kind   catalog.ObjectKind
	Name   string
	URL    string
	Object any // its settings without secrets
	Health health
}

// health is whether something works, as it was observed.
type health struct {
	State string // good, warn, bad or dim
	Text  string
	Last  time.Time // when it last worked; zero: never
}

func (s *Server) integrations(r *request) error {
	p := integrationsPage{layout: s.layout(r, "Integrations"), Tab: oneOf(r, "tab", "configured"), File: s.Catalog.File()}
	doc := r.snapshot.Document()
	for i := range doc.Projects {
		spec := &doc.Projects[i]
		if !r.who.May(auth.See, spec.Name) {
			continue
		}
		one := integrationProject{Name: spec.Name, URL: segmentURL(p.layout, spec.Name)}
		if p.Tab == "configured" {
			for _, kind := range catalog.ObjectKinds {
				cards, err := s.cards(r, p.layout, spec, kind)
				if err != nil {
					return err
				}
				one.Cards = append(one.Cards, cards...)
			}
		} else {
			for _, kind := range catalog.ObjectKinds {
				for _, name := range spec.Segment.Names(kind) {
					one.Cards = append(one.Cards, configurationCard{Kind: kind, Name: name})
				}
			}
		}
		p.Projects = append(p.Projects, one)
	}
	return s.show(r, "integrations", p)
}

// segmentURL is the page of a project, or of what it has for Segment. The
// environment in it is none: the project decides.
func segmentURL(l layout, parts ...string) string {
	path := "/integrations/segment"
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	l.Env = ""
	return l.Link(path)
}

// segmentPage is the seed's page: both halves of one project.
type segmentPage struct {
	layout
	Project string
	File    string
	Sources, Destinations,
	Listeners []configurationCard
	NewSource, NewDestination, NewListener string // addresses of the forms
	CanAdd                                 bool
	Lacks                                  string // what the project needs first
}

func (s *Server) segmentProject(r *request) error {
	spec, err := projectSpec(r)
	if err != nil {
		return err
	}
	p := segmentPage{layout: s.layout(r, "Segment · "+spec.Name), Project: spec.Name, File: s.Catalog.File()}
	for kind, list := range map[catalog.ObjectKind]*[]configurationCard{catalog.Sources: &p.Sources, catalog.Destinations: &p.Destinations, catalog.Listeners: &p.Listeners} {
		if *list, err = s.cards(r, p.layout, spec, kind); err != nil {
			return err
		}
	}
	p.NewSource, p.NewDestination, p.NewListener = segmentURL(p.layout, spec.Name, "sources"), segmentURL(p.layout, spec.Name, "destinations"), segmentURL(p.layout, spec.Name, "listeners")
	p.CanAdd = p.May(auth.Change) && p.File == ""
	switch {
	case len(spec.Environments) == 0:
		p.Lacks = "an environment"
	case len(spec.TrafficTypes) == 0:
		p.Lacks = "a traffic type"
	}
	return s.show(r, "segment", p)
}

// projectSpec is the project that the path names, as it is configured.
func projectSpec(r *request) (*catalog.ProjectSpec, error) {
	spec, ok := r.snapshot.Document().Project(r.PathValue("project"))
	if !ok {
		return nil, notFound("There is no project %q. It may have been removed, or the address is mistyped.", cutText(r.PathValue("project"), 80))
	}
	return spec, nil
}

func (s *Server) cards(r *request, l layout, spec *catalog.ProjectSpec, kind catalog.ObjectKind) ([]configurationCard, error) {
	var cards []configurationCard
	for _, name := range spec.Segment.Names(kind) {
		object, _ := spec.Segment.Object(kind, name)
		state, err := s.health(r, kind, catalog.Slug(name))
		if err != nil {
			return nil, err
		}
		cards = append(cards, configurationCard{kind, name, segmentURL(l, spec.Name, string(kind), catalog.Slug(name)), catalog.WithoutSecrets(object), state})
	}
	return cards, nil
}

// health says by what came or went whether a configuration works.
func (s *Server) health(r *request, kind catalog.ObjectKind, id string) (health, error) {
	switch kind {
	case catalog.Sources:
		return s.sourceHealth(r, id)
	case catalog.Destinations:
		page, err := s.Store.Calls(r.Context(), store.CallQuery{Configuration: id, Span: store.Span{Limit: 1}})
		if err != nil {
			return health{}, storeFailed(err)
		}
		if len(page.Items) == 0 {
			return health{State: "dim", Text: "Waiting for the first call"}, nil
		}
		return health{"good", "Receiving", page.Items[0].ReceivedAt}, nil
	}
	return health{State: "dim", Text: "Takes impressions"}, nil
}

func (s *Server) sourceHealth(r *request, id string) (health, error) {
	states, err := s.Streams.DeliveryStates(r.Context())
	if err != nil {
		return health{}, fmt.Errorf("read the delivery states: %w", err)
	}
	page, err := s.Store.Deliveries(r.Context(), store.DeliveryQuery{Source: id, Outcome: "delivered", Span: store.Span{Limit: 1}})
	if err != nil {
		return health{}, storeFailed(err)
	}
	h := health{State: "dim", Text: "Nothing sent yet"}
	if len(page.Items) > 0 {
		h = health{"good", "Delivering", page.Items[0].StartedAt}
	}
	switch states[id].State {
	case stream.DeliveryPaused:
		h.State, h.Text = "bad", "Paused: Segment refuses the write key"
	case stream.DeliveryRetrying:
		h.State, h.Text = "warn", "Retrying"
	}
	return h, nil
}

// HasKind reports whether a project has anything of a kind, for templates.
func (p integrationProject) HasKind(kind catalog.ObjectKind) bool {
	return slices.ContainsFunc(p.Cards, func(c configurationCard) bool { return c.Kind == kind })
}
