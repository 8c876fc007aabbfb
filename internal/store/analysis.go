package store

import (
	"encoding/json"
	"time"

	"causeway/internal/fme"
)

// Exposure says which keys saw which treatment of a flag, and when what they
// did counts (Harness FME, "Attribution and exclusion"; facts are in
// docs/statistics.md).
//
// A key belongs to the unit (rule, treatment) of its impressions in
// [From, To). What it does counts from Buffer before its first impression
// (included) to Buffer after To (not included). A key that changes its unit
// once belongs to both: what it does within Buffer of the change counts for
// both. A key that changes its unit twice is excluded from all it was in. A
// key whose two units have one treatment is one key of that treatment.
//
// Impressions of one moment are taken in the order that has the fewest
// changes. Impressions of control are no exposure and change nothing. An
// impression whose traffic type was not known when it came is one of
// TrafficType: a flag has only one.
type Exposure struct {
	Environment fme.EnvironmentID
	TrafficType string
	Flag        string
	// Rule is the impressions' label, "" any. A change of rule is a change of
	// unit also where Rule is "".
	Rule string
	// ChangeNumber is the version of the flag; nil: all versions together.
	ChangeNumber *int64
	From, To     time.Time     // on the impression's own time, half-open
	Buffer       time.Duration // 15 minutes in FME
	Treatments   []string      // the arms, in order; a key in another treatment only counts as a change of unit
	// Entry, when set, keeps only keys that did it within their window, and
	// what they do counts from the first time they did it (included).
	Entry *EventMatch
}

// EventMatch selects events by type and properties.
type EventMatch struct {
	EventType string
	Filters   []PropertyFilter // all of them must hold
}

// PropertyFilter compares one property of an event. Property "value" is the
// event's value.
type PropertyFilter struct {
	Property string
	// Operator is one of: is, is_not (texts, any of Values), matches,
	// matches_not (RE2, the first of Values, anywhere in the text), equal,
	// greater, greater_or_equal, less, less_or_equal (numbers, the first of
	// Values), present, absent. A property that an event lacks, or that is
	// null, satisfies only is_not, matches_not and absent. A text is a number
	// where R8 reads one.
	Operator string
	Values   []string
}

// Kinds of metrics: what one key contributes (FME, "Metric types").
const (
	MetricCount   = "count"   // how many events
	MetricSum     = "sum"     // the sum of their values
	MetricAverage = "average" // the mean of their values; keys without one are left out
	MetricRatio   = "ratio"   // events over denominator events; keys without a denominator are left out
	MetricPercent = "percent" // 1 when there is any event, else 0
)

// MetricQuery is one metric over an Exposure.
type MetricQuery struct {
	Kind        string
	Event       EventMatch
	Value       string      // for sum and average: "value", or the name of a numeric property
	Denominator *EventMatch // for ratio
	// HasDone keeps only keys that did it within their window; HasDoneBefore:
	// and then only events after the first time count, of Event and Denominator.
	HasDone       *EventMatch
	HasDoneBefore bool
	// Cap bounds what a key contributes; 0: no cap. CapPerDay bounds each 24
	// hours from its first impression instead (count and sum only); what it did
	// in the buffer before belongs to the first.
	Cap       float64
	CapPerDay bool
	// Dimension, when set, is a property of Event to split the result by; what
	// one key contributes is then counted for each value by itself. The 20
	// most frequent values are given, the others together as "Others", which
	// stands last. Events without the property are in none.
	Dimension string
}

// Arm is what one treatment's keys contributed to one metric. The moments are
// over keys, one number each.
type Arm struct {
	Treatment string
	InTotal   int64 // keys in the treatment
	Excluded  int64 // of them: left out, by a second change of unit, a filter or a missing denominator
	N         int64 // InTotal - Excluded
	Mean, M2  float64
	Min, Max  float64
	Sum       float64
	P50, P95  float64 // interpolated between the two nearest keys
	// Overflow: a sum or square left the range of float64; all numbers from
	// Mean on are 0.
	Overflow bool
}

// MetricResult is what a metric gave: an Arm for each of Exposure.Treatments,
// in that order, also for those without keys.
type MetricResult struct {
	Arms       []Arm
	Dimensions []DimensionArms // when MetricQuery.Dimension is set, the most frequent first
	// Events that match the metric's Event, whoever did them: from Buffer
	// before From to Buffer after To, of keys that were exposed (with or without
	// Entry), and of those inside a window of a key that is not excluded. They
	// say where an empty metric lost its events.
	Events, EventsOfExposed, EventsInWindow int64
}

// DimensionArms is the part of a metric that has one value of the dimension.
type DimensionArms struct {
	Value string
	Arms  []Arm
}

// ExposureReport is what the health of an experiment is judged by.
type ExposureReport struct {
	// Rules are the labels seen with any of the arms, the most frequent first.
	Rules []RuleCount
	// Versions of the flag seen in [From, To), oldest first, whatever
	// ChangeNumber says.
	Versions []VersionCount
	Arms     []ArmExposure
	Days     []ExposureDay
	// Keys that are in any arm (with Entry: and did it); that saw more than one
	// treatment, arm or not; that were excluded for a second change of unit.
	Keys, InSeveral, Excluded int64
	// WithEvents of Keys have any event at all in their window.
	WithEvents int64
	// EventsBefore are events of Keys in [From, To) more than Buffer before
	// their first impression.
	EventsBefore int64
	// LateEvents of EventsOfKeys, from Buffer before From to Buffer after To,
	// were received more than an hour after their time.
	LateEvents, EventsOfKeys int64
	// Of the impressions in any arm; zero when there is none.
	FirstImpression, LastSeen time.Time
}

// RuleCount is how many keys had an impression with a label.
type RuleCount struct {
	Rule string
	Keys int64
}

// VersionCount is one version of a flag.
type VersionCount struct {
	ChangeNumber int64
	First, Last  time.Time
	Keys         int64
}

// ArmExposure is one treatment's keys.
type ArmExposure struct {
	Treatment   string
	Keys        int64 // not excluded
	Excluded    int64
	Impressions int64
}

// ExposureDay is how many keys were first exposed on one UTC day, by arm, in
// the order of Exposure.Treatments. Days without any are left out.
type ExposureDay struct {
	Day  time.Time
	Keys []int64
}

// Reading is one stored result of an experiment, as it was computed.
type Reading struct {
	Project, Experiment string
	ComputedAt          time.Time
	Body                json.RawMessage
}
