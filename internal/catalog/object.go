package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ObjectKind is the kind of an object that a project has, named as its list in
// the file.
type ObjectKind string

// The kinds.
const (
	Environments ObjectKind = "environments"
	Flags        ObjectKind = "flags"
	KeySegments  ObjectKind = "segments"
	Sources      ObjectKind = "sources"
	Destinations ObjectKind = "destinations"
	Listeners    ObjectKind = "listeners"
	Attributes   ObjectKind = "attributes" // named TRAFFICTYPE/ID
	Metrics      ObjectKind = "metrics"
	Experiments  ObjectKind = "experiments"
)

// ObjectKinds lists those that a project has for Segment.
var ObjectKinds = []ObjectKind{Sources, Destinations, Listeners}

// Object is the specification of one: an EnvironmentSpec, a FlagSpec, a
// KeySegmentSpec, an AttributeSpec, a SourceSpec, a DestinationSpec, a
// ListenerSpec, a MetricSpec or an ExperimentSpec.
type Object interface {
	named
	objectKind() ObjectKind
}

func (EnvironmentSpec) objectKind() ObjectKind { return Environments }
func (FlagSpec) objectKind() ObjectKind        { return Flags }
func (KeySegmentSpec) objectKind() ObjectKind  { return KeySegments }
func (SourceSpec) objectKind() ObjectKind      { return Sources }
func (DestinationSpec) objectKind() ObjectKind { return Destinations }
func (ListenerSpec) objectKind() ObjectKind    { return Listeners }
func (AttributeSpec) objectKind() ObjectKind   { return Attributes }
func (MetricSpec) objectKind() ObjectKind      { return Metrics }
func (ExperimentSpec) objectKind() ObjectKind  { return Experiments }

// Project is the project of that name.
func (d *Document) Project(name string) (*ProjectSpec, bool) {
	for i := range d.Projects {
		if d.Projects[i].Name == name {
			return &d.Projects[i], true
		}
	}
	return nil, false
}

// Object is the object of that name, or id where it has one, as a copy.
func (p *ProjectSpec) Object(kind ObjectKind, name string) (Object, bool) {
	switch kind {
	case Environments:
		return objectNamed(p.Environments, name)
	case Flags:
		return objectNamed(p.Flags, name)
	case KeySegments:
		return objectNamed(p.Segments, name)
	case Attributes:
		return objectNamed(p.Attributes, name)
	case Metrics:
		return objectIn(p.Metrics, name)
	case Experiments:
		return objectIn(p.Experiments, name)
	}
	return p.Segment.Object(kind, name)
}

// Names lists the objects of a kind, in configuration order.
func (p *ProjectSpec) Names(kind ObjectKind) []string {
	switch kind {
	case Environments:
		return namesIn(p.Environments)
	case Flags:
		return namesIn(p.Flags)
	case KeySegments:
		return namesIn(p.Segments)
	case Attributes:
		return namesIn(p.Attributes)
	case Metrics:
		return namesIn(p.Metrics)
	case Experiments:
		return namesIn(p.Experiments)
	}
	return p.Segment.Names(kind)
}

// objectNamed finds by the whole name: these objects have no ids.
func objectNamed[T Object](list []T, name string) (Object, bool) {
	i := slices.IndexFunc(list, func(object T) bool { return object.specName() == name })
	if i < 0 {
		return nil, false
	}
	return list[i], true
}

// put puts an object in the place of the one of its name, or behind the others,
// and returns where it stands within the project.
func (p *ProjectSpec) put(object Object) string {
	i, at := 0, string(object.objectKind())
	switch o := object.(type) {
	case EnvironmentSpec:
		i = putIn(&p.Environments, o)
	case FlagSpec:
		i = putIn(&p.Flags, o)
	case KeySegmentSpec:
		i = putIn(&p.Segments, o)
	case AttributeSpec:
		i = putIn(&p.Attributes, o)
	case MetricSpec:
		i = putIn(&p.Metrics, o)
	case ExperimentSpec:
		i = putIn(&p.Experiments, o)
	default:
		i, at = p.Segment.put(object), "segment."+at
	}
	return fmt.Sprintf("%s[%d]", at, i)
}

func (p *ProjectSpec) remove(kind ObjectKind, name string) {
	switch kind {
	case Environments:
		p.Environments = slices.DeleteFunc(p.Environments, func(e EnvironmentSpec) bool { return e.Name == name })
	case Flags:
		p.Flags = slices.DeleteFunc(p.Flags, func(f FlagSpec) bool { return f.Name == name })
	case KeySegments:
		p.Segments = slices.DeleteFunc(p.Segments, func(s KeySegmentSpec) bool { return s.Name == name })
	case Attributes:
		p.Attributes = slices.DeleteFunc(p.Attributes, func(a AttributeSpec) bool { return a.specName() == name })
	case Metrics:
		p.Metrics = slices.DeleteFunc(p.Metrics, func(m MetricSpec) bool { return m.Name == name })
	case Experiments:
		p.Experiments = slices.DeleteFunc(p.Experiments, func(e ExperimentSpec) bool { return e.Name == name })
	default:
		p.Segment.remove(kind, name)
	}
}

// Object is the object of that name or id, as a copy.
func (s *SegmentSpec) Object(kind ObjectKind, name string) (Object, bool) {
	switch kind {
	case Sources:
		return objectIn(s.Sources, name)
	case Destinations:
		return objectIn(s.Destinations, name)
	case Listeners:
		return objectIn(s.Listeners, name)
	}
	return nil, false
}

// Names lists the objects of a kind, in configuration order.
func (s *SegmentSpec) Names(kind ObjectKind) []string {
	switch kind {
	case Sources:
		return namesIn(s.Sources)
	case Destinations:
		return namesIn(s.Destinations)
	}
	return namesIn(s.Listeners)
}

func namesIn[T named](list []T) []string {
	names := make([]string, 0, len(list))
	for _, object := range list {
		names = append(names, object.specName())
	}
	return names
}

func objectIn[T Object](list []T, name string) (Object, bool) {
	i := indexOf(list, name)
	if i < 0 {
		return nil, false
	}
	return list[i], true
}

func indexOf[T named](list []T, name string) int {
	return slices.IndexFunc(list, func(object T) bool {
		return object.specName() == name || Slug(object.specName()) == name
	})
}

// put puts an object in the place of the one of its name, or behind the others,
// and returns its place.
func (s *SegmentSpec) put(object Object) int {
	switch o := object.(type) {
	case SourceSpec:
		// A write key is never generated: left out, it stays what it is.
		if i := indexOf(s.Sources, o.Name); i >= 0 && o.WriteKey.IsZero() {
			o.WriteKey = s.Sources[i].WriteKey
		}
		return putIn(&s.Sources, o)
	case DestinationSpec:
		return putIn(&s.Destinations, o)
	case ListenerSpec:
		return putIn(&s.Listeners, o)
	}
	return -1
}

func putIn[T named](list *[]T, object T) int {
	for i := range *list {
		if (*list)[i].specName() == object.specName() {
			(*list)[i] = object
			return i
		}
	}
	*list = append(*list, object)
	return len(*list) - 1
}

func (s *SegmentSpec) remove(kind ObjectKind, name string) {
	of := func(n named) bool { return n.specName() == name }
	switch kind {
	case Sources:
		s.Sources = slices.DeleteFunc(s.Sources, func(o SourceSpec) bool { return of(o) })
	case Destinations:
		s.Destinations = slices.DeleteFunc(s.Destinations, func(o DestinationSpec) bool { return of(o) })
	case Listeners:
		s.Listeners = slices.DeleteFunc(s.Listeners, func(o ListenerSpec) bool { return of(o) })
	}
}

// TagOf tells versions of an object apart; NoTag is that of none. A rotated
// secret is another version.
func TagOf(object Object) string {
	if object == nil {
		return NoTag
	}
	text, err := json.Marshal(object)
	if err != nil {
		return "unreadable" // texts, lists and booleans always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// The tags that stand for no version: there must be none; whatever there is.
const (
	NoTag  = "none"
	AnyTag = "*"
)

// WithoutSecrets is a copy of an object for who may see its settings only.
func WithoutSecrets(object Object) Object {
	switch o := object.(type) {
	case EnvironmentSpec:
		o.SDKKeys = slices.Clone(o.SDKKeys)
		for i := range o.SDKKeys {
			o.SDKKeys[i].Key = Secret{}
		}
		return o
	case SourceSpec:
		o.WriteKey = Secret{}
		return o
	case DestinationSpec:
		o.APIKey, o.PreviousAPIKey, o.Webhook = Secret{}, Secret{}, WebhookSpec{}
		return o
	case ListenerSpec:
		o.Secret, o.PreviousSecret = Secret{}, Secret{}
		return o
	}
	return object
}

// StaleObjectError means that an object is not the one that the change was
// made from. It is ErrStale.
type StaleObjectError struct {
	Now Object // nil: it was removed
}

// Error says so.
func (e *StaleObjectError) Error() string {
	if e.Now == nil {
		return "it was removed by somebody else meanwhile"
	}
	return fmt.Sprintf("%s was changed by somebody else meanwhile", quoted(e.Now.specName()))
}

// Is reports ErrStale.
func (e *StaleObjectError) Is(target error) bool { return target == ErrStale }

// UnknownObjectError means that a project, or an object of it, is not there.
type UnknownObjectError struct{ What, Name string }

// Error says which.
func (e *UnknownObjectError) Error() string {
	return fmt.Sprintf("there is no %s %q", e.What, e.Name)
}

// PutObject makes an object of a project what is given, or adds it. Secrets
// that it leaves out are kept or made, as Apply does; so is a write key. seen
// is the TagOf what the caller saw.
//
// Errors are those of Edit, and *StaleObjectError and *UnknownObjectError. The
// findings of an *InvalidError have paths within the object; those of what is
// around it have paths of the document.
func (c *Catalog) PutObject(ctx context.Context, project string, object Object, seen, actor string) (Change, error) {
	var at string
	change, err := c.Edit(ctx, actor, func(doc *Document) (err error) {
		at, err = place(doc, project, object, seen)
		return err
	})
	if invalid, ok := err.(*InvalidError); ok {
		return change, &InvalidError{within(invalid.Findings, at)}
	}
	return change, err
}

// CheckObject says what PutObject would change and what it would find wrong.
func (c *Catalog) CheckObject(project string, object Object) (Change, []Finding) {
	doc := c.Export()
	at, err := place(doc, project, object, AnyTag)
	if err != nil {
		return Change{}, []Finding{{Message: err.Error(), Fix: "Choose one that there is."}}
	}
	change, found := c.Plan(doc)
	return change, within(found, at)
}

// RemoveObject takes an object out of a project. Errors as PutObject's.
func (c *Catalog) RemoveObject(ctx context.Context, project string, kind ObjectKind, name, seen, actor string) (Change, error) {
	return c.Edit(ctx, actor, func(doc *Document) error {
		p, there, err := find(doc, project, kind, name)
		if err != nil {
			return err
		}
		if there == nil {
			return &UnknownObjectError{kind.one(), name}
		}
		if seen != AnyTag && seen != TagOf(there) {
			return &StaleObjectError{there}
		}
		p.remove(kind, there.specName())
		return nil
	})
}

// one is what an object of the kind is called.
func (k ObjectKind) one() string { return strings.TrimSuffix(string(k), "s") }

// find is a project and its object of that name; nil: it has none.
func find(doc *Document, project string, kind ObjectKind, name string) (*ProjectSpec, Object, error) {
	p, ok := doc.Project(project)
	if !ok {
		return nil, nil, &UnknownObjectError{"project", project}
	}
	there, _ := p.Object(kind, name)
	return p, there, nil
}

// place puts an object into a document and says where it stands there.
func place(doc *Document, project string, object Object, seen string) (path string, err error) {
	kind := object.objectKind()
	p, there, err := find(doc, project, kind, object.specName())
	if err != nil {
		return "", err
	}
	if there != nil && there.specName() != object.specName() {
		there = nil // another name that gives the same id: a finding, in a moment
	}
	if seen != AnyTag && seen != TagOf(there) {
		return "", &StaleObjectError{there}
	}
	i := slices.IndexFunc(doc.Projects, func(p ProjectSpec) bool { return p.Name == project })
	return fmt.Sprintf("projects[%d].%s", i, p.put(object)), nil
}

// within makes the paths of findings about an object paths within it.
func within(found []Finding, at string) []Finding {
	for i := range found {
		if rest, ok := strings.CutPrefix(found[i].Path, at); ok {
			found[i].Path = strings.TrimPrefix(rest, ".")
		}
	}
	return found
}

// DecodeObject reads the settings of an object, JSON or YAML as in the file,
// and reports what is wrong with their form. The name may be left out of them;
// if it is there, it must be this one.
func DecodeObject(kind ObjectKind, name string, settings []byte) (Object, []Finding) {
	root, problem := parse("", settings)
	if problem != nil {
		return nil, []Finding{*problem}
	}
	at := &source{positions: make(map[string]position)}
	d := &decoder{positions: at.positions, findings: findings{source: at}}
	var object Object
	switch kind {
	case Environments:
		object = decodeInto(d, root, name, func(o *EnvironmentSpec) *string { return &o.Name })
	case Flags:
		object = decodeInto(d, root, name, func(o *FlagSpec) *string { return &o.Name })
	case KeySegments:
		object = decodeInto(d, root, name, func(o *KeySegmentSpec) *string { return &o.Name })
	case Sources:
		object = decodeInto(d, root, name, func(o *SourceSpec) *string { return &o.Name })
	case Destinations:
		object = decodeInto(d, root, name, func(o *DestinationSpec) *string { return &o.Name })
	case Attributes:
		trafficType, id := splitAttribute(name)
		a := decodeInto(d, root, id, func(o *AttributeSpec) *string { return &o.ID }).(AttributeSpec)
		if a.TrafficType == "" {
			a.TrafficType = trafficType
		}
		if a.TrafficType != trafficType {
			d.add("trafficType", "Leave it out, or add a new one for the other traffic type.", "the traffic type is %s, and that of the one to change is %s", quoted(a.TrafficType), quoted(trafficType))
		}
		object = a
	case Metrics:
		object = decodeInto(d, root, name, func(o *MetricSpec) *string { return &o.Name })
	case Experiments:
		object = decodeInto(d, root, name, func(o *ExperimentSpec) *string { return &o.Name })
	default:
		object = decodeInto(d, root, name, func(o *ListenerSpec) *string { return &o.Name })
	}
	return object, d.sorted()
}

func decodeInto[T Object](d *decoder, root *yaml.Node, name string, nameOf func(*T) *string) Object {
	v := withDefaults(reflect.TypeFor[T]())
	d.value(root, v, "", 0)
	object := v.Interface().(T)
	own := nameOf(&object)
	if *own == "" {
		*own = name
	}
	if *own != name {
		d.add("name", "Leave it out, or add a new one under the other name and remove this one.", "the name is %s, and that of the one to change is %s", quoted(*own), quoted(name))
	}
	return object
}

// EncodeObject is an object as JSON that DecodeObject reads back.
func EncodeObject(object Object) (json.RawMessage, error) {
	return json.Marshal(mapTexts(reflect.ValueOf(object), escapeVariables).Interface())
}

// EncodeObjectYAML is an object as it stands in a list of the file, without
// the keys that have no value.
func EncodeObjectYAML(object Object) ([]byte, error) {
	var n yaml.Node
	if err := n.Encode(mapTexts(reflect.ValueOf(object), escapeVariables).Interface()); err != nil {
		return nil, err
	}
	prune(&n)
	return yaml.Marshal([]*yaml.Node{&n})
}

// prune takes keys away whose value is empty.
func prune(n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return
	}
	var kept []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		value := n.Content[i+1]
		prune(value)
		if value.Kind == yaml.ScalarNode && value.Value == "" || value.Kind != yaml.ScalarNode && len(value.Content) == 0 {
			continue
		}
		kept = append(kept, n.Content[i], value)
	}
	n.Content = kept
}

// CompareObjects lists what differs between two versions of an object, with
// paths within it.
func CompareObjects(before, after Object) []Difference {
	d := differ{list: []Difference{}}
	if before != nil && after != nil && before.objectKind() == after.objectKind() {
		d.compare("", reflect.ValueOf(before), reflect.ValueOf(after))
	}
	return d.list
}
