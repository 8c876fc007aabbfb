package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
)

// The routes of metrics and experiments.

const (
	experimentPath = projectPath + "/experiments/{name}"
	sharedPath     = "/admin/v1/shared/"
)

func experimentRoutes() []route {
	return slices.Concat(objectRoutes(catalog.Metrics, of(catalog.Metrics, (*Server).objects)), objectRoutes(catalog.Experiments, (*Server).experiments), []route{
		{method: "GET", pattern: experimentPath + "/results", need: auth.See, query: []string{"at"}, handle: (*Server).results},
		{method: "GET", pattern: experimentPath + "/results.csv", need: auth.See, query: []string{"at"}, handle: (*Server).resultsCSV},
		{method: "GET", pattern: experimentPath + "/results.svg", need: auth.See, query: []string{"at"}, handle: (*Server).resultsSVG},
		{method: "GET", pattern: experimentPath + "/readings", need: auth.See, handle: (*Server).readings},
		// Whoever may look into data may have them computed.
		{method: "POST", pattern: experimentPath + "/recalculate", need: auth.SeePeople, handle: (*Server).recalculate},
		{method: "GET", pattern: experimentPath + "/calculation", need: auth.See, handle: (*Server).calculation},
		{method: "DELETE", pattern: experimentPath + "/calculation", need: auth.SeePeople, handle: (*Server).cancelCalculation},
		{method: "GET", pattern: experimentPath + "/shares", need: auth.Change, handle: (*Server).shares},
		{method: "POST", pattern: experimentPath + "/shares", need: auth.Change, handle: (*Server).addShare},
		{method: "DELETE", pattern: experimentPath + "/shares/{id}", need: auth.Change, handle: (*Server).removeShare},
		{method: "GET", pattern: sharedPath + "{secret}", handle: (*Server).sharedResults},
	})
}

// shownExperiment is an experiment with what it has shown so far.
type shownExperiment struct {
	shownObject
	Next    *time.Time    `json:"next"` // when it is computed by itself; null: it is not
	Results *shownResults `json:"results"`
}

// shownResults is the short of results.
type shownResults struct {
	ComputedAt     *time.Time                `json:"computedAt"` // null: not yet, as it is defined now
	Final          bool                      `json:"final"`
	Keys           int64                     `json:"keys"`
	Recommendation experiment.Recommendation `json:"recommendation"`
	States         map[experiment.State]int  `json:"states"`
}

func (s *Server) experiments(r *request) error {
	p, err := s.projectSpec(r)
	if err != nil {
		return err
	}
	items := []shownExperiment{}
	for _, name := range p.Names(catalog.Experiments) {
		object, _ := p.Object(catalog.Experiments, name)
		settings, err := settingsFor(r, object)
		if err != nil {
			return err
		}
		shown := shownExperiment{shownObject: shownObject{Name: name, ID: catalog.Slug(name), Tag: catalog.TagOf(object), Settings: settings}}
		results, err := s.experiment.Results(r.Context(), p.Name, name)
		if errors.Is(err, experiment.ErrUnknown) {
			continue // removed a moment ago
		}
		if err != nil {
			return err
		}
		if next, err := s.experiment.Next(r.Context(), p.Name, name); err == nil && !next.IsZero() {
			shown.Next = &next
		}
		shown.Results = &shownResults{Final: results.Final, Keys: results.Health.Exposures.Keys, Recommendation: results.Recommendation, States: results.States()}
		if at := results.ComputedAt; !at.IsZero() {
			shown.Results.ComputedAt = &at
		}
		items = append(items, shown)
	}
	return r.answer(list[shownExperiment]{Items: items})
}

// resultsOf are the results the path and "at" name.
func (s *Server) resultsOf(r *request) (experiment.Results, error) {
	at, err := r.time("at")
	if err != nil {
		return experiment.Results{}, err
	}
	project, name := r.path["project"], r.path["name"]
	var results experiment.Results
	if at.IsZero() {
		results, err = s.experiment.Results(r.Context(), project, name)
	} else {
		results, err = s.experiment.ResultsAt(r.Context(), project, name, at)
	}
	return results, experimentProblem(r, err)
}

// experimentProblem makes answers of what can be wrong with asking for an
// experiment.
func experimentProblem(r *request, err error) error {
	switch {
	case errors.Is(err, experiment.ErrUnknown):
		return refuse(http.StatusNotFound, "experiment_unknown", "There is no experiment %q in the project %q. GET /admin/v1/projects/%s/experiments lists them.", r.path["name"], r.path["project"], r.path["project"])
	case errors.Is(err, experiment.ErrNoReading):
		return refuse(http.StatusNotFound, "reading_unknown", "Nothing was computed at or before that time. The experiment's readings list when something was.")
	}
	return err
}

func (s *Server) results(r *request) error {
	results, err := s.resultsOf(r)
	if err != nil {
		return err
	}
	return r.answer(results)
}

func (s *Server) resultsCSV(r *request) error {
	results, err := s.resultsOf(r)
	if err != nil {
		return err
	}
	return r.file("text/csv; charset=utf-8", results.ID+".csv", results.CSV())
}

func (s *Server) resultsSVG(r *request) error {
	results, err := s.resultsOf(r)
	if err != nil {
		return err
	}
	drawing := results.Drawing()
	drawing.Alone = true
	return r.file("image/svg+xml", results.ID+".svg", []byte(drawing.SVG()))
}

// file answers with something to be kept as a file. Nothing in it may run
// where it is opened.
func (r *request) file(kind, name string, content []byte) error {
	header := r.w.Header()
	header.Set("Content-Type", kind)
	header.Set("Content-Disposition", `attachment; filename="`+name+`"`) // an id: letters, digits, dashes
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	r.w.WriteHeader(http.StatusOK)
	_, _ = r.w.Write(content)
	return nil
}

func (s *Server) readings(r *request) error {
	readings, err := s.experiment.Readings(r.Context(), r.path["project"], r.path["name"])
	if err != nil {
		return experimentProblem(r, err)
	}
	return r.answer(listFrom(readings, "", same[experiment.Reading]))
}

// shownCalculation is how far a calculation is; without one only UnderWay holds.
type shownCalculation struct {
	UnderWay bool `json:"underWay"`
	*experiment.Calculation
}

func (s *Server) recalculate(r *request) error {
	c, err := s.experiment.Start(r.path["project"], r.path["name"])
	if errors.Is(err, experiment.ErrFailed) {
		p := refuse(http.StatusServiceUnavailable, "stopping", "The server is stopping. Try again in a moment.")
		p.retryAfter = 5 * time.Second
		return p
	}
	if err != nil {
		return experimentProblem(r, err)
	}
	return writeJSON(r.w, http.StatusAccepted, "application/json", shownCalculation{true, &c})
}

func (s *Server) calculation(r *request) error {
	if _, err := s.experiment.Plan(r.path["project"], r.path["name"]); err != nil {
		return experimentProblem(r, err)
	}
	c, ok := s.experiment.Calculation(r.path["project"], r.path["name"])
	if !ok {
		return r.answer(shownCalculation{})
	}
	return r.answer(shownCalculation{true, &c})
}

func (s *Server) cancelCalculation(r *request) error {
	if _, err := s.experiment.Plan(r.path["project"], r.path["name"]); err != nil {
		return experimentProblem(r, err)
	}
	s.experiment.Cancel(r.path["project"], r.path["name"])
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) shares(r *request) error {
	plan, err := s.experiment.Plan(r.path["project"], r.path["name"])
	if err != nil {
		return experimentProblem(r, err)
	}
	shares, err := s.accounts.Shares(r.Context(), plan.Project, plan.ID)
	if err != nil {
		return err
	}
	return r.answer(listFrom(shares, "", same[auth.Share]))
}

func (s *Server) addShare(r *request) error {
	var want struct {
		Expires time.Time `json:"expires"`
	}
	if err := r.decode(&want, 4<<10); err != nil {
		return err
	}
	plan, err := s.experiment.Plan(r.path["project"], r.path["name"])
	if err != nil {
		return experimentProblem(r, err)
	}
	secret, share, err := s.accounts.NewShare(r.Context(), plan.Project, plan.ID, want.Expires, actorOf(r))
	var invalid *auth.InvalidError
	if errors.As(err, &invalid) {
		return refuse(http.StatusUnprocessableEntity, "share_invalid", "%s", invalid.Text)
	}
	if err != nil {
		return err
	}
	return writeJSON(r.w, http.StatusCreated, "application/json", struct {
		Secret string     `json:"secret"`
		Path   string     `json:"path"`
		Share  auth.Share `json:"share"`
	}{secret, sharedPath + secret, share})
}

func (s *Server) removeShare(r *request) error {
	plan, err := s.experiment.Plan(r.path["project"], r.path["name"])
	if err != nil {
		return experimentProblem(r, err)
	}
	err = s.accounts.RemoveShare(r.Context(), plan.Project, plan.ID, r.path["id"], actorOf(r))
	if errors.Is(err, auth.ErrUnknown) {
		return refuse(http.StatusNotFound, "share_unknown", "There is no share link %q of this experiment.", r.path["id"])
	}
	if err != nil {
		return err
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

// sharedResults are for whoever has a share link's secret.
func (s *Server) sharedResults(r *request) error {
	unknown := refuse(http.StatusNotFound, "share_unknown", "This link shows nothing: it was removed, has run out, or never was one.")
	share, err := s.accounts.Share(r.Context(), r.path["secret"], addressOf(r.Request))
	var limited *auth.LimitedError
	switch {
	case errors.As(err, &limited):
		s.authFailures.WithLabelValues("blocked").Inc()
		p := refuse(http.StatusTooManyRequests, "too_many_failures", "Share links were asked for too often from this address. Wait a moment.")
		p.retryAfter = limited.Wait
		return p
	case errors.Is(err, auth.ErrRefused):
		s.authFailures.WithLabelValues("wrong").Inc()
		return unknown
	case err != nil:
		return accountsUnavailable(err)
	}
	results, err := s.experiment.Results(r.Context(), share.Project, share.Experiment)
	if errors.Is(err, experiment.ErrUnknown) {
		return unknown
	}
	if err != nil {
		return err
	}
	results.Owner = "" // a person's, and no result
	return r.answer(results)
}

// withoutSecret is a path as a log may hold it.
func withoutSecret(path string) string {
	if strings.HasPrefix(path, sharedPath) {
		return sharedPath + "..."
	}
	return path
}
