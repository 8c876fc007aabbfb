package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/fme"
	"causeway/internal/plot"
	"causeway/internal/store"
)

const (
	// previewSpan is how far back a metric is tried.
	previewSpan = 7 * 24 * time.Hour
	// previewTime bounds what a preview may ask of the store.
	previewTime = 10 * time.Second
	// previewTreatments is how many treatments of a flag a preview shows.
	previewTreatments = 6
)

// metricPreview is what a metric would have measured lately.
type metricPreview struct {
	Flag   string // whose exposures it was tried on; empty: there are none
	Events int64  // that match, whoever did them
	// OfExposed and InWindow of them are of keys that saw the flag, and after
	// they did.
	OfExposed, InWindow int64
	Unfiltered          int64 // events of the type, whatever their properties are
	Filtered            bool  // there are filters
	Arms                []store.Arm
	Percent             bool
	Why, Fix            string // why nothing is measured
	Sample              *eventSample
	Kind                string
}

// eventSample is what the newest events of the metric's type look like.
type eventSample struct {
	Read, Keys, WithValue int
	All                   bool // they are all there are
	What                  string
	Low, Middle, High     float64
	Chart                 template.HTML
}

// tryMetric runs the metric that was entered over the last days. Nothing is
// saved.
func (s *Server) tryMetric(r *request, p *metricPage, spec catalog.MetricSpec) error {
	checked := spec
	checked.Name = cmp.Or(spec.Name, "preview") // a name is not needed to try it
	doc := r.snapshot.Document()
	for i := range doc.Projects {
		if project := &doc.Projects[i]; project.Name == r.env.Project.Name {
			if at := slices.IndexFunc(project.Metrics, func(m catalog.MetricSpec) bool { return m.Name == p.Name && p.Name != "" }); at >= 0 {
				project.Metrics[at] = checked
			} else {
				project.Metrics = append(project.Metrics, checked)
			}
		}
	}
	_, findings := s.Catalog.Plan(doc)
	at := p.path(r)
	findings = slices.DeleteFunc(findings, func(f catalog.Finding) bool { return !strings.HasPrefix(f.Path, at+".") || f.Path == at+".name" })
	p.Form.find(findings, at)
	if p.Form.Failed() {
		return s.showMetric(r, http.StatusUnprocessableEntity, p)
	}
	var err error
	if p.Preview, err = s.previewMetric(r, p, spec); err != nil {
		return err
	}
	return s.showMetric(r, http.StatusOK, p)
}

func (s *Server) previewMetric(r *request, p *metricPage, spec catalog.MetricSpec) (*metricPreview, error) {
	ctx, cancel := context.WithTimeout(r.Context(), previewTime)
	defer cancel()
	v := &metricPreview{Filtered: len(spec.Event.Filters) > 0, Percent: spec.Type == catalog.MetricPercent, Kind: spec.Type}
	flags, err := s.previewFlags(r, spec.TrafficType, p.Form.Value("flag"))
	if err != nil {
		return nil, err
	}
	if len(flags) > 0 {
		v.Flag = flags[0].Value
	}
	for _, f := range flags {
		if f.Selected {
			v.Flag = f.Value
		}
	}
	treatments, err := s.treatmentsSeen(ctx, r, v.Flag)
	if err != nil {
		return nil, err
	}
	exposure := store.Exposure{Environment: r.env.ID, TrafficType: spec.TrafficType, Flag: v.Flag, From: r.now.Add(-previewSpan), To: r.now,
		Buffer: 15 * time.Minute, Treatments: treatments}
	query := experiment.QueryOf(spec)
	whole := store.MetricQuery{Kind: store.MetricCount, Event: store.EventMatch{EventType: spec.Event.EventType}}
	results, err := s.Store.Analyze(ctx, exposure, []store.MetricQuery{query, whole})
	if errors.Is(err, context.DeadlineExceeded) {
		v.Why, v.Fix = fmt.Sprintf("The store needed longer than %s for it.", shortDuration(previewTime)), "It can be saved all the same: calculations of experiments are given more time."
		return v, nil
	}
	if err != nil {
		return nil, storeFailed(err)
	}
	v.Events, v.OfExposed, v.InWindow, v.Unfiltered = results[0].Events, results[0].EventsOfExposed, results[0].EventsInWindow, results[1].Events
	if v.Flag != "" {
		v.Arms = results[0].Arms
	}
	if v.Sample, err = s.sampleEvents(ctx, r, spec); err != nil {
		return nil, err
	}
	v.explain(p, spec)
	return v, nil
}

// treatmentsSeen are the treatments of a flag that its newest impressions had,
// the most frequent first.
func (s *Server) treatmentsSeen(ctx context.Context, r *request, flag string) ([]string, error) {
	if flag == "" {
		return []string{fme.Control}, nil // nobody is exposed; the events are counted all the same
	}
	newest, err := s.Store.Impressions(ctx, store.ImpressionQuery{Environment: r.env.ID, Flag: flag, Span: store.Span{Limit: newestRead}})
	if err != nil {
		return nil, storeFailed(err)
	}
	counts := map[string]int{}
	var seen []string
	for _, i := range newest.Items {
		if i.Treatment == fme.Control {
			continue
		}
		if counts[i.Treatment]++; counts[i.Treatment] == 1 {
			seen = append(seen, i.Treatment)
		}
	}
	slices.SortFunc(seen, func(a, b string) int { return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b)) })
	return seen[:min(len(seen), previewTreatments)], nil
}

// explain says why nothing is measured, at the first step that had nothing.
func (v *metricPreview) explain(p *metricPage, spec catalog.MetricSpec) {
	event := spec.Event.EventType
	counted := slices.ContainsFunc(v.Arms, func(a store.Arm) bool { return a.N > 0 })
	switch {
	case v.Unfiltered == 0 && !slices.Contains(p.Types, event):
		v.Why, v.Fix = fmt.Sprintf("No event %s was ever received here.", event), "Choose one of the names that the field offers, or look under Event types for how it is spelt."
	case v.Unfiltered == 0:
		v.Why, v.Fix = fmt.Sprintf("No event %s came in the last 7 days.", event), "Older ones are not tried here; an experiment that starts earlier counts them."
	case v.Events == 0:
		v.Why, v.Fix = fmt.Sprintf("%s came, but none passes the filters.", plural(v.Unfiltered, "event")), "Look at the properties on the event's page, and at the spelling of the filters."
	case v.Flag == "":
		v.Why, v.Fix = fmt.Sprintf("No flag of the traffic type %s had an impression in the last 7 days, so nobody's events can be counted by treatment.", spec.TrafficType),
			"Choose the traffic type of your flag, or send impressions."
	case v.OfExposed == 0:
		v.Why, v.Fix = fmt.Sprintf("%s came, but none of a key that saw %s.", plural(v.Events, "event"), v.Flag),
			fmt.Sprintf("The flag and the events probably use different ids. Both must be about the traffic type %s: look at the identities of the Segment destination.", spec.TrafficType)
	case v.InWindow == 0:
		v.Why, v.Fix = fmt.Sprintf("%s of keys that saw %s came, all of them before they saw it.", plural(v.OfExposed, "event"), v.Flag), "Evaluate the flag before the event can happen."
	case !counted:
		v.Why, v.Fix = "Events count, but no key passes what the metric asks for.", "Check its value, its denominator and its \"has done\" filter."
	}
}

// sampleEvents looks at the newest events of the metric's type. Filters are
// not applied.
func (s *Server) sampleEvents(ctx context.Context, r *request, spec catalog.MetricSpec) (*eventSample, error) {
	newest, err := s.Store.Events(ctx, store.EventQuery{Environment: r.env.ID, TrafficType: spec.TrafficType, EventType: spec.Event.EventType, Span: store.Span{Limit: newestRead}})
	if err != nil {
		return nil, storeFailed(err)
	}
	if len(newest.Items) == 0 {
		return nil, nil
	}
	sample := &eventSample{Read: len(newest.Items), All: newest.NextCursor == "", What: spec.Value}
	keys := map[string]bool{}
	var values []float64
	for _, e := range newest.Items {
		keys[e.Key] = true
		if v, ok := numberOf(e, spec.Value); ok {
			values = append(values, v)
		}
	}
	sample.Keys, sample.WithValue = len(keys), len(values)
	if len(values) > 0 {
		slices.Sort(values)
		sample.Low, sample.Middle, sample.High = values[0], values[(len(values)-1)/2], values[len(values)-1]
		sample.Chart = histogram(values, spec.Value)
	}
	return sample, nil
}

// numberOf is the number that a metric takes from an event: its value, or a
// property.
func numberOf(e fme.Event, what string) (float64, bool) {
	if what == catalog.EventValue {
		if e.Value == nil {
			return 0, false
		}
		return *e.Value, true
	}
	fields := map[string]any{}
	if json.Unmarshal(e.Properties, &fields) != nil {
		return 0, false
	}
	switch v := fields[what].(type) {
	case float64:
		return v, true
	case string:
		number, err := strconv.ParseFloat(v, 64)
		return number, err == nil && !math.IsNaN(number) && !math.IsInf(number, 0)
	}
	return 0, false
}

// histogram draws how sorted values are spread, from the lowest to the highest.
func histogram(values []float64, what string) template.HTML {
	const bins = 20
	low, high := values[0], values[len(values)-1]
	width := high/bins - low/bins
	if !(width > 0) || math.IsInf(width, 0) {
		return ""
	}
	p := plot.Bars{Frame: plot.Frame{Title: "How " + what + " is spread", About: fmt.Sprintf("From %s to %s.", plot.Number(low), plot.Number(high))}, Arms: []string{"events"}}
	counts := make([]float64, bins)
	for _, v := range values {
		counts[min(max(int((v-low)/width), 0), bins-1)]++
	}
	for i, n := range counts {
		p.Groups = append(p.Groups, plot.Number(low+width*float64(i)))
		p.Values = append(p.Values, []float64{n})
	}
	return drawn(p.Both())
}

// Amount writes a number of an arm in the metric's unit.
func (v *metricPreview) Amount(n float64) string { return valueFormat(v.Kind)(n) }

// Number writes a number for people.
func (*eventSample) Number(n float64) string { return plot.Number(n) }
