package translate

import (
	"math"
	"strconv"
	"strings"

	"causeway/internal/reason"
	"causeway/internal/segment"
)

// at is what stands at a path from the root of the call (R7).
func (t *translation) at(path string) segment.Value {
	step, rest, more := path, "", false
	literal := t.root.Field(path)
	if literal.Kind() == segment.Absent {
		step, rest, more = strings.Cut(path, ".")
	}
	var v segment.Value
	switch step {
	case "context":
		return merged(t.fields.context, rest, more)
	case "integrations":
		return merged(t.fields.integrations, rest, more)
	case "properties", "traits":
		// What is no object is taken as absent (X16).
		if v = t.root.Field(step); v.Kind() != segment.Object {
			return segment.Value{}
		}
	default:
		v = t.root.Field(step)
	}
	if more {
		return descend(v, rest)
	}
	return v
}

// merged is at for the two fields that a batch has a share in.
func merged(m segment.Merged, rest string, more bool) segment.Value {
	switch {
	case !more && m.Own.Exists():
		return m.Own
	case !more:
		return m.Shared
	case m.Own.Exists() && m.Own.Kind() != segment.Object:
		return descend(m.Own, rest)
	}
	if v := m.Field(rest); v.Kind() != segment.Absent {
		return v
	}
	step, rest, more := strings.Cut(rest, ".")
	if !more {
		return segment.Value{}
	}
	return descend(m.Field(step), rest)
}

// descend is what stands at a path from a value: in an object the key that is
// the whole path, a null value included, else down one step (X5); in an array
// the element that the step counts to.
func descend(v segment.Value, path string) segment.Value {
	for {
		step, rest, more := strings.Cut(path, ".")
		switch v.Kind() {
		case segment.Object:
			if whole := v.Field(path); whole.Kind() != segment.Absent || !more {
				return whole
			}
			v = v.Field(step)
		case segment.Array:
			v = element(v, step)
			if !more {
				return v
			}
		default:
			return segment.Value{}
		}
		path = rest
	}
}

// element is the element of an array that a step counts to from 0. Leading
// zeros are no index (X5).
func element(array segment.Value, step string) segment.Value {
	index, err := strconv.ParseUint(step, 10, 31)
	if err != nil || len(step) > 1 && step[0] == '0' {
		return segment.Value{}
	}
	for v := range array.Elements() {
		if index == 0 {
			return v
		}
		index--
	}
	return segment.Value{}
}

// value reads the value of an event (R8, X6); nil is none.
func (n *notes) value(v segment.Value, path string) *float64 {
	var text string
	switch v.Kind() {
	case segment.Absent, segment.Null:
		return nil
	case segment.Number:
		text = v.Raw()
	case segment.String:
		if text = strings.TrimSpace(v.Text()); text == "" {
			return nil
		}
	}
	if isDecimal(text) {
		if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) {
			if f == 0 {
				f = 0 // not -0
			}
			return &f
		}
	}
	n.add(reason.ValueNotANumber, short(path))
	return nil
}

// isDecimal reports a plain decimal (X6): a sign, digits, a point with digits
// on both sides, an exponent. strconv takes more than that: hexadecimal,
// underscores, "inf".
func isDecimal(text string) bool {
	text, ok := cutDigits(cutSign(text))
	if ok && text != "" && text[0] == '.' {
		text, ok = cutDigits(text[1:])
	}
	if ok && text != "" && (text[0] == 'e' || text[0] == 'E') {
		text, ok = cutDigits(cutSign(text[1:]))
	}
	return ok && text == ""
}

func cutSign(text string) string {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		return text[1:]
	}
	return text
}

// cutDigits is the text after its leading digits; ok is false when there are
// none.
func cutDigits(text string) (rest string, ok bool) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return text[n:], n > 0
}
