package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// Customer gives the attributes of a key as they are now. It is found when a
// call identified it, or when it has an event.
func (s *Store) Customer(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) (store.Customer, bool, error) {
	customer := store.Customer{TrafficType: trafficType, Key: key, Attributes: map[string]store.AttributeValue{}}
	who := []any{name(environment), name(trafficType), text(key)}
	found := false
	// X10: the newest call decides, then the newest receipt, then the order in
	// the stream. A removed attribute is a newest value of NULL.
	err := s.query(ctx, `
		SELECT names.text AS attribute_name, value, cut, time, message_id FROM (
			SELECT attribute, value, cut, time, message_id,
				row_number() OVER (PARTITION BY attribute ORDER BY time DESC, received_at DESC, seq DESC) AS age
			FROM attributes WHERE environment = ? AND traffic_type = ? AND key = ?
		) AS aged JOIN names ON names.id = aged.attribute WHERE age = 1`, who, func(rows *sql.Rows) error {
		var id string
		var value sql.NullString
		var a store.AttributeValue
		var at time.Time
		if err := rows.Scan(&id, &value, &a.Cut, &at, &a.MessageID); err != nil {
			return err
		}
		found = true
		if value.Valid {
			a.Value, a.UpdatedAt = value.String, at
			customer.Attributes[id] = a
		}
		return nil
	})
	for _, table := range []string{"identities", "events"} {
		if err != nil || found {
			break
		}
		err = s.query(ctx, "SELECT 1 FROM "+table+" WHERE environment = ? AND traffic_type = ? AND key = ? LIMIT 1", who, func(*sql.Rows) error {
			found = true
			return nil
		})
	}
	if err != nil {
		return store.Customer{}, false, fmt.Errorf("customer %s %s: %w", trafficType, key, err)
	}
	return customer, found, nil
}
