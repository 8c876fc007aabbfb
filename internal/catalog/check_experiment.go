package catalog

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"causeway/internal/translate"
)

// Bounds of metrics and experiments: far above what a person writes, and
// below what would make one question to the store expensive.
const (
	maxFilters    = 20
	maxValues     = 200
	maxPattern    = 1000 // characters of a regular expression
	maxProperty   = 500  // characters of a property's name
	maxDimensions = 20   // FME's own
	maxArms       = 20
	maxMetrics    = 200 // of one experiment
	minFixed      = 10  // FME: the least minimumSample there is
	minSequential = 100
)

// metrics checks the metrics of the scope's project.
func (s scope) metrics(p *ProjectSpec) {
	names := serverNames("metric")
	for i := range p.Metrics {
		m, path := &p.Metrics[i], fmt.Sprintf("%s.metrics[%d]", s.path, i)
		s.name(m.Name, path+".name", names)
		if m.TrafficType == "" {
			s.missing(path+".trafficType", "Write the traffic type whose keys it measures, one of the project's trafficTypes.")
		} else {
			s.trafficType(m.TrafficType, path+".trafficType")
		}
		s.choice(m.Type, path+".type", metricTypes)
		if m.Event == nil {
			s.missing(path+".event", "Write what is counted, for example {eventType: Order_Completed}.")
		}
		s.event(m.Event, path+".event")
		s.event(m.Denominator, path+".denominator")
		s.event(m.HasDone, path+".hasDone")
		s.choice(m.CapPer, path+".capPer", capPers)
		s.choice(m.Desired, path+".desired", directions)
		s.metricFits(m, path)
		seen := make(map[string]bool)
		for j, property := range m.Dimensions {
			at := fmt.Sprintf("%s.dimensions[%d]", path, j)
			if seen[property] {
				s.add(at, "Keep one of them.", "the property %s is here twice", quoted(property))
			}
			seen[property] = true
			s.property(property, at)
		}
		s.most(len(m.Dimensions), maxDimensions, path+".dimensions")
	}
}

// metricFits checks that a metric has what its type needs, and nothing that
// would have no effect.
func (s scope) metricFits(m *MetricSpec, path string) {
	valued := m.Type == MetricSum || m.Type == MetricAverage
	switch {
	case m.Type == MetricRatio && m.Denominator == nil:
		s.missing(path+".denominator", "Write the event that the first is divided by, for example {eventType: view_Product_page}.")
	case m.Type != MetricRatio && m.Denominator != nil:
		s.add(path+".denominator", "Take it away, or write type: ratio.", "denominator has no effect on type %s", quoted(m.Type))
	}
	switch {
	case m.Value == "":
		s.missing(path+".value", "Write value for the event's value, or the name of a property.")
	case valued:
		s.property(m.Value, path+".value")
	case m.Value != EventValue:
		s.add(path+".value", "Take it away, or write type: sum or average.", "value has no effect on type %s", quoted(m.Type))
	}
	if m.HasDoneBefore && m.HasDone == nil {
		s.add(path+".hasDoneBefore", "Write the event in hasDone.", "hasDoneBefore has no effect without hasDone")
	}
	switch {
	case m.Cap < 0:
		s.add(path+".cap", "Write a number above 0, or leave it out for no cap.", "cap is %v", m.Cap)
	case m.Cap > 0 && m.Type == MetricPercent:
		s.add(path+".cap", "Take it away: a key contributes 0 or 1.", "cap has no effect on type percent")
	case m.CapPer == PerDay && (m.Type == MetricAverage || m.Type == MetricRatio):
		s.add(path+".capPer", "Write capPer: user.", "type %s cannot be capped per day", m.Type)
	}
}

// event checks which events are selected; nil is none.
func (s scope) event(e *EventSpec, path string) {
	if e == nil {
		return
	}
	switch {
	case e.EventType == "":
		s.missing(path+".eventType", "Write the event's type, as the events page shows it.")
	case !translate.IsEventType(e.EventType):
		s.add(path+".eventType", "Write it as the events page shows it: at most 80 letters, digits and -_.: with a letter or digit first; blanks became underscores.",
			"no event has the type %s", quoted(e.EventType))
	}
	s.most(len(e.Filters), maxFilters, path+".filters")
	for i := range e.Filters {
		s.filter(&e.Filters[i], fmt.Sprintf("%s.filters[%d]", path, i))
	}
}

func (s scope) filter(f *FilterSpec, path string) {
	s.property(f.Property, path+".property")
	s.choice(f.Operator, path+".operator", filterOperators)
	at := path + ".values"
	switch f.Operator {
	case "is", "is_not":
		if len(f.Values) == 0 {
			s.missing(at, "Write the texts to compare with, for example [gold, silver].")
		}
		s.most(len(f.Values), maxValues, at)
	case "present", "absent":
		if len(f.Values) > 0 {
			s.add(at, "Take them away.", "values have no effect on %s", f.Operator)
		}
	case "matches", "matches_not":
		if s.oneValue(f, at) {
			s.pattern(f.Values[0], at+"[0]")
		}
	case "equal", "greater", "greater_or_equal", "less", "less_or_equal":
		if !s.oneValue(f, at) {
			return
		}
		if _, err := strconv.ParseFloat(f.Values[0], 64); err != nil || strings.ContainsAny(f.Values[0], "xXnN_") {
			s.add(at+"[0]", "Write a number in quotes, for example \"9.5\"; use is to compare texts.", "%s is not a number", quoted(f.Values[0]))
		}
	}
}

// oneValue checks that a filter has the one value that its operator takes.
func (s scope) oneValue(f *FilterSpec, path string) bool {
	if len(f.Values) == 0 {
		s.missing(path, "Write the one value to compare with.")
	} else if len(f.Values) > 1 {
		s.add(path, "Keep one of them; filters of a list all hold.", "%s takes one value, and there are %d", f.Operator, len(f.Values))
	}
	return len(f.Values) == 1
}

// pattern checks a regular expression. Go's are RE2's, as the store's are.
func (s scope) pattern(pattern, path string) {
	if utf8.RuneCountInString(pattern) > maxPattern {
		s.add(path, fmt.Sprintf("Use at most %d.", maxPattern), "the regular expression has %d characters", utf8.RuneCountInString(pattern))
		return
	}
	if _, err := regexp.Compile(pattern); err != nil {
		s.add(path, "Correct it; RE2 has no look-ahead and no back-references.", "%s is not a regular expression: %v", quoted(pattern), err)
	}
}

func (s scope) property(name, path string) {
	switch {
	case name == "":
		s.missing(path, "Write the name of a property, or value for the event's value.")
	case utf8.RuneCountInString(name) > maxProperty:
		s.add(path, fmt.Sprintf("Use at most %d.", maxProperty), "the name has %d characters", utf8.RuneCountInString(name))
	}
}

func (c *checker) most(n, most int, path string) {
	if n > most {
		c.add(path, fmt.Sprintf("Use at most %d.", most), "there are %d %s", n, lastName(path))
	}
}

// experiments checks the experiments of the scope's project.
func (s scope) experiments(p *ProjectSpec) {
	names := serverNames("experiment")
	for i := range p.Experiments {
		e, path := &p.Experiments[i], fmt.Sprintf("%s.experiments[%d]", s.path, i)
		s.name(e.Name, path+".name", names)
		s.environmentOf(e.Environment, path+".environment")
		s.experimentFlag(p, e, path)
		s.experimentTimes(e, path)
		s.event(e.Entry, path+".entry")
		s.experimentSettings(e, path)
		s.experimentMetrics(p, e, path+".metrics")
	}
}

// experimentFlag checks what is compared with what.
func (s scope) experimentFlag(p *ProjectSpec, e *ExperimentSpec, path string) {
	flags := make([]string, len(p.Flags))
	for i, f := range p.Flags {
		flags[i] = f.Name
	}
	if e.Flag == "" {
		s.missing(path+".flag", "Name a flag of the project.")
	} else if !slices.Contains(flags, e.Flag) {
		s.unknown(e.Flag, path+".flag", "flag", flags, s.path+".flags")
	}
	if e.Baseline == "" {
		s.missing(path+".baseline", "Name the treatment that the others are compared with.")
	}
	shown := p.shown(e.Flag, e.Environment)
	treatments := e.treatments(shown)
	seen := make(map[string]bool)
	for i, treatment := range e.Treatments {
		at := fmt.Sprintf("%s.treatments[%d]", path, i)
		if seen[treatment] {
			s.add(at, "Keep one of them.", "the treatment %s is here twice", quoted(treatment))
		}
		seen[treatment] = true
		if shown != nil {
			s.oneOf(treatment, at, "of the flag's treatments", shown.all)
		} else {
			s.treatment(treatment, at)
		}
	}
	s.most(len(treatments), maxArms, path+".treatments")
	switch {
	case e.Flag == "" || !slices.Contains(flags, e.Flag) || !s.isEnvironment[e.Environment]:
		return // what follows from it need not be said
	case len(treatments) == 0:
		s.missing(path+".treatments", fmt.Sprintf("Write them: the flag %s is not served in %s, so the file does not say what it shows.", quoted(e.Flag), quoted(e.Environment)))
		return
	case len(treatments) == 1:
		s.add(path+".treatments", "Write at least two; one of them is the baseline.", "there is one treatment, and nothing to compare it with")
	}
	if e.Baseline != "" {
		s.oneOf(e.Baseline, path+".baseline", "of the treatments", treatments)
	}
	for _, treatment := range sortedKeys(e.Shares) {
		at := join(path+".shares", treatment)
		s.oneOf(treatment, at, "of the treatments", treatments)
		if e.Shares[treatment] <= 0 {
			s.add(at, "Write a number above 0.", "the share is %v", e.Shares[treatment])
		}
	}
	for _, treatment := range treatments {
		if _, ok := e.Shares[treatment]; len(e.Shares) > 0 && !ok {
			s.add(path+".shares", "Write a share for each treatment, or leave shares out.", "the treatment %s has no share", quoted(treatment))
		}
	}
}

// oneOf checks a name that is one of a few that stand elsewhere.
func (s scope) oneOf(name, path, what string, declared []string) {
	if slices.Contains(declared, name) || s.broken(path) {
		return
	}
	fix := "They are " + strings.Join(declared, ", ") + "."
	if near := closest(name, declared); near != "" {
		fix = fmt.Sprintf("Did you mean %s?", near)
	}
	s.add(path, fix, "%s is not one %s", quoted(name), what)
}

func (s scope) experimentTimes(e *ExperimentSpec, path string) {
	const fix = "Write a date or a time of RFC 3339 in quotes, for example \"2026-03-01\" or \"2026-03-01T09:00:00Z\"."
	if e.Start == "" {
		s.missing(path+".start", fix)
	}
	start, ok := parseTime(e.Start)
	if !ok {
		s.add(path+".start", fix, "%s is not a time", quoted(e.Start))
	}
	end, isTime := parseTime(e.End)
	switch {
	case !isTime:
		s.add(path+".end", fix, "%s is not a time", quoted(e.End))
	case ok && !end.IsZero() && !end.After(start):
		s.add(path+".end", "Write a later end, or leave it out.", "the experiment ends before it starts")
	}
}

func (s scope) experimentSettings(e *ExperimentSpec, path string) {
	s.choice(e.Method, path+".method", experimentMethods)
	s.choice(e.Versions, path+".versions", versionChoices)
	if !(e.Significance > 0 && e.Significance < 0.5) {
		s.add(path+".significance", "Write a number above 0 and below 0.5, for example 0.05.", "significance is %v", e.Significance)
	}
	if !(e.Power > 0.5 && e.Power < 1) {
		s.add(path+".power", "Write a number above 0.5 and below 1, for example 0.8.", "power is %v", e.Power)
	}
	least := minFixed
	if e.Method == Sequential {
		least = minSequential
	}
	if e.MinimumSample < least {
		s.add(path+".minimumSample", fmt.Sprintf("Write %d or more.", least), "minimumSample is %d", e.MinimumSample)
	}
	if !slices.Contains(reviewPeriods, e.ReviewPeriod) {
		s.add(path+".reviewPeriod", "Write 1, 7, 14 or 28.", "reviewPeriod is %d", e.ReviewPeriod)
	}
	if e.Horizon < minSequential {
		s.add(path+".horizon", fmt.Sprintf("Write %d or more.", minSequential), "horizon is %d", e.Horizon)
	}
}

// experimentMetrics checks the metrics that an experiment names.
func (s scope) experimentMetrics(p *ProjectSpec, e *ExperimentSpec, path string) {
	names, trafficTypes := make([]string, len(p.Metrics)), make(map[string]string)
	for i, m := range p.Metrics {
		names[i], trafficTypes[m.Name] = m.Name, m.TrafficType
	}
	flagType := ""
	if i := slices.IndexFunc(p.Flags, func(f FlagSpec) bool { return f.Name == e.Flag }); i >= 0 {
		flagType = p.Flags[i].TrafficType
	}
	first := make(map[string]string)
	for _, list := range []struct {
		key   string
		names []string
	}{{"key", e.Metrics.Key}, {"guardrail", e.Metrics.Guardrail}, {"supporting", e.Metrics.Supporting}} {
		for i, name := range list.names {
			at := fmt.Sprintf("%s.%s[%d]", path, list.key, i)
			trafficType, known := trafficTypes[name]
			switch {
			case first[name] != "":
				s.add(at, "Keep one of them.", "the metric %s is at %s already", quoted(name), first[name])
			case !known:
				s.unknown(name, at, "metric", names, s.path+".metrics")
			case flagType != "" && trafficType != "" && trafficType != flagType:
				s.add(at, "Use a metric of the flag's traffic type: an event counts for the key that saw the flag.",
					"the metric %s is of %s, and the flag %s of %s", quoted(name), quoted(trafficType), quoted(e.Flag), quoted(flagType))
			}
			first[name] = at
		}
	}
	s.most(len(first), maxMetrics, path)
}
