package web

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/experiment"
)

// experimentRoutes are the pages of experiments and of the metrics that they
// measure.
func experimentRoutes() []route {
	return slices.Concat(metricRoutes(), experimentFormRoutes(), shareRoutes(), []route{
		{pattern: "GET /experiments", need: auth.See, handle: (*Server).experiments},
		{pattern: "GET /experiments/{id}", need: auth.See, handle: (*Server).experiment},
		{pattern: "GET /experiments/{id}/health", need: auth.See, handle: (*Server).experimentHealth},
		{pattern: "GET /experiments/{id}/metrics/{metric}", need: auth.See, handle: (*Server).metricDetail},
		{pattern: "GET /experiments/{id}/readings", need: auth.See, handle: (*Server).readings},
		{pattern: "GET /experiments/{id}/file/{name}", need: auth.See, handle: (*Server).experimentFile},
		{pattern: "POST /experiments/{id}/recalculate", need: auth.SeePeople, handle: (*Server).recalculate},
	})
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
		results, err := s.Experiments.Results(r.Context(), e.Environment.Project.Name, e.ID)
		if err != nil {
			return nil, storeFailed(err)
		}
		if !results.ComputedAt.IsZero() {
			line.Computed, line.Advice, line.Tally = results.ComputedAt, &results.Recommendation, tallyOf(results.States())
			line.Distrust = results.Recommendation.Verdict == experiment.DoNotTrust
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// runningExperiments are the experiments of the chosen environment that run.
func (s *Server) runningExperiments(r *request, l layout) ([]experimentLine, error) {
	var running []*catalog.Experiment
	for _, e := range r.env.Project.Experiments {
		if e.Environment.ID == r.env.ID && phaseOf(e, r.now).Name == "running" {
			running = append(running, e)
		}
	}
	return s.experimentLines(r, l, running)
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
	Results     *experiment.Results
	// At is the time of an older reading that is shown; empty: the newest is.
	At       string
	Progress *experiment.Calculation // under way
	Poll     string                  // the address that brings the page up to date meanwhile
	Next     time.Time               // when it is computed next by itself; zero: never
	// Nothing says why there are no results; nil: there are some.
	Nothing *nothing
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
		Environment: e.Environment.Name, Treatments: e.Treatments}
	var err error
	if h.At = r.URL.Query().Get("at"); h.At != "" {
		h.Results, err = s.readingAt(r, e, h.At)
	} else {
		var newest experiment.Results
		newest, err = s.Experiments.Results(r.Context(), e.Environment.Project.Name, e.ID)
		h.Results, err = &newest, storeFailed(err)
	}
	if err != nil {
		return nil, h, err
	}
	if progress, busy := s.Experiments.Calculation(e.Environment.Project.Name, e.ID); busy {
		h.Progress, h.Poll = &progress, r.URL.RequestURI()
	} else if h.At == "" {
		h.Next, err = s.Experiments.Next(r.Context(), e.Environment.Project.Name, e.ID)
		if err := storeFailed(err); err != nil {
			return nil, h, err
		}
	}
	if h.computed() == nil {
		h.Nothing = h.notComputed(e, r.now)
	}
	tabs := []struct{ name, below string }{{"Results", ""}, {"Health", "health"}, {"Readings", "readings"}}
	if r.may(auth.Change) {
		tabs = append(tabs, struct{ name, below string }{"Share", "share"})
	}
	for _, one := range tabs {
		to := h.Link("/experiments/"+url.PathEscape(e.ID), "at", h.At)
		if one.below != "" {
			to = h.Link("/experiments/"+pathOf(e.ID, one.below), "at", h.At)
		}
		h.Tabs = append(h.Tabs, rangeChoice{one.name, to, one.name == tab})
	}
	return e, h, nil
}

// computed are the results that are shown; nil: none were computed.
func (h *experimentHead) computed() *experiment.Results {
	if h.Results.ComputedAt.IsZero() {
		return nil
	}
	return h.Results
}

// readingAt is the reading that was computed at a time.
func (s *Server) readingAt(r *request, e *catalog.Experiment, at string) (*experiment.Results, error) {
	t, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return nil, notFound("There is no reading %q of %s.", at, e.Spec.Name)
	}
	results, err := s.Experiments.ResultsAt(r.Context(), e.Environment.Project.Name, e.ID, t)
	if errors.Is(err, experiment.ErrNoReading) {
		return nil, notFound("There is no reading of %s from %s. Readings are kept as long as the impressions they are of.", e.Spec.Name, at)
	}
	return &results, storeFailed(err)
}

// experimentPage is what an experiment has shown.
type experimentPage struct {
	experimentHead
	View *resultsView
}

func (s *Server) experiment(r *request) error {
	e, head, err := s.openExperiment(r, "Results")
	if err != nil {
		return err
	}
	p := experimentPage{experimentHead: head}
	if head.Nothing != nil {
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
func (h *experimentHead) notComputed(e *catalog.Experiment, now time.Time) *nothing {
	switch {
	case now.Before(e.Start):
		return &nothing{Title: "It has not begun", Text: fmt.Sprintf("Impressions of %s count from %s on. The first results follow within minutes.", e.Spec.Flag, e.Start.UTC().Format("2 January 2006 15:04"))}
	case len(e.All()) == 0:
		return &nothing{Title: "It has no metric", Text: "Choose at least one key metric; then the treatments can be compared."}
	case h.Progress != nil:
		return &nothing{Title: "It is being computed for the first time", Text: "This page shows the results as soon as they are there."}
	}
	return &nothing{Title: "It was not computed yet", Text: h.Results.Recommendation.Sentence}
}

// recalculate begins a calculation.
func (s *Server) recalculate(r *request) error {
	e, head, err := s.openExperiment(r, "")
	if err != nil {
		return err
	}
	if _, err := s.Experiments.Start(e.Environment.Project.Name, e.ID); err != nil {
		return storeFailed(err)
	}
	return s.redirect(r, head.Experiment(e.ID), "The results are being computed. The page shows them as soon as they are there.")
}
