package flags

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"

	"causeway/internal/catalog"
)

// view is what one environment is served, with the answers that were made
// already. A change makes a new one.
type view struct {
	serving        *catalog.Serving
	items          []item                     // by change number
	segmentsChange int64                      // the highest change number of the segments; 0: none
	members        func() map[string][]string // the segments of each key

	mu   sync.Mutex
	kept map[string]*body
}

// item is a flag, served or archived, as the answers hold it.
type item struct {
	changeNumber int64
	name         string
	flag         *catalog.Flag // nil: it is archived
	archived     []byte        // what tells an SDK to drop the flag
}

func newView(serving *catalog.Serving) *view {
	v := &view{serving: serving, kept: make(map[string]*body)}
	for _, f := range serving.Flags {
		v.items = append(v.items, item{f.ChangeNumber, f.Name, f, archived(f.Name, "", f.ChangeNumber)})
	}
	for _, f := range serving.Archived {
		v.items = append(v.items, item{f.ChangeNumber, f.Name, nil, archived(f.Name, f.TrafficType, f.ChangeNumber)})
	}
	slices.SortStableFunc(v.items, func(a, b item) int { return cmp.Compare(a.changeNumber, b.changeNumber) })
	for _, s := range serving.Segments {
		v.segmentsChange = max(v.segmentsChange, s.ChangeNumber)
	}
	v.members = sync.OnceValue(v.index)
	return v
}

// archived is the definition of a flag that is not served. It has every key:
// some SDKs read them before they look at the status.
func archived(name, trafficType string, changeNumber int64) []byte {
	text, err := json.Marshal(map[string]any{
		"name": name, "trafficTypeName": trafficType, "changeNumber": changeNumber, "status": "ARCHIVED",
		"killed": true, "defaultTreatment": "control", "algo": 2, "seed": 0, "trafficAllocation": 100, "trafficAllocationSeed": 0,
		"conditions": []any{}, "configurations": map[string]any{}, "sets": []any{}, "prerequisites": []any{}, "impressionsDisabled": false,
	})
	if err != nil {
		panic(err) // texts and numbers
	}
	return text
}

// question is what an SDK asks of the flags.
type question struct {
	spec             catalog.Spec
	since, ruleSince int64 // -1: the SDK has nothing
	filter           filter
}

// filter is the flags that an SDK wants; the zero filter is all.
type filter struct{ sets, names, prefixes []string }

func filterOf(query url.Values) filter {
	return filter{sets: listed(query, "sets"), names: listed(query, "names"), prefixes: listed(query, "prefixes")}
}

// listed is a list of the query, in one order.
func listed(query url.Values, key string) []string {
	var list []string
	for _, value := range query[key] {
		for word := range strings.SplitSeq(value, ",") {
			if word = strings.TrimSpace(word); word != "" {
				list = append(list, word)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wants reports whether the flag of an item is asked for. Sets come before
// names and prefixes, as in the SDKs.
func (f filter) wants(i item) bool {
	switch {
	case len(f.sets) > 0:
		return i.flag != nil && slices.ContainsFunc(i.flag.Sets, func(set string) bool { return slices.Contains(f.sets, set) })
	case len(f.names)+len(f.prefixes) > 0:
		return slices.Contains(f.names, i.name) ||
			slices.ContainsFunc(f.prefixes, func(prefix string) bool { return strings.HasPrefix(i.name, prefix) })
	}
	return true
}

// splitChanges answers a question. It names the number that the SDK has and
// the one that it has afterwards; both are the same when there is nothing new.
func (v *view) splitChanges(q question) *body {
	till := v.serving.ChangeNumber
	from := q.since
	switch {
	case q.since == till:
		return newBody(changes(q, q.since, till, nil))
	case q.since > till:
		// A number that this server never gave out: the SDK has flags from
		// elsewhere. It is told everything, and which number that is.
		q.since, from = till, 0
	}
	asked := fmt.Sprintf("%d %d %d %d %q", q.spec, q.since, from, q.ruleSince, [][]string{q.filter.sets, q.filter.names, q.filter.prefixes})
	return v.keep(asked, func() []byte {
		return changes(q, q.since, till, v.changed(from, q))
	})
}

// changed lists the definitions that are newer than a number. Who has nothing
// yet is not told what to drop.
func (v *view) changed(since int64, q question) [][]byte {
	var list [][]byte
	first, _ := slices.BinarySearchFunc(v.items, since, func(i item, since int64) int {
		if i.changeNumber > since {
			return 1
		}
		return -1
	})
	for _, i := range v.items[first:] {
		switch wanted := q.filter.wants(i); {
		case i.flag != nil && wanted && q.spec >= i.flag.Spec:
			list = append(list, i.flag.Definition)
		case i.flag != nil && wanted:
			list = append(list, i.flag.Limited)
		case since >= 0 && (wanted || len(q.filter.sets) > 0):
			// Also a flag that is in none of the sets: it may have been.
			list = append(list, i.archived)
		}
	}
	return list
}

// changes writes the answer: since 1.3 with the rule-based segments, of which
// there are none.
func changes(q question, since, till int64, definitions [][]byte) []byte {
	size := 128
	for _, d := range definitions {
		size += len(d) + 1
	}
	b := make([]byte, 0, size)
	list := func() {
		for i, d := range definitions {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, d...)
		}
	}
	if q.spec < catalog.Spec13 {
		b = append(b, `{"splits":[`...)
		list()
		b = fmt.Appendf(b, `],"since":%d,"till":%d}`, since, till)
		return b
	}
	b = append(b, `{"ff":{"d":[`...)
	list()
	return fmt.Appendf(b, `],"s":%d,"t":%d},"rbs":{"d":[],"s":%d,"t":%[3]d}}`, since, till, q.ruleSince)
}

// maxKept bounds the answers that are kept; further ones are made each time.
// After a change nearly all SDKs ask one of a few questions.
const maxKept = 64

// keep returns the answer to a question that was answered before, or makes it.
func (v *view) keep(question string, answer func() []byte) *body {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.kept[question]
	if b == nil {
		b = newBody(answer())
		if len(v.kept) < maxKept {
			v.kept[question] = b
		}
	}
	return b
}

// segmentChanges tells what changed of a segment since a number; nil: there
// never was such a segment. Keys that the SDK has already are told again,
// which changes nothing; keys that went are told as long as they are
// remembered.
func (v *view) segmentChanges(name string, since int64) *body {
	s := v.serving.Segments[name]
	switch {
	case s == nil:
		return nil
	case since == s.ChangeNumber:
		return newBody(segmentBody(name, nil, nil, since, since))
	}
	return v.keep(fmt.Sprintf("segment %d %s", since, name), func() []byte {
		elsewhere := since > s.ChangeNumber // as in splitChanges
		var removed []string
		for _, key := range s.Removed {
			if since >= 0 && (elsewhere || key.ChangeNumber > since) {
				removed = append(removed, key.Key)
			}
		}
		told := since
		if elsewhere || since >= 0 && len(s.Keys)+len(removed) == 0 {
			// The Go SDK does not take over the number of an answer without
			// keys, and would ask again at once, for ever.
			told = s.ChangeNumber
		}
		return segmentBody(name, s.Keys, removed, told, s.ChangeNumber)
	})
}

func segmentBody(name string, added, removed []string, since, till int64) []byte {
	text, err := json.Marshal(struct {
		Name    string   `json:"name"`
		Added   []string `json:"added"`
		Removed []string `json:"removed"`
		Since   int64    `json:"since"`
		Till    int64    `json:"till"`
	}{name, append([]string{}, added...), append([]string{}, removed...), since, till})
	if err != nil {
		panic(err) // texts and numbers
	}
	return text
}

// segmentsOf lists the segments that a key is in, by name.
func (v *view) segmentsOf(key string) []string { return v.members()[key] }

// index turns the segments' keys around.
func (v *view) index() map[string][]string {
	m := make(map[string][]string)
	for _, name := range slices.Sorted(maps.Keys(v.serving.Segments)) {
		for _, key := range v.serving.Segments[name].Keys {
			m[key] = append(m[key], name)
		}
	}
	return m
}
