package duckdb

import (
	"database/sql"
	"fmt"
	"math"
	"strings"

	"causeway/internal/store"
)

// The squares of numbers up to largest are in the range of float64, also
// summed. Where there are larger ones, an arm is computed in units of 2^600.
const (
	largest   = 1e140
	unitOfBig = 600
)

// moments computes the arms of each place of a metric's contributions. sampled
// is how many keys each arm has: those without a row contribute 0.
func (a *analysis) moments(m *measured, place, where string, inTotal, sampled []int64, places int) ([][]store.Arm, error) {
	list := make([][]store.Arm, places)
	for p := range list {
		list[p] = make([]store.Arm, len(a.e.Treatments))
		for i, treatment := range a.e.Treatments {
			list[p][i] = store.Arm{Treatment: treatment, InTotal: inTotal[i], Excluded: inTotal[i]}
			if sampled != nil {
				list[p][i].N, list[p][i].Excluded = sampled[i], inTotal[i]-sampled[i]
			}
		}
	}
	size := "count(*)"
	if sampled != nil {
		var b strings.Builder
		b.WriteString("CASE xs.arm")
		for i, n := range sampled {
			fmt.Fprintf(&b, " WHEN %d THEN %d", i, n)
		}
		size = b.String() + " END"
	}
	// at is SQL for the j-th of all contributions in order, when zeros are not
	// in the list.
	at := func(j string) string {
		return fmt.Sprintf("CASE WHEN %[1]s < below THEN sorted[%[1]s + 1] WHEN %[1]s < below + n - listed THEN 0 ELSE sorted[%[1]s - (n - listed) + 1] END", j)
	}
	place50, place95 := "CAST(floor((n - 1) * 0.5) AS BIGINT)", "CAST(floor((n - 1) * 0.95) AS BIGINT)"
	next := func(j string) string { return "least(" + j + " + 1, n - 1)" }
	text := fmt.Sprintf(`WITH xs AS MATERIALIZED (%s),
		units AS (SELECT place, arm, CASE WHEN max(abs(x)) FILTER (isfinite(x)) > %s THEN pow(2.0, -%d) ELSE 1.0 END AS unit FROM xs GROUP BY place, arm),
		sums AS (
			SELECT xs.place, xs.arm, %s AS n, count(*) AS listed, count(*) FILTER (NOT isfinite(x)) AS bad, any_value(unit) AS unit, favg(x * unit) AS mean,
				var_pop(x * unit) FILTER (isfinite(x)) AS variance, fsum(x * unit) AS total, min(x) AS least, max(x) AS most,
				count(*) FILTER (x < 0) AS below, list_sort(list(x)) AS sorted
			FROM xs JOIN units ON units.place = xs.place AND units.arm = xs.arm GROUP BY xs.place, xs.arm)
		SELECT place, arm, n, listed, bad, unit, mean, variance, total, least, most, %s, %s, %s, %s FROM sums`,
		m.contributions(place, where), numeral(largest), unitOfBig, size, at(place50), at(next(place50)), at(place95), at(next(place95)))
	err := a.query(text, func(rows *sql.Rows) error {
		var place, arm int
		var r moments
		err := rows.Scan(&place, &arm, &r.n, &r.listed, &r.bad, &r.unit, &r.mean, &r.variance, &r.total, &r.least, &r.most,
			&r.around50[0], &r.around50[1], &r.around95[0], &r.around95[1])
		if err == nil {
			r.fill(&list[place][arm])
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("compute the moments: %w", err)
	}
	return list, nil
}

// moments are those of the contributions that are rows, of n in all.
type moments struct {
	n, listed, bad     int64
	unit, mean, total  float64
	variance           sql.NullFloat64 // NULL: nothing was finite
	least, most        float64
	around50, around95 [2]float64 // the two that a quantile is between
}

// fill adds the zeros: n - listed contributions that are no rows. Two groups'
// moments are put together as Chan, Golub and LeVeque do.
func (r *moments) fill(arm *store.Arm) {
	n, listed, zeros := float64(r.n), float64(r.listed), float64(r.n-r.listed)
	full := store.Arm{Treatment: arm.Treatment, InTotal: arm.InTotal, Excluded: arm.InTotal - r.n, N: r.n,
		Mean: r.mean * listed / n / r.unit, Sum: r.total / r.unit,
		M2:  (r.variance.Float64*listed + r.mean*r.mean*listed*zeros/n) / r.unit / r.unit,
		Min: r.least, Max: r.most, P50: between(r.around50, 0.5*(n-1)), P95: between(r.around95, 0.95*(n-1))}
	if zeros > 0 {
		full.Min, full.Max = min(full.Min, 0), max(full.Max, 0)
	}
	if r.bad > 0 || !finite(full.Mean, full.M2, full.Sum, full.Min, full.Max, full.P50, full.P95) {
		full = store.Arm{Treatment: arm.Treatment, InTotal: arm.InTotal, Excluded: arm.InTotal - r.n, N: r.n, Overflow: true}
	}
	*arm = full
}

// between interpolates between the values around a place.
func between(around [2]float64, place float64) float64 {
	part := place - math.Floor(place)
	return around[0]*(1-part) + around[1]*part
}

func finite(numbers ...float64) bool {
	for _, n := range numbers {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return false
		}
	}
	return true
}
