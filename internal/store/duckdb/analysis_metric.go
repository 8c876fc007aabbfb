package duckdb

import (
	"database/sql"
	"fmt"
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
		m.numerator.add(a, m)
		if q.Kind == store.MetricRatio {
			m.denominator = passOf(q.Denominator.EventType, after != "")
			m.denominator.after = after
			m.denominator.addCount(a, m.column+"d", *q.Denominator)
		}
	}
	for _, p := range passes {
		if err := a.exec(p.statement(a)); err != nil {
			return nil, fmt.Errorf("read the events: %w", err)
		}
	}
	inTotal, err := a.count("stays AS s WHERE " + a.isIn())
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
		FROM (SELECT hash(key) AS key, time FROM events WHERE %s) AS e %s WHERE %s GROUP BY s.rowid`,
		m.done, a.did(*m.HasDone), joinStays, a.inWindow()))
	if err != nil {
		return fmt.Errorf("find who has done %s: %w", m.HasDone.EventType, err)
	}
	return nil
}

// counts is the condition under which an event counts for a stay.
func (p *pass) counts(a *analysis) string {
	if p.after == "" {
		return a.inWindow()
	}
	return a.inWindow() + " AND coalesce(e.time > d.at, FALSE)"
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
func (p *pass) addCount(a *analysis, column string, m store.EventMatch) {
	filter := p.matching(column+"f", m)
	p.sums = append(p.sums, fmt.Sprintf("count(*) FILTER (%s AND %s) AS %s", filter, p.counts(a), column))
}

// add adds what a metric needs of its events: how many (n), how many have a
// value (v) and its sum (x), and for the funnel all (e) and each once (o).
func (p *pass) add(a *analysis, m *measured) {
	c := m.column
	filter := p.matching(c+"f", m.Event)
	column := func(aggregate, where, name string) {
		p.sums = append(p.sums, fmt.Sprintf("%s FILTER (%s AND %s) AS %s%s", aggregate, filter, where, c, name))
	}
	column("count(*)", p.counts(a), "n")
	column("count(*)", "coalesce(v.lead, TRUE)", "e")
	column("count(*)", a.countedOnce(), "o")
	if m.valued() {
		p.inner = append(p.inner, propertyNumber(m.Value)+" AS "+c+"value")
		column("sum(e."+c+"value)", p.counts(a), "x")
		column("count(e."+c+"value)", p.counts(a), "v")
	}
}

// statement makes the table of a pass.
func (p *pass) statement(a *analysis) string {
	inner, by, join := append([]string{"hash(key) AS key", "time"}, p.inner...), []string{"s.rowid AS id", "s.arm AS arm"}, ""
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
	return fmt.Sprintf("CREATE TEMPORARY TABLE %s AS SELECT %s, %s FROM (SELECT %s FROM events WHERE %s) AS e %s%s GROUP BY ALL",
		p.table, strings.Join(by, ", "), strings.Join(p.sums, ", "), strings.Join(inner, ", "), where, joinStays, join)
}

// count counts keys by arm. from is SQL with the columns arm and rows to count.
func (a *analysis) count(from string) ([]int64, error) {
	counts := make([]int64, len(a.treatments))
	err := a.query("SELECT arm, count(*) FROM "+from+" GROUP BY arm", func(rows *sql.Rows) error {
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

// sampled is how many keys of each arm contribute, if only a zero; nil: those
// that have a row in the metric's pass.
func (a *analysis) sampled(m *measured) ([]int64, error) {
	if m.Kind == store.MetricAverage {
		return nil, nil
	}
	from := "stays AS s LEFT JOIN moved AS v ON v.id = s.rowid"
	if m.Kind == store.MetricRatio {
		from = fmt.Sprintf("%s AS s", m.denominator.table)
	}
	where := a.isIn() + " AND NOT coalesce(v.excluded, FALSE)"
	id := "s.rowid"
	if m.Kind == store.MetricRatio { // what is counted there was in a window
		where, id = "s."+m.column+"d > 0", "s.id"
	}
	return a.count(from + " WHERE " + where + m.hasDone(id))
}

// hasDone is the condition of the metric's HasDone, after another.
func (m *measured) hasDone(id string) string {
	if m.done == "" {
		return ""
	}
	return fmt.Sprintf(" AND %s IN (SELECT id FROM %s)", id, m.done)
}

func (a *analysis) result(m *measured, inTotal []int64) (r store.MetricResult, err error) {
	one := func(to ...any) func(*sql.Rows) error { return func(rows *sql.Rows) error { return rows.Scan(to...) } }
	if err := a.query("SELECT count(*) FROM events WHERE "+a.did(m.Event), one(&r.Events)); err != nil {
		return r, fmt.Errorf("count the events: %w", err)
	}
	funnel := fmt.Sprintf("SELECT CAST(coalesce(sum(%[1]se), 0) AS BIGINT), CAST(coalesce(sum(%[1]so), 0) AS BIGINT) FROM %[2]s", m.column, m.numerator.table)
	if err := a.query(funnel, one(&r.EventsOfExposed, &r.EventsInWindow)); err != nil {
		return r, fmt.Errorf("count the events: %w", err)
	}
	sampled, err := a.sampled(m)
	if err != nil {
		return r, err
	}
	whole, err := a.moments(m, "0", "TRUE", inTotal, sampled, 1)
	if err != nil {
		return r, err
	}
	r.Arms = whole[0]
	if m.Dimension == "" {
		return r, nil
	}
	values, err := a.dimensionValues(m)
	if err != nil {
		return r, err
	}
	// The place of a value is that in the list, and that of the others behind it.
	place := "CASE dimension"
	for i, value := range values[:min(len(values), maxDimensionValues)] {
		r.Dimensions = append(r.Dimensions, store.DimensionArms{Value: value})
		place += fmt.Sprintf(" WHEN %s THEN %d", literal(value), i)
	}
	if len(values) > maxDimensionValues {
		r.Dimensions = append(r.Dimensions, store.DimensionArms{Value: "Others"})
	}
	if len(values) == 0 {
		return r, nil
	}
	parts, err := a.moments(m, fmt.Sprintf("%s ELSE %d END", place, maxDimensionValues), "dimension IS NOT NULL", inTotal, sampled, len(r.Dimensions))
	if err != nil {
		return r, err
	}
	for i := range r.Dimensions {
		r.Dimensions[i].Arms = parts[i]
	}
	return r, nil
}

// dimensionValues lists the most frequent values, one more than are told apart.
func (a *analysis) dimensionValues(m *measured) ([]string, error) {
	var values []string
	err := a.query(fmt.Sprintf(`SELECT dimension FROM %s WHERE dimension IS NOT NULL%s GROUP BY dimension HAVING sum(%sn) > 0
		ORDER BY sum(%sn) DESC, dimension LIMIT %d`, m.numerator.table, m.hasDone("id"), m.column, m.column, maxDimensionValues+1),
		func(rows *sql.Rows) error {
			var value string
			err := rows.Scan(&value)
			values = append(values, value)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("list the values of %q: %w", m.Dimension, err)
	}
	return values, nil
}

// contributions is SQL for what stays contribute that did anything, as columns
// place, arm and x. place is SQL over the rows of the metric's pass, and where
// selects among them.
func (m *measured) contributions(place, where string) string {
	c := m.column
	sums := fmt.Sprintf("sum(%[1]sn) AS n", c)
	if m.valued() {
		sums += fmt.Sprintf(", sum(%[1]sx) AS x, sum(%[1]sv) AS v", c)
	}
	where = fmt.Sprintf("(%s) AND %sn > 0%s", where, c, m.hasDone("id"))
	rows := fmt.Sprintf("SELECT %s AS place, id, arm, %s FROM %s WHERE %s GROUP BY ALL", place, sums, m.numerator.table, where)
	switch {
	case m.daily():
		day := "n"
		if m.Kind == store.MetricSum {
			day = "coalesce(x, 0)"
		}
		rows = fmt.Sprintf(`SELECT place, id, arm, sum(%[1]s) AS n, sum(%[1]s) AS x FROM (
			SELECT %[2]s AS place, id, arm, day, %[3]s FROM %[4]s WHERE %[5]s GROUP BY ALL) AS days GROUP BY ALL`,
			m.capped("CAST("+day+" AS DOUBLE)"), place, sums, m.numerator.table, where)
	case m.numerator.dimension == "": // one row for each id
		rows = fmt.Sprintf("SELECT %s AS place, id, arm, %s FROM %s WHERE %s", place, strings.ReplaceAll(strings.ReplaceAll(sums, "sum(", ""), ")", ""), m.numerator.table, where)
	}
	x, join, keep := "", "", "TRUE"
	switch m.Kind {
	case store.MetricCount:
		x = "CAST(n AS DOUBLE)"
	case store.MetricSum:
		x = "coalesce(x, 0)"
	case store.MetricAverage:
		x, keep = "x / v", "v > 0"
	case store.MetricRatio:
		x, keep = fmt.Sprintf("CAST(n AS DOUBLE) / q.%sd", c), fmt.Sprintf("q.%sd > 0", c)
		join = fmt.Sprintf(" JOIN %s AS q ON q.id = p.id", m.denominator.table)
	case store.MetricPercent:
		x = "CAST(1 AS DOUBLE)"
	}
	if !m.daily() && m.Kind != store.MetricPercent {
		x = m.capped(x)
	}
	return fmt.Sprintf("SELECT p.place AS place, p.arm AS arm, %s AS x FROM (%s) AS p%s WHERE %s", x, rows, join, keep)
}

// capped is SQL for x with the metric's cap. What is no number stays none.
func (m *measured) capped(x string) string {
	if m.Cap == 0 {
		return x
	}
	return fmt.Sprintf("CASE WHEN %[1]s > %[2]s AND NOT isnan(%[1]s) THEN %[2]s ELSE %[1]s END", x, numeral(m.Cap))
}
