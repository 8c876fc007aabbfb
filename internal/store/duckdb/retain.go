package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"causeway/internal/store"
)

// Retain deletes what is older than the policy says, adds up the small counts,
// drops attribute values that newer ones replaced, and gives the space back as
// far as DuckDB does. It runs beside writes and queries: each step is a
// transaction of its own on rows that no writer touches again, and a Retain
// that is interrupted has done some of its steps.
func (s *Store) Retain(ctx context.Context, policy store.Retention, now time.Time) error {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	start := time.Now()
	ages := []struct {
		table, column string
		keep          time.Duration
	}{
		{"events", "received_at", policy.Events},
		{"impressions", "received_at", policy.Impressions},
		{"impression_counts", "received_at", policy.Impressions},
		{"unique_keys", "received_at", policy.Impressions},
		{"calls", "received_at", policy.Calls},
		{"reason_counts", "hour", policy.Calls},
		{"event_type_days", "day", policy.EventTypes},
		{"deliveries", "started_at", policy.Deliveries},
		{"telemetry", "received_at", policy.Telemetry},
		{"readings", "computed_at", policy.Readings},
		{"recent", "seen_at", policy.Dedup},
	}
	for _, age := range ages {
		if age.keep == 0 {
			continue
		}
		before := now.Add(-age.keep)
		if age.column == "day" {
			before = before.UTC().Truncate(24 * time.Hour) // the day that the limit falls in stays
		}
		deletion := statement{fmt.Sprintf("DELETE FROM %s WHERE %s < ?", age.table, age.column), []any{stamp(before)}}
		if err := s.tidy(ctx, deletion); err != nil {
			return fmt.Errorf("retain %s: %w", age.table, err)
		}
	}
	for _, sums := range []rollup{eventTypeSums, reasonSums} {
		if err := s.addUp(ctx, sums); err != nil {
			return fmt.Errorf("add up %s: %w", sums.table, err)
		}
	}
	if err := s.dropReplaced(ctx); err != nil {
		return fmt.Errorf("drop replaced attributes: %w", err)
	}
	if err := s.dropUnusedNames(ctx); err != nil {
		return fmt.Errorf("drop unused names: %w", err)
	}
	s.reclaim(ctx)
	s.metrics.retention.Observe(time.Since(start).Seconds())
	return nil
}

type statement struct {
	text string
	args []any
}

// tidy runs statements in one transaction, beside the writer.
func (s *Store) tidy(ctx context.Context, statements ...statement) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	s.tidying.RLock()
	defer s.tidying.RUnlock()
	s.open.RLock()
	defer s.open.RUnlock()
	if s.db == nil {
		return errClosed
	}
	defer func() { s.distrust(err) }()
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, st := range statements {
		if _, err := tx.ExecContext(ctx, st.text, st.args...); err != nil {
			tx.Rollback()
			return err
		}
	}
	return tx.Commit()
}

// rollup is a table of sums to which every write adds rows.
type rollup struct {
	table  string
	keys   string // what it sums by
	summed string // all columns in their order, rows of equal keys made one
}

var (
	eventTypeSums = rollup{"event_type_days", "environment, traffic_type, event_type, day",
		"environment, traffic_type, event_type, day, min(first_seen), max(last_seen), CAST(sum(with_value) AS BIGINT), CAST(sum(events) AS BIGINT)"}
	reasonSums = rollup{"reason_counts", "environment, configuration, type, outcome, code, hour",
		"environment, configuration, type, outcome, code, hour, max(seq), argMax(sample, seq), CAST(sum(times) AS BIGINT)"}
)

// addUp replaces rows of equal keys by their sum. What is written meanwhile is
// not in this transaction's view: it is neither summed nor deleted.
func (s *Store) addUp(ctx context.Context, r rollup) error {
	var rows, groups int64
	count := fmt.Sprintf("SELECT count(*) AS total, (SELECT count(*) FROM (SELECT DISTINCT %s FROM %s) AS keys) AS distinct_keys FROM %s", r.keys, r.table, r.table)
	if err := s.query(ctx, count, nil, func(r *sql.Rows) error { return r.Scan(&rows, &groups) }); err != nil {
		return err
	}
	if rows == groups {
		return nil
	}
	return s.tidy(ctx,
		statement{text: fmt.Sprintf("CREATE TEMPORARY TABLE sums AS SELECT %s FROM %s GROUP BY %s", r.summed, r.table, r.keys)},
		statement{text: "DELETE FROM " + r.table},
		statement{text: fmt.Sprintf("INSERT INTO %s SELECT * FROM sums", r.table)},
		statement{text: "DROP TABLE sums"})
}

// replacedBucket is about how many rows one step of dropReplaced looks at, so
// that it fits into memory whatever the size of the log.
const replacedBucket = 500_000

// dropReplaced deletes attribute values and identifications that a newer one
// of the same key replaced. The newest stay, removals too: without them an
// older call that comes late would bring a removed value back (X10).
func (s *Store) dropReplaced(ctx context.Context) error {
	var rows int64
	count := func() error {
		return s.query(ctx, "SELECT (SELECT count(*) FROM attributes) + (SELECT count(*) FROM identities) AS total", nil,
			func(r *sql.Rows) error { return r.Scan(&rows) })
	}
	if err := count(); err != nil {
		return err
	}
	if rows <= s.compacted+s.compacted/8 {
		return nil // not worth reading them all
	}
	buckets := rows/replacedBucket + 1
	for bucket := range buckets {
		for _, t := range []struct{ table, keys string }{
			{"attributes", "environment, traffic_type, key, attribute"},
			{"identities", "environment, traffic_type, key"},
		} {
			query := fmt.Sprintf(`DELETE FROM %s WHERE seq IN (SELECT seq FROM (
				SELECT seq, row_number() OVER (PARTITION BY %s ORDER BY time DESC, received_at DESC, seq DESC) AS age
				FROM %s WHERE hash(key) %% ? = ?) AS aged WHERE age > 1)`, t.table, t.keys, t.table)
			if err := s.tidy(ctx, statement{query, []any{buckets, bucket}}); err != nil {
				return err
			}
		}
	}
	err := count()
	s.compacted = rows
	return err
}

const (
	// fewNames are not worth a look through every row for those without use.
	fewNames = 10_000
	// dropNames bounds what one Retain drops: their numbers are in memory.
	dropNames = 1 << 20
)

// dropUnusedNames deletes the names that no row has. It looks for them beside
// the writer, who meanwhile notes which names it uses; only the deletion
// itself makes it wait.
func (s *Store) dropUnusedNames(ctx context.Context) error {
	var total int64
	count := func() error {
		return s.query(ctx, "SELECT count(*) AS total FROM names", nil, func(r *sql.Rows) error { return r.Scan(&total) })
	}
	if err := count(); err != nil {
		return err
	}
	if total <= s.options.fewNames || total <= s.kept+s.kept/8 {
		return nil
	}
	last, err := s.names.watch(ctx, s)
	if err != nil {
		return err
	}
	defer s.names.unwatch(s)
	var inUse []string
	for _, t := range nameColumns {
		for _, column := range t.columns {
			inUse = append(inUse, fmt.Sprintf("SELECT DISTINCT %s AS id FROM %s", column, t.table))
		}
	}
	var unused []int32
	query := fmt.Sprintf("SELECT id FROM names WHERE id > 0 AND id <= ? AND id NOT IN (%s) LIMIT %d", strings.Join(inUse, " UNION "), dropNames)
	err = s.query(ctx, query, []any{last}, func(r *sql.Rows) error {
		var id int32
		err := r.Scan(&id)
		unused = append(unused, id)
		return err
	})
	if err == nil {
		err = s.names.drop(ctx, s, unused)
	}
	if err != nil {
		return err
	}
	err = count()
	s.kept = total
	return err
}

// reclaim moves the log into the file, which is when DuckDB frees the blocks
// of deleted rows. Running queries may make it refuse: then the next does it.
func (s *Store) reclaim(ctx context.Context) {
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return
	}
	s.open.RLock()
	defer s.open.RUnlock()
	if s.db == nil {
		return
	}
	if _, err := s.writer.ExecContext(ctx, "CHECKPOINT"); err != nil {
		s.distrust(err)
		s.log.DebugContext(ctx, "store: space was not reclaimed this time", "err", err)
	}
	stale, err := s.known.stale(ctx, s.writer)
	if err == nil && stale {
		err = s.known.load(ctx, s.writer, s.raw)
	}
	if err != nil {
		s.distrust(err)
		s.log.DebugContext(ctx, "store: the filter of known ids was not filled anew this time", "err", err)
	}
}
