package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

var events = list{kind: 'e', table: "events", time: "time",
	columns: "environment, traffic_type, key, event_type, value, properties, source, foreign_id, received_at, configuration",
	names:   []string{"environment", "traffic_type", "event_type", "source", "configuration"}}

// Events lists events by their time, newest first.
func (s *Store) Events(ctx context.Context, q store.EventQuery) (store.Page[fme.Event], error) {
	var f filter
	f.named("environment", string(q.Environment))
	f.named("traffic_type", q.TrafficType)
	f.equal("key", q.Key)
	f.named("event_type", q.EventType)
	f.equal("foreign_id", cut(q.MessageID, foreignIDLength))
	return page(ctx, s, events, f, q.Span, func(rows *sql.Rows, seq *int64, at *time.Time, e *fme.Event) error {
		var value sql.NullFloat64
		var properties string
		err := rows.Scan(seq, at, &e.Environment, &e.TrafficType, &e.Key, &e.EventType, &value, &properties, &e.Source, &e.ForeignID, &e.ReceivedAt, &e.Configuration)
		if value.Valid {
			e.Value = &value.Float64
		}
		e.Time = *at
		if properties == "" {
			properties = "{}"
		}
		e.Properties = json.RawMessage(properties)
		return err
	})
}
