package translate

import (
	"strings"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/segment"
)

// The limits of attributes (R11, X7).
const (
	maxAttribute   = 255 // code points of a value
	maxAttributeID = 200
)

// attributes makes attributes of traits (R11), without key and traffic type.
// withoutSplit leaves the call's split out, because it is in map form.
func (n *notes) attributes(v segment.Value, withoutSplit bool) []fme.Attribute {
	var ids []string
	var values []segment.Value
	place := make(map[string]int)
	for name, value := range v.Fields() {
		if withoutSplit && name == "split" {
			continue
		}
		id, ok := attributeID(name)
		if !ok {
			if !n.again(reason.TraitNameInvalid) {
				n.add(reason.TraitNameInvalid, "traits."+short(name))
			}
			continue
		}
		// Of two names with one id the later wins (X10).
		if at, repeated := place[id]; repeated {
			values[at] = value
			continue
		}
		place[id] = len(ids)
		ids, values = append(ids, id), append(values, value)
	}
	attributes := make([]fme.Attribute, len(ids))
	for i, id := range ids {
		attributes[i] = n.attribute(id, values[i])
	}
	return attributes
}

// attribute makes one attribute; a null removes it.
func (n *notes) attribute(id string, v segment.Value) fme.Attribute {
	a := fme.Attribute{ID: id}
	var text string
	switch v.Kind() {
	case segment.Null:
		return a
	case segment.String:
		text = v.Text()
	case segment.Number:
		text = segment.PlainNumber(v.Raw(), maxAttribute)
	default:
		text = string(v.AppendCompact(nil))
	}
	cut, was := cutText(text, maxAttribute)
	if was && !n.again(reason.TraitCut) {
		n.add(reason.TraitCut, "traits."+length(id, text))
	}
	a.Value, a.Cut = &cut, was
	return a
}

// attributeID makes an attribute's id of a trait's name: trimmed (X10), spaces
// become underscores, and then ^[a-zA-Z][-_a-zA-Z0-9]{0,199}$ must match.
func attributeID(name string) (id string, ok bool) {
	id = strings.ReplaceAll(strings.TrimSpace(name), " ", "_")
	if id == "" || len(id) > maxAttributeID {
		return "", false
	}
	for i := range len(id) {
		c := id[i]
		if !legal(c, i == 0) || c == '.' || c == ':' || i == 0 && c <= '9' {
			return "", false
		}
	}
	return id, true
}
