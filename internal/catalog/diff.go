package catalog

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// Difference is one thing that differs between two documents.
type Difference struct {
	// Path names objects by name, so that it is the same in both documents:
	// projects[shop].segment.sources[prod-impressions].endpoint.
	Path string `json:"path"`
	Kind string `json:"kind"` // Added, Removed or Changed
	// Before and After are the values as JSON; nil where there is none.
	// Secrets are "[secret]".
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// The kinds of differences.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// difference lists what differs, in the order of the document after and then
// what is gone. The order of named objects is not a difference.
func difference(before, after *Document) []Difference {
	d := differ{list: []Difference{}}
	d.compare("", reflect.ValueOf(*before), reflect.ValueOf(*after))
	return d.list
}

var namedType = reflect.TypeFor[named]()

type differ struct{ list []Difference }

func (d *differ) compare(path string, before, after reflect.Value) {
	switch {
	case after.Type() == secretType:
		if !before.Interface().(Secret).Equal(after.Interface().(Secret)) {
			d.changed(path, before, after)
		}
	case after.Kind() == reflect.Struct:
		for _, f := range fieldsOf(after.Type()) {
			d.compare(join(path, f.key), before.FieldByIndex(f.index), after.FieldByIndex(f.index))
		}
	case after.Kind() == reflect.Slice && after.Type().Elem().Implements(namedType):
		d.objects(path, before, after)
	case after.Kind() == reflect.Map && after.Type().Elem().Kind() == reflect.Struct:
		d.entries(path, before, after)
	case after.Kind() == reflect.Pointer:
		d.optional(path, before, after)
	case after.Kind() == reflect.Slice || after.Kind() == reflect.Map:
		if before.Len()+after.Len() > 0 && !reflect.DeepEqual(before.Interface(), after.Interface()) {
			d.changed(path, before, after)
		}
	case !before.Equal(after):
		d.changed(path, before, after)
	}
}

// objects compares lists of named objects by name.
func (d *differ) objects(path string, before, after reflect.Value) {
	old := make(map[string]reflect.Value, before.Len())
	for i := range before.Len() {
		old[nameOf(before.Index(i))] = before.Index(i)
	}
	present := make(map[string]bool, after.Len())
	for i := range after.Len() {
		object := after.Index(i)
		name := nameOf(object)
		present[name] = true
		at := fmt.Sprintf("%s[%s]", path, name)
		if was, ok := old[name]; ok {
			d.compare(at, was, object)
			continue
		}
		d.list = append(d.list, Difference{Path: at, Kind: Added, After: shown(object)})
	}
	for i := range before.Len() {
		if object := before.Index(i); !present[nameOf(object)] {
			d.list = append(d.list, Difference{Path: fmt.Sprintf("%s[%s]", path, nameOf(object)), Kind: Removed, Before: shown(object)})
		}
	}
}

// entries compares mappings from names to objects.
func (d *differ) entries(path string, before, after reflect.Value) {
	for _, name := range sortedNames(before, after) {
		at, key := join(path, name), reflect.ValueOf(name)
		was, is := before.MapIndex(key), after.MapIndex(key)
		switch {
		case !was.IsValid():
			d.list = append(d.list, Difference{Path: at, Kind: Added, After: shown(is)})
		case !is.IsValid():
			d.list = append(d.list, Difference{Path: at, Kind: Removed, Before: shown(was)})
		default:
			d.compare(at, was, is)
		}
	}
}

func sortedNames(maps ...reflect.Value) []string {
	var names []string
	for _, m := range maps {
		for _, key := range m.MapKeys() {
			names = append(names, key.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// optional compares values that may be left out.
func (d *differ) optional(path string, before, after reflect.Value) {
	switch {
	case before.IsNil() && after.IsNil():
	case before.IsNil():
		d.list = append(d.list, Difference{Path: path, Kind: Added, After: shown(after)})
	case after.IsNil():
		d.list = append(d.list, Difference{Path: path, Kind: Removed, Before: shown(before)})
	default:
		d.compare(path, before.Elem(), after.Elem())
	}
}

func nameOf(v reflect.Value) string { return v.Interface().(named).specName() }

func (d *differ) changed(path string, before, after reflect.Value) {
	d.list = append(d.list, Difference{Path: path, Kind: Changed, Before: shown(before), After: shown(after)})
}

// shown is a part of a document as JSON with every secret masked, also the
// opaque texts: nobody can read them and they differ where nothing does.
func shown(v reflect.Value) json.RawMessage {
	text, err := json.Marshal(maskSecrets(v).Interface())
	if err != nil {
		return json.RawMessage(`"?"`) // texts, lists and booleans always marshal
	}
	return text
}

func maskSecrets(v reflect.Value) reflect.Value {
	out := mapTexts(v, func(s string) string { return s })
	maskIn(out)
	return out
}

// maskIn masks the secrets in a copy.
func maskIn(v reflect.Value) {
	switch {
	case v.Type() == secretType:
		if !v.Interface().(Secret).IsZero() {
			v.Set(reflect.ValueOf(unreadable()))
		}
	case v.Kind() == reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			maskIn(v.FieldByIndex(f.index))
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			maskIn(v.Index(i))
		}
	}
}
