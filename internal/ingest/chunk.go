package ingest

import "github.com/tidwall/gjson"

// maxRecordBytes is how large the body of one record may be: well below what
// the stream takes as one message. Larger bodies are taken apart.
const maxRecordBytes = 4 << 20

// lists says where the lists of a body are, so that it can be taken apart into
// bodies of the same form.
type lists struct {
	outer string // member of the body that is the list; empty: the body is the list
	inner string // member of each item that is a list, too; empty: items are not taken apart
}

// apart returns bodies of at most limit bytes that together hold the items of
// body, in order. Items that are too large alone are left out and counted. The
// body must be valid JSON of the form.
func (l lists) apart(body []byte, limit int) (bodies [][]byte, dropped int) {
	if len(body) <= limit {
		return [][]byte{body}, 0
	}
	whole := gjson.ParseBytes(body)
	outer := wrapping(whole, l.outer)
	var items []string
	outer.items.ForEach(func(_, item gjson.Result) bool {
		if l.inner == "" || len(item.Raw) <= limit-outer.size() {
			items = append(items, item.Raw)
			return true
		}
		inner := wrapping(item, l.inner)
		var entries []string
		inner.items.ForEach(func(_, entry gjson.Result) bool {
			entries = append(entries, entry.Raw)
			return true
		})
		parts, lost := inner.fill(entries, limit-outer.size())
		for _, part := range parts {
			items = append(items, string(part))
		}
		dropped += lost
		return true
	})
	bodies, lost := outer.fill(items, limit)
	return bodies, dropped + lost
}

// wrapper is a list with what stands around it.
type wrapper struct {
	before, after string
	items         gjson.Result // the list
}

// wrapping takes the list out of an object, keeping its other members; with an
// empty name v itself is the list.
func wrapping(v gjson.Result, name string) wrapper {
	if name == "" {
		return wrapper{before: "[", after: "]", items: v}
	}
	w := wrapper{before: "{", after: "]}", items: gjson.Parse("[]")}
	v.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str != name:
			w.before += key.Raw + ":" + value.Raw + ","
		case value.IsArray():
			w.items = value
		}
		return true
	})
	w.before += `"` + name + `":[`
	return w
}

func (w wrapper) size() int { return len(w.before) + len(w.after) }

// fill packs the items into as few wrapped lists of at most limit bytes as
// their order allows. Items that fit into none are counted.
func (w wrapper) fill(items []string, limit int) (full [][]byte, dropped int) {
	var part []byte
	finish := func() {
		if part != nil {
			full = append(full, append(part, w.after...))
			part = nil
		}
	}
	for _, item := range items {
		switch {
		case len(item)+w.size() > limit:
			dropped++
			continue
		case part != nil && len(part)+1+len(item)+len(w.after) > limit:
			finish()
		}
		if part == nil {
			part = append(make([]byte, 0, 64<<10), w.before...)
		} else {
			part = append(part, ',')
		}
		part = append(part, item...)
	}
	finish()
	return full, dropped
}
