package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"causeway/internal/store"
)

// WriteDeliveries records delivery attempts, all of them or none.
func (s *Store) WriteDeliveries(ctx context.Context, attempts []store.Delivery) error {
	if len(attempts) == 0 {
		return nil
	}
	err := s.update(ctx, func(tx *transaction) error {
		for i := range attempts {
			d := &attempts[i]
			err := tx.append("deliveries", tx.next(), text(d.ID), text(d.Source), int32(d.Attempt), stamp(d.StartedAt), int64(d.Duration),
				int32(d.Calls), int64(d.Bytes), int32(d.Status), text(d.Outcome), text(d.Answer), text(d.Error), text(string(d.Sample)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write %d deliveries: %w", len(attempts), err)
	}
	s.metrics.rows.WithLabelValues("deliveries").Add(float64(len(attempts)))
	return nil
}

var deliveries = list{kind: 'd', table: "deliveries", time: "started_at",
	columns: "id, source, attempt, duration_ns, calls, bytes, status, outcome, answer, error, sample"}

// Deliveries lists delivery attempts by their start, newest first.
func (s *Store) Deliveries(ctx context.Context, q store.DeliveryQuery) (store.Page[store.Delivery], error) {
	var f filter
	f.equal("source", q.Source)
	f.equal("outcome", q.Outcome)
	return page(ctx, s, deliveries, f, q.Span, func(rows *sql.Rows, seq *int64, at *time.Time, d *store.Delivery) error {
		var sample string
		err := rows.Scan(seq, at, &d.ID, &d.Source, &d.Attempt, &d.Duration, &d.Calls, &d.Bytes, &d.Status, &d.Outcome, &d.Answer, &d.Error, &sample)
		d.StartedAt = *at
		if sample != "" {
			d.Sample = json.RawMessage(sample)
		}
		return err
	})
}
