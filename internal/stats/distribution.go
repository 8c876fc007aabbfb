package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Distributions. gonum's where it keeps ten digits over the whole range that a
// test can ask for; measured against 60-digit values, and held by tests:
//
//	chi-squared, upper tail              2e-14   gonum
//	normal, quantile                     1e-15   gonum
//	normal, upper tail                   gonum's is 0 from z = 8.3 on; math.Erfc is exact
//	t, upper tail, ν < 1000              2e-11   gonum
//	t, upper tail, ν ≥ 1000              gonum's is off by 4e-9 at ν = 1e5, 7e-7 at 1e9: own, below
//	t, quantile, ν < 100                 7e-13   gonum
//	t, quantile, ν ≥ 100                 gonum's diverges in the tail (8.0 becomes 8.4 at ν = 300): own, below
//
// Large ν is the normal case here: it is about the number of units.

// normalUpper returns P(Z > z).
func normalUpper(z float64) float64 { return math.Erfc(z/math.Sqrt2) / 2 }

// normalCritical returns the z with P(Z > z) = q, for 0 < q < 1.
func normalCritical(q float64) float64 { return -distuv.UnitNormal.Quantile(q) }

// chiSquaredUpper returns P(X > x) with k degrees of freedom.
func chiSquaredUpper(x float64, k int) float64 {
	return distuv.ChiSquared{K: float64(k)}.Survival(x)
}

// The border below which gonum's tail and quantile of t are used.
const (
	tailSeriesFrom = 1000
	quantileFrom   = 100
)

// tUpper returns P(T > t) with nu > 0 degrees of freedom.
func tUpper(t, nu float64) float64 {
	switch {
	case t < 0:
		return 1 - tUpper(-t, nu)
	case nu < tailSeriesFrom:
		return distuv.StudentsT{Sigma: 1, Nu: nu}.Survival(t)
	default:
		return tUpperSeries(t, nu)
	}
}

// tailSeries are the coefficients of y², y⁴, ... in the expansion of
// sqrt((y/2)/sinh(y/2)), which converges for |y| < 2π.
var tailSeries = [...]float64{
	-1.0 / 48,
	1.0 / 2560,
	-7.879670965608466e-06,
	1.6967665791721782e-07,
	-3.805064191721906e-09,
	8.748377596315407e-11,
	-2.044523359411974e-12,
	4.833351797967704e-14,
	-1.152434101767386e-15,
	2.76605204359937e-17,
	-6.67428195089166e-19,
	1.61745507718158e-20,
}

// tUpperSeries is [tUpper] for large nu and t ≥ 0. With y = ln(1+t²/ν) and
// a = ν/2 − 1/4 the tail is
//
//	∫_y^∞ e^(−au) u^(−1/2) sqrt((u/2)/sinh(u/2)) du  /  2∫_0^∞ (the same)
//
// The root is expanded in u², which leaves incomplete gamma functions that
// follow from erfc by an upward recurrence of positive terms. This is the
// large-parameter expansion of the incomplete beta function (Didonato, Morris
// 1992, "Algorithm 708: significant digit computation of the incomplete beta
// function ratios", BGRAT; the substitution is Hill's 1970, "Algorithm 395:
// Student's t-distribution"). No gamma function of a large argument is taken,
// which is what costs gonum its digits.
func tUpperSeries(t, nu float64) float64 {
	a := nu/2 - 0.25
	y := math.Log1p(t / nu * t)
	x := a * y
	if x > 760 {
		return 0 // below the smallest float64
	}
	// tail and whole are Γ(s,x)/√π and Γ(s)/√π over a^2k, for s = 2k + 1/2;
	// edge is x^s e^−x/√π over a^2k.
	tail, whole, edge := math.Erfc(math.Sqrt(x)), 1.0, math.Sqrt(x)*math.Exp(-x)/math.SqrtPi
	sumTail, sumWhole := tail, whole
	for k, c := range tailSeries {
		s := 2*float64(k) + 0.5
		tail = ((s+1)*(s*tail+edge) + edge*x) / a / a
		whole = (s + 1) * s * whole / a / a
		edge *= y * y
		sumTail += c * tail
		sumWhole += c * whole
	}
	return sumTail / sumWhole / 2
}

// tCritical returns the t with P(T > t) = q, for 0 < q ≤ 1/2 and nu ≥ 1.
func tCritical(q, nu float64) float64 {
	if nu < quantileFrom {
		return -distuv.StudentsT{Sigma: 1, Nu: nu}.Quantile(q)
	}
	// Hill's substitution (see tUpperSeries) backwards gives five digits or
	// more; Newton's method on the logarithm of the tail does the rest. The
	// slope only steers, so an approximate constant of the density is enough.
	z := normalCritical(q)
	t := math.Sqrt(nu * math.Expm1(z*z/(nu-0.5)))
	for range 20 {
		tail := tUpper(t, nu)
		density := math.Exp(-(nu+1)/2*math.Log1p(t/nu*t)) / math.Sqrt(2*math.Pi) * (1 - 1/(4*nu))
		step := tail / density * math.Log(tail/q)
		if math.IsNaN(step) || math.IsInf(step, 0) {
			break // the density underflows: q is at the end of float64
		}
		t += step
		if math.Abs(step) <= 1e-15*t {
			break
		}
	}
	return t
}
