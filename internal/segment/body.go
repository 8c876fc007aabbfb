package segment

import (
	"math"
	"strings"
	"unsafe"
)

// Item is one call of a body. Everything in it, and every text read from it,
// shares memory with the body, which must not be changed any more.
type Item struct {
	// JSON is the call as it stood. It need not be an object.
	JSON []byte
	// Size is how many bytes the call had as it stood in the body (X14).
	Size int
	// SentAt is the JSON text of the call's sentAt, else of its batch's; empty
	// when neither has one.
	SentAt string
	// Context and Integrations are what a batch says of all its calls: objects,
	// or absent. They belong to the call wherever its own context and
	// integrations leave a field out (see Merged).
	Context, Integrations Value

	value Value // the call when the whole body was read in full; else absent
}

// Value is the call, read in full; absent when it is no JSON.
func (i *Item) Value() Value {
	if i.value.Kind() != Absent {
		return i.value
	}
	v, _ := ParseJSON(view(i.JSON))
	return v
}

// view is the bytes as text, without a copy of them.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Merged is an object of a call with what its batch says of all calls merged in
// (Segment: HTTP Tracking API, "Batch"). Field by field the call's own wins; an
// own value that is no object wins as a whole.
//
// The two are read together instead of being written into each call, so that a
// long context and a long batch do not multiply.
type Merged struct{ Own, Shared Value }

// Field is the value of a key.
func (m Merged) Field(key string) Value {
	if v := m.Own.Field(key); v.Kind() != Absent {
		return v
	}
	if m.Own.Exists() && m.Own.Kind() != Object {
		return Value{}
	}
	return m.Shared.Field(key)
}

// Body is what a request carried.
type Body struct {
	Items []Item
	// WriteKey is the body's writeKey, else the first item's; empty when neither
	// has one.
	WriteKey string
}

// ParseTracking opens a body of the tracking API (Segment: HTTP Tracking API).
// batch says whether the path was one of batches (see CallType). A single call
// is an object and one Item. A batch is an object with a list; its items are
// not judged, so that a bad one fails alone (R21). A batch without a list, or
// with a null one, has no items.
//
// The errors are ErrNotJSON, ErrTooLarge and ErrTooLong (R30). The items of
// share memory with body.
func ParseTracking(batch bool, body []byte) (Body, error) {
	root, calls, count, err := openTracking(batch, body, math.MaxInt)
	if err != nil {
		return Body{}, err
	}
	if !batch {
		item := newItem(body, root)
		item.value = root
		return Body{Items: []Item{item}, WriteKey: writeKey(root)}, nil
	}
	return parseBatch(body, root, calls, count), nil
}

// Checked is what a door must know of a body.
type Checked struct {
	WriteKey string // as in Body; a copy
	Calls    int
}

// CheckTracking does for a door what ParseTracking does for who needs the
// calls: the same errors and the same WriteKey, from a fraction of the memory.
func CheckTracking(batch bool, body []byte) (Checked, error) {
	keep := 1 // levels: the call, its fields; or the body, the list, its items
	if batch {
		keep = 2
	}
	root, calls, count, err := openTracking(batch, body, keep)
	if err != nil {
		return Checked{}, err
	}
	key := writeKey(root)
	for call := range calls.Elements() {
		if key == "" {
			first, _ := ParseTop(call.Raw(), 1)
			key = writeKey(first)
		}
		break
	}
	return Checked{WriteKey: strings.Clone(key), Calls: count}, nil
}

// openTracking reads a body down to a level and checks its form. Of a batch it
// gives the list, which may be absent, and how many calls are in it.
func openTracking(batch bool, body []byte, keep int) (root, calls Value, count int, err error) {
	limit := MaxCallBytes
	if batch {
		limit = MaxBatchBytes
	}
	if len(body) > limit {
		return root, calls, 0, ErrTooLarge
	}
	root, ok := ParseTop(view(body), keep)
	if !ok || root.Kind() != Object {
		return root, calls, 0, ErrNotJSON
	}
	if !batch {
		return root, calls, 1, nil
	}
	calls = root.Field("batch")
	if calls.Exists() && calls.Kind() != Array {
		return root, calls, 0, ErrNotJSON
	}
	for range calls.Elements() {
		count++
	}
	if count > MaxBatchCalls {
		return root, calls, count, ErrTooLong
	}
	return root, calls, count, nil
}

// parseBatch reads {"batch":[...],"context":{...},"integrations":{...},...}.
func parseBatch(body []byte, root, list Value, count int) Body {
	parsed := Body{Items: make([]Item, 0, count), WriteKey: writeKey(root)}
	context, integrations, sent := shared(root.Field("context")), shared(root.Field("integrations")), sentAt(root)
	for call := range list.Elements() {
		if len(parsed.Items) == 0 && parsed.WriteKey == "" {
			parsed.WriteKey = writeKey(call)
		}
		item := newItem(body, call)
		item.value = call
		item.Context, item.Integrations = context, integrations
		if item.SentAt == "" {
			item.SentAt = sent
		}
		parsed.Items = append(parsed.Items, item)
	}
	return parsed
}

// shared reads, in full, an object that a batch gives to all its calls. One
// that no call could carry is not shared: looking into it for each of them
// would cost more than the batch is worth.
func shared(v Value) Value {
	if v.Kind() != Object || len(v.Raw()) > MaxCallBytes {
		return Value{}
	}
	full, _ := ParseJSON(v.Raw())
	return full
}

// ParseDelivery opens a body of the destination or webhook route (R31): one
// call, or an array of them. The items of an array are not judged.
//
// The errors are ErrNotJSON, ErrTooLarge (the body, or a call that stands alone)
// and ErrTooLong. The items share memory with body.
func ParseDelivery(body []byte) (Body, error) {
	if len(body) > MaxDeliveryBytes {
		return Body{}, ErrTooLarge
	}
	root, ok := ParseTop(view(body), 2)
	if !ok {
		return Body{}, ErrNotJSON
	}
	switch root.Kind() {
	case Object:
		if len(root.Raw()) > MaxCallBytes {
			return Body{}, ErrTooLarge
		}
		return Body{Items: []Item{newItem(body, root)}, WriteKey: writeKey(root)}, nil
	case Array:
		var parsed Body
		for item := range root.Elements() {
			if len(parsed.Items) == 0 {
				parsed.WriteKey = writeKey(item)
			}
			if len(parsed.Items) == MaxDeliveryCalls {
				return Body{}, ErrTooLong
			}
			parsed.Items = append(parsed.Items, newItem(body, item))
		}
		return parsed, nil
	}
	return Body{}, ErrNotJSON
}

func newItem(body []byte, call Value) Item {
	return Item{JSON: slice(body, call), Size: len(call.Raw()), SentAt: sentAt(call)}
}

// FirstElement is what X-Signature signs (R32; Segment: Webhook (Actions)): of
// an array the raw bytes of its first element, otherwise the whole body. Bytes
// are never made anew, because that would break the signature.
func FirstElement(body []byte) []byte {
	root, ok := ParseTop(view(body), 1)
	if ok {
		for element := range root.Elements() {
			return slice(body, element)
		}
	}
	return body
}

// slice is the part of body that v was read from.
func slice(body []byte, v Value) []byte {
	n := &v.doc.nodes[v.node]
	return body[n.start:n.end:n.end]
}

// writeKey is the writeKey that a body or call carries; "" is none.
func writeKey(v Value) string {
	if key := v.Field("writeKey"); key.Kind() == String {
		return strings.TrimSpace(key.Text())
	}
	return ""
}

// sentAt is the JSON text of sentAt; null and blank text are none.
func sentAt(v Value) string {
	sent := v.Field("sentAt")
	if !sent.Exists() || sent.Kind() == String && strings.TrimSpace(sent.Text()) == "" {
		return ""
	}
	return sent.Raw()
}
