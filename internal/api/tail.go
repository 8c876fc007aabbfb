package api

import (
	"errors"
	"net/http"
	"time"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/tail"
)

// tail streams what happens as server-sent events (tail.Feed.Stream).
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
	if !s.feed.Join() {
		p := refuse(http.StatusServiceUnavailable, "too_many_streams", "All live streams are taken. Close one, or read the lists instead and try again later.")
		p.retryAfter = 5 * time.Second
		return p
	}
	defer s.feed.Leave()
	all, visible := r.who.May(auth.SeePeople, ""), r.may(auth.SeePeople)
	s.feed.Stream(r.w, r.Request, s.closed, 0, func(item tail.Item) (tail.Item, bool) {
		// What belongs to no environment is for who may see the whole server.
		if !all && (item.Environment == "" || !visible(fme.EnvironmentID(item.Environment).Project())) {
			return item, false
		}
		wanted := watch.Matches(item) // in the detail, too
		if !detail {
			item.Detail = nil
		}
		return item, wanted
	})
	return nil
}

func newTailFilter(r *request) (*tail.Filter, error) {
	f, err := tail.ParseFilter(tail.Kind(r.query.Get("kind")), r.query.Get("environment"), r.query.Get("q"))
	var wrong *tail.FilterError
	if errors.As(err, &wrong) {
		return nil, badParameter(wrong.Parameter, "%s", wrong.Text)
	}
	return f, err
}
