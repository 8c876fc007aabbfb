package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"causeway/internal/tail"
)

// The pace of live streams (facts: server-sent events over HTTP/1.1 proxies).
const (
	streamHeartbeat = 15 * time.Second
	streamPause     = 100 * time.Millisecond // at most ten writes a second
	streamDeadline  = 10 * time.Second       // for one write; then the caller is gone
	streamRetry     = 2 * time.Second        // what callers wait before they come again
)

// tail streams what happens as server-sent events: "item" for each thing,
// "gap" with how many were missed. Each item's id is where Last-Event-ID may
// resume.
func (s *Server) tail(r *request) error {
	watch, err := newTailFilter(r)
	if err != nil {
		return err
	}
	detail, err := r.flag("detail")
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		r.w.Header().Set("Content-Type", "text/event-stream")
		r.w.WriteHeader(http.StatusOK)
		return nil
	}
	if !s.feed.join() {
		p := refuse(http.StatusServiceUnavailable, "too_many_streams", "All live streams are taken. Close one, or read the lists instead and try again later.")
		p.retryAfter = 5 * time.Second
		return p
	}
	defer s.feed.leave()

	after, known := s.feed.position(r.Header.Get("Last-Event-ID"))
	header := r.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("X-Accel-Buffering", "no")
	out := &eventStream{control: http.NewResponseController(r.w), w: r.w}
	fmt.Fprintf(&out.pending, "retry: %d\n\n", streamRetry.Milliseconds())
	if !known {
		out.event("gap", "", gap{})
	}
	return s.stream(r, out, after, func(item tail.Item) (tail.Item, bool) {
		wanted := watch.matches(item) // in the detail, too
		if !detail {
			item.Detail = nil
		}
		return item, wanted
	})
}

// stream writes items until the caller or the server goes. An error of the
// connection ends it quietly: there is nobody to tell.
func (s *Server) stream(r *request, out *eventStream, after uint64, pick func(tail.Item) (tail.Item, bool)) error {
	heartbeat := time.NewTimer(streamHeartbeat)
	defer heartbeat.Stop()
	for {
		items, missed, last, changed := s.feed.read(after)
		if missed > 0 {
			out.event("gap", "", gap{Missed: &missed})
		}
		for _, n := range items {
			if item, ok := pick(n.item); ok {
				out.event("item", s.feed.eventID(n.sequence), item)
			}
		}
		after = last
		if out.pending.Len() > 0 {
			if !out.flush() {
				return nil
			}
			heartbeat.Reset(streamHeartbeat)
		}
		if !s.pause(r, streamPause) {
			return nil
		}
		select {
		case <-changed:
		case <-heartbeat.C:
			// The number moves on even when the filter lets nothing through,
			// so that a resume does not count what was never wanted.
			fmt.Fprintf(&out.pending, ": still here\n\n")
			if !out.flush() {
				return nil
			}
			heartbeat.Reset(streamHeartbeat)
		case <-r.Context().Done():
			return nil
		case <-s.closed:
			return nil
		}
	}
}

func (s *Server) pause(r *request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
	case <-s.closed:
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
		text, _ = json.Marshal(tail.Item{Summary: "an item that cannot be shown"})
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
