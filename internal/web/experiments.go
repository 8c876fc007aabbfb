package web

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/store"
)

// Experiments is what the pages ask of whoever computes experiments.
// Experiments are named by project and id.
type Experiments interface {
	// Latest is the newest reading; nil: it was never computed.
	Latest(ctx context.Context, project, id string) (*experiment.Results, error)
	// Reading is the one that was computed at that time; nil: there is none.
	Reading(ctx context.Context, project, id string, at time.Time) (*experiment.Results, error)
	// Readings lists them, newest first.
	Readings(ctx context.Context, project, id, cursor string) (store.Page[store.Reading], error)
	// Recalculate begins a calculation, unless one is under way or waits.
	Recalculate(ctx context.Context, project, id string) error
	// Calculation is the one under way; false: there is none.
	Calculation(project, id string) (Calculation, bool)
}

// Calculation is a calculation that is under way.
type Calculation struct {
	Done, Of int    // questions to the store
	Doing    string // which is being asked
}

func experimentRoutes() []route {
	return []route{
		{pattern: "GET /experiments", need: auth.See, handle: (*Server).experiments},
		{pattern: "GET /experiments/{id}", need: auth.See, handle: (*Server).experiment},
		{pattern: "GET /experiments/{id}/health", need: auth.See, handle: (*Server).experimentHealth},
		{pattern: "GET /experiments/{id}/metrics/{metric}", need: auth.See, handle: (*Server).metricDetail},
		{pattern: "GET /experiments/{id}/readings", need: auth.See, handle: (*Server).readings},
		{pattern: "GET /experiments/{id}/file/{name}", need: auth.See, handle: (*Server).experimentFile},
		{pattern: "POST /experiments/{id}/recalculate", need: auth.SeePeople, handle: (*Server).recalculate},
	}
}

// phase is where an experiment is in its life.
type phase struct {
	Name, Class string // planned, running, ended
	Day         int    // of its life, from 1; 0: not begun
	Of          int    // days of its review period, while that lasts; else 0
}

func phaseOf(e *catalog.Experiment, now time.Time) phase {
	switch {
	case now.Before(e.Start):
		return phase{Name: "planned", Class: "dim"}
	case !e.End.IsZero() && !now.Before(e.End):
		return phase{Name: "ended", Class: "dim", Day: int(e.End.Sub(e.Start)/(24*time.Hour)) + 1}
	}
	p := phase{Name: "running", Class: "good", Day: int(now.Sub(e.Start)/(24*time.Hour)) + 1}
	if p.Day <= e.Spec.ReviewPeriod {
		p.Of = e.Spec.ReviewPeriod
	}
	return p
}

// experimentLine is one experiment in a list.
type experimentLine struct {
	ID, Name, Flag, Environment, URL string
	Phase                            phase
	Review                           int // days of the review period
	Tally                            []tally
	Computed                         time.Time // zero: never
	Distrust                         bool      // the sample ratio is off
	Advice                           *experiment.Recommendation
}

// experimentsPage lists the experiments of the project.
type experimentsPage struct {
	dataPage
	Lines   []experimentLine
	Nothing *nothing
}

func (s *Server) experiments(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Experiments")
	}
	p := experimentsPage{dataPage: s.dataPage(r, "Experiments")}
	var err error
	if p.Lines, err = s.experimentLines(r, p.layout, r.env.Project.Experiments); err != nil {
		return err
	}
	if len(p.Lines) == 0 {
		p.Nothing = &nothing{Title: "There is no experiment in " + r.env.Project.Name + " yet",
			Text: "An experiment compares the treatments of a flag by your metrics. It can be made after the fact: what was shown and done is kept, and counts from the start you choose."}
		if r.may(auth.Change) {
			p.Nothing.URL, p.Nothing.Action = p.Link("/new/experiment"), "New experiment"
			if len(r.env.Project.Metrics) == 0 {
				p.Nothing.Text += " It needs a metric first."
				p.Nothing.URL, p.Nothing.Action = p.Link("/new/metric"), "New metric"
			}
		}
	}
	return s.show(r, "experiments", p)
}

func (s *Server) experimentLines(r *request, l layout, list []*catalog.Experiment) ([]experimentLine, error) {
	lines := make([]experimentLine, 0, len(list))
	for _, e := range list {
		line := experimentLine{ID: e.ID, Name: e.Spec.Name, Flag: e.Spec.Flag, Environment: e.Environment.Name,
			Phase: phaseOf(e, r.now), URL: l.Experiment(e.ID)}
		results, err := s.latest(r, e)
		if err != nil {
			return nil, err
		}
		if results != nil {
			line.Computed, line.Advice = results.ComputedAt, &results.Recommendation
			line.Distrust = results.Recommendation.Verdict == experiment.DoNotTrust
			line.Tally = statesOf(results)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// latest is the newest reading of an experiment; nil: there is none.
func (s *Server) latest(r *request, e *catalog.Experiment) (*experiment.Results, error) {
	if s.Experiments == nil {
		return nil, nil
	}
	results, err := s.Experiments.Latest(r.Context(), e.Environment.Project.Name, e.ID)
	return results, storeFailed(err)
}

// Experiment is the address of an experiment's page, or of one below it.
func (l layout) Experiment(id string, below ...string) string {
	return l.Link("/experiments/" + pathOf(append([]string{id}, below...)...))
}

// Metric is the address of a metric's page.
func (l layout) Metric(id string) string { return l.Link("/metric-definitions/" + url.PathEscape(id)) }

// pathOf joins parts of an address.
func pathOf(parts ...string) string {
	joined := ""
	for i, part := range parts {
		if i > 0 {
			joined += "/"
		}
		joined += url.PathEscape(part)
	}
	return joined
}

// experimentHead is what all pages of one experiment have in common.
type experimentHead struct {
	dataPage
	ID, Name    string
	Phase       phase
	Spec        catalog.ExperimentSpec
	Environment string
	Treatments  []string // the baseline first
	Tabs        []rangeChoice
	// Results are those that are shown; nil: it was never computed.
	Results *experiment.Results
	// At is the time of an older reading that is shown; empty: the newest is.
	At         string
	Progress   *Calculation // of the calculation under way
	Poll       string       // the address that brings the page up to date meanwhile
	Computable bool
}

// openExperiment finds the experiment of the address and makes the head of its
// pages.
func (s *Server) openExperiment(r *request, tab string) (*catalog.Experiment, experimentHead, error) {
	id := r.PathValue("id")
	if r.env == nil {
		return nil, experimentHead{}, notFound("There is no experiment %q: there is no environment yet.", id)
	}
	e, ok := r.env.Project.Experiment(id)
	if !ok {
		return nil, experimentHead{}, notFound("There is no experiment %q in the project %s. It may have been renamed or deleted.", id, r.env.Project.Name)
	}
	h := experimentHead{dataPage: s.dataPage(r, e.Spec.Name), ID: e.ID, Name: e.Spec.Name, Phase: phaseOf(e, r.now), Spec: e.Spec,
		Environment: e.Environment.Name, Treatments: e.Treatments, Computable: s.Experiments != nil}
	results, err := s.reading(r, e)
	if err != nil {
		return nil, h, err
	}
	h.Results = results
	if at := r.URL.Query().Get("at"); at != "" {
		h.At = at
	}
	if s.Experiments != nil {
		if progress, busy := s.Experiments.Calculation(r.env.Project.Name, e.ID); busy {
			h.Progress, h.Poll = &progress, r.URL.RequestURI()
		}
	}
	for _, one := range []struct{ name, below string }{{"Results", ""}, {"Health", "health"}, {"Readings", "readings"}} {
		to := h.Link("/experiments/"+url.PathEscape(e.ID), "at", h.At)
		if one.below != "" {
			to = h.Link("/experiments/"+pathOf(e.ID, one.below), "at", h.At)
		}
		h.Tabs = append(h.Tabs, rangeChoice{one.name, to, one.name == tab})
	}
	return e, h, nil
}

// reading is the reading that the address asks for by its time, or the newest.
func (s *Server) reading(r *request, e *catalog.Experiment) (*experiment.Results, error) {
	at := r.URL.Query().Get("at")
	if at == "" || s.Experiments == nil {
		return s.latest(r, e)
	}
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return nil, notFound("There is no reading %q of %s.", at, e.Spec.Name)
	}
	results, err := s.Experiments.Reading(r.Context(), e.Environment.Project.Name, e.ID, t)
	if err == nil && results == nil {
		return nil, notFound("There is no reading of %s from %s. Readings are kept with the impressions they are of.", e.Spec.Name, at)
	}
	return results, storeFailed(err)
}

// experimentPage is what an experiment has shown.
type experimentPage struct {
	experimentHead
	View    *resultsView
	Nothing *nothing
}

func (s *Server) experiment(r *request) error {
	e, head, err := s.openExperiment(r, "Results")
	if err != nil {
		return err
	}
	p := experimentPage{experimentHead: head}
	if head.Results == nil {
		p.Nothing = head.notComputed(e, r.now)
		return s.show(r, "experiment", p)
	}
	metricIDs := map[string]string{}
	for _, m := range e.All() {
		metricIDs[m.Spec.Name] = m.ID
	}
	here := "/experiments/" + url.PathEscape(e.ID)
	as := shown{r.URL.Query().Get("show"), r.URL.Query().Get("treatment")}
	v := viewOf(head.Results, as,
		func(as shown) string { return p.Link(here, "show", as.As, "treatment", as.Treatment, "at", head.At) },
		func(metric string) string {
			id := metricIDs[metric]
			if id == "" {
				id = catalog.Slug(metric) // it is no longer in the experiment
			}
			return p.Link(here+"/metrics/"+url.PathEscape(id), "show", as.As, "at", head.At)
		})
	p.View = &v
	return s.show(r, "experiment", p)
}

// notComputed says why there is no result yet.
func (h experimentHead) notComputed(e *catalog.Experiment, now time.Time) *nothing {
	switch {
	case now.Before(e.Start):
		return &nothing{Title: "It has not begun", Text: fmt.Sprintf("Impressions of %s count from %s on. The first results follow within minutes.", e.Spec.Flag, e.Start.UTC().Format("2 January 2006 15:04"))}
	case len(e.All()) == 0:
		return &nothing{Title: "It has no metric", Text: "Choose at least one key metric; then the treatments can be compared."}
	case h.Progress != nil:
		return &nothing{Title: "It is being computed for the first time", Text: "This page shows the results as soon as they are there."}
	}
	return &nothing{Title: "It was not computed yet", Text: "Results are computed by themselves, soon after the start and then ever less often. Recalculate does it now."}
}

// recalculate begins a calculation.
func (s *Server) recalculate(r *request) error {
	e, head, err := s.openExperiment(r, "")
	if err != nil {
		return err
	}
	if s.Experiments == nil {
		return notFound("This server computes no experiments.")
	}
	if err := s.Experiments.Recalculate(r.Context(), e.Environment.Project.Name, e.ID); err != nil {
		return storeFailed(err)
	}
	return s.redirect(r, head.Experiment(e.ID), "The results are being computed. The page shows them as soon as they are there.")
}
