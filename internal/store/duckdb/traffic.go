package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/store"
)

// maxSteps bounds what Traffic gives.
const maxSteps = 2000

// Traffic counts what an environment received, by receipt.
func (s *Store) Traffic(ctx context.Context, environment fme.EnvironmentID, from, to time.Time, step time.Duration) ([]store.TrafficStep, error) {
	// Places in time are counted in whole seconds: with half of one more here,
	// the newest rows would fall behind the last step.
	from, step = from.Truncate(time.Second), step.Truncate(time.Second)
	if step < time.Second || !to.After(from) || to.Sub(from) > maxSteps*step {
		return nil, fmt.Errorf("traffic of %s: from %s to %s in steps of %s is not possible", environment, from, to, step)
	}
	var steps []store.TrafficStep
	for at := from; at.Before(to); at = at.Add(step) {
		steps = append(steps, store.TrafficStep{From: at.UTC(), Calls: map[reason.Outcome]int64{}})
	}
	// Whole numbers: millions of rows are placed in half the time that it takes
	// with fractions.
	place := fmt.Sprintf("(epoch_us(received_at) - %d) // %d", from.UnixMicro(), step.Microseconds())
	count := func(query string, scan func(*sql.Rows) (int64, func(*store.TrafficStep), error)) error {
		return s.query(ctx, query, []any{name(environment), stamp(from), stamp(to)}, func(rows *sql.Rows) error {
			at, add, err := scan(rows)
			if err == nil && at >= 0 && at < int64(len(steps)) {
				add(&steps[at])
			}
			return err
		})
	}
	const where = " WHERE environment = ? AND received_at >= ? AND received_at < ? GROUP BY place_in_time"
	err := count("SELECT place_in_time, names.text, total, attribute_total FROM (SELECT "+place+" AS place_in_time, outcome, count(*) AS total, CAST(sum(attributes) AS BIGINT) AS attribute_total FROM calls"+where+
		", outcome) AS sums JOIN names ON names.id = sums.outcome",
		func(rows *sql.Rows) (at int64, add func(*store.TrafficStep), err error) {
			var outcome reason.Outcome
			var calls, attributes int64
			err = rows.Scan(&at, &outcome, &calls, &attributes)
			return at, func(t *store.TrafficStep) { t.Calls[outcome] += calls; t.Attributes += attributes }, err
		})
	for _, table := range []string{"events", "impressions"} {
		if err != nil {
			break
		}
		err = count("SELECT "+place+" AS place_in_time, count(*) AS total FROM "+table+where,
			func(rows *sql.Rows) (at int64, add func(*store.TrafficStep), err error) {
				var total int64
				err = rows.Scan(&at, &total)
				return at, func(t *store.TrafficStep) {
					if table == "events" {
						t.Events += total
					} else {
						t.Impressions += total
					}
				}, err
			})
	}
	if err != nil {
		return nil, fmt.Errorf("traffic of %s: %w", environment, err)
	}
	return steps, nil
}

// DeliveryTotals sums the attempts that began since a time.
func (s *Store) DeliveryTotals(ctx context.Context, since time.Time) ([]store.DeliveryTotal, error) {
	totals := []store.DeliveryTotal{}
	err := s.query(ctx, `
		SELECT source, outcome, count(*) AS attempts, CAST(sum(calls) AS BIGINT) AS call_total,
			CAST(quantile_cont(duration_ns, 0.95) AS BIGINT) AS slow
		FROM deliveries WHERE started_at >= ? GROUP BY source, outcome ORDER BY source, outcome`,
		[]any{stamp(since)}, func(rows *sql.Rows) error {
			var t store.DeliveryTotal
			if err := rows.Scan(&t.Source, &t.Outcome, &t.Attempts, &t.Calls, &t.P95); err != nil {
				return err
			}
			totals = append(totals, t)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("sum the deliveries: %w", err)
	}
	return totals, nil
}
