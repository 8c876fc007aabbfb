package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"causeway/internal/store"
)

// An analysis answers a question about an exposure with a few statements, in
// one transaction of a connection of its own:
//
//	stays    one row for each key in each arm: from when to when it counts
//	pass_i   what these did of one event type, summed by stay; one pass over
//	         the events serves all metrics that ask for no more than sums
//	moments  of the rows of a pass, by arm; keys that did nothing are zeros,
//	         which are not rows but only counted
//
// Keys are told apart by 64 bits of their hash, which takes a third less time
// than by their text. Among ten million keys, the chance that any two are taken
// for one is three in a million.
//
// The tables are temporary and go with the transaction. Analyses wait for each
// other, so that their memory is that of one.

// analysis is one at work.
type analysis struct {
	store *Store
	conn  *sql.Conn
	// gone ends when nobody waits for the answer any more. A statement that
	// runs is left to end by itself (why: see Store.query), the next is not begun.
	gone context.Context
	calm context.Context

	e          store.Exposure
	numbers    map[string]int32 // of names
	from, to   time.Time        // of events that are read: the exposure's with its buffers
	treatments []int32
}

// Analyze measures metrics over one exposure.
func (s *Store) Analyze(ctx context.Context, e store.Exposure, queries []store.MetricQuery) ([]store.MetricResult, error) {
	var names []string
	for _, q := range queries {
		if err := checkQuery(q); err != nil {
			return nil, fmt.Errorf("analyze %s: %w", e.Flag, err)
		}
		for _, m := range []*store.EventMatch{&q.Event, q.Denominator, q.HasDone} {
			if m != nil {
				names = append(names, m.EventType)
			}
		}
	}
	var results []store.MetricResult
	err := s.analysis(ctx, e, names, func(a *analysis) (err error) {
		if err = a.stays(false); err == nil {
			results, err = a.metrics(queries)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("analyze %s: %w", e.Flag, err)
	}
	return results, nil
}

// analysis runs f on a connection of its own, when it is its turn. eventTypes
// are those that f will ask for.
func (s *Store) analysis(ctx context.Context, e store.Exposure, eventTypes []string, f func(*analysis) error) error {
	if err := checkExposure(e); err != nil {
		return err
	}
	a := &analysis{store: s, gone: ctx, e: e, numbers: make(map[string]int32), from: stamp(e.From.Add(-e.Buffer)), to: stamp(e.To.Add(e.Buffer))}
	names := append([]string{string(e.Environment), e.TrafficType, "", e.Flag, e.Rule, fmeControl}, eventTypes...)
	names = append(names, e.Treatments...)
	if e.Entry != nil {
		names = append(names, e.Entry.EventType)
	}
	if err := a.number(ctx, names); err != nil {
		return err
	}
	for _, treatment := range e.Treatments {
		a.treatments = append(a.treatments, a.numbers[treatment])
	}
	select {
	case s.analyzing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	began := time.Now()
	done := make(chan error, 1)
	go func() {
		defer func() { <-s.analyzing }()
		done <- s.transact(context.WithoutCancel(ctx), func(ctx context.Context, conn *sql.Conn) error {
			a.conn, a.calm = conn, ctx
			return f(a)
		})
	}()
	select {
	case err := <-done:
		s.metrics.analyses.Observe(time.Since(began).Seconds())
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transact runs f in a transaction that is rolled back after it, on a
// connection of its own. Close ends it.
func (s *Store) transact(ctx context.Context, f func(context.Context, *sql.Conn) error) (err error) {
	ctx, release, err := s.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	defer func() { s.distrust(err) }()
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN TRANSACTION"); err != nil {
		return err
	}
	err = f(ctx, conn)
	if _, failed := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); failed != nil {
		err = errors.Join(err, fmt.Errorf("end the analysis: %w", failed))
	}
	return err
}

// number looks up the numbers of names.
func (a *analysis) number(ctx context.Context, texts []string) error {
	args := make([]any, len(texts))
	for i, t := range texts {
		args[i] = name(t)
	}
	numbers, err := a.store.withNumbers(ctx, args)
	if err != nil {
		return err
	}
	for i, t := range texts {
		a.numbers[t] = numbers[i].(int32)
	}
	return nil
}

// goesOn says why the next statement is not to be run; nil: it is.
func (a *analysis) goesOn() error {
	if a.store.broken.Load() {
		return errors.New("the store failed and is being opened again; try again")
	}
	return a.gone.Err()
}

func (a *analysis) exec(text string) error {
	if err := a.goesOn(); err != nil {
		return err
	}
	_, err := a.conn.ExecContext(a.calm, text)
	return err
}

func (a *analysis) query(text string, each func(*sql.Rows) error) error {
	if err := a.goesOn(); err != nil {
		return err
	}
	rows, err := a.conn.QueryContext(a.calm, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// seen is the WHERE of the impressions that count.
func (a *analysis) seen(anyVersion bool) string {
	where := fmt.Sprintf("environment = %d AND flag = %d AND traffic_type IN (%d, %d) AND treatment <> %d AND time >= %s AND time < %s",
		a.numbers[string(a.e.Environment)], a.numbers[a.e.Flag], a.numbers[a.e.TrafficType], a.numbers[""], a.numbers[fmeControl],
		moment(a.e.From), moment(a.e.To))
	if !anyVersion && a.e.ChangeNumber != nil {
		where += fmt.Sprintf(" AND change_number = %d", *a.e.ChangeNumber)
	}
	return where
}

// did is the WHERE of events of a type that can count.
func (a *analysis) did(m store.EventMatch) string {
	where := a.anyEvent() + fmt.Sprintf(" AND event_type = %d", a.numbers[m.EventType])
	if len(m.Filters) > 0 {
		where += " AND " + condition(m.Filters)
	}
	return where
}

func (a *analysis) anyEvent() string {
	return fmt.Sprintf("environment = %d AND traffic_type = %d AND time >= %s AND time < %s",
		a.numbers[string(a.e.Environment)], a.numbers[a.e.TrafficType], moment(a.from), moment(a.to))
}

// unit is a treatment and a label as one number.
const unitBase = 1 << 32

// arm is SQL for the place of a unit's treatment among the arms; NULL: it is
// in none of them.
func (a *analysis) arm(unit string) string {
	var b strings.Builder
	b.WriteString("CASE")
	if a.e.Rule != "" {
		fmt.Fprintf(&b, " WHEN %s %% %d <> %d THEN NULL", unit, int64(unitBase), a.numbers[a.e.Rule])
	}
	for i, treatment := range a.treatments {
		fmt.Fprintf(&b, " WHEN %s // %d = %d THEN %d", unit, int64(unitBase), treatment, i)
	}
	return b.String() + " END"
}

// stays makes two tables. One has a row for each key in each arm, and is as
// narrow as can be, because it is the large one:
//
//	key, arm, first  its first impression there
//	entered          only with Entry: when that was done; NULL: it was not
//	n, last, several only for a report: impressions, the last of them, and
//	                 whether the key saw more than one treatment
//
// The other, moved, has the rest for the few keys that changed their unit:
//
//	id                   the rowid in stays
//	excluded             for a second change
//	lead                 of the rows of a key, one
//	until                the end of the window, where others have a.to
//	old_from, old_until  the window in the arm before
func (a *analysis) stays(forReport bool) error {
	unit := fmt.Sprintf("CAST(treatment AS BIGINT) * %d + label", int64(unitBase))
	more, moreMoved := "", ""
	if a.e.Entry != nil {
		more, moreMoved = ", CAST(NULL AS TIMESTAMP) AS entered", ", NULL"
	}
	if forReport {
		more, moreMoved = more+", n, last, FALSE AS several", moreMoved+", n, last, several"
	}
	err := a.exec(fmt.Sprintf(`CREATE TEMPORARY TABLE stays AS
		SELECT key, CASE WHEN low = high THEN %s END AS arm, first%s
		FROM (SELECT key, min(unit) AS low, max(unit) AS high, min(time) AS first, max(time) AS last, count(*) AS n
			FROM (SELECT hash(key) AS key, time, %s AS unit FROM impressions WHERE %s) AS seen GROUP BY key) AS keys
		WHERE low <> high OR arm IS NOT NULL`, a.arm("low"), more, unit, a.seen(false)))
	statements := []string{
		fmt.Sprintf(`CREATE TEMPORARY TABLE turned AS
			WITH units AS (
				SELECT key, unit, min(time) AS first, max(time) AS last, min(seq) AS written, count(*) AS n
				FROM (SELECT hash(key) AS key, time, seq, %s AS unit FROM impressions WHERE %s AND hash(key) IN (SELECT key FROM stays WHERE arm IS NULL)) AS seen
				GROUP BY key, unit),
			placed AS (
				SELECT *, row_number() OVER turns AS place, count(*) OVER (PARTITION BY key) AS units, lead(first) OVER turns AS next_first
				FROM units WINDOW turns AS (PARTITION BY key ORDER BY first, last, written)),
			judged AS (
				SELECT *, max(units > 2 OR coalesce(last > next_first, FALSE)) OVER (PARTITION BY key) AS excluded,
					min(unit // %d) OVER (PARTITION BY key) <> max(unit // %d) OVER (PARTITION BY key) AS several
				FROM placed),
			arms AS (
				SELECT key, %s AS arm, min(first) AS first, max(last) AS last, CAST(sum(n) AS BIGINT) AS n, excluded, several,
					max(CASE WHEN NOT excluded AND place = 1 THEN next_first + %s ELSE %s END) AS until
				FROM judged WHERE arm IS NOT NULL GROUP BY key, arm, excluded, several)
			SELECT *, row_number() OVER turns = 1 AS lead, CASE WHEN NOT excluded THEN lag(first - %s) OVER turns END AS old_from,
				CASE WHEN NOT excluded THEN lag(until) OVER turns END AS old_until
			FROM arms WINDOW turns AS (PARTITION BY key ORDER BY first, arm)`,
			unit, a.seen(false), int64(unitBase), int64(unitBase), a.arm("unit"), interval(a.e.Buffer), moment(a.to), interval(a.e.Buffer)),
		"DELETE FROM stays WHERE arm IS NULL",
		"INSERT INTO stays SELECT key, arm, first" + moreMoved + " FROM turned",
		`CREATE TEMPORARY TABLE moved AS SELECT s.rowid AS id, t.key, t.excluded, t.lead, t.until, t.old_from, t.old_until
			FROM turned AS t JOIN stays AS s ON s.key = t.key AND s.arm = t.arm`,
		"DROP TABLE turned",
	}
	if a.e.Entry != nil {
		statements = append(statements, fmt.Sprintf(`CREATE TEMPORARY TABLE entries AS
			SELECT s.rowid AS id, min(e.time) AS at FROM (SELECT hash(key) AS key, time FROM events WHERE %s) AS e %s
			WHERE e.time >= s.first - %s AND e.time < coalesce(v.until, %s) GROUP BY s.rowid`,
			a.did(*a.e.Entry), joinStays, interval(a.e.Buffer), moment(a.to)),
			"UPDATE stays SET entered = entries.at FROM entries WHERE entries.id = stays.rowid",
			`UPDATE moved SET old_from = leads.entered FROM (
				SELECT v.key, s.entered FROM moved AS v JOIN stays AS s ON s.rowid = v.id WHERE v.lead) AS leads
				WHERE leads.key = moved.key AND moved.old_until IS NOT NULL`,
			"DROP TABLE entries")
	}
	for _, text := range statements {
		if err == nil {
			err = a.exec(text)
		}
	}
	if err != nil {
		return fmt.Errorf("find who was exposed: %w", err)
	}
	return nil
}

// joinStays is SQL that joins events e with their stays s, and these with what
// moved says of them (v).
const joinStays = "JOIN stays AS s ON s.key = e.key LEFT JOIN moved AS v ON v.id = s.rowid"

// begins is SQL for when what a stay s does begins to count.
func (a *analysis) begins() string {
	if a.e.Entry != nil {
		return "s.entered"
	}
	return "s.first - " + interval(a.e.Buffer)
}

// isIn is the condition under which a stay s is in its arm.
func (a *analysis) isIn() string {
	if a.e.Entry != nil {
		return "s.entered IS NOT NULL"
	}
	return "TRUE"
}

// inWindow is the condition under which an event counts for a stay; all events
// that are read are before a.to.
func (a *analysis) inWindow() string {
	return "e.time >= " + a.begins() + " AND (v.id IS NULL OR NOT v.excluded AND e.time < v.until)"
}

// countedOnce is inWindow, but only in the first of two windows that an event
// is in.
func (a *analysis) countedOnce() string {
	return a.inWindow() + " AND NOT coalesce(e.time >= v.old_from AND e.time < v.old_until, FALSE)"
}

// hold keeps the database open until release is called. The context ends a
// while after Close has begun.
func (s *Store) hold(ctx context.Context) (context.Context, func(), error) {
	held, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, func() {
		select {
		case <-held.Done():
		case <-time.After(lastQueries):
			cancel()
		}
	})
	s.open.RLock()
	release := sync.OnceFunc(func() { s.open.RUnlock(); stop(); cancel() })
	if s.db == nil {
		release()
		return nil, nil, errClosed
	}
	return held, release, nil
}

// checkExposure refuses what cannot be asked.
func checkExposure(e store.Exposure) error {
	switch {
	case len(e.Treatments) == 0 || len(e.Treatments) > maxArms:
		return fmt.Errorf("%d treatments; ask for 1 to %d", len(e.Treatments), maxArms)
	case len(slices.Compact(slices.Sorted(slices.Values(e.Treatments)))) < len(e.Treatments):
		return errors.New("a treatment is asked for twice")
	case e.Buffer < 0 || e.Buffer > 24*time.Hour:
		return fmt.Errorf("a buffer of %s; it is 0 to 24 hours", e.Buffer)
	case e.Entry != nil:
		return checkMatch(*e.Entry)
	}
	return nil
}

func checkQuery(q store.MetricQuery) error {
	switch q.Kind {
	case store.MetricSum, store.MetricAverage:
		if q.Value == "" {
			return fmt.Errorf("a metric of kind %s without a value", q.Kind)
		}
	case store.MetricRatio:
		if q.Denominator == nil {
			return errors.New("a ratio without a denominator")
		}
	case store.MetricCount, store.MetricPercent:
	default:
		return fmt.Errorf("there is no kind of metric %q", q.Kind)
	}
	if q.Cap < 0 || math.IsNaN(q.Cap) || math.IsInf(q.Cap, 0) {
		return fmt.Errorf("a cap of %v", q.Cap)
	}
	for _, m := range []*store.EventMatch{&q.Event, q.Denominator, q.HasDone} {
		if m != nil {
			if err := checkMatch(*m); err != nil {
				return err
			}
		}
	}
	return nil
}

const maxArms = 50
