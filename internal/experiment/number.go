package experiment

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"causeway/internal/store"
)

// The texts here are for sentences. Whoever needs the numbers has them.

// percent is a fraction as a percentage, with the precision its size deserves.
func percent(x float64) string { return short(100*x) + "%" }

// signed has a plus where a number is above zero.
func signed(text string, x float64) string {
	if x > 0 {
		return "+" + text
	}
	return text
}

// amount is a value of a metric in its unit.
func amount(kind string, x float64) string {
	if kind == store.MetricPercent {
		return percent(x)
	}
	return short(x)
}

// change is a difference of two values of a metric in its unit.
func change(kind string, x float64) string {
	if kind == store.MetricPercent {
		return signed(short(100*x), x) + " percentage points"
	}
	return signed(short(x), x)
}

// short writes a number with three or four significant digits.
func short(x float64) string {
	size := math.Abs(x)
	switch {
	case x == 0:
		return "0"
	case size >= 1e9 || size < 1e-4:
		return strconv.FormatFloat(x, 'g', 3, 64)
	case size >= 1000:
		return grouped(int64(math.Round(x)))
	}
	digits := max(0, 2-int(math.Floor(math.Log10(size))))
	text := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}

// grouped writes a whole number with commas.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// things counts with the right form of the word.
func things(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}

// probability writes a p-value.
func probability(p float64) string {
	switch {
	case p < 1e-150:
		return "below 1e-150"
	case p < 0.001:
		return strconv.FormatFloat(p, 'g', 3, 64)
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}

// level is the confidence of an interval at a significance level.
func level(alpha float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.4g", 100*(1-alpha)), ".") + "%"
}

func day(t time.Time) string { return t.UTC().Format("2 January 2006") }
