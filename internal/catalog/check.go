package catalog

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the length of the longest name, in characters.
const maxName = 100

// minSDKKey is the length of the shortest SDK key: the Go SDK takes the last
// four characters of its key without looking how many there are.
const minSDKKey = 4

// check reports everything in a document that has the right form and makes no sense.
func check(doc *Document, found *findings) {
	c := &checker{
		findings: found, projects: uniqueNames("project"), sources: serverNames("source"),
		destinations: serverNames("destination"), listeners: serverNames("listener"),
	}
	for i := range doc.Projects {
		c.project(&doc.Projects[i], fmt.Sprintf("projects[%d]", i))
	}
	for _, s := range doc.slots() {
		c.secret(s)
	}
	checkCredentials(doc, found)
}

// checkCredentials reports credentials that would not tell two objects apart.
func checkCredentials(doc *Document, found *findings) {
	type use struct {
		kind   slotKind
		digest digest
	}
	first := make(map[use]string)
	for _, s := range doc.slots() {
		kind := s.kind
		if kind == previousDestinationSlot {
			kind = destinationSlot // both open the same door
		}
		if kind != sdkSlot && kind != destinationSlot {
			continue // of the others the route names the object
		}
		d, ok := s.secret.hashOf()
		if !ok {
			continue
		}
		if path, taken := first[use{kind, d}]; taken {
			found.add(s.path, "Give each its own, or leave it out to have one made.", "the same key is used at %s", path)
			continue
		}
		first[use{kind, d}] = s.path
	}
}

// checker goes through a document. Names are remembered over all projects.
type checker struct {
	*findings
	projects, sources, destinations, listeners *names
}

// missing reports a key that must be there, unless its form was reported.
func (c *checker) missing(path, fix string) {
	if !c.broken(path) {
		c.add(path, fix, "%s is missing", lastName(path))
	}
}

func (c *checker) project(p *ProjectSpec, path string) {
	c.name(p.Name, path+".name", c.projects)
	types := uniqueNames("traffic type")
	for i, t := range p.TrafficTypes {
		c.name(t, fmt.Sprintf("%s.trafficTypes[%d]", path, i), types)
	}
	environments := uniqueNames("environment")
	for i := range p.Environments {
		c.environment(&p.Environments[i], fmt.Sprintf("%s.environments[%d]", path, i), environments)
	}
	in := scope{checker: c, path: path, trafficTypes: p.TrafficTypes, isTrafficType: setOf(p.TrafficTypes)}
	for _, e := range p.Environments {
		in.environments = append(in.environments, e.Name)
	}
	in.isEnvironment = setOf(in.environments)
	in.keySegments(p)
	in.flags(p)
	in.attributes(p)
	in.metrics(p)
	in.experiments(p)
	for i := range p.Segment.Sources {
		in.source(&p.Segment.Sources[i], fmt.Sprintf("%s.segment.sources[%d]", path, i))
	}
	for i := range p.Segment.Destinations {
		in.destination(&p.Segment.Destinations[i], fmt.Sprintf("%s.segment.destinations[%d]", path, i))
	}
	for i := range p.Segment.Listeners {
		in.listener(&p.Segment.Listeners[i], fmt.Sprintf("%s.segment.listeners[%d]", path, i))
	}
}

func (c *checker) environment(e *EnvironmentSpec, path string, environments *names) {
	c.name(e.Name, path+".name", environments)
	if hasBlanksAround(e.ID) {
		c.add(path+".id", "Take the blanks away.", "the id has blanks around it")
	}
	keys := uniqueNames("SDK key")
	for i, key := range e.SDKKeys {
		at := fmt.Sprintf("%s.sdkKeys[%d]", path, i)
		c.name(key.Name, at+".name", keys)
		c.choice(key.Type, at+".type", sdkKeyTypes)
		c.limits(key.Limits, at+".limits")
	}
}

// scope is the project that names are looked up in.
type scope struct {
	*checker
	path                         string // of the project
	trafficTypes, environments   []string
	isTrafficType, isEnvironment map[string]bool
}

func (s scope) source(source *SourceSpec, path string) {
	s.name(source.Name, path+".name", s.sources)
	if len(source.Environments) == 0 {
		s.missing(path+".environments", "Name at least one environment of the project, for example [production].")
	}
	seen := make(map[string]bool)
	for i, name := range source.Environments {
		at := fmt.Sprintf("%s.environments[%d]", path, i)
		if seen[name] {
			s.add(at, "Keep one of them.", "the environment %s is here twice", quoted(name))
		}
		seen[name] = true
		s.environmentName(name, at)
	}
	for _, trafficType := range sortedKeys(source.Identities) {
		at := join(path+".identities", trafficType)
		s.trafficType(trafficType, at)
		s.choice(source.Identities[trafficType], at, identityNames)
	}
	if source.WriteKey.IsZero() {
		s.missing(path+".writeKey", "Write the write key of the Segment source, best as \"${NAME}\" of an environment variable.")
	}
	s.endpoint(source.Endpoint, path+".endpoint")
	if source.Event != "" && strings.TrimSpace(source.Event) == "" {
		s.add(path+".event", "Leave it out for "+defaultTrackEvent+", or write the name that Segment shall see.", "the event's name is blank")
	}
	if source.DefaultTrafficType != "" {
		s.trafficType(source.DefaultTrafficType, path+".defaultTrafficType")
	}
}

func (s scope) destination(d *DestinationSpec, path string) {
	s.name(d.Name, path+".name", s.destinations)
	s.environmentOf(d.Environment, path+".environment")
	s.identity(d.Identities.UserID, path+".identities.userId")
	s.identity(d.Identities.AnonymousID, path+".identities.anonymousId")
	if !s.broken(path + ".track.eventType") {
		if strings.TrimSpace(d.Track.EventType) == "" {
			s.add(path+".track.eventType", "Leave it out for "+defaultEventTypePath+", or write the path of the event's name, for example properties.eventName.", "the path is blank")
		} else {
			s.dataPath(d.Track.EventType, path+".track.eventType")
		}
	}
	if d.Track.Value != "" {
		s.dataPath(d.Track.Value, path+".track.value")
	}
	s.template(d.Pages.Template, path+".pages.template", defaultPageTemplate)
	s.template(d.Screens.Template, path+".screens.template", defaultScreenTemplate)
	if d.GroupTrafficType != "" {
		s.trafficType(d.GroupTrafficType, path+".groupTrafficType")
	}
	s.limits(d.Limits.RequestLimits, path+".limits")
	s.bound(d.Limits.CallsPerSecond, path+".limits.callsPerSecond")
}

func (s scope) listener(l *ListenerSpec, path string) {
	s.name(l.Name, path+".name", s.listeners)
	s.environmentOf(l.Environment, path+".environment")
	s.choice(l.Kind, path+".kind", listenerKinds)
	s.limits(l.Limits, path+".limits")
}

// identity checks the traffic types that an identity maps to.
func (s scope) identity(trafficTypes []string, path string) {
	seen := make(map[string]bool)
	for i, name := range trafficTypes {
		at := fmt.Sprintf("%s[%d]", path, i)
		if seen[name] {
			s.add(at, "Keep one of them.", "the traffic type %s is here twice", quoted(name))
			continue
		}
		seen[name] = true
		s.trafficType(name, at)
	}
}

// environmentOf checks the one environment that something must name.
func (s scope) environmentOf(name, path string) {
	if name == "" {
		s.missing(path, "Name an environment of the project.")
		return
	}
	s.environmentName(name, path)
}

func (s scope) environmentName(name, path string) {
	if !s.isEnvironment[name] {
		s.unknown(name, path, "environment", s.environments, s.path+".environments")
	}
}

func (s scope) trafficType(name, path string) {
	if !s.isTrafficType[name] {
		s.unknown(name, path, "traffic type", s.trafficTypes, s.path+".trafficTypes")
	}
}

// unknown reports a name that is not declared where it should be.
func (s scope) unknown(name, path, what string, declared []string, where string) {
	if len(s.list) >= maxFindings || s.broken(path) || s.broken(where) {
		return
	}
	fix := fmt.Sprintf("Add it to %s.", where)
	if near := closest(name, declared); near != "" {
		fix = fmt.Sprintf("Did you mean %s? Otherwise add it to %s.", near, where)
	}
	s.add(path, fix, "the project has no %s %s", what, quoted(name))
}

// choice checks a text that is one of a few.
func (c *checker) choice(value, path string, choices []string) {
	fix := "Write " + strings.Join(choices, " or ") + "."
	switch {
	case value == "":
		c.missing(path, fix)
	case !slices.Contains(choices, value):
		if near := closest(value, choices); near != "" {
			fix = fmt.Sprintf("Did you mean %s?", near)
		}
		c.add(path, fix, "%s is not one of %s", quoted(value), strings.Join(choices, ", "))
	}
}

// dataPath checks a path into a call (R7).
func (c *checker) dataPath(path, at string) {
	switch {
	case hasBlanksAround(path):
		c.add(at, "Take the blanks away.", "the path has blanks around it")
	case slices.Contains(strings.Split(path, "."), ""):
		c.add(at, "Write the steps from the root of the call with one dot between, for example properties.revenue.", "the path %s has an empty step", quoted(path))
	}
}

func (c *checker) template(template, path, standard string) {
	if !strings.Contains(template, "{name}") && !c.broken(path) {
		c.add(path, fmt.Sprintf("Write {name} where the name belongs, for example %q.", standard), "the template %s does not contain {name}", quoted(template))
	}
}

// endpoint checks where a source sends to. Its text may hold a password, so it is not shown.
func (c *checker) endpoint(endpoint, path string) {
	const fix = "Write " + DefaultEndpoint + ", https://events.eu1.segmentapis.com or your own, as https://host or https://host/path."
	if endpoint == "" {
		return
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || hasBlanksAround(endpoint):
		c.add(path, fix, "the endpoint is not a URL")
	case u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		c.add(path, fix, "the endpoint is not an absolute http or https URL")
	case u.User != nil:
		c.add(path, "Take the user and password out: Segment is told the writeKey.", "the endpoint has credentials in it")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(endpoint, "#"):
		c.add(path, "Take away everything from the \"?\" or \"#\" on.", "the endpoint has a query or fragment")
	}
}

// secret checks what a credential must be to work where it is used.
func (c *checker) secret(s slot) {
	secret := *s.secret
	switch {
	case secret.IsZero():
		return
	case secret.is(unreadableSecret) && !c.broken(s.path):
		c.add(s.path, "Correct the file and read it again.", "%s could not be read from its file", lastName(s.path))
	case secret.is(hashedSecret) && s.kind.sealed():
		c.add(s.path, "Write the secret itself, or the sealed text of an export.", "%s is a hash, and the secret itself is needed here", lastName(s.path))
	case secret.is(sealedSecret) && !s.kind.sealed():
		c.add(s.path, "Write the secret itself, or the hash of an export.", "%s is a sealed text, and a hash is wanted here", lastName(s.path))
	case secret.is(plainSecret):
		c.plain(s, secret.Reveal())
	}
}

func (c *checker) plain(s slot, text string) {
	key := lastName(s.path)
	inner := func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }
	switch s.kind {
	case webhookSlot, previousWebhookSlot, signingSlot, listenerSlot, previousListenerSlot:
	default:
		inner = notInAToken // it travels in an Authorization header, with a scheme before it
	}
	switch {
	case text == masked:
		c.add(s.path, "Write the secret itself, a \"${NAME}\" or the text of an export.", "%s is %s, which only stands for a secret", key, masked)
	case strings.HasPrefix(text, "hash:sha256:"):
		c.add(s.path, "Copy it from the export again, or write the secret itself.", "%s is a damaged hash", key)
	case hasBlanksAround(text):
		c.add(s.path, "Take them away; a secret read from a file often ends in a line break.", "%s has blanks or a line break around it", key)
	case strings.ContainsFunc(text, inner):
		c.add(s.path, "Use letters, digits and punctuation.", "%s has a character that cannot be sent in a header", key)
	case (s.kind == writeKeySlot || s.kind == destinationSlot || s.kind == previousDestinationSlot) && strings.Contains(text, ":"):
		c.add(s.path, "Use a key without a colon: Basic authentication ends the key there.", "%s has a colon in it", key)
	case s.kind == sdkSlot && utf8.RuneCountInString(text) < minSDKKey:
		c.add(s.path, "Use a longer one, or leave it out to have one made; Split SDKs do not start with less.", "%s is shorter than %d characters", key, minSDKKey)
	}
}

func hasBlanksAround(text string) bool { return strings.TrimSpace(text) != text }

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}
