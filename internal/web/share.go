package web

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/experiment"
	"causeway/internal/peer"
)

func shareRoutes() []route {
	return []route{
		{pattern: "GET /experiments/{id}/share", need: auth.Change, handle: (*Server).shares},
		{pattern: "POST /experiments/{id}/share", need: auth.Change, handle: (*Server).addShare},
		{pattern: "POST /experiments/{id}/share/remove", need: auth.Change, handle: (*Server).removeShare},
		{pattern: "GET /share/{secret}", handle: (*Server).shared},
	}
}

// sharesPage lists the links by which an experiment can be seen without an
// account.
type sharesPage struct {
	experimentHead
	Form  form
	List  []auth.Share
	Spans []option
	Made  string // the address of the one that was made, shown this once
}

// shareSpans is for how many days a link can be made; 0 is for ever.
var shareSpans = []struct{ Value, Name string }{{"7", "7 days"}, {"30", "30 days"}, {"90", "90 days"}, {"0", "until it is removed"}}

func (s *Server) shares(r *request) error {
	return s.showShares(r, http.StatusOK, form{Errors: map[string]string{}, Values: url.Values{"days": {"30"}}}, "")
}

func (s *Server) showShares(r *request, status int, f form, made string) error {
	e, head, err := s.openExperiment(r, "Share")
	if err != nil {
		return err
	}
	p := sharesPage{experimentHead: head, Form: f, Made: made}
	if p.List, err = s.Accounts.Shares(r.Context(), e.Environment.Project.Name, e.ID); err != nil {
		return err
	}
	for _, span := range shareSpans {
		p.Spans = append(p.Spans, option{span.Value, span.Name, f.Has("days", span.Value)})
	}
	return s.showStatus(r, status, "shares", p)
}

// addShare makes a link and shows it, this once.
func (s *Server) addShare(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	e, _, err := s.openExperiment(r, "Share")
	if err != nil {
		return err
	}
	var expires time.Time
	if days, err := strconv.Atoi(f.Value("days")); err == nil && days > 0 {
		expires = r.now.Add(time.Duration(min(days, 3650)) * 24 * time.Hour)
	}
	if !slices.ContainsFunc(shareSpans, func(o struct{ Value, Name string }) bool { return o.Value == f.Value("days") }) {
		f.Errors["days"] = "Choose for how long the link works."
		return s.showShares(r, http.StatusUnprocessableEntity, f, "")
	}
	secret, _, err := s.Accounts.NewShare(r.Context(), e.Environment.Project.Name, e.ID, expires, r.who.Actor())
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		f.Error = strings.Join([]string{f.Wrong("experiment"), f.Wrong("expires")}, "")
		return s.showShares(r, http.StatusUnprocessableEntity, f, "")
	}
	return s.showShares(r, http.StatusOK, f, s.consoleURL(r)+"/share/"+secret)
}

// consoleURL is the address at which the console was asked.
func (s *Server) consoleURL(r *request) string {
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *Server) removeShare(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	e, head, err := s.openExperiment(r, "Share")
	if err != nil {
		return err
	}
	err = s.Accounts.RemoveShare(r.Context(), e.Environment.Project.Name, e.ID, f.Value("share"), r.who.Actor())
	if err != nil && !errors.Is(err, auth.ErrUnknown) { // somebody else was first: it is gone either way
		return err
	}
	return s.redirect(r, head.Experiment(e.ID, "share"), "The link works no longer.")
}

// sharedPage is what a share link shows: the results and nothing else of the
// console.
type sharedPage struct {
	layout
	Name    string
	View    *resultsView
	Nothing string
}

// shared shows an experiment's newest results to whoever has its link.
func (s *Server) shared(r *request) error {
	gone := refuse(http.StatusNotFound, "This link shows nothing", "It was removed, has run out, or never was one. Ask whoever gave it to you for another.")
	share, err := s.Accounts.Share(r.Context(), r.PathValue("secret"), peer.Address(r.RemoteAddr))
	var limited *auth.LimitedError
	if errors.As(err, &limited) {
		return refuse(http.StatusTooManyRequests, "Too often", "Shared results were asked for too often from this address. Wait a moment.")
	}
	if errors.Is(err, auth.ErrRefused) {
		return gone
	}
	if err != nil {
		return err
	}
	results, err := s.Experiments.Results(r.Context(), share.Project, share.Experiment)
	if errors.Is(err, experiment.ErrUnknown) {
		return gone
	}
	if err != nil {
		return storeFailed(err)
	}
	p := sharedPage{layout: s.layout(r, results.Experiment), Name: results.Experiment}
	p.Plain, p.Reading, p.Env = true, true, ""
	r.w.Header().Set("X-Robots-Tag", "noindex")
	if results.ComputedAt.IsZero() {
		p.Nothing = results.Recommendation.Sentence
		return s.show(r, "shared", p)
	}
	here := r.URL.EscapedPath()
	v := viewOf(&results, shown{r.URL.Query().Get("show"), r.URL.Query().Get("treatment")},
		func(as shown) string { return p.Link(here, "show", as.As, "treatment", as.Treatment) }, nil)
	p.View = &v
	return s.show(r, "shared", p)
}
