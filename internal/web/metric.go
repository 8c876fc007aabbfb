package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/store"
)

func metricRoutes() []route {
	return []route{
		{pattern: "GET /metric-definitions", need: auth.See, handle: (*Server).metricDefinitions},
		{pattern: "GET /metric-definitions/{id}", need: auth.See, handle: (*Server).metric},
		{pattern: "POST /metric-definitions/{id}", need: auth.Change, handle: (*Server).saveMetric},
		{pattern: "POST /metric-definitions/{id}/remove", need: auth.Change, handle: (*Server).removeMetric},
		{pattern: "GET /new/metric", need: auth.Change, handle: (*Server).newMetric},
		{pattern: "POST /new/metric", need: auth.Change, handle: (*Server).saveMetric},
	}
}

// metricKinds are the types of metrics in FME's words.
var metricKinds = []struct{ Value, Name, Help string }{
	{catalog.MetricPercent, "Percent of unique keys", "How many of the keys did it at all. The usual conversion rate."},
	{catalog.MetricCount, "Count of events per key", "How often a key did it."},
	{catalog.MetricSum, "Sum of event values per key", "For example revenue per user, also of those who bought nothing."},
	{catalog.MetricAverage, "Average of event values per key", "For example the size of a basket. Keys without an event are left out."},
	{catalog.MetricRatio, "Ratio of two events per key", "For example errors for each page. Keys without the second event are left out."},
}

func metricKind(kind string) string {
	for _, k := range metricKinds {
		if k.Value == kind {
			return k.Name
		}
	}
	return kind
}

// metricsPage lists the metrics of the project.
type metricsPage struct {
	dataPage
	Lines   []metricLine
	Nothing *nothing
}

type metricLine struct {
	Name, URL, Kind, Event string
	Desired, TrafficType   string
	Description            string
	UsedBy                 []use
}

// use is one experiment that has a metric.
type use struct{ Name, URL, Group string }

func (s *Server) metricDefinitions(r *request) error {
	if r.env == nil {
		return s.noEnvironment(r, "Metrics")
	}
	p := metricsPage{dataPage: s.dataPage(r, "Metrics")}
	for _, m := range r.env.Project.Metrics {
		p.Lines = append(p.Lines, metricLineOf(p.layout, m))
	}
	if len(p.Lines) == 0 {
		p.Nothing = &nothing{Title: "There is no metric in " + r.env.Project.Name + " yet",
			Text: "A metric turns the events of a key into one number: did it order, how often, for how much. Experiments compare treatments by metrics."}
		if r.may(auth.Change) {
			p.Nothing.URL, p.Nothing.Action = p.Link("/new/metric"), "New metric"
		}
	}
	return s.show(r, "metrics", p)
}

func metricLineOf(l layout, m *catalog.Metric) metricLine {
	return metricLine{Name: m.Spec.Name, URL: l.Metric(m.ID), Kind: metricKind(m.Spec.Type), Event: eventText(m.Spec.Event),
		Desired: m.Spec.Desired, TrafficType: m.Spec.TrafficType, Description: m.Spec.Description, UsedBy: usesOf(l, m.Project, m.Spec.Name)}
}

// metricsOf are the metrics of a project that look at an event type.
func metricsOf(l layout, project *catalog.Project, eventType string) []metricLine {
	var list []metricLine
	for _, m := range project.Metrics {
		for _, e := range []*catalog.EventSpec{m.Spec.Event, m.Spec.Denominator, m.Spec.HasDone} {
			if e != nil && e.EventType == eventType {
				list = append(list, metricLineOf(l, m))
				break
			}
		}
	}
	return list
}

// eventText is an event and its filters in words.
func eventText(e *catalog.EventSpec) string {
	if e == nil {
		return ""
	}
	text := e.EventType
	for i, f := range e.Filters {
		word := " and "
		if i == 0 {
			word = " where "
		}
		text += word + f.Property + " " + operatorName(f.Operator)
		if len(f.Values) > 0 {
			text += " " + cutText(strings.Join(f.Values, " or "), 60)
		}
	}
	return text
}

// usesOf lists the experiments that have a metric.
func usesOf(l layout, project *catalog.Project, metric string) []use {
	var uses []use
	for _, e := range project.Experiments {
		for _, group := range []struct {
			name  string
			names []string
		}{{"key", e.Spec.Metrics.Key}, {"guardrail", e.Spec.Metrics.Guardrail}, {"supporting", e.Spec.Metrics.Supporting}} {
			if slices.Contains(group.names, metric) {
				uses = append(uses, use{e.Spec.Name, l.Experiment(e.ID), group.name})
			}
		}
	}
	return uses
}

// operators are those of filters, in words.
var operators = []struct{ Value, Name string }{
	{"is", "is"}, {"is_not", "is not"}, {"matches", "matches (RE2)"}, {"matches_not", "does not match (RE2)"},
	{"equal", "="}, {"greater", ">"}, {"greater_or_equal", "≥"}, {"less", "<"}, {"less_or_equal", "≤"}, {"present", "is there"}, {"absent", "is not there"},
}

func operatorName(operator string) string {
	for _, o := range operators {
		if o.Value == operator {
			return o.Name
		}
	}
	return operator
}

// metricPage is the form of one metric.
type metricPage struct {
	dataPage
	Form    specForm
	ID      string // empty: it is new
	Name    string // as it is saved
	Action  string // where the form goes
	UsedBy  []use
	Kinds   []struct{ Value, Name, Help string }
	Types   []string // of events, as they were seen
	Traffic []string
	Preview *metricPreview
	More    string // the event that gets another row for a filter
	Flags   []option
	CanSave bool
}

// eventFields is what the template of an event's fields takes.
type eventFields struct {
	Page  *metricPage
	Form  *specForm
	Name  string // event, denominator, hasDone or entry
	Rows  []int
	Label string
}

// Event is an event's fields, with room for one more filter.
func (p *metricPage) Event(name, label string) eventFields {
	return fieldsOfEvent(&p.Form, name, label, p.More)
}

func fieldsOfEvent(f *specForm, name, label, more string) eventFields {
	e := eventFields{Form: f, Name: name, Label: label}
	rows := f.filterRows(name)
	if more == name {
		rows++
	}
	for i := range rows {
		e.Rows = append(e.Rows, i)
	}
	return e
}

// Operators are those that a filter can have; chosen is marked.
func (e eventFields) Operators(row int) []option {
	var list []option
	chosen := e.Form.Value(e.Field(row, "operator"))
	for _, o := range operators {
		list = append(list, option{o.Value, o.Name, o.Value == chosen})
	}
	return list
}

// Field is the name of a filter's field.
func (e eventFields) Field(row int, part string) string {
	return fmt.Sprintf("%s.filters[%d].%s", e.Name, row, part)
}

// Wrong is what is wrong with a filter, whichever field it stands at.
func (e eventFields) Wrong(row int) string {
	at := fmt.Sprintf("%s.filters[%d]", e.Name, row)
	for _, field := range []string{at, at + ".property", at + ".operator", at + ".values"} {
		if text := e.Form.Wrong(field); text != "" {
			return text
		}
	}
	return ""
}

// openMetric makes the page of the metric that the address names, or of a new
// one.
func (s *Server) openMetric(r *request) (*metricPage, *catalog.MetricSpec, error) {
	if r.env == nil {
		return nil, nil, notFound("A metric belongs to a project, and there is none yet.")
	}
	p := &metricPage{dataPage: s.dataPage(r, "New metric"), Kinds: metricKinds, Traffic: r.env.Project.TrafficTypes, Action: s.layout(r, "").Link("/new/metric")}
	p.Form.File = s.Catalog.File()
	p.CanSave = r.may(auth.Change) && p.Form.File == ""
	var err error
	if p.Types, err = s.seenEventTypes(r); err != nil {
		return nil, nil, err
	}
	id := r.PathValue("id")
	if id == "" {
		return p, nil, nil
	}
	m, ok := r.env.Project.Metric(id)
	if !ok {
		return nil, nil, notFound("There is no metric %q in the project %s. It may have been renamed or deleted.", id, r.env.Project.Name)
	}
	p.ID, p.Name, p.Title, p.Action = m.ID, m.Spec.Name, m.Spec.Name, p.layout.Metric(m.ID)
	p.UsedBy = usesOf(p.layout, r.env.Project, m.Spec.Name)
	return p, &m.Spec, nil
}

// seenEventTypes are the names of the events that came, the most frequent
// first.
func (s *Server) seenEventTypes(r *request) ([]string, error) {
	types, err := s.Store.EventTypes(r.Context(), r.env.ID, r.now)
	if err != nil {
		return nil, storeFailed(err)
	}
	slices.SortStableFunc(types, func(a, b store.EventType) int { return cmp.Compare(b.SevenDayCount, a.SevenDayCount) })
	var names []string
	for _, t := range types[:min(len(types), 200)] {
		names = append(names, t.Name)
	}
	return names, nil
}

func (s *Server) newMetric(r *request) error {
	p, _, err := s.openMetric(r)
	if err != nil {
		return err
	}
	object, findings := catalog.DecodeObject(catalog.Metrics, "", []byte("{}"))
	spec, ok := object.(catalog.MetricSpec)
	if !ok {
		return fmt.Errorf("make a metric with its defaults: %v", findings)
	}
	spec.Type = catalog.MetricPercent
	if len(p.Traffic) > 0 {
		spec.TrafficType = p.Traffic[0]
	}
	if event := r.URL.Query().Get("event"); event != "" {
		spec.Event = &catalog.EventSpec{EventType: event}
		if spec.TrafficType, err = s.trafficTypeFor(r, event, spec.TrafficType); err != nil {
			return err
		}
	}
	p.Form = newSpecForm(spec, "", p.Form.File)
	return s.showMetric(r, http.StatusOK, p)
}

// trafficTypeFor is the traffic type that a metric of an event is most likely
// wanted for: one that has such events and a flag with impressions, else one
// that has such events.
func (s *Server) trafficTypeFor(r *request, event, otherwise string) (string, error) {
	types, err := s.Store.EventTypes(r.Context(), r.env.ID, r.now)
	if err != nil {
		return "", storeFailed(err)
	}
	at := slices.IndexFunc(types, func(t store.EventType) bool { return t.Name == event })
	if at < 0 {
		return otherwise, nil
	}
	best := ""
	for _, t := range r.env.Project.TrafficTypes {
		if !slices.Contains(types[at].TrafficTypes, t) {
			continue
		}
		flags, err := s.previewFlags(r, t, "")
		if err != nil || len(flags) > 0 {
			return t, err
		}
		best = cmp.Or(best, t)
	}
	return cmp.Or(best, otherwise), nil
}

func (s *Server) metric(r *request) error {
	p, spec, err := s.openMetric(r)
	if err != nil {
		return err
	}
	p.Form = newSpecForm(spec, specJSON(spec), p.Form.File)
	return s.showMetric(r, http.StatusOK, p)
}

// showMetric shows the form with what there is to choose from.
func (s *Server) showMetric(r *request, status int, p *metricPage) error {
	var err error
	if p.Flags, err = s.previewFlags(r, p.Form.text("trafficType"), p.Form.Value("flag")); err != nil {
		return err
	}
	return s.showStatus(r, status, "metric", p)
}

// metricFrom reads the metric that was entered.
func metricFrom(f *specForm) catalog.MetricSpec {
	spec := catalog.MetricSpec{
		Name: f.text("name"), Description: f.text("description"), TrafficType: f.text("trafficType"), Type: f.text("type"),
		Event: f.event("event"), Value: cmp.Or(f.text("value"), catalog.EventValue),
		HasDone: f.event("hasDone"), HasDoneBefore: f.Value("hasDoneBefore") == "true", Cap: f.number("cap", 0), CapPer: cmp.Or(f.text("capPer"), catalog.PerUser),
		Desired: cmp.Or(f.text("desired"), catalog.Increase), Dimensions: f.lines("dimensions"),
	}
	// What has no effect on the type is not kept; its fields say so.
	if spec.Type == catalog.MetricRatio {
		spec.Denominator = f.event("denominator")
	}
	if spec.Type != catalog.MetricSum && spec.Type != catalog.MetricAverage {
		spec.Value = catalog.EventValue
	}
	if spec.HasDone == nil {
		spec.HasDoneBefore = false
	}
	if spec.Cap == 0 && f.Errors["cap"] == "" {
		spec.CapPer = catalog.PerUser
	}
	return spec
}

// saveMetric takes the form: to save it, to try it, or to make room for a
// filter.
func (s *Server) saveMetric(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, _, err := s.openMetric(r)
	if err != nil {
		return err
	}
	p.Form.form, p.Form.Seen = f, f.Value("seen")
	spec := metricFrom(&p.Form)
	entered := newSpecForm(spec, p.Form.Seen, p.Form.File)
	for name, texts := range f.Values { // what could not be read, and what has no effect now, stays as it was entered
		if entered.Values.Get(name) == "" && !filterField.MatchString(name) || p.Form.Errors[name] != "" {
			entered.Values[name] = texts
		}
	}
	entered.Errors = p.Form.Errors
	p.Form = entered
	switch do, event, _ := strings.Cut(f.Value("do"), ":"); do {
	case "filter":
		p.More = event
		return s.showMetric(r, http.StatusOK, p)
	case "preview":
		return s.tryMetric(r, p, spec)
	}
	if !p.Form.Failed() {
		err := s.putMetric(r, p, spec)
		ok, other := p.Form.saved(err, p.path(r))
		if other != nil {
			return other
		}
		if ok {
			return s.redirect(r, p.layout.Metric(catalog.Slug(spec.Name)), "The metric "+spec.Name+" is saved. Experiments that have it are computed anew.")
		}
	}
	return s.showMetric(r, p.Form.status(), p)
}

// status is that of a form which is shown again.
func (f *specForm) status() int {
	if len(f.Stale) > 0 || f.File != "" {
		return http.StatusConflict
	}
	return http.StatusUnprocessableEntity
}

// path is where the metric stands, or will stand, in the configuration.
func (p *metricPage) path(r *request) string {
	at := len(r.env.Project.Metrics)
	if i := slices.IndexFunc(r.env.Project.Metrics, func(m *catalog.Metric) bool { return m.ID == p.ID && p.ID != "" }); i >= 0 {
		at = i
	}
	return fmt.Sprintf("%s.metrics[%d]", r.projectPath(), at)
}

// putMetric saves a metric. A new name is taken over by the experiments that
// have it.
func (s *Server) putMetric(r *request, p *metricPage, spec catalog.MetricSpec) error {
	return s.editProject(r.Context(), r, func(project *catalog.ProjectSpec) error {
		at := slices.IndexFunc(project.Metrics, func(m catalog.MetricSpec) bool { return m.Name == p.Name })
		if p.Name == "" {
			project.Metrics = append(project.Metrics, spec)
			return nil
		}
		if at < 0 {
			return notFound("The metric %s was deleted meanwhile, so nothing was saved.", p.Name)
		}
		if specJSON(project.Metrics[at]) != p.Form.Seen {
			p.Form.stale(project.Metrics[at], spec)
			return errStaleSpec
		}
		project.Metrics[at] = spec
		if spec.Name != p.Name {
			for i := range project.Experiments {
				metrics := &project.Experiments[i].Metrics
				for _, list := range []*[]string{&metrics.Key, &metrics.Guardrail, &metrics.Supporting} {
					*list = replaced(*list, p.Name, spec.Name)
				}
			}
		}
		return nil
	})
}

// removeMetric deletes a metric, when its name was typed and no experiment has
// it.
func (s *Server) removeMetric(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	p, spec, err := s.openMetric(r)
	if err != nil {
		return err
	}
	p.Form = newSpecForm(spec, specJSON(spec), p.Form.File)
	if strings.TrimSpace(f.Value("confirm")) != p.Name {
		p.Form.Errors["confirm"] = fmt.Sprintf("Type the name, %s, to delete it.", p.Name)
		return s.showMetric(r, http.StatusUnprocessableEntity, p)
	}
	err = s.editProject(r.Context(), r, func(project *catalog.ProjectSpec) error {
		project.Metrics = slices.DeleteFunc(project.Metrics, func(m catalog.MetricSpec) bool { return m.Name == p.Name })
		return nil
	})
	ok, other := p.Form.saved(err, p.path(r))
	if other != nil {
		return other
	}
	if !ok {
		if len(p.UsedBy) > 0 {
			p.Form.Error = "Nothing was deleted: experiments have this metric. Take it out of them first."
		}
		return s.showMetric(r, http.StatusConflict, p)
	}
	return s.redirect(r, p.Link("/metric-definitions"), "The metric "+p.Name+" is deleted.")
}

// previewFlags are the flags of a traffic type that had impressions lately.
func (s *Server) previewFlags(r *request, trafficType, chosen string) ([]option, error) {
	counts, err := s.Store.Flags(r.Context(), r.env.ID, r.now.Add(-previewSpan))
	if err != nil {
		return nil, storeFailed(err)
	}
	slices.SortStableFunc(counts, func(a, b store.FlagCount) int { return cmp.Compare(b.Impressions, a.Impressions) })
	var list []option
	for _, c := range counts {
		if kind, ok := r.env.Project.FlagTrafficType(c.Flag); ok && kind == trafficType && c.Impressions > 0 {
			list = append(list, option{c.Flag, c.Flag, c.Flag == chosen})
		}
	}
	return list, nil
}
