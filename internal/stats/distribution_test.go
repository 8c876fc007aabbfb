package stats

import (
	"encoding/json"
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
