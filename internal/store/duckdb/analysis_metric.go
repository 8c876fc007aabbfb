package duckdb

import (
	"database/sql"
	"fmt"
	"math"
	"strings"

	"causeway/internal/store"
)

// maxDimensionValues is how many values of a dimension are told apart (FME).
const maxDimensionValues = 20

// pass is one reading of the events of one type, with what it sums by stay.
type pass struct {
	table     string
	eventType int32
	after     string // only after the first time in this table of whoHasDone; "" none
	dimension string // also by this property
	daily     bool   // also by day since the first impression
	inner     []string
	sums      []string
	filters   []string // of each sum's events
}

// measured is one metric as it is computed: its columns in its passes.
type measured struct {
	store.MetricQuery
	done        string // the table of the keys that are measured; "" all
	numerator   *pass
	denominator *pass
	column      string // prefix of its columns
}

// metrics measures all queries. Metrics that ask for no more than sums share a
// pass over the events of their type.
func (a *analysis) metrics(queries []store.MetricQuery) ([]store.MetricResult, error) {
	shared := make(map[int32]*pass)
	var passes []*pass
	passOf := func(eventType string, own bool) *pass {
		id := a.numbers[eventType]
		if p := shared[id]; p != nil && !own {
			return p
		}
		p := &pass{table: fmt.Sprintf("pass_%d", len(passes)), eventType: id}
		if !own {
			shared[id] = p
		}
		passes = append(passes, p)
		return p
	}
	list := make([]*measured, len(queries))
	for i, q := range queries {
		m := &measured{MetricQuery: q, column: fmt.Sprintf("m%d_", i)}
		list[i] = m
		if q.HasDone != nil {
			m.done = fmt.Sprintf("done_%d", i)
			if err := a.whoHasDone(m); err != nil {
				return nil, err
			}
		}
		after := ""
		if q.HasDoneBefore {
			after = m.done
		}
		m.numerator = passOf(q.Event.EventType, after != "" || m.daily() || q.Dimension != "")
		m.numerator.after, m.numerator.dimension, m.numerator.daily = after, q.Dimension, m.daily()
		m.numerator.add(m)
		if q.Kind == store.MetricRatio {
			m.denominator = passOf(q.Denominator.EventType, after != "")
			m.denominator.after = after
			m.denominator.addCount(m.column+"d", *q.Denominator)
		}
	}
	for _, p := range passes {
		if err := a.exec(p.statement(a)); err != nil {
			return nil, fmt.Errorf("read the events: %w", err)
		}
	}
	inTotal, err := a.inTotal()
	if err != nil {
		return nil, err
	}
	results := make([]store.MetricResult, len(list))
	for i, m := range list {
		if results[i], err = a.result(m, inTotal); err != nil {
			return nil, err
		}
	}
	return results, nil
}

func (m *measured) daily() bool {
	return m.CapPerDay && m.Cap > 0 && (m.Kind == store.MetricCount || m.Kind == store.MetricSum)
}

func (m *measured) valued() bool { return m.Kind == store.MetricSum || m.Kind == store.MetricAverage }

// whoHasDone makes the table of the stays in which a metric's HasDone was done.
func (a *analysis) whoHasDone(m *measured) error {
	err := a.exec(fmt.Sprintf(`CREATE TEMPORARY TABLE %s AS SELECT s.rowid AS id, min(e.time) AS at
		FROM (SELECT key, time FROM events WHERE %s) AS e JOIN stays AS s ON s.key = e.key WHERE %s GROUP BY s.rowid`,
		m.done, a.did(*m.HasDone), inWindow))
	if err != nil {
		return fmt.Errorf("find who has done %s: %w", m.HasDone.EventType, err)
	}
	return nil
}

// counts is the condition under which an event counts for a stay.
func (p *pass) counts() string {
	if p.after == "" {
		return inWindow
	}
	return inWindow + " AND coalesce(e.time > d.at, FALSE)"
}

// matching adds a filter's column and gives its name in the pass.
func (p *pass) matching(column string, m store.EventMatch) string {
	if len(m.Filters) == 0 {
		p.filters = append(p.filters, "TRUE")
		return "TRUE"
	}
	p.filters = append(p.filters, "("+condition(m.Filters)+")")
	p.inner = append(p.inner, "("+condition(m.Filters)+") AS "+column)
	return "e." + column
}

// addCount adds the column that counts events.
func (p *pass) addCount(column string, m store.EventMatch) {
	filter := p.matching(column+"f", m)
	p.sums = append(p.sums, fmt.Sprintf("count(*) FILTER (%s AND %s) AS %s", filter, p.counts(), column))
}

// add adds what a metric needs of its events: how many (n), how many have a
// value (v) and its sum (x), and for the funnel all (e) and each once (o).
func (p *pass) add(m *measured) {
	c := m.column
	filter := p.matching(c+"f", m.Event)
	column := func(aggregate, where, name string) {
		p.sums = append(p.sums, fmt.Sprintf("%s FILTER (%s AND %s) AS %s%s", aggregate, filter, where, c, name))
	}
	column("count(*)", p.counts(), "n")
	column("count(*)", "s.lead", "e")
	column("count(*)", countedOnce, "o")
	if m.valued() {
		p.inner = append(p.inner, propertyNumber(m.Value)+" AS "+c+"value")
		column("sum(e."+c+"value)", p.counts(), "x")
		column("count(e."+c+"value)", p.counts(), "v")
	}
}

// statement makes the table of a pass.
func (p *pass) statement(a *analysis) string {
	inner, by, join := append([]string{"key", "time"}, p.inner...), []string{"s.rowid AS id"}, ""
	if p.dimension != "" {
		inner = append(inner, propertyText(p.dimension)+" AS dimension")
		by = append(by, "e.dimension AS dimension")
	}
	if p.daily {
		by = append(by, fmt.Sprintf("greatest(0, (epoch_us(e.time) - epoch_us(s.first)) // %d) AS day", int64(24*60*60*1_000_000)))
	}
	if p.after != "" {
		join = fmt.Sprintf(" LEFT JOIN %s AS d ON d.id = s.rowid", p.after)
	}
	where := a.anyEvent() + fmt.Sprintf(" AND event_type = %d AND (%s)", p.eventType, strings.Join(p.filters, " OR "))
	return fmt.Sprintf("CREATE TEMPORARY TABLE %s AS SELECT %s, %s FROM (SELECT %s FROM events WHERE %s) AS e JOIN stays AS s ON s.key = e.key%s GROUP BY ALL",
		p.table, strings.Join(by, ", "), strings.Join(p.sums, ", "), strings.Join(inner, ", "), where, join)
}

// inTotal is how many keys each arm has.
func (a *analysis) inTotal() ([]int64, error) {
	counts := make([]int64, len(a.treatments))
	err := a.query("SELECT arm, count(*) FROM stays WHERE entered IS NOT NULL GROUP BY arm", func(rows *sql.Rows) error {
		var arm int
		var n int64
		err := rows.Scan(&arm, &n)
		if err == nil {
			counts[arm] = n
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count the keys: %w", err)
	}
	return counts, nil
}

func (a *analysis) result(m *measured, inTotal []int64) (r store.MetricResult, err error) {
	if r.Arms, err = a.arms(m, inTotal, "TRUE"); err != nil {
		return r, err
	}
	one := func(to ...any) func(*sql.Rows) error { return func(rows *sql.Rows) error { return rows.Scan(to...) } }
	if err := a.query("SELECT count(*) FROM events WHERE "+a.did(m.Event), one(&r.Events)); err != nil {
		return r, fmt.Errorf("count the events: %w", err)
	}
	funnel := fmt.Sprintf("SELECT CAST(coalesce(sum(%[1]se), 0) AS BIGINT), CAST(coalesce(sum(%[1]so), 0) AS BIGINT) FROM %[2]s", m.column, m.numerator.table)
	if err := a.query(funnel, one(&r.EventsOfExposed, &r.EventsInWindow)); err != nil {
		return r, fmt.Errorf("count the events: %w", err)
	}
	if m.Dimension != "" {
		r.Dimensions, err = a.dimensions(m, inTotal)
	}
	return r, err
}

// dimensions measures each of the frequent values by itself, and the others together.
func (a *analysis) dimensions(m *measured, inTotal []int64) ([]store.DimensionArms, error) {
	measuredKeys := ""
	if m.done != "" {
		measuredKeys = " AND id IN (SELECT id FROM " + m.done + ")"
	}
	var values []string
	err := a.query(fmt.Sprintf(`SELECT dimension FROM %s WHERE dimension IS NOT NULL%s GROUP BY dimension HAVING sum(%sn) > 0
		ORDER BY sum(%sn) DESC, dimension LIMIT %d`, m.numerator.table, measuredKeys, m.column, m.column, maxDimensionValues+1),
		func(rows *sql.Rows) error {
			var value string
			err := rows.Scan(&value)
			values = append(values, value)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list the values of %q: %w", m.Dimension, err)
	}
	list := []store.DimensionArms{}
	add := func(value, where string) error {
		arms, err := a.arms(m, inTotal, where)
		list = append(list, store.DimensionArms{Value: value, Arms: arms})
		return err
	}
	var quoted []string
	for _, value := range values[:min(len(values), maxDimensionValues)] {
		quoted = append(quoted, literal(value))
		if err := add(value, "dimension = "+literal(value)); err != nil {
			return nil, err
		}
	}
	if len(values) > maxDimensionValues {
		if err := add("Others", "dimension NOT IN ("+strings.Join(quoted, ", ")+")"); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// contributions is SQL for what each stay contributes, as columns arm and x.
// where selects among the rows of the metric's pass.
func (m *measured) contributions(where string) string {
	c := m.column
	sums := "id, sum(" + c + "n) AS n"
	if m.valued() {
		sums += ", sum(" + c + "x) AS x, sum(" + c + "v) AS v"
	}
	total := "coalesce(p.n, 0)"
	if m.Kind == store.MetricSum {
		total = "coalesce(p.x, 0)"
	}
	pass := fmt.Sprintf("SELECT %s FROM %s WHERE %s GROUP BY id", sums, m.numerator.table, where)
	if m.numerator.dimension == "" && !m.numerator.daily { // rows are one for each id
		pass = fmt.Sprintf("SELECT id, %[1]sn AS n", c)
		if m.valued() {
			pass += fmt.Sprintf(", %[1]sx AS x, %[1]sv AS v", c)
		}
		pass += " FROM " + m.numerator.table
	}
	if m.daily() {
		day := "n"
		if m.Kind == store.MetricSum {
			day = "x"
		}
		pass = fmt.Sprintf("SELECT id, sum(%s) AS n, sum(%s) AS x FROM (SELECT %s FROM %s WHERE %s GROUP BY id, day) AS days GROUP BY id",
			m.capped("n"), m.capped(day), sums, m.numerator.table, where)
	}
	x, keep, join := m.capped("CAST("+total+" AS DOUBLE)"), "", ""
	switch m.Kind {
	case store.MetricAverage:
		x, keep = m.capped("p.x / p.v"), " AND p.v > 0"
	case store.MetricRatio:
		x, keep = m.capped(fmt.Sprintf("CAST(%s AS DOUBLE) / q.%sd", total, c)), fmt.Sprintf(" AND q.%sd > 0", c)
		join = fmt.Sprintf(" JOIN %s AS q ON q.id = s.rowid", m.denominator.table)
	case store.MetricPercent:
		x = "CASE WHEN " + total + " > 0 THEN 1.0 ELSE 0.0 END"
	}
	if m.daily() { // capped already
		x = "CAST(" + total + " AS DOUBLE)"
	}
	if m.done != "" {
		join += fmt.Sprintf(" JOIN %s AS d ON d.id = s.rowid", m.done)
	}
	return fmt.Sprintf("SELECT s.arm AS arm, CAST(%s AS DOUBLE) AS x FROM stays AS s%s LEFT JOIN (%s) AS p ON p.id = s.rowid WHERE NOT s.excluded AND s.entered IS NOT NULL%s",
		x, join, pass, keep)
}

// capped is SQL for x with the metric's cap. What is no number stays none.
func (m *measured) capped(x string) string {
	if m.Cap == 0 {
		return x
	}
	return fmt.Sprintf("CASE WHEN %[1]s > %[2]s AND NOT isnan(CAST(%[1]s AS DOUBLE)) THEN %[2]s ELSE %[1]s END", x, numeral(m.Cap))
}

// The squares of numbers up to largest are in the range of float64, also
// summed. Where there are larger ones, an arm is computed in units of 2^600.
const (
	largest   = 1e140
	unitOfBig = 600
)

// arms computes the moments of each arm.
func (a *analysis) arms(m *measured, inTotal []int64, where string) ([]store.Arm, error) {
	arms := make([]store.Arm, len(a.e.Treatments))
	for i, treatment := range a.e.Treatments {
		arms[i] = store.Arm{Treatment: treatment, InTotal: inTotal[i], Excluded: inTotal[i]}
	}
	text := fmt.Sprintf(`WITH xs AS MATERIALIZED (%s),
		units AS (SELECT arm, CASE WHEN max(abs(x)) FILTER (isfinite(x)) > %s THEN pow(2.0, -%d) ELSE 1.0 END AS unit FROM xs GROUP BY arm)
		SELECT xs.arm, count(*), count(*) FILTER (NOT isfinite(x)), any_value(unit), avg(x * unit), var_pop(x * unit) FILTER (isfinite(x)),
			sum(x * unit), min(x), max(x), quantile_cont(x, 0.5), quantile_cont(x, 0.95)
		FROM xs JOIN units ON units.arm = xs.arm GROUP BY xs.arm`, m.contributions(where), numeral(largest), unitOfBig)
	err := a.query(text, func(rows *sql.Rows) error {
		var i int
		var n, bad int64
		var unit, mean, variance, sum, least, most, p50, p95 sql.NullFloat64
		if err := rows.Scan(&i, &n, &bad, &unit, &mean, &variance, &sum, &least, &most, &p50, &p95); err != nil {
			return err
		}
		arm := &arms[i]
		arm.N, arm.Excluded = n, arm.InTotal-n
		scale := 1 / unit.Float64
		full := store.Arm{Treatment: arm.Treatment, InTotal: arm.InTotal, Excluded: arm.Excluded, N: n,
			Mean: mean.Float64 * scale, M2: variance.Float64 * float64(n) * scale * scale, Sum: sum.Float64 * scale,
			Min: least.Float64, Max: most.Float64, P50: p50.Float64, P95: p95.Float64}
		if arm.Overflow = bad > 0 || !finite(full.Mean, full.M2, full.Sum, full.Min, full.Max, full.P50, full.P95); !arm.Overflow {
			*arm = full
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("compute the moments: %w", err)
	}
	return arms, nil
}

func finite(numbers ...float64) bool {
	for _, n := range numbers {
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return false
		}
	}
	return true
}
