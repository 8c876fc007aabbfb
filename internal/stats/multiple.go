package stats

import (
	"cmp"
	"slices"
)

// Family is what becomes of the p-values of metrics that are judged together.
type Family struct {
	Status
	Tests      int       // p-values that count
	Rejections int       // of them, significant at alpha after the adjustment
	P          []float64 // adjusted, in the order given; 1 where there was none
	Rejected   []bool    // P < alpha
	AlphaCI    []float64 // level at which to compute each metric's interval
}

// BenjaminiHochberg controls the share of false discoveries among the metrics
// called significant (Benjamini, Hochberg 1995, "Controlling the false discovery
// rate"). A p that is not in 0 to 1, such as NaN for a metric that could not be
// computed, does not count.
//
// With R of m metrics significant, intervals are at level R·alpha/m for these
// (Benjamini, Yekutieli 2005, "False discovery rate-adjusted multiple confidence
// intervals for selected parameters") and (R+1)·alpha/m for the others: a metric
// is then significant if and only if its interval excludes no effect. With one
// metric nothing changes.
func BenjaminiHochberg(p []float64, alpha float64) Family {
	f := Family{Status: checkAlpha(alpha), Rejected: make([]bool, len(p)), AlphaCI: make([]float64, len(p))}
	f.P, f.Tests = adjust(p, func(sorted []float64) {
		least := 1.0
		for i := len(sorted) - 1; i >= 0; i-- {
			least = min(least, sorted[i]*float64(len(sorted))/float64(i+1))
			sorted[i] = least
		}
	})
	if !f.Ready() {
		return f
	}
	for i, q := range f.P {
		if f.Rejected[i] = q < alpha; f.Rejected[i] {
			f.Rejections++
		}
	}
	for i := range p {
		switch {
		case !counts(p[i]):
			f.AlphaCI[i] = alpha
		case f.Rejected[i]:
			f.AlphaCI[i] = alpha * float64(f.Rejections) / float64(f.Tests)
		default:
			f.AlphaCI[i] = alpha * float64(f.Rejections+1) / float64(f.Tests)
		}
	}
	return f
}

// Holm returns p-values that control the chance of any false discovery (Holm
// 1979, "A simple sequentially rejective multiple test procedure"). What is not in
// 0 to 1 does not count and becomes 1.
func Holm(p []float64) []float64 {
	adjusted, _ := adjust(p, func(sorted []float64) {
		most := 0.0
		for i, v := range sorted {
			most = max(most, min(1, v*float64(len(sorted)-i)))
			sorted[i] = most
		}
	})
	return adjusted
}

// Bonferroni returns each p-value times their number, at most 1. What is not in
// 0 to 1 does not count and becomes 1.
func Bonferroni(p []float64) []float64 {
	adjusted, _ := adjust(p, func(sorted []float64) {
		for i, v := range sorted {
			sorted[i] = min(1, v*float64(len(sorted)))
		}
	})
	return adjusted
}

// counts reports whether p is a p-value.
func counts(p float64) bool { return p >= 0 && p <= 1 }

// adjust has a method rewrite the ascending p-values that count, and returns
// them in the order given with their number.
func adjust(p []float64, method func(sorted []float64)) ([]float64, int) {
	adjusted := make([]float64, len(p))
	var order []int
	for i := range p {
		adjusted[i] = 1
		if counts(p[i]) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	sorted := make([]float64, len(order))
	for rank, i := range order {
		sorted[rank] = p[i]
	}
	method(sorted)
	for rank, i := range order {
		adjusted[i] = sorted[rank]
	}
	return adjusted, len(order)
}
