package deliver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/stream"
)

// maxBodyBytes keeps a batch under 500 KB whether a KB is 1,000 or 1,024
// bytes: Segment does not say (R45).
const maxBodyBytes = 500_000

// parcel is a stream.Parcel on its way: it is acknowledged when none of its
// calls is open any more.
type parcel struct {
	sequence    uint64
	publishedAt time.Time
	open        int // calls that are neither delivered nor set aside
	ack         func(context.Context) error
}

// item is one call of a parcel.
type item struct {
	call   json.RawMessage
	parcel *parcel
	index  int // within the parcel
}

// items opens a parcel.
func (p *parcel) items(calls []json.RawMessage) []item {
	p.open = len(calls)
	list := make([]item, len(calls))
	for i, call := range calls {
		list[i] = item{call: call, parcel: p, index: i}
	}
	return list
}

// fill returns how many items from the front of the queue make one batch. A
// call that is too large for any batch is a batch of its own: it is set aside
// when its turn comes.
func fill(queue []item) int {
	size := segment.BatchBaseBytes
	for i, it := range queue {
		size += segment.BatchCost(it.call)
		if i > 0 && (i == segment.MaxBatchCalls || size > maxBodyBytes || it.tooLarge() || queue[0].tooLarge()) {
			return i
		}
	}
	return len(queue)
}

func (it item) tooLarge() bool { return len(it.call) > segment.MaxCallBytes }

// calls are the calls of the items.
func calls(items []item) []json.RawMessage {
	list := make([]json.RawMessage, len(items))
	for i, it := range items {
		list[i] = it.call
	}
	return list
}

// verdict is why items are set aside.
type verdict struct {
	code   reason.Code
	status int    // of the refusal; 0: none
	answer string // its beginning, or the network's error
}

// letters makes dead letters of items of one parcel, and the id under which
// setting them aside twice is setting them aside once. The time is part of it
// because the sequences of a source that is removed and added again start anew.
func letters(source string, items []item, v verdict, now time.Time) (id string, list []stream.DeadLetter) {
	list = make([]stream.DeadLetter, len(items))
	for i, it := range items {
		list[i] = stream.DeadLetter{
			Source: source, Kind: stream.DeadCall, MessageID: messageID(it.call),
			Reason: v.code, Status: v.status, Answer: v.answer, At: now, Body: it.call,
		}
	}
	first := items[0]
	return fmt.Sprintf("deliver-%s-%d-%d-%d-%d", source, first.parcel.sequence, first.parcel.publishedAt.UnixNano(), first.index, len(items)), list
}

// shorten cuts the bodies that no message can hold to their beginning: Segment
// would never take them, and the calls behind must not wait for ever. It
// reports whether there were any.
func shorten(list []stream.DeadLetter) bool {
	found := false
	for i := range list {
		l := &list[i]
		if len(l.Body) <= segment.MaxCallBytes {
			continue
		}
		text, err := json.Marshal(string(l.Body[:segment.MaxCallBytes/2]))
		if err != nil {
			continue // text always encodes
		}
		l.Answer = fmt.Sprintf("only the beginning is kept, of %d bytes", len(l.Body))
		l.Body, found = text, true
	}
	return found
}

// byParcel returns the first items that belong to the same parcel and stand
// next to each other in it, and the rest.
func byParcel(items []item) (same, rest []item) {
	n := 1
	for n < len(items) && items[n].parcel == items[0].parcel && items[n].index == items[n-1].index+1 {
		n++
	}
	return items[:n], items[n:]
}

func messageID(call json.RawMessage) string {
	var c struct {
		MessageID string `json:"messageId"`
	}
	_ = json.Unmarshal(call, &c) // an unreadable call has none
	return c.MessageID
}
