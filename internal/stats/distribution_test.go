package stats

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// pointsOf returns at which points the case's expectation named key was computed:
// for these kinds the input does not say.
func pointsOf(t *testing.T, v vector, key, at string) (points []float64) {
	t.Helper()
	rows, _ := v.Expect[key].([]any)
	for _, row := range rows {
		n, ok := row.(map[string]any)[at].(json.Number)
		if !ok {
			t.Fatalf("%s: a row without %s", key, at)
		}
		x, err := n.Float64()
		if err != nil {
			t.Fatal(err)
		}
		points = append(points, x)
	}
	return points
}

// tableOf computes a case that holds tails and quantiles.
func tableOf(t *testing.T, v vector, upper, critical func(float64) float64) object {
	t.Helper()
	var tails, quantiles []any
	for _, x := range pointsOf(t, v, "sf", "x") {
		tails = append(tails, object{"x": x, "sf": upper(x)})
	}
	for _, p := range pointsOf(t, v, "quantile", "p") {
		quantiles = append(quantiles, object{"p": p, "q": critical(1 - p)})
	}
	return object{"sf": tails, "quantile": quantiles}
}

func studentT(t *testing.T, v vector) object {
	in := read[struct{ Nu float64 }](t, v.Input)
	return tableOf(t, v, func(x float64) float64 { return tUpper(x, in.Nu) }, func(q float64) float64 { return tCritical(q, in.Nu) })
}

func normal(t *testing.T, v vector) object { return tableOf(t, v, normalUpper, normalCritical) }

func chi2(t *testing.T, v vector) object {
	in := read[struct{ K int }](t, v.Input)
	return tableOf(t, v, func(x float64) float64 { return chiSquaredUpper(x, in.K) }, nil)
}

// TestStudentTKeepsItsDigitsInTheTail covers more degrees of freedom and far
// smaller tails than the vectors do.
func TestStudentTKeepsItsDigitsInTheTail(t *testing.T) {
	file, err := os.Open("testdata/student_t.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var nu, x, want float64
		if _, err := fmt.Sscan(lines.Text(), &nu, &x, &want); err != nil {
			t.Fatal(lines.Text(), err)
		}
		rows++
		tolerance := 1e-12
		if nu < tailSeriesFrom {
			tolerance = 1e-10
		}
		if got := tUpper(x, nu); math.Abs(got/want-1) > tolerance {
			t.Errorf("tUpper(%v, %v) = %v, want %v: off by %.1e", x, nu, got, want, got/want-1)
		}
		if got := tUpper(-x, nu); math.Abs(got-(1-want)) > tolerance {
			t.Errorf("tUpper(%v, %v) = %v, want %v", -x, nu, got, 1-want)
		}
		if got := tCritical(want, nu); math.Abs(got/x-1) > 1e-11 {
			t.Errorf("tCritical(%v, %v) = %v, want %v: off by %.1e", want, nu, got, x, got/x-1)
		}
	}
	if rows < 100 {
		t.Errorf("only %d rows", rows)
	}
}

func TestNormalQuantileKeepsItsDigitsInTheTail(t *testing.T) {
	for q, want := range map[float64]float64{
		0.4: 0.25334710313579974, 0.025: 1.9599639845400542, 1e-6: 4.753424308822899, 1e-10: 6.3613409024040562,
		1e-20: 9.2623400897984076, 1e-100: 21.273453560965324, 1e-300: 37.047096299361199,
	} {
		if got := normalCritical(q); math.Abs(got/want-1) > 1e-14 {
			t.Errorf("normalCritical(%v) = %v, want %v", q, got, want)
		}
	}
}
