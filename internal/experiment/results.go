package experiment

import (
	"time"

	"causeway/internal/store"
)

// Results is everything that is shown of an experiment at one moment, and what
// is stored as its reading.
type Results struct {
	Project     string   `json:"project"`
	ID          string   `json:"id"` // made from the name
	Experiment  string   `json:"experiment"`
	Hypothesis  string   `json:"hypothesis,omitempty"`
	Owner       string   `json:"owner,omitempty"`
	Environment string   `json:"environment"` // its name in the project
	Flag        string   `json:"flag"`
	TrafficType string   `json:"trafficType"`
	Rule        string   `json:"rule"`     // "" any
	Baseline    string   `json:"baseline"` // "" none
	Treatments  []string `json:"treatments"`

	Start   time.Time  `json:"start"`
	End     *time.Time `json:"end"` // null: it runs on
	From    time.Time  `json:"from"`
	To      time.Time  `json:"to"`      // impressions in [from, to) counted
	Version *int64     `json:"version"` // change number that counted; null: all together

	ComputedAt time.Time `json:"computedAt"`
	Final      bool      `json:"final"` // computed after the end: nothing follows by itself
	Code       string    `json:"code"`  // version of Causeway that computed it
	Settings   Settings  `json:"settings"`
	// Definition changes with what the experiment compares: its flag, rule, arms,
	// entry event, time or method. Basis changes with the flag's version, too:
	// results of different bases do not follow each other.
	Definition string `json:"definition"`
	Basis      string `json:"basis"`

	Recommendation Recommendation `json:"recommendation"`
	Health         Health         `json:"health"`
	Groups         []Group        `json:"groups"` // those that have metrics, in the order key, guardrail, supporting
}

// Recommendation is the banner: one sentence, and its reasons.
type Recommendation struct {
	Verdict  Verdict  `json:"verdict"`
	Tone     Tone     `json:"tone"`
	Sentence string   `json:"sentence"`
	Reasons  []string `json:"reasons"`
}

// Verdict is what is recommended.
type Verdict string

// The verdicts.
const (
	DoNotTrust  Verdict = "do_not_trust" // the sample ratio is off: repair first
	RollOut     Verdict = "roll_out"     // a key metric moved as desired, and no other the wrong way
	RollBack    Verdict = "roll_back"    // a key metric or guardrail moved the wrong way
	Weigh       Verdict = "weigh"        // some moved as desired and others the wrong way
	KeepRunning Verdict = "keep_running"
	NoEffect    Verdict = "no_effect" // it is over and nothing moved
	CannotSay   Verdict = "cannot_say"
)

// Tone says whether something is good news, for colour and icon.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
	Neutral Tone = "neutral"
)

// Group is the metrics that were corrected together.
type Group struct {
	Name    string         `json:"name"`  // GroupKey, GroupGuardrail or GroupSupporting
	Title   string         `json:"title"` // "Key metrics"
	Metrics []MetricResult `json:"metrics"`
}

// MetricResult is what one metric showed, with a card for each treatment.
type MetricResult struct {
	ID          string `json:"id"` // made from the name
	Metric      string `json:"metric"`
	Description string `json:"description,omitempty"`
	Kind        string `json:"kind"`    // store.MetricCount and so on
	Measure     string `json:"measure"` // what one key contributes, as a phrase
	Desired     string `json:"desired"` // Increase or Decrease
	Basis       string `json:"basis"`   // changes with the metric's definition
	Arms        []Arm  `json:"arms"`    // the baseline first
	Cards       []Card `json:"cards"`   // one for each treatment
	// Funnel says where events were lost on their way into the metric.
	Funnel Funnel `json:"funnel"`
	// Values is how each arm's value came about: cumulative, oldest first.
	Values     []ValuePoint `json:"values"`
	Dimensions []Dimension  `json:"dimensions"`
}

// Interval is a closed interval.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Arm is one treatment's keys in one metric. Without a key that counts, the
// numbers are null.
type Arm struct {
	Treatment   string    `json:"treatment"`
	InTreatment int64     `json:"inTreatment"`
	Excluded    int64     `json:"excluded"`
	N           int64     `json:"n"` // sample size: inTreatment - excluded
	Mean        *float64  `json:"mean"`
	CI          *Interval `json:"ci"` // of the mean, at level 1 - alpha, looked at once
	Stdev       *float64  `json:"stdev"`
	Min         *float64  `json:"min"`
	P50         *float64  `json:"p50"`
	P95         *float64  `json:"p95"`
	Max         *float64  `json:"max"`
	Total       *float64  `json:"total"`
}

// Card is the verdict on one metric of one treatment against the baseline.
type Card struct {
	Metric    string `json:"metric"`
	Treatment string `json:"treatment"`
	Baseline  string `json:"baseline"`
	State     State  `json:"state"`
	Title     string `json:"title"`  // the state in FME's words
	Reason    Reason `json:"reason"` // why it is that state; "" where the state says it all
	Sentence  string `json:"sentence"`
	Fix       string `json:"fix,omitempty"` // what to do about it

	Diff *float64  `json:"diff"` // treatment minus baseline, unit of the metric
	CI   *Interval `json:"ci"`   // of Diff, at level 1 - AlphaCI
	// Rel is Diff over the absolute value of the baseline's mean, as a fraction.
	Rel          *float64  `json:"rel"`
	RelCI        *Interval `json:"relCi"`
	RelUnbounded bool      `json:"relUnbounded"` // the baseline is too uncertain for a relative interval
	RelReason    string    `json:"relReason,omitempty"`

	P         *float64 `json:"p"`         // of Diff; the smallest so far where sequential
	PNow      *float64 `json:"pNow"`      // of this look alone
	PDiff     *float64 `json:"pDiff"`     // Diff at the look that P is of
	PAdjusted *float64 `json:"pAdjusted"` // of P, for the metrics judged together
	Alpha     float64  `json:"alpha"`
	AlphaCI   float64  `json:"alphaCi"`
	Method    string   `json:"method"`
	SE        *float64 `json:"se"` // of Diff
	Statistic *float64 `json:"statistic"`
	DF        *float64 `json:"df"` // null where sequential
	Critical  *float64 `json:"critical"`
	// The minimum likely detectable effect: what would have been found with
	// the chosen power at this sample size.
	MLDEAbs *float64 `json:"mldeAbs"`
	MLDERel *float64 `json:"mldeRel"`
	// MoreKeys is how many keys each arm at least lacks; 0: enough.
	MoreKeys int64 `json:"moreKeys"`

	// SignificantSince is when a sequential result first was; null: not yet, or
	// not sequential. SignificantNow says whether this look alone would be.
	SignificantSince *time.Time `json:"significantSince"`
	SignificantNow   bool       `json:"significantNow"`
	Looks            int        `json:"looks"` // how often a sequential result was computed

	Series  []EffectPoint `json:"series"` // impact over time: cumulative, oldest first
	Working Working       `json:"working"`
}

// EffectPoint is the effect as it stood when only impressions before At counted.
// Intervals are at level 1 - Alpha, not corrected for other metrics.
type EffectPoint struct {
	At         time.Time `json:"at"`
	NBaseline  int64     `json:"nBaseline"`
	NTreatment int64     `json:"nTreatment"`
	Diff       *float64  `json:"diff"`
	CI         *Interval `json:"ci"`
	Rel        *float64  `json:"rel"`
	RelCI      *Interval `json:"relCi"`
	P          *float64  `json:"p"`
}

// ValuePoint is what each arm's value was when only impressions before At
// counted.
type ValuePoint struct {
	At   time.Time  `json:"at"`
	Arms []ValueArm `json:"arms"`
}

// ValueArm is one arm of a ValuePoint.
type ValueArm struct {
	Treatment string    `json:"treatment"`
	N         int64     `json:"n"`
	Mean      *float64  `json:"mean"`
	Stdev     *float64  `json:"stdev"`
	CI        *Interval `json:"ci"`
}

// Dimension is a metric split by a property of its event. It has no p-values:
// it is for looking, not for deciding.
type Dimension struct {
	Property string           `json:"property"`
	Values   []DimensionValue `json:"values"`
}

// DimensionValue is the part of a metric that has one value of a property.
type DimensionValue struct {
	Value string `json:"value"`
	Arms  []Arm  `json:"arms"`
}

// Funnel counts a metric's events from all there are to those that counted.
type Funnel struct {
	Steps []FunnelStep `json:"steps"`
	// Lost is the first step that nothing passed; "" when something counted.
	Lost     string `json:"lost,omitempty"`
	Sentence string `json:"sentence,omitempty"`
	Fix      string `json:"fix,omitempty"`
}

// FunnelStep is one step and how many passed it.
type FunnelStep struct {
	Name  string `json:"name"`
	Label string `json:"label"`
	Count int64  `json:"count"`
}

// Working is how a card's numbers came about.
type Working struct {
	Steps  []WorkingStep `json:"steps"`
	R      string        `json:"r"`      // repeats it in R; empty where there is nothing to repeat
	Python string        `json:"python"` // and in Python, with scipy
}

// WorkingStep is one formula.
type WorkingStep struct {
	Title   string `json:"title"`
	Formula string `json:"formula"` // with symbols
	Numbers string `json:"numbers"` // the same with the numbers put in, and what it gives
}

// Health is whether the experiment can be trusted.
type Health struct {
	SampleRatios []SampleRatio `json:"sampleRatios"` // one for each treatment
	// Exposures is how the arms filled, by day.
	Exposures Exposures    `json:"exposures"`
	Several   HealthCheck  `json:"several"`  // keys in more than one treatment
	Excluded  HealthCheck  `json:"excluded"` // keys that changed twice
	Identity  HealthCheck  `json:"identity"` // exposed keys that have any event
	Before    HealthCheck  `json:"before"`   // events before the exposure
	Late      HealthCheck  `json:"late"`     // events that came late
	Review    ReviewPeriod `json:"review"`
	Versions  Versions     `json:"versions"`
	Rules     Rules        `json:"rules"`
}

// HealthCheck is one share of something and whether it is as it should be.
type HealthCheck struct {
	Tone     Tone     `json:"tone"`
	Count    int64    `json:"count"`
	Of       int64    `json:"of"`
	Share    *float64 `json:"share"` // null: of nothing
	Sentence string   `json:"sentence"`
	Fix      string   `json:"fix,omitempty"`
}

// SampleRatio says whether a treatment and the baseline have the sizes that
// they were meant to have.
type SampleRatio struct {
	Treatment string      `json:"treatment"`
	State     RatioState  `json:"state"`
	Reason    string      `json:"reason,omitempty"` // why it does not apply
	Tone      Tone        `json:"tone"`
	Sentence  string      `json:"sentence"`
	Arms      []RatioArm  `json:"arms"` // baseline, treatment
	Chi2      *float64    `json:"chi2"`
	P         *float64    `json:"p"` // looked at once
	Threshold float64     `json:"threshold"`
	Looks     int         `json:"looks"`
	PSmallest *float64    `json:"pSmallest"` // of the sequential check: the smallest of all looks
	Causes    []Suspicion `json:"causes"`    // where it is a mismatch: the likeliest first
}

// RatioState is the outcome of a sample-ratio check.
type RatioState string

// The outcomes.
const (
	RatioValid         RatioState = "valid"
	RatioMismatch      RatioState = "mismatch"
	RatioNotApplicable RatioState = "not_applicable"
)

// RatioArm is one arm of a SampleRatio.
type RatioArm struct {
	Treatment string   `json:"treatment"`
	Keys      int64    `json:"keys"`
	Share     *float64 `json:"share"`    // of the pair
	Expected  *float64 `json:"expected"` // share of the pair that was meant
}

// Suspicion is a likely cause of a sample-ratio mismatch.
type Suspicion struct {
	Cause    string `json:"cause"`
	Evidence string `json:"evidence,omitempty"` // what in these data speaks for it; "" nothing was looked at
	Check    string `json:"check"`              // what to look at next
}

// Exposures counts the keys in the experiment.
type Exposures struct {
	Keys        int64       `json:"keys"`
	Impressions int64       `json:"impressions"`
	First       *time.Time  `json:"first"` // impression
	Last        *time.Time  `json:"last"`
	Arms        []string    `json:"arms"`
	Days        []DayOfKeys `json:"days"`
}

// DayOfKeys is how many keys were first exposed on one UTC day, in the order
// of Exposures.Arms.
type DayOfKeys struct {
	Day  time.Time `json:"day"`
	Keys []int64   `json:"keys"`
}

// ReviewPeriod is whether the experiment ran for whole review periods.
type ReviewPeriod struct {
	Days     int    `json:"days"`    // of one period
	Running  int    `json:"running"` // whole days it ran
	Complete bool   `json:"complete"`
	Tone     Tone   `json:"tone"`
	Sentence string `json:"sentence"`
}

// Versions are the flag's versions that were seen.
type Versions struct {
	Tone     Tone      `json:"tone"`
	Sentence string    `json:"sentence"`
	Seen     []Version `json:"seen"` // oldest first
}

// Version is one version of the flag.
type Version struct {
	ChangeNumber int64     `json:"changeNumber"`
	First        time.Time `json:"first"`
	Last         time.Time `json:"last"`
	Keys         int64     `json:"keys"`
	Counts       bool      `json:"counts"` // whether these results are of it
}

// Rules are the impressions' labels that were seen with the arms.
type Rules struct {
	Tone     Tone   `json:"tone"`
	Sentence string `json:"sentence"`
	Seen     []Rule `json:"seen"` // the most frequent first
}

// Rule is one label.
type Rule struct {
	Rule   string `json:"rule"`
	Keys   int64  `json:"keys"`
	Counts bool   `json:"counts"`
}

// measures says what one key contributes, by the kind of a metric.
var measures = map[string]string{
	store.MetricCount:   "Count of events per key",
	store.MetricSum:     "Sum of event values per key",
	store.MetricAverage: "Average of event values per key",
	store.MetricRatio:   "Ratio of two events per key",
	store.MetricPercent: "Percent of unique keys",
}
