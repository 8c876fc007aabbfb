package translate

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// noteOrder is the order of the reasons that may stand beside each other: that
// of the rulings.
var noteOrder = []reason.Code{
	reason.IDNotAString, reason.KeyTooLong, // R4
	reason.UnknownTrafficType, reason.SplitOver100, // R5
	reason.ValueNotANumber,                       // R8
	reason.PropertiesOver300, reason.PropertyCut, // R9
	reason.TimeUnreadable, reason.TimeInFuture, // R10
	reason.TraitCut, reason.TraitNameInvalid, // R11
	reason.NoIdentity,  // R15
	reason.NotAnObject, // X16
}

// notes gathers the reasons of one call: one entry a code, with the first place
// it applied and how many more there were (X1).
type notes struct{ entries []entry }

type entry struct {
	reason.Note
	more int
}

// again counts a reason that is there already. A caller that must go to some
// length to name the place asks it first.
func (n *notes) again(code reason.Code) bool {
	for i := range n.entries {
		if n.entries[i].Code == code {
			n.entries[i].more++
			return true
		}
	}
	return false
}

// add notes a reason at a place.
func (n *notes) add(code reason.Code, place string) {
	if !n.again(code) {
		n.entries = append(n.entries, entry{Note: reason.Note{Code: code, Detail: place}})
	}
}

// addMany notes a reason, not there yet, at a first place and further ones.
func (n *notes) addMany(code reason.Code, place string, count int) {
	n.entries = append(n.entries, entry{Note: reason.Note{Code: code, Detail: place}, more: count - 1})
}

// list gives the reasons in the order of the rulings; nil when there are none.
func (n *notes) list() []reason.Note {
	if len(n.entries) == 0 {
		return nil
	}
	list := make([]reason.Note, 0, len(n.entries))
	for _, e := range n.entries {
		if e.more > 0 {
			e.Detail = fmt.Sprintf("%s and %d more", e.Detail, e.more)
		}
		list = append(list, e.Note)
	}
	slices.SortFunc(list, func(a, b reason.Note) int {
		return slices.Index(noteOrder, a.Code) - slices.Index(noteOrder, b.Code)
	})
	return list
}

// object is properties or traits when they are an object; anything else is
// taken as absent, and said unless it is null (X16).
func (n *notes) object(name string, v segment.Value) segment.Value {
	if v.Kind() == segment.Object {
		return v
	}
	if v.Exists() {
		n.add(reason.NotAnObject, name+" is "+kindName(v))
	}
	return segment.Value{}
}

// length says how long a text is, for a detail.
func length(place, text string) string {
	return fmt.Sprintf("%s, %d characters", short(place), utf8.RuneCountInString(text))
}

// short keeps names and details readable whatever the call holds.
func short(text string) string {
	if cut, was := cutText(text, 100); was {
		return cut + "…"
	}
	return text
}

// cutText cuts a text to a number of code points.
func cutText(text string, limit int) (cut string, was bool) {
	if len(text) <= limit {
		return text, false
	}
	n := 0
	for i := range text {
		if n == limit {
			return text[:i], true
		}
		n++
	}
	return text, false
}

// kindName says what a value is, for a detail.
func kindName(v segment.Value) string {
	switch v.Kind() {
	case segment.Null:
		return "null"
	case segment.Bool:
		return "a boolean"
	case segment.Number:
		return "a number"
	case segment.String:
		return "text"
	case segment.Array:
		return "an array"
	case segment.Object:
		return "an object"
	}
	return "not JSON"
}
