package translate

import (
	"encoding/json"
	"strconv"
	"strings"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// The limits of an event's properties (R9).
const (
	maxProperties = 300
	maxProperty   = 256 // code points of a text
)

// properties makes an event's properties (R9, X8): one JSON object of scalars.
// withoutSplit leaves the call's split out, because it was used as a map (R5).
func (n *notes) properties(v segment.Value, withoutSplit bool) json.RawMessage {
	f := flattener{kept: make([]property, 0, 16)}
	for name, value := range v.Fields() {
		if !withoutSplit || name != "split" {
			f.add(name, value)
		}
	}
	if f.over > 0 {
		n.addMany(reason.PropertiesOver300, "properties."+short(f.firstOver), f.over)
	}
	b := make([]byte, 0, len(v.Raw())+16)
	b = append(b, '{')
	for i, p := range f.kept {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(segment.AppendString(b, p.name), ':')
		b = n.appendProperty(b, p)
	}
	return append(b, '}')
}

// appendProperty appends the value of a property.
func (n *notes) appendProperty(b []byte, p property) []byte {
	var text string
	switch p.value.Kind() {
	case segment.String:
		text = p.value.Text()
	case segment.Array, segment.Object: // an object here is an empty one
		text = string(p.value.AppendCompact(nil))
	case segment.Number:
		if text = p.value.Raw(); inRange(text) {
			return append(b, text...)
		}
	default:
		return append(b, p.value.Raw()...)
	}
	cut, was := cutText(text, maxProperty)
	if was && !n.again(reason.PropertyCut) {
		n.add(reason.PropertyCut, "properties."+length(p.name, text))
	}
	return segment.AppendString(b, cut)
}

// inRange reports whether a float64 can hold a JSON number, if not exactly.
func inRange(number string) bool {
	if len(number) < 300 && !strings.ContainsAny(number, "eE") {
		return true
	}
	_, err := strconv.ParseFloat(number, 64)
	return err == nil
}

type property struct {
	name  string
	value segment.Value // a scalar, an array or an empty object
}

// flattener makes one level of nested objects.
type flattener struct {
	kept      []property // at most maxProperties, in document order
	over      int        // how many more there were
	firstOver string

	// place finds a kept property by name. Two properties can only flatten to
	// one name when a key has a dot in it, so it is nil until one has.
	place map[string]int
	path  []byte // name of the property, as far as the walk went down
}

// add flattens one field; its name is put behind the path.
func (f *flattener) add(name string, v segment.Value) {
	if f.place == nil && strings.IndexByte(name, '.') >= 0 {
		f.place = make(map[string]int, maxProperties)
		for i, p := range f.kept {
			f.place[p.name] = i
		}
	}
	if v.Kind() != segment.Object || v.Empty() {
		f.leaf(name, v)
		return
	}
	above := len(f.path)
	f.path = append(append(f.path, name...), '.')
	for name, value := range v.Fields() {
		f.add(name, value)
	}
	f.path = f.path[:above]
}

// leaf takes a property. Of two with one name the later value counts, in the
// earlier one's place.
func (f *flattener) leaf(name string, v segment.Value) {
	above := len(f.path)
	f.path = append(f.path, name...)
	defer func() { f.path = f.path[:above] }()
	if at, repeated := f.place[string(f.path)]; repeated {
		f.kept[at].value = v
		return
	}
	if len(f.kept) == maxProperties {
		if f.over++; f.over == 1 {
			f.firstOver = string(f.path)
		}
		return
	}
	if above > 0 {
		name = string(f.path)
	}
	if f.place != nil {
		f.place[name] = len(f.kept)
	}
	f.kept = append(f.kept, property{name, v})
}
