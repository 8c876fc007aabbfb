package plot

import (
	"math"
	"strconv"
	"strings"
)

// Scale is an axis: what of it is shown, and where its lines are.
type Scale struct {
	Low, High float64 // finite, Low < High
	Ticks     []float64
}

// most is the largest number that is drawn to scale; a difference of two of
// them is still finite.
const most = 1e300

// known reports whether a number can be drawn at all.
func known(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func bounded(v float64) float64 { return math.Max(-most, math.Min(most, v)) }

// scaleOf is a scale with round lines, about that many, that shows all known
// values.
func scaleOf(lines int, values ...float64) Scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if known(v) {
			low, high = math.Min(low, bounded(v)), math.Max(high, bounded(v))
		}
	}
	if low > high {
		low, high = 0, 1
	}
	// Values that differ by less than can be told apart get room around them.
	if size := math.Max(math.Abs(low), math.Abs(high)); high-low <= size*1e-9 {
		room := size / 10
		if size < 1e-290 {
			room = 1
		}
		low, high = bounded(low-room), bounded(high+room)
	}
	step := roundStep((high - low) / float64(max(1, lines)))
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	if !known(first) || !known(last) || last-first > 100 {
		return Scale{low, high, []float64{low, high}}
	}
	s := Scale{Low: bounded(first * step), High: bounded(last * step)}
	if s.Low >= s.High {
		return Scale{low, high, []float64{low, high}}
	}
	for i := first; i <= last; i++ {
		s.Ticks = append(s.Ticks, bounded(i*step))
	}
	return s
}

// roundStep is 1, 2 or 5 times a power of ten, at or above the step.
func roundStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	if !known(power) || power == 0 {
		return math.Max(step, math.SmallestNonzeroFloat64)
	}
	for _, factor := range []float64{1, 2, 5} {
		if step <= factor*power*(1+1e-9) {
			return factor * power
		}
	}
	return 10 * power
}

// at is where a value lies on the scale: 0 at Low, 1 at High, and beyond them
// what is not shown.
func (s Scale) at(v float64) float64 {
	return (bounded(v) - s.Low) / (s.High - s.Low)
}

// clamped is where a value lies, at the nearer end when it is not shown, and
// whether it is shown.
func (s Scale) clamped(v float64) (at float64, shown bool) {
	at = s.at(v)
	if math.IsInf(v, 0) || at < 0 || at > 1 {
		return math.Max(0, math.Min(1, at)), false
	}
	return at, true
}

// Number writes a number with three significant digits and whole thousands:
// 0.0123, 12.3, 1,235, 2.5M.
func Number(v float64) string {
	switch size := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "-∞"
	case size >= 1e15 || size > 0 && size < 1e-5:
		return tidy(strconv.FormatFloat(v, 'g', 3, 64))
	case size >= 1e9:
		return tidy(significant(v/1e9)) + "G"
	case size >= 1e6:
		return tidy(significant(v/1e6)) + "M"
	case size >= 1000:
		return grouped(tidy(strconv.FormatFloat(v, 'f', 0, 64)))
	}
	return tidy(significant(v))
}

// Percent writes a fraction as a percentage: 0.0123 is 1.23%.
func Percent(v float64) string {
	if !known(v * 100) {
		return Number(v)
	}
	return Number(v*100) + "%"
}

// Signed makes of a way to write numbers one that writes the plus too.
func Signed(format func(float64) string) func(float64) string {
	return func(v float64) string {
		if v > 0 {
			return "+" + format(v)
		}
		return format(v)
	}
}

func significant(v float64) string {
	if v == 0 {
		return "0"
	}
	decimals := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return trimmed(strconv.FormatFloat(v, 'f', max(0, min(decimals, 8)), 64))
}

func trimmed(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// tidy takes the sign from a zero.
func tidy(text string) string {
	if text == "-0" {
		return "0"
	}
	return text
}

func grouped(text string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		sign, text = "-", rest
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}
