package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

func experimentFormRoutes() []route {
	return []route{
		{pattern: "GET /new/experiment", need: auth.Change, handle: (*Server).newExperiment},
		{pattern: "POST /new/experiment", need: auth.Change, handle: (*Server).saveExperiment},
		{pattern: "GET /experiments/{id}/edit", need: auth.See, handle: (*Server).editExperiment},
		{pattern: "POST /experiments/{id}/edit", need: auth.Change, handle: (*Server).saveExperiment},
		{pattern: "POST /experiments/{id}/end", need: auth.Change, handle: (*Server).endExperiment},
		{pattern: "POST /experiments/{id}/remove", need: auth.Change, handle: (*Server).removeExperiment},
	}
}

// experimentFormPage is the form of one experiment.
type experimentFormPage struct {
	dataPage
	Form       specForm
	ID, Name   string // empty: it is new
	Action     string
	Flags      []flagChoice
	Stages     []string // the project's environments
	Treatments []string // of the chosen flag, as far as it is known
	Types      []string // of events, as they were seen
	Metrics    []metricChoice
	Groups     []string
	More       string
	Phase      phase
	CanSave    bool
}

type flagChoice struct{ Name, TrafficType string }

// metricChoice is a metric and what it is for in the experiment.
type metricChoice struct {
	ID, Name, Kind, TrafficType string
	Group                       string // key, guardrail, supporting; empty: not in it
}

// metricGroups is what a metric can be for.
var metricGroups = []string{"key", "guardrail", "supporting"}

// Event is an event's fields, with room for one more filter.
func (p *experimentFormPage) Event(name, label string) eventFields {
	return fieldsOfEvent(&p.Form, name, label, p.More)
}

// openExperimentForm makes the page of the experiment that the address names,
// or of a new one.
func (s *Server) openExperimentForm(r *request) (*experimentFormPage, *catalog.Experiment, error) {
	if r.env == nil {
		return nil, nil, notFound("An experiment belongs to a project, and there is none yet.")
	}
	p := &experimentFormPage{dataPage: s.dataPage(r, "New experiment"), Groups: metricGroups}
	p.Action = p.Link("/new/experiment")
	p.Form.File = s.Catalog.File()
	p.CanSave = r.may(auth.Change) && p.Form.File == ""
	for _, e := range r.env.Project.Environments {
		p.Stages = append(p.Stages, e.Name)
	}
	if project, ok := r.snapshot.Document().Project(r.env.Project.Name); ok {
		for _, f := range project.Flags {
			p.Flags = append(p.Flags, flagChoice{f.Name, f.TrafficType})
		}
	}
	var err error
	if p.Types, err = s.seenEventTypes(r); err != nil {
		return nil, nil, err
	}
	id := r.PathValue("id")
	if id == "" {
		return p, nil, nil
	}
	e, ok := r.env.Project.Experiment(id)
	if !ok {
		return nil, nil, notFound("There is no experiment %q in the project %s. It may have been renamed or deleted.", id, r.env.Project.Name)
	}
	p.ID, p.Name, p.Title, p.Action, p.Phase = e.ID, e.Spec.Name, e.Spec.Name, p.Experiment(e.ID, "edit"), phaseOf(e, r.now)
	return p, e, nil
}

func (s *Server) newExperiment(r *request) error {
	p, _, err := s.openExperimentForm(r)
	if err != nil {
		return err
	}
	object, findings := catalog.DecodeObject(catalog.Experiments, "", []byte("{}"))
	spec, ok := object.(catalog.ExperimentSpec)
	if !ok {
		return fmt.Errorf("make an experiment with its defaults: %v", findings)
	}
	spec.Flag, spec.Environment = r.URL.Query().Get("flag"), r.env.Name
	if spec.Flag == "" && len(p.Flags) > 0 {
		spec.Flag = p.Flags[0].Name
	}
	spec.Start = r.now.UTC().Format(time.DateOnly)
	spec.MultipleComparison = true
	p.Form = experimentValues(spec, "", p.Form.File)
	if seen, err := s.treatmentsSeen(r.Context(), r, spec.Flag); err == nil && slices.Contains(seen, "off") {
		p.Form.Values.Set("baseline", "off")
	}
	return s.showExperimentForm(r, http.StatusOK, p)
}

func (s *Server) editExperiment(r *request) error {
	p, e, err := s.openExperimentForm(r)
	if err != nil {
		return err
	}
	p.Form = experimentValues(e.Spec, specJSON(e.Spec), p.Form.File)
	return s.showExperimentForm(r, http.StatusOK, p)
}

// experimentValues fills the form. Shares are lines, and each metric says what
// it is for.
func experimentValues(spec catalog.ExperimentSpec, seen, file string) specForm {
	f := newSpecForm(spec, seen, file)
	var shares []string
	for treatment, share := range spec.Shares {
		shares = append(shares, treatment+": "+strconv.FormatFloat(share, 'g', -1, 64))
	}
	slices.Sort(shares)
	f.Values.Set("shares", strings.Join(shares, "\n"))
	for i, names := range [][]string{spec.Metrics.Key, spec.Metrics.Guardrail, spec.Metrics.Supporting} {
		for _, name := range names {
			f.Values.Set("metric."+catalog.Slug(name), metricGroups[i])
		}
	}
	return f
}

// showExperimentForm shows the form with what there is to choose from.
func (s *Server) showExperimentForm(r *request, status int, p *experimentFormPage) error {
	trafficType, _ := r.env.Project.FlagTrafficType(p.Form.text("flag"))
	for _, m := range r.env.Project.Metrics {
		choice := metricChoice{m.ID, m.Spec.Name, metricKind(m.Spec.Type), m.Spec.TrafficType, p.Form.Value("metric." + m.ID)}
		if m.Spec.TrafficType == trafficType || choice.Group != "" || trafficType == "" {
			p.Metrics = append(p.Metrics, choice)
		}
	}
	seen, err := s.treatmentsSeen(r.Context(), r, p.Form.text("flag"))
	if err != nil {
		return err
	}
	p.Treatments = seen
	return s.showStatus(r, status, "experimentform", p)
}

// experimentFrom reads the experiment that was entered. Metrics keep the order
// that they have in before.
func experimentFrom(f *specForm, project *catalog.Project, before catalog.ExperimentMetricsSpec) catalog.ExperimentSpec {
	spec := catalog.ExperimentSpec{
		Name: f.text("name"), Flag: f.text("flag"), Environment: f.text("environment"), Hypothesis: f.text("hypothesis"), Owner: f.text("owner"),
		Baseline: f.text("baseline"), Treatments: f.lines("treatments"), Rule: f.text("rule"), Start: f.text("start"), End: f.text("end"),
		Entry: f.event("entry"), Method: cmp.Or(f.text("method"), catalog.FixedHorizon), Significance: f.number("significance", 0.05), Power: f.number("power", 0.8),
		MinimumSample: f.whole("minimumSample", 355), ReviewPeriod: f.whole("reviewPeriod", 14), MultipleComparison: f.Value("multipleComparison") == "true",
		Horizon: f.whole("horizon", 5000), Versions: cmp.Or(f.text("versions"), catalog.LatestVersion), Shares: f.shares("shares"),
	}
	for i, group := range []struct {
		was []string
		to  *[]string
	}{{before.Key, &spec.Metrics.Key}, {before.Guardrail, &spec.Metrics.Guardrail}, {before.Supporting, &spec.Metrics.Supporting}} {
		for _, name := range group.was {
			if f.Value("metric."+catalog.Slug(name)) == metricGroups[i] {
				*group.to = append(*group.to, name)
			}
		}
		for _, m := range project.Metrics {
			if f.Value("metric."+m.ID) == metricGroups[i] && !slices.Contains(*group.to, m.Spec.Name) {
				*group.to = append(*group.to, m.Spec.Name)
			}
		}
	}
	return spec
}

// shares reads lines of the form "treatment: number".
func (f *specForm) shares(name string) map[string]float64 {
	var shares map[string]float64
	for _, line := range f.lines(name) {
		at := strings.LastIndexAny(line, ":=")
		share, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if at <= 0 || err != nil {
			f.Errors[name] = fmt.Sprintf("Write a treatment and its share on each line, for example on: 50. %q is none.", cutText(line, 60))
			continue
		}
		if shares == nil {
			shares = map[string]float64{}
		}
		shares[strings.TrimSpace(line[:at])] = share
	}
	return shares
}

// saveExperiment takes the form: to save it, or to show it again for another
// flag or with room for a filter.
func (s *Server) saveExperiment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, e, err := s.openExperimentForm(r)
	if err != nil {
		return err
	}
	p.Form.form, p.Form.Seen = f, f.Value("seen")
	var before catalog.ExperimentMetricsSpec
	if e != nil {
		before = e.Spec.Metrics
	}
	spec := experimentFrom(&p.Form, r.env.Project, before)
	switch do, event, _ := strings.Cut(f.Value("do"), ":"); do {
	case "filter":
		p.More = event
		p.Form.Errors = map[string]string{}
		return s.showExperimentForm(r, http.StatusOK, p)
	case "flag":
		p.Form.Errors = map[string]string{}
		return s.showExperimentForm(r, http.StatusOK, p)
	}
	if !p.Form.Failed() {
		ok, other := p.Form.saved(s.putExperiment(r, p, spec), p.path(r))
		if other != nil {
			return other
		}
		if ok {
			return s.redirect(r, p.Experiment(catalog.Slug(spec.Name)), "The experiment "+spec.Name+" is saved. Its results are computed within a minute.")
		}
	}
	return s.showExperimentForm(r, p.Form.status(), p)
}

// path is where the experiment stands, or will stand, in the configuration.
func (p *experimentFormPage) path(r *request) string {
	at := slices.IndexFunc(r.env.Project.Experiments, func(e *catalog.Experiment) bool { return p.ID != "" && e.ID == p.ID })
	if at < 0 {
		at = len(r.env.Project.Experiments)
	}
	return fmt.Sprintf("%s.experiments[%d]", r.projectPath(), at)
}

func (s *Server) putExperiment(r *request, p *experimentFormPage, spec catalog.ExperimentSpec) error {
	return s.editProject(r.Context(), r, func(project *catalog.ProjectSpec) error {
		if p.Name == "" {
			project.Experiments = append(project.Experiments, spec)
			return nil
		}
		at := slices.IndexFunc(project.Experiments, func(e catalog.ExperimentSpec) bool { return e.Name == p.Name })
		if at < 0 {
			return notFound("The experiment %s was deleted meanwhile, so nothing was saved.", p.Name)
		}
		if specJSON(project.Experiments[at]) != p.Form.Seen {
			p.Form.stale(project.Experiments[at], spec)
			return errStaleSpec
		}
		project.Experiments[at] = spec
		return nil
	})
}

// endExperiment ends a running experiment now.
func (s *Server) endExperiment(r *request) error {
	p, e, err := s.openExperimentForm(r)
	if err != nil {
		return err
	}
	if p.Phase.Name != "running" {
		return refuse(http.StatusConflict, "It is not running", "Only a running experiment can be ended; this one is %s.", p.Phase.Name)
	}
	p.Form = experimentValues(e.Spec, specJSON(e.Spec), p.Form.File)
	ended := e.Spec
	ended.End = r.now.UTC().Format(time.RFC3339)
	ok, other := p.Form.saved(s.putExperiment(r, p, ended), p.path(r))
	if other != nil {
		return other
	}
	if !ok {
		return s.showExperimentForm(r, http.StatusConflict, p)
	}
	return s.redirect(r, p.Experiment(p.ID), "The experiment has ended. What comes in the next 15 minutes still counts; then the results are final.")
}

// removeExperiment deletes an experiment, when its name was typed.
func (s *Server) removeExperiment(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, e, err := s.openExperimentForm(r)
	if err != nil {
		return err
	}
	p.Form = experimentValues(e.Spec, specJSON(e.Spec), p.Form.File)
	if strings.TrimSpace(f.Value("confirm")) != p.Name {
		p.Form.Errors["confirm"] = fmt.Sprintf("Type the name, %s, to delete it.", p.Name)
		return s.showExperimentForm(r, http.StatusUnprocessableEntity, p)
	}
	err = s.editProject(r.Context(), r, func(project *catalog.ProjectSpec) error {
		project.Experiments = slices.DeleteFunc(project.Experiments, func(e catalog.ExperimentSpec) bool { return e.Name == p.Name })
		return nil
	})
	ok, other := p.Form.saved(err, p.path(r))
	if other != nil {
		return other
	}
	if !ok {
		return s.showExperimentForm(r, http.StatusConflict, p)
	}
	return s.redirect(r, p.Link("/experiments"), "The experiment "+p.Name+" is deleted. Impressions and events stay.")
}
