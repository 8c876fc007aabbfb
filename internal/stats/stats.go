// Package stats turns small aggregates of an experiment into effects,
// intervals and p-values: Welch's test, always-valid (sequential) inference,
// relative intervals after Fieller, sample-ratio checks, corrections for many
// metrics, power, and one-sided degradation checks.
//
// Numbers in, numbers out: no I/O, no clock, no randomness, nothing shared;
// every function may be called from any goroutine. The same input gives the
// same output to the last bit.
//
// A result never holds NaN or an infinity, and never a number that float64
// could not carry. What cannot be computed has a [State] that says so and a
// Reason a person can read; then p-values are 1, intervals are nil, verdicts are
// false and other numbers are zero, so a caller who forgets to look at the
// state sees "nothing shown", not "significant". A p-value of 0 is one below 1e-150.
//
// Throughout, control comes first, a difference is treatment minus control,
// and a relative effect is the difference over the absolute value of the
// control mean, so that its sign is that of the difference. Effects have the
// unit of the metric, relative effects are fractions (0.05 is five percent).
// Intervals are two-sided and closed and are not clamped to what a metric can
// reach (a percentage over 100): clamping would break their agreement with p.
package stats

import "math"

// State says whether a result could be computed.
type State string

const (
	// StateReady: all numbers of the result hold.
	StateReady State = "ready"
	// StateTooFew: an arm is empty or has a single unit, so that its variance
	// is unknown.
	StateTooFew State = "too_few"
	// StateZeroVariance: no arm varies; a test has nothing to compare the
	// difference with.
	StateZeroVariance State = "zero_variance"
	// StateZeroBaseline: the control mean is zero; nothing is relative to it.
	StateZeroBaseline State = "zero_baseline"
	// StateUnbounded: the control mean is so uncertain that every relative
	// effect, however large, is compatible with the data.
	StateUnbounded State = "unbounded"
	// StateNotApplicable: the question does not arise for these data.
	StateNotApplicable State = "not_applicable"
	// StateUnreachable: no value that can exist answers the question, such as
	// a proportion over one.
	StateUnreachable State = "unreachable"
	// StateOutOfRange: an input is NaN, infinite, or so large or small that
	// float64 cannot carry the result.
	StateOutOfRange State = "out_of_range"
	// StateInvalid: an input contradicts its meaning, such as a significance
	// level of 2 or a negative count.
	StateInvalid State = "invalid"
)

// Status is the part every result has.
type Status struct {
	State  State
	Reason string // a sentence; empty when State is StateReady
}

// Ready reports whether the numbers of the result hold.
func (s Status) Ready() bool { return s.State == StateReady }

var (
	ready    = Status{State: StateReady}
	overflow = Status{StateOutOfRange, "The values are too large or too small to compute with; measure the metric in another unit."}
)

// Interval is a closed interval.
type Interval struct{ Low, High float64 }

// Contains reports whether x lies in the interval.
func (i Interval) Contains(x float64) bool { return i.Low <= x && x <= i.High }

// around returns center ± half.
func around(center, half float64) *Interval { return &Interval{center - half, center + half} }

// finite reports whether no value is NaN or infinite.
func finite(values ...float64) bool {
	for _, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// fraction reports whether x lies strictly between 0 and 1.
func fraction(x float64) bool { return x > 0 && x < 1 }

// level reports whether alpha is a significance level. Below 1e-300 its
// quantiles leave float64.
func level(alpha float64) bool { return alpha >= 1e-300 && alpha < 1 }

// checkAlpha is the status of a significance level.
func checkAlpha(alpha float64) Status {
	if !level(alpha) {
		return Status{StateInvalid, "The significance level must lie between 0 and 1."}
	}
	return ready
}
