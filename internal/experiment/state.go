package experiment

// State is what a card says, in the order in which it is decided.
type State string

// The states, as Harness FME has them ("Metrics impact cards").
const (
	NotAvailable  State = "not_available"
	NotPossible   State = "not_possible"
	NoBaseline    State = "no_baseline"
	NeedsMoreData State = "needs_more_data"
	ZeroVariance  State = "zero_variance"
	Desired       State = "desired"
	Undesired     State = "undesired"
	Inconclusive  State = "inconclusive"
)

// States lists them in the order in which they are decided.
var States = []State{NotAvailable, NotPossible, NoBaseline, NeedsMoreData, ZeroVariance, Desired, Undesired, Inconclusive}

// Title is the state in FME's words.
func (s State) Title() string {
	return map[State]string{
		NotAvailable: "Not available", NotPossible: "Not possible", NoBaseline: "No baseline",
		NeedsMoreData: "Needs more data", ZeroVariance: "Variance is zero",
		Desired: "Desired", Undesired: "Undesired", Inconclusive: "Inconclusive",
	}[s]
}

// Symbol stands beside the words, so that nobody has to tell colours apart.
func (s State) Symbol() string {
	switch s {
	case Desired:
		return "▲"
	case Undesired:
		return "▼"
	case Inconclusive:
		return "◆"
	case NeedsMoreData:
		return "◌"
	case ZeroVariance:
		return "="
	}
	return "–"
}

// Tone is the state as good or bad news.
func (s State) Tone() Tone {
	switch s {
	case Desired:
		return Good
	case Undesired:
		return Bad
	case Inconclusive:
		return Warn
	}
	return Neutral
}

// Significant reports whether the state is a finding.
func (s State) Significant() bool { return s == Desired || s == Undesired }

// Reason is why a card is in a state that is no finding.
type Reason string

// The reasons.
const (
	NotCalculated    Reason = "not_calculated"     // not since the experiment or the metric was made or changed
	NoKeys           Reason = "no_keys"            // nobody was exposed to the treatment
	NoEvents         Reason = "no_events"          // an average without an event
	NoDenominator    Reason = "no_denominator"     // a ratio without a denominator
	NoFilterMatch    Reason = "no_filter_match"    // nobody passed the metric's "has done"
	OutOfRange       Reason = "out_of_range"       // numbers that float64 cannot carry
	Failed           Reason = "calculation_failed" // the store could not answer
	OtherTrafficType Reason = "other_traffic_type" // the metric counts keys of another kind
	SeveralRules     Reason = "several_rules"      // any rule, and the flag has more than one
	NoBaselineSet    Reason = "no_baseline_set"    // the experiment names none
	NoBaselineKeys   Reason = "no_baseline_keys"   // nobody was exposed to it
	BelowMinimum     Reason = "below_minimum"      // fewer keys than the settings ask for
	AllValuesEqual   Reason = "all_values_equal"
)
