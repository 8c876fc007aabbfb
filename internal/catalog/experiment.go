package catalog

import (
	"slices"
	"time"
)

// MetricSpec is a metric: what one key contributes, and which way is better.
type MetricSpec struct {
	Name        string     `json:"name" yaml:"name"` // unique in its project, as the id made from it
	Description string     `json:"description,omitempty" yaml:"description,omitempty"`
	TrafficType string     `json:"trafficType" yaml:"trafficType"`
	Type        string     `json:"type" yaml:"type"` // one of metricTypes
	Event       *EventSpec `json:"event" yaml:"event"`
	Value       string     `json:"value" yaml:"value"` // EventValue, or the name of a numeric property; for sum and average
	// Denominator is what ratio counts Event by.
	Denominator *EventSpec `json:"denominator,omitempty" yaml:"denominator,omitempty"`
	// HasDone keeps only keys that did it; HasDoneBefore: and only what they
	// did after the first time.
	HasDone       *EventSpec `json:"hasDone,omitempty" yaml:"hasDone,omitempty"`
	HasDoneBefore bool       `json:"hasDoneBefore" yaml:"hasDoneBefore"`
	Cap           float64    `json:"cap,omitempty" yaml:"cap,omitempty"` // of what a key contributes; 0: none
	CapPer        string     `json:"capPer" yaml:"capPer"`               // PerUser or PerDay
	Desired       string     `json:"desired" yaml:"desired"`             // Increase or Decrease
	Dimensions    []string   `json:"dimensions,omitempty" yaml:"dimensions,omitempty"`
}

// EventSpec selects events.
type EventSpec struct {
	EventType string       `json:"eventType" yaml:"eventType"`
	Filters   []FilterSpec `json:"filters,omitempty" yaml:"filters,omitempty"` // all of them hold
}

// FilterSpec compares one property of an event.
type FilterSpec struct {
	Property string   `json:"property" yaml:"property"` // EventValue: the event's value
	Operator string   `json:"operator" yaml:"operator"` // one of filterOperators
	Values   []string `json:"values,omitempty" yaml:"values,omitempty"`
}

// The types of metrics (FME's "count of events per user" and so on).
const (
	MetricCount   = "count"
	MetricSum     = "sum"
	MetricAverage = "average"
	MetricRatio   = "ratio"
	MetricPercent = "percent"
)

// EventValue names the event's value where a property's name may stand.
const EventValue = "value"

// What a cap is for.
const (
	PerUser = "user"
	PerDay  = "day" // 24 hours, the first from the key's first impression
)

// The directions in which a metric gets better.
const (
	Increase = "increase"
	Decrease = "decrease"
)

// ExperimentSpec measures the treatments of a flag against each other.
type ExperimentSpec struct {
	Name        string   `json:"name" yaml:"name"` // unique in its project, as the id made from it
	Flag        string   `json:"flag" yaml:"flag"`
	Environment string   `json:"environment" yaml:"environment"`
	Hypothesis  string   `json:"hypothesis,omitempty" yaml:"hypothesis,omitempty"`
	Owner       string   `json:"owner,omitempty" yaml:"owner,omitempty"`
	Baseline    string   `json:"baseline" yaml:"baseline"`                         // the treatment that the others are compared with
	Treatments  []string `json:"treatments,omitempty" yaml:"treatments,omitempty"` // default: all of the flag
	Rule        string   `json:"rule,omitempty" yaml:"rule,omitempty"`             // a label; "" is any
	Start       string   `json:"start" yaml:"start"`                               // as parseTime reads it
	End         string   `json:"end,omitempty" yaml:"end,omitempty"`               // "" is open
	// Entry keeps only keys that did it after they were exposed.
	Entry              *EventSpec `json:"entry,omitempty" yaml:"entry,omitempty"`
	Method             string     `json:"method" yaml:"method"` // Fixed or Sequential
	Significance       float64    `json:"significance" yaml:"significance"`
	Power              float64    `json:"power" yaml:"power"`
	MinimumSample      int        `json:"minimumSample" yaml:"minimumSample"` // of each treatment
	ReviewPeriod       int        `json:"reviewPeriod" yaml:"reviewPeriod"`   // days
	MultipleComparison bool       `json:"multipleComparison" yaml:"multipleComparison"`
	// Horizon is the sample, of both treatments together, for which the
	// sequential interval is narrowest.
	Horizon  int    `json:"horizon" yaml:"horizon"`
	Versions string `json:"versions" yaml:"versions"` // Latest or All
	// Shares is the expected part of each treatment, in any unit. Default: the
	// flag's rollout.
	Shares  map[string]float64    `json:"shares,omitempty" yaml:"shares,omitempty"`
	Metrics ExperimentMetricsSpec `json:"metrics" yaml:"metrics"`
}

// ExperimentMetricsSpec names the metrics of an experiment, by what they are for.
type ExperimentMetricsSpec struct {
	Key        []string `json:"key" yaml:"key"`
	Guardrail  []string `json:"guardrail" yaml:"guardrail"`
	Supporting []string `json:"supporting" yaml:"supporting"`
}

// The methods of an experiment.
const (
	FixedHorizon = "fixed"
	Sequential   = "sequential"
)

// Which versions of a flag an experiment counts.
const (
	LatestVersion = "latest" // a change of the flag begins anew
	AllVersions   = "all"
)

var (
	metricTypes       = []string{MetricCount, MetricSum, MetricAverage, MetricRatio, MetricPercent}
	filterOperators   = []string{"is", "is_not", "matches", "matches_not", "equal", "greater", "greater_or_equal", "less", "less_or_equal", "present", "absent"}
	capPers           = []string{PerUser, PerDay}
	directions        = []string{Increase, Decrease}
	experimentMethods = []string{FixedHorizon, Sequential}
	versionChoices    = []string{LatestVersion, AllVersions}
	reviewPeriods     = []int{1, 7, 14, 28}
)

func (m *MetricSpec) setDefaults() {
	m.Value, m.CapPer, m.Desired = EventValue, PerUser, Increase
}

// The defaults are FME's (Harness FME, "Experiment settings"), but for
// Horizon, which FME does not publish.
func (e *ExperimentSpec) setDefaults() {
	e.Method, e.Versions = FixedHorizon, LatestVersion
	e.Significance, e.Power = 0.05, 0.8
	e.MinimumSample, e.ReviewPeriod, e.Horizon = 355, 14, 5000
}

func (m MetricSpec) specName() string     { return m.Name }
func (e ExperimentSpec) specName() string { return e.Name }

// Metric is a metric in use.
type Metric struct {
	ID      string // made from the name
	Spec    MetricSpec
	Project *Project
}

// Experiment is an experiment in use.
type Experiment struct {
	ID          string // made from the name
	Spec        ExperimentSpec
	Environment *Environment
	TrafficType string   // of the flag
	Treatments  []string // the baseline first
	// Shares is the expected part of each treatment; together they are 1. Nil:
	// the configuration does not say.
	Shares     map[string]float64
	Start, End time.Time // End is zero: open
	// The metrics by what they are for, in the order of the file.
	Key, Guardrail, Supporting []*Metric
}

// All lists the experiment's metrics: key, guardrail, supporting.
func (e *Experiment) All() []*Metric { return slices.Concat(e.Key, e.Guardrail, e.Supporting) }

// Metric returns the metric of that id or name.
func (p *Project) Metric(idOrName string) (*Metric, bool) {
	for _, m := range p.Metrics {
		if m.ID == idOrName || m.Spec.Name == idOrName {
			return m, true
		}
	}
	return nil, false
}

// Experiment returns the experiment of that id or name.
func (p *Project) Experiment(idOrName string) (*Experiment, bool) {
	for _, e := range p.Experiments {
		if e.ID == idOrName || e.Spec.Name == idOrName {
			return e, true
		}
	}
	return nil, false
}

// Project returns the project of that name.
func (s *Snapshot) Project(name string) (*Project, bool) {
	for _, p := range s.projects {
		if p.Name == name {
			return p, true
		}
	}
	return nil, false
}

// AllExperiments lists every experiment in configuration order.
func (s *Snapshot) AllExperiments() []*Experiment {
	var list []*Experiment
	for _, p := range s.projects {
		list = append(list, p.Experiments...)
	}
	return list
}

// addExperiments compiles the metrics and experiments of a project whose
// environments are compiled.
func (s *Snapshot) addExperiments(p *Project, spec *ProjectSpec) error {
	for i := range spec.Metrics {
		m := spec.Metrics[i]
		p.Metrics = append(p.Metrics, &Metric{ID: Slug(m.Name), Spec: m, Project: p})
	}
	for i := range spec.Experiments {
		e, err := s.newExperiment(p, spec, &spec.Experiments[i])
		if err != nil {
			return err
		}
		p.Experiments = append(p.Experiments, e)
	}
	return nil
}

func (s *Snapshot) newExperiment(p *Project, project *ProjectSpec, spec *ExperimentSpec) (*Experiment, error) {
	e := &Experiment{ID: Slug(spec.Name), Spec: *spec}
	var err error
	if e.Environment, err = s.environmentOf(p, spec.Environment); err != nil {
		return nil, err
	}
	e.TrafficType, _ = p.FlagTrafficType(spec.Flag)
	e.Start, _ = parseTime(spec.Start)
	e.End, _ = parseTime(spec.End)
	shown := project.shown(spec.Flag, spec.Environment)
	e.Treatments = []string{spec.Baseline}
	for _, treatment := range spec.treatments(shown) {
		if treatment != spec.Baseline {
			e.Treatments = append(e.Treatments, treatment)
		}
	}
	given := spec.Shares
	if len(given) == 0 {
		given = shown.shares(spec.Rule)
	}
	e.Shares = sharesOf(given, e.Treatments)
	for _, list := range []struct {
		names []string
		to    *[]*Metric
	}{{spec.Metrics.Key, &e.Key}, {spec.Metrics.Guardrail, &e.Guardrail}, {spec.Metrics.Supporting, &e.Supporting}} {
		for _, name := range list.names {
			if m, ok := p.Metric(name); ok {
				*list.to = append(*list.to, m)
			}
		}
	}
	return e, nil
}

// treatments are those of the experiment; none: it does not say and neither
// does the flag.
func (e *ExperimentSpec) treatments(shown *shownTreatments) []string {
	if len(e.Treatments) > 0 || shown == nil {
		return e.Treatments
	}
	return shown.all
}

// sharesOf is the part of each treatment; nil where one has none.
func sharesOf(given map[string]float64, treatments []string) map[string]float64 {
	sum := 0.0
	for _, treatment := range treatments {
		if given[treatment] <= 0 {
			return nil
		}
		sum += given[treatment]
	}
	shares := make(map[string]float64, len(treatments))
	for _, treatment := range treatments {
		shares[treatment] = given[treatment] / sum
	}
	return shares
}

// shownTreatments is what a flag shows in an environment.
type shownTreatments struct {
	all   []string
	rules []shownRule
}

// shownRule is the percentages of one rule.
type shownRule struct {
	label string
	parts map[string]float64
}

// shown is what a flag shows in an environment; nil: it is not served there,
// so the file does not say.
func (p *ProjectSpec) shown(flag, environment string) *shownTreatments {
	i := slices.IndexFunc(p.Flags, func(f FlagSpec) bool { return f.Name == flag })
	if i < 0 {
		return nil
	}
	spec, served := p.Flags[i].In(environment)
	if !served {
		return nil
	}
	if len(spec.Definition) == 0 {
		parts := make(map[string]float64, len(spec.Rollout))
		for treatment, percent := range spec.Rollout {
			parts[treatment] = float64(percent)
		}
		return &shownTreatments{all: spec.treatments(), rules: []shownRule{{defaultRule, parts}}}
	}
	s := &shownTreatments{}
	conditions, _ := spec.Definition["conditions"].([]any)
	for _, c := range conditions {
		label, _ := object(c)["label"].(string)
		rule := shownRule{label: label, parts: map[string]float64{}}
		partitions, _ := object(c)["partitions"].([]any)
		for _, partition := range partitions {
			treatment, _ := object(partition)["treatment"].(string)
			size, _ := wholeNumber(object(partition)["size"])
			rule.parts[treatment] += float64(size)
			s.add(treatment)
		}
		s.rules = append(s.rules, rule)
	}
	given, _ := spec.Definition["defaultTreatment"].(string)
	s.add(valueOr(spec.DefaultTreatment, given))
	return s
}

func (s *shownTreatments) add(treatment string) {
	if treatment != "" && !slices.Contains(s.all, treatment) {
		s.all = append(s.all, treatment)
	}
}

// shares are the percentages of a rule, or of the only one there is; nil: the
// rules of that label differ, or there is none.
func (s *shownTreatments) shares(rule string) map[string]float64 {
	if s == nil {
		return nil
	}
	var found []shownRule
	for _, r := range s.rules {
		if rule == "" || r.label == rule {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return nil
	}
	return found[0].parts
}

// parseTime reads a time of the file: RFC 3339, or a date, which is its first
// moment in UTC. The zero time stands for "".
func parseTime(text string) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}
