// Package experiment says what an experiment has shown: it asks the store who
// saw which treatment and what they did then, has stats judge each metric, and
// puts the answer into Harness FME's words with its uncertainty, its health and
// the way it was computed.
//
// Contract:
//   - Results never hold NaN or an infinity. A number that could not be computed
//     is null, and a state with a reason and a sentence says why.
//   - Conclude is pure: the same plan, evidence and earlier results give the same
//     results. It alone decides what is shown.
//   - A p-value always belongs to the absolute difference, and every interval of
//     a card is at the level that makes it agree with that p-value.
//   - What was computed is stored as it was shown; a sequential result that was
//     significant once says so ever after, for as long as the experiment and the
//     metric are defined alike.
//   - At most one question to the store is under way at a time.
//
// docs/statistics.md has the formulas and where they come from.
package experiment

import (
	"time"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/store"
)

// Plan is an experiment ready to be computed: everything its results depend on
// but the data.
type Plan struct {
	Project, ID, Name string
	Hypothesis, Owner string
	Environment       fme.EnvironmentID
	Flag, TrafficType string
	Rule              string   // the impressions' label; "" any
	Baseline          string   // "" none
	Treatments        []string // compared with the baseline, which is not among them
	// Shares is what part of the keys each arm was meant to get, in any unit.
	// Empty: nobody knows, and NoShares says why.
	Shares     map[string]float64
	NoShares   string
	Start, End time.Time // End zero: it runs on
	// AllVersions combines the versions of the flag between Start and End;
	// else only what the latest version showed counts.
	AllVersions bool
	Entry       *store.EventMatch
	Metrics     []Metric // key metrics first, then guardrails, then supporting
	Settings    Settings
}

// Metric is one metric of a plan.
type Metric struct {
	ID, Name    string
	Description string
	Group       string // GroupKey, GroupGuardrail or GroupSupporting
	TrafficType string
	Desired     string // Increase or Decrease
	Query       store.MetricQuery
	// Dimensions are properties of the metric's event to split it by.
	Dimensions []string
}

// The groups of metrics.
const (
	GroupKey        = "key"
	GroupGuardrail  = "guardrail"
	GroupSupporting = "supporting"
)

// The desired directions of a metric.
const (
	Increase = catalog.Increase
	Decrease = catalog.Decrease
)

// Settings are how the experiment is judged. They are part of its results.
type Settings struct {
	Method     string  `json:"method"` // Fixed or Sequential
	Alpha      float64 `json:"alpha"`  // significance level
	Power      float64 `json:"power"`  // of the minimum likely detectable effect
	MinSample  int64   `json:"minSample"`
	ReviewDays int     `json:"reviewDays"`
	// Correction is Benjamini-Hochberg's, within each group of metrics.
	Correction bool `json:"correction"`
	// TunedFor is how many keys, both arms together, the sequential interval is
	// tightest at.
	TunedFor             int64   `json:"tunedFor"`
	SampleRatioThreshold float64 `json:"sampleRatioThreshold"`
	BufferMinutes        int     `json:"bufferMinutes"` // around the window in which events count
}

// The methods.
const (
	Fixed      = catalog.FixedHorizon
	Sequential = catalog.Sequential
)

// buffer is how long before and after a key's window events count.
func (p *Plan) buffer() time.Duration { return time.Duration(p.Settings.BufferMinutes) * time.Minute }

// Arms are the baseline, where there is one, and the treatments.
func (p *Plan) Arms() []string {
	if p.Baseline == "" {
		return p.Treatments
	}
	return append([]string{p.Baseline}, p.Treatments...)
}

// Evidence is what the store knows at one moment.
type Evidence struct {
	At        time.Time // when it was asked
	From, To  time.Time // of the impressions that count
	Version   *int64    // the flag's version that counts; nil: all between From and To
	Exposures store.ExposureReport
	Metrics   []Measured // one for each of Plan.Metrics, in that order
}

// Measured is what one metric gave.
type Measured struct {
	Result store.MetricResult
	// Err is why it could not be computed, for a person; then nothing else holds.
	Err string
	// Missing is why it was not asked for yet, for a person; then nothing else holds.
	Missing string
	// Dimensions has a result for each of Metric.Dimensions.
	Dimensions []store.MetricResult
	// Past has what the metric would have given at earlier ends, oldest first.
	Past []PastArms
}

// PastArms is what a metric's arms were when only impressions before At counted.
type PastArms struct {
	At   time.Time
	Arms []store.Arm
}
