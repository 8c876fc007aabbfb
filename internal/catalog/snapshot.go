package catalog

import (
	"causeway/internal/fme"
	"causeway/internal/translate"
)

// Snapshot is the configuration at one revision, ready to use: compiled and
// indexed. It never changes, so any number of goroutines may read it, and
// whoever holds one sees one consistent configuration however long it takes.
//
// Credentials are looked up by the SHA-256 of what was presented, so how long
// a lookup takes says nothing about the stored ones.
type Snapshot struct {
	// Revision counts up with every applied change; 0 is the empty catalog.
	Revision uint64

	document      *Document
	versions      versions
	projects      []*Project
	environments  map[fme.EnvironmentID]*Environment
	sources       []*Source
	sourceByID    map[string]*Source
	sourcesOf     map[fme.EnvironmentID][]*Source
	destinations  []*Destination
	destinationBy map[string]*Destination // by id and by name
	destinationOf map[digest]*Destination // by API key
	listeners     []*Listener
	listenerBy    map[string]*Listener // by id and by name
	sdkKeyOf      map[digest]*SDKKey
}

// Project is a project in use.
type Project struct {
	Name         string
	TrafficTypes []string // all that exist, in configuration order
	Environments []*Environment
	Attributes   []AttributeSpec // described ones; data knows more
	Metrics      []*Metric
	Experiments  []*Experiment

	flags map[string]string // name to traffic type
}

// FlagTrafficType is the traffic type of a flag; false: the flag is not in the catalog (R44).
func (p *Project) FlagTrafficType(flag string) (string, bool) {
	trafficType, ok := p.flags[flag]
	return trafficType, ok
}

// Environment is an environment in use.
type Environment struct {
	ID      fme.EnvironmentID
	Name    string
	APIID   string // sent as environmentId; empty: left out (X17)
	Project *Project
	Serving *Serving // what Split SDKs are served here
}

// SDKKey is what an SDK key stands for. It does not hold the key.
type SDKKey struct {
	Name        string
	Type        string // ServerSide or ClientSide
	Environment *Environment
	Limits      RequestLimits
}

// Source is a configuration that sends impressions to Segment.
type Source struct {
	ID, Name     string
	Environments []*Environment
	Endpoint     string // without a slash at the end
	WriteKey     Secret // plain, in memory only: WriteKey.Reveal()
	Translate    *translate.Source
}

// Destination is a configuration that takes Segment calls in.
type Destination struct {
	ID, Name    string
	Environment *Environment
	Translate   *translate.Destination
	Limits      Limits

	key, secret digest
	// Those of before, while a rotation is under way; nil: none.
	previousKey, previousSecret *digest
	signing                     Secret // plain
}

// CheckKey reports, in constant time, whether key is the destination's API key.
func (d *Destination) CheckKey(key string) bool { return matchesEither(d.key, d.previousKey, key) }

// CheckSecret reports, in constant time, whether secret is the webhook's secret.
func (d *Destination) CheckSecret(secret string) bool {
	return matchesEither(d.secret, d.previousSecret, secret)
}

// matchesEither compares with the credential and the one before it.
func matchesEither(now digest, previous *digest, presented string) bool {
	ok := now.matches(presented)
	if previous == nil {
		return ok
	}
	return previous.matches(presented) || ok
}

// SigningSecret is the key of the webhook's X-Signature; nil: no signature is required (R32).
func (d *Destination) SigningSecret() []byte {
	if d.signing.IsZero() {
		return nil
	}
	return []byte(d.signing.Reveal())
}

// Listener is a configuration that takes impressions that others collected.
type Listener struct {
	ID, Name    string
	Kind        string // FMEWebhook or ImpressionListener
	Environment *Environment
	Limits      RequestLimits

	secret   digest
	previous *digest // of before, while a rotation is under way; nil: none
}

// CheckSecret reports, in constant time, whether secret is the listener's secret.
func (l *Listener) CheckSecret(secret string) bool {
	return matchesEither(l.secret, l.previous, secret)
}

// Document is a copy of the configuration with secrets in their opaque texts.
func (s *Snapshot) Document() *Document { return s.document.clone() }

// Projects lists the projects in configuration order.
func (s *Snapshot) Projects() []*Project { return s.projects }

// Environment returns the environment of that id.
func (s *Snapshot) Environment(id fme.EnvironmentID) (*Environment, bool) {
	e, ok := s.environments[id]
	return e, ok
}

// SDKKey returns what a presented SDK key stands for.
func (s *Snapshot) SDKKey(key string) (*SDKKey, bool) {
	k, ok := s.sdkKeyOf[digestOf(key)]
	return k, ok
}

// AllSources lists every source in configuration order.
func (s *Snapshot) AllSources() []*Source { return s.sources }

// Sources lists the sources that take an environment's impressions.
func (s *Snapshot) Sources(environment fme.EnvironmentID) []*Source { return s.sourcesOf[environment] }

// Source returns the source of that id or name.
func (s *Snapshot) Source(idOrName string) (*Source, bool) {
	source, ok := s.sourceByID[idOrName]
	return source, ok
}

// AllDestinations lists every destination in configuration order.
func (s *Snapshot) AllDestinations() []*Destination { return s.destinations }

// Destinations lists the destinations that feed an environment.
func (s *Snapshot) Destinations(environment fme.EnvironmentID) []*Destination {
	var list []*Destination
	for _, d := range s.destinations {
		if d.Environment.ID == environment {
			list = append(list, d)
		}
	}
	return list
}

// Destination returns the destination of that id or name.
func (s *Snapshot) Destination(idOrName string) (*Destination, bool) {
	d, ok := s.destinationBy[idOrName]
	return d, ok
}

// DestinationByKey returns the destination whose API key was presented.
func (s *Snapshot) DestinationByKey(apiKey string) (*Destination, bool) {
	d, ok := s.destinationOf[digestOf(apiKey)]
	return d, ok
}

// Listeners lists every listener in configuration order.
func (s *Snapshot) Listeners() []*Listener { return s.listeners }

// Listener returns the listener of that id or name.
func (s *Snapshot) Listener(idOrName string) (*Listener, bool) {
	l, ok := s.listenerBy[idOrName]
	return l, ok
}
