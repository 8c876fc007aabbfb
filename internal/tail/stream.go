package tail

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// The pace of live streams (facts: server-sent events over HTTP/1.1 proxies).
const (
	streamHeartbeat = 15 * time.Second
	streamPause     = 100 * time.Millisecond // at most ten writes a second
	streamDeadline  = 10 * time.Second       // for one write; then the caller is gone
	streamRetry     = 2 * time.Second        // what callers wait before they come again
)

// Stream answers a request with what happens, as server-sent events: "item" for
// each thing that pick lets through, "gap" with how many were missed. Each
// item's id is where Last-Event-ID may resume. It ends when the caller goes or
// closed is closed; an error of the connection ends it quietly, since there is
// nobody to tell. The caller has joined. When closed is closed from the start,
// the stream is one write of what there is.
//
// most bounds the items of one write, of which there are at most ten a second;
// of more the newest are written and the others count as missed. 0: no bound.
func (f *Feed) Stream(w http.ResponseWriter, r *http.Request, closed <-chan struct{}, most int, pick func(Item) (Item, bool)) {
	after, known := f.position(r.Header.Get("Last-Event-ID"))
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	out := &eventStream{control: http.NewResponseController(w), w: w}
	// Where it begins is said at once, so that who is cut off before the first
	// item goes on from here.
	fmt.Fprintf(&out.pending, "retry: %d\nid: %s\n\n", streamRetry.Milliseconds(), f.eventID(after))
	if !known {
		out.event("gap", "", gap{})
	}
	heartbeat := time.NewTimer(streamHeartbeat)
	defer heartbeat.Stop()
	for {
		items, missed, last, changed := f.read(after)
		picked := make([]numbered, 0, len(items))
		for _, n := range items {
			if item, ok := pick(n.item); ok {
				picked = append(picked, numbered{n.sequence, item})
			}
		}
		if over := len(picked) - most; most > 0 && over > 0 {
			picked, missed = picked[over:], missed+uint64(over)
		}
		if missed > 0 {
			out.event("gap", "", gap{Missed: &missed})
		}
		for _, n := range picked {
			out.event("item", f.eventID(n.sequence), n.item)
		}
		after = last
		if out.pending.Len() > 0 {
			if !out.flush() {
				return
			}
			heartbeat.Reset(streamHeartbeat)
		}
		if !pause(r.Context(), closed, streamPause) {
			return
		}
		select {
		case <-changed:
		case <-heartbeat.C:
			// The number moves on even when the filter lets nothing through,
			// so that a resume does not count what was never wanted.
			fmt.Fprintf(&out.pending, ": still here\n\n")
			if !out.flush() {
				return
			}
			heartbeat.Reset(streamHeartbeat)
		case <-r.Context().Done():
			return
		case <-closed:
			return
		}
	}
}

func pause(ctx context.Context, closed <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-closed:
	}
	return false
}

// gap tells a stream that items are missing; without a number when nobody can
// say how many, as after a restart.
type gap struct {
	Missed *uint64 `json:"missed"`
}

// eventStream gathers events and writes them in one go.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	pending bytes.Buffer
}

func (e *eventStream) event(name, id string, data any) {
	text, err := json.Marshal(data)
	if err != nil { // a detail that cannot be encoded
		text, _ = json.Marshal(Item{Summary: "an item that cannot be shown"})
	}
	if id != "" {
		fmt.Fprintf(&e.pending, "id: %s\n", id)
	}
	fmt.Fprintf(&e.pending, "event: %s\ndata: %s\n\n", name, text) // JSON text holds no line break
}

// flush reports whether the caller is still there.
func (e *eventStream) flush() bool {
	// Not every ResponseWriter has deadlines; those that serve people do.
	_ = e.control.SetWriteDeadline(time.Now().Add(streamDeadline))
	if _, err := e.w.Write(e.pending.Bytes()); err != nil {
		return false
	}
	e.pending.Reset()
	return e.control.Flush() == nil
}
