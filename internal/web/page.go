package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// request is one request of a page: who asks, and for which environment.
type request struct {
	*http.Request
	w        http.ResponseWriter
	who      auth.Identity // zero: not signed in
	session  string        // what proves it
	snapshot *catalog.Snapshot
	// env is the chosen environment, one the caller may see; nil when there is
	// none yet.
	env     *catalog.Environment
	chosen  bool   // env was asked for in the URL, not remembered
	pattern string // of the route
	now     time.Time
}

// may reports whether the caller has a permission in the project of the chosen
// environment, or on the server while there is none.
func (r *request) may(p auth.Permission) bool {
	if r.env == nil {
		return r.who.May(p, "")
	}
	return r.who.May(p, r.env.Project.Name)
}

// problem is an error that a person may read.
type problem struct {
	status      int
	title, text string
	err         error // logged, never shown
}

func (p *problem) Error() string {
	if p.err != nil {
		return p.err.Error()
	}
	return p.text
}

func (p *problem) Unwrap() error { return p.err }

// refuse is a problem with a sentence that says what to do.
func refuse(status int, title, format string, args ...any) error {
	return &problem{status: status, title: title, text: fmt.Sprintf(format, args...)}
}

// notFound is a problem about something that is not there.
func notFound(format string, args ...any) error {
	return refuse(http.StatusNotFound, "Not found", format, args...)
}

// asProblem is the only place that turns an error into what a person reads.
func asProblem(err error) *problem {
	var p *problem
	var tooLarge *http.MaxBytesError
	var fromFile *catalog.FileError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &fromFile):
		return &problem{http.StatusConflict, "The configuration comes from a file", fmt.Sprintf("Nothing was changed: %v.", fromFile), err}
	case errors.As(err, &tooLarge):
		return &problem{http.StatusRequestEntityTooLarge, "Too large", fmt.Sprintf("That was over %d KiB, the limit here. Send less at a time.", tooLarge.Limit>>10), err}
	case errors.Is(err, store.ErrCursor), errors.Is(err, stream.ErrCursor):
		return &problem{http.StatusBadRequest, "This page of the list is gone", "The link to it does not fit the list. Open the list again.", err}
	case errors.Is(err, stream.ErrUnavailable), errors.Is(err, stream.ErrClosed):
		return &problem{http.StatusServiceUnavailable, "The streams do not answer", "What was accepted is safe. Try again in a moment.", err}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, "This took too long", "Ask for a shorter time or fewer rows, or try again later.", err}
	}
	return &problem{http.StatusInternalServerError, "Something went wrong inside Causeway", "The server's log holds the cause, with the time and path of this page. Accepting and delivering go on by themselves.", err}
}

// page adapts a page function to http.Handler. It is the only place in this
// package that answers an error.
func (s *Server) page(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, hr *http.Request) {
		caller := hr.Context()
		r := &request{Request: hr, w: w, snapshot: s.Catalog.Snapshot(), pattern: rt.pattern, now: s.Now()}
		err := s.run(rt, r)
		if err == nil || caller.Err() == context.Canceled {
			return // answered, or nobody is there to answer
		}
		p := asProblem(err)
		if p.status >= 500 {
			s.Log.ErrorContext(caller, "page failed", "method", hr.Method, "path", rt.logged(hr), "err", p.Error())
		}
		r.Request = hr // its context has not run out
		if err := s.showProblem(r, p); err != nil {
			s.Log.ErrorContext(caller, "the page of a problem failed", "path", rt.logged(hr), "err", err)
			http.Error(w, p.title+": "+p.text, p.status)
		}
	})
}

// maxForm bounds what a form may send, in bytes; pastes are the largest.
const maxForm = 4 << 20

// run finds out who asks and runs the page. A panic becomes an error.
func (s *Server) run(rt *route, r *request) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if !rt.lasting {
		ctx, cancel := context.WithTimeout(r.Context(), s.Timeout)
		defer cancel()
		r.Request = r.WithContext(ctx)
	}
	r.Body = http.MaxBytesReader(r.w, r.Body, maxForm)
	if err := s.identify(r); err != nil {
		return err
	}
	s.chooseEnvironment(r)
	project := s.enterProject(r)
	if rt.need != "" {
		if r.who.Kind == "" {
			return s.askToSignIn(r)
		}
		granted := r.may(rt.need)
		switch {
		case rt.server:
			granted = r.who.May(rt.need, "")
		case project != "":
			granted = r.who.May(rt.need, project)
		}
		if !granted {
			return s.lacks(r, rt, project)
		}
	}
	return rt.handle(s, r)
}

// lacks says which role would be needed.
func (s *Server) lacks(r *request, rt *route, project string) error {
	where := "on the whole server"
	switch {
	case rt.server:
	case project != "":
		where = "in the project " + project
	case r.env != nil:
		where = "in the project " + r.env.Project.Name
	}
	return refuse(http.StatusForbidden, "Not with your role",
		"This needs the role %s %s; you are signed in as %s (%s). An admin can change that under Admin, Users.",
		rt.need.Least(), where, r.who.Name, r.who.Grants)
}

// noEnvironment is what a page of an environment's data shows while there is
// none that the caller may see.
func (s *Server) noEnvironment(r *request, title string) error {
	return s.show(r, "noenvironment", struct{ layout }{s.layout(r, title)})
}

// base is where clients reach the data routes, without a slash at the end.
func (s *Server) base(r *request) string {
	if url := s.DataURL(); url != "" {
		return url
	}
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// nothingHere is the answer for unknown paths.
func (s *Server) nothingHere(r *request) error {
	if r.who.Kind == "" {
		return s.askToSignIn(r)
	}
	return notFound("There is no page %s. The address may be mistyped, or what it showed was removed.", r.URL.Path)
}

// redirect ends a form: the browser goes to a page and shows the notice there.
func (s *Server) redirect(r *request, to, notice string) error {
	if notice != "" {
		s.setCookie(r, noticeCookie, encodeNotice(notice), time.Minute)
	}
	if r.Header.Get("HX-Request") != "" {
		r.w.Header().Set("HX-Redirect", to)
		r.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(r.w, r.Request, to, http.StatusSeeOther)
	return nil
}
