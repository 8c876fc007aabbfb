package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"causeway/internal/fme"
	"causeway/internal/translate"
)

// The defaults of the file are those of the rulings (R1, R6, R40).
const (
	defaultEventTypePath  = translate.DefaultEventTypePath
	defaultPageTemplate   = translate.DefaultPageTemplate
	defaultScreenTemplate = translate.DefaultScreenTemplate
	defaultTrackEvent     = translate.DefaultTrackEvent
)

func emptySnapshot() *Snapshot {
	return &Snapshot{
		document:      &Document{Projects: []ProjectSpec{}},
		environments:  map[fme.EnvironmentID]*Environment{},
		sourceByID:    map[string]*Source{},
		sourcesOf:     map[fme.EnvironmentID][]*Source{},
		destinationBy: map[string]*Destination{},
		destinationOf: map[digest]*Destination{},
		listenerBy:    map[string]*Listener{},
		sdkKeyOf:      map[digest]*SDKKey{},
	}
}

// compile makes a snapshot of a document as it is stored. The document was
// checked when it was applied; what does not hold any more is an error.
func (c *Catalog) compile(doc *Document, v versions, served contents, revision uint64) (*Snapshot, error) {
	s := emptySnapshot()
	s.Revision, s.document, s.versions = revision, doc, v
	for i := range doc.Projects {
		if err := c.compileProject(s, &doc.Projects[i]); err != nil {
			return nil, fmt.Errorf("configuration of project %q: %w", doc.Projects[i].Name, err)
		}
	}
	for id, e := range s.environments {
		var err error
		if e.Serving, err = v[id].serving(served[id]); err != nil {
			return nil, fmt.Errorf("flags of %s: %w", id, err)
		}
	}
	return s, nil
}

func (c *Catalog) compileProject(s *Snapshot, spec *ProjectSpec) error {
	p := &Project{Name: spec.Name, TrafficTypes: slices.Clone(spec.TrafficTypes), Attributes: slices.Clone(spec.Attributes), flags: make(map[string]string, len(spec.Flags))}
	for _, flag := range spec.Flags {
		p.flags[flag.Name] = flag.TrafficType
	}
	for i := range spec.Environments {
		if err := s.addEnvironment(p, &spec.Environments[i]); err != nil {
			return err
		}
	}
	if err := s.addExperiments(p, spec); err != nil {
		return err
	}
	s.projects = append(s.projects, p)
	for i := range spec.Segment.Sources {
		if err := c.addSource(s, p, &spec.Segment.Sources[i]); err != nil {
			return err
		}
	}
	for i := range spec.Segment.Destinations {
		if err := c.addDestination(s, p, spec, &spec.Segment.Destinations[i]); err != nil {
			return err
		}
	}
	for i := range spec.Segment.Listeners {
		if err := s.addListener(p, &spec.Segment.Listeners[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) addEnvironment(p *Project, spec *EnvironmentSpec) error {
	e := &Environment{ID: fme.NewEnvironmentID(p.Name, spec.Name), Name: spec.Name, APIID: spec.ID, Project: p}
	for _, key := range spec.SDKKeys {
		d, ok := key.Key.hashOf()
		if !ok {
			return fmt.Errorf("SDK key %q of environment %q is not stored as a hash", key.Name, spec.Name)
		}
		s.sdkKeyOf[d] = &SDKKey{Name: key.Name, Type: key.Type, Environment: e, Limits: key.Limits}
	}
	p.Environments = append(p.Environments, e)
	s.environments[e.ID] = e
	return nil
}

// environmentOf finds an environment that a configuration names.
func (s *Snapshot) environmentOf(p *Project, name string) (*Environment, error) {
	e, ok := s.environments[fme.NewEnvironmentID(p.Name, name)]
	if !ok {
		return nil, fmt.Errorf("there is no environment %q", name)
	}
	return e, nil
}

func (c *Catalog) addSource(s *Snapshot, p *Project, spec *SourceSpec) error {
	id := Slug(spec.Name)
	writeKey, err := c.sealer.open(spec.WriteKey, "sources["+spec.Name+"].writeKey")
	if err != nil {
		return fmt.Errorf("write key of source %q: %w", spec.Name, err)
	}
	source := &Source{
		ID: id, Name: spec.Name, WriteKey: writeKey,
		Endpoint:  strings.TrimRight(valueOr(spec.Endpoint, DefaultEndpoint), "/"),
		Translate: spec.Translation(c.version),
	}
	for _, name := range spec.Environments {
		e, err := s.environmentOf(p, name)
		if err != nil {
			return fmt.Errorf("source %q: %w", spec.Name, err)
		}
		source.Environments = append(source.Environments, e)
		s.sourcesOf[e.ID] = append(s.sourcesOf[e.ID], source)
	}
	s.sources = append(s.sources, source)
	s.sourceByID[source.Name], s.sourceByID[id] = source, source
	return nil
}

func (c *Catalog) addDestination(s *Snapshot, p *Project, project *ProjectSpec, spec *DestinationSpec) error {
	e, err := s.environmentOf(p, spec.Environment)
	if err != nil {
		return fmt.Errorf("destination %q: %w", spec.Name, err)
	}
	d := &Destination{ID: Slug(spec.Name), Name: spec.Name, Environment: e, Translate: spec.Translation(project), Limits: spec.Limits}
	var hasKey, hasSecret bool
	d.key, hasKey = spec.APIKey.hashOf()
	d.secret, hasSecret = spec.Webhook.Secret.hashOf()
	if !hasKey || !hasSecret {
		return fmt.Errorf("the API key or webhook secret of destination %q is not stored as a hash", spec.Name)
	}
	if !spec.Webhook.SigningSecret.IsZero() {
		d.signing, err = c.sealer.open(spec.Webhook.SigningSecret, "destinations["+spec.Name+"].webhook.signingSecret")
		if err != nil {
			return fmt.Errorf("signing secret of destination %q: %w", spec.Name, err)
		}
	}
	if previous, ok := spec.PreviousAPIKey.hashOf(); ok {
		d.previousKey = &previous
		s.destinationOf[previous] = d
	}
	if previous, ok := spec.Webhook.PreviousSecret.hashOf(); ok {
		d.previousSecret = &previous
	}
	s.destinations = append(s.destinations, d)
	s.destinationBy[d.Name], s.destinationBy[d.ID] = d, d
	s.destinationOf[d.key] = d
	return nil
}

// Translation is what the destination makes of calls. p is its project.
func (d *DestinationSpec) Translation(p *ProjectSpec) *translate.Destination {
	return &translate.Destination{
		ID:               Slug(d.Name),
		Environment:      fme.NewEnvironmentID(p.Name, d.Environment),
		TrafficTypes:     slices.Clone(p.TrafficTypes),
		UserID:           slices.Clone(d.Identities.UserID),
		AnonymousID:      slices.Clone(d.Identities.AnonymousID),
		Identify:         d.Identify,
		Track:            d.Track.Enabled,
		Pages:            d.Pages.Enabled,
		Screens:          d.Screens.Enabled,
		EventType:        d.Track.EventType,
		Value:            d.Track.Value,
		PageTemplate:     d.Pages.Template,
		ScreenTemplate:   d.Screens.Template,
		GroupTrafficType: d.GroupTrafficType,
		RepairNames:      d.RepairNames,
		AcceptOwnEcho:    d.AcceptOwnEcho,
	}
}

// Translation is what the source makes of impressions. version is what
// Causeway says of itself to Segment.
func (s *SourceSpec) Translation(version string) *translate.Source {
	return &translate.Source{
		ID: Slug(s.Name), TrafficToIdentity: maps.Clone(s.Identities), Event: valueOr(s.Event, defaultTrackEvent),
		SendControl: s.SendControl, DefaultTrafficType: s.DefaultTrafficType, LibraryVersion: version,
	}
}

func (s *Snapshot) addListener(p *Project, spec *ListenerSpec) error {
	e, err := s.environmentOf(p, spec.Environment)
	if err != nil {
		return fmt.Errorf("listener %q: %w", spec.Name, err)
	}
	d, ok := spec.Secret.hashOf()
	if !ok {
		return fmt.Errorf("the secret of listener %q is not stored as a hash", spec.Name)
	}
	l := &Listener{ID: Slug(spec.Name), Name: spec.Name, Kind: spec.Kind, Environment: e, Limits: spec.Limits, secret: d}
	if previous, ok := spec.PreviousSecret.hashOf(); ok {
		l.previous = &previous
	}
	s.listeners = append(s.listeners, l)
	s.listenerBy[l.Name], s.listenerBy[l.ID] = l, l
	return nil
}

func valueOr(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
