package translate

import (
	"slices"
	"strings"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// maxKey is how long a key may be, in code points (R4).
const maxKey = 250

// maxPairs is how many pairs of a split are taken. Rulings set no limit, but 32
// KB of pairs times 32 KB of traits would make millions of rows of one call.
const maxPairs = 100

// leg is one key that a call is about (R3).
type leg struct{ trafficType, key string }

// legs are the keys of a call, in order, each once.
type legs struct {
	list []leg
	seen map[leg]struct{} // only when there are many
}

// few is up to how many legs looking at each is cheaper than a map.
const few = 16

func (l *legs) add(trafficType, key string) {
	pair := leg{trafficType, key}
	if len(l.list) < few {
		if !slices.Contains(l.list, pair) {
			l.list = append(l.list, pair)
		}
		return
	}
	if l.seen == nil {
		l.seen = make(map[leg]struct{}, 4*few)
		for _, other := range l.list {
			l.seen[other] = struct{}{}
		}
	}
	if _, repeated := l.seen[pair]; !repeated {
		l.seen[pair] = struct{}{}
		l.list = append(l.list, pair)
	}
}

// identityLegs are the keys that userId and anonymousId form (R3).
func (t *translation) identityLegs() legs {
	l := legs{list: make([]leg, 0, 4)}
	l.addID(t, "userId", t.fields.userID, t.d.UserID)
	l.addID(t, "anonymousId", t.fields.anonymousID, t.d.AnonymousID)
	return l
}

// addID adds the keys that one id forms. An id that the configuration does not
// use is not looked at (X3).
func (l *legs) addID(t *translation, place string, v segment.Value, trafficTypes []string) {
	if len(trafficTypes) == 0 {
		return
	}
	if key := t.notes.key(v, "", place); key != "" {
		for _, trafficType := range trafficTypes {
			l.add(trafficType, key)
		}
	}
}

// isMap reports whether split is in map form: an object, or an array with an
// object in it (X4).
func isMap(split segment.Value) bool {
	if split.Kind() == segment.Object {
		return true
	}
	for element := range split.Elements() {
		if element.Kind() == segment.Object {
			return true
		}
	}
	return false
}

// addPairs adds the keys that a split in map form names (R5, X4). place is the
// path to it, with a dot at the end.
func (l *legs) addPairs(t *translation, place string, split segment.Value) {
	pairs := 0
	for element := range split.Elements() {
		l.addObject(t, place, element, &pairs)
	}
	l.addObject(t, place, split, &pairs)
}

// addObject adds the pairs of one object; v may be of any kind. pairs counts
// those of the whole split.
func (l *legs) addObject(t *translation, place string, v segment.Value, pairs *int) {
	for name, id := range v.Fields() {
		if *pairs++; *pairs > maxPairs {
			if !t.notes.again(reason.SplitOver100) {
				t.notes.add(reason.SplitOver100, place+short(name))
			}
			continue
		}
		trafficType, ok := known(t.d.TrafficTypes, name)
		if !ok {
			if !t.notes.again(reason.UnknownTrafficType) {
				t.notes.add(reason.UnknownTrafficType, place+short(name))
			}
			continue
		}
		if key := t.notes.key(id, place, name); key != "" {
			l.add(trafficType, key)
		}
	}
}

// known finds a traffic type by its name, exactly or else in lower case (R5).
func known(trafficTypes []string, name string) (string, bool) {
	if slices.Contains(trafficTypes, name) {
		return name, true
	}
	name = strings.ToLower(name)
	return name, slices.Contains(trafficTypes, name)
}

// key reads an id (R4); "" is absent. The place, for a detail, is the path to
// the object that holds the id, and the id's name in it.
func (n *notes) key(v segment.Value, path, name string) string {
	switch v.Kind() {
	case segment.Absent, segment.Null:
		return ""
	case segment.String, segment.Number:
	default:
		if !n.again(reason.IDNotAString) {
			n.add(reason.IDNotAString, path+short(name)+" is "+kindName(v))
		}
		return ""
	}
	key := strings.TrimSpace(v.Text())
	if _, long := cutText(key, maxKey); long {
		if !n.again(reason.KeyTooLong) {
			n.add(reason.KeyTooLong, path+length(name, key))
		}
		return ""
	}
	return key
}
