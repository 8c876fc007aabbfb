package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
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

// Keys finds keys by their beginning.
func (s *Store) Keys(ctx context.Context, environment fme.EnvironmentID, trafficType, prefix string) ([]store.KeyFound, error) {
	keys := []store.KeyFound{}
	if prefix == "" {
		return keys, nil
	}
	condition, args := "environment = ? AND starts_with(key, ?)", []any{name(environment), text(prefix)}
	if trafficType != "" {
		condition += " AND traffic_type = ?"
		args = append(args, name(trafficType))
	}
	query := fmt.Sprintf(`
		SELECT names.text AS type_name, found.key FROM (
			SELECT traffic_type, key FROM events WHERE %[1]s UNION
			SELECT traffic_type, key FROM attributes WHERE %[1]s UNION
			SELECT traffic_type, key FROM identities WHERE %[1]s
		) AS found JOIN names ON names.id = found.traffic_type ORDER BY found.key, type_name LIMIT %[2]d`, condition, store.MostKeys)
	err := s.query(ctx, query, slices.Concat(args, args, args), func(rows *sql.Rows) error {
		var k store.KeyFound
		err := rows.Scan(&k.TrafficType, &k.Key)
		keys = append(keys, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("keys of %s: %w", environment, err)
	}
	return keys, nil
}

// Links finds the other keys of a key's newest calls. A call is known by its
// messageId; all its rows carry it.
func (s *Store) Links(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) ([]store.Link, error) {
	links := []store.Link{}
	who := []any{name(environment), name(trafficType), text(key)}
	query := fmt.Sprintf(`
		WITH mine AS (
			(SELECT foreign_id AS message_id FROM events WHERE environment = ? AND traffic_type = ? AND key = ? AND foreign_id <> '' ORDER BY time DESC, seq DESC LIMIT %[1]d)
			UNION
			(SELECT message_id FROM attributes WHERE environment = ? AND traffic_type = ? AND key = ? AND message_id <> '' ORDER BY time DESC, seq DESC LIMIT %[1]d)
		)
		SELECT names.text AS type_name, linked.key, calls, last_time, newest FROM (
			SELECT traffic_type, key, count(DISTINCT message_id) AS calls, max(time) AS last_time, argMax(message_id, time) AS newest FROM (
				SELECT traffic_type, key, foreign_id AS message_id, time FROM events WHERE environment = ? AND foreign_id IN (SELECT message_id FROM mine)
				UNION ALL
				SELECT traffic_type, key, message_id, time FROM attributes WHERE environment = ? AND message_id IN (SELECT message_id FROM mine)
			) AS shared WHERE NOT (traffic_type = ? AND key = ?) GROUP BY traffic_type, key
		) AS linked JOIN names ON names.id = linked.traffic_type ORDER BY last_time DESC, type_name, linked.key LIMIT %[2]d`, store.LinkCalls, store.MostLinks)
	err := s.query(ctx, query, slices.Concat(who, who, []any{name(environment), name(environment)}, who[1:]), func(rows *sql.Rows) error {
		var l store.Link
		err := rows.Scan(&l.TrafficType, &l.Key, &l.Calls, &l.LastSeen, &l.MessageID)
		links = append(links, l)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("links of a key: %w", err)
	}
	return links, nil
}

// AttributeUses sums the newest values of all keys of a traffic type.
func (s *Store) AttributeUses(ctx context.Context, environment fme.EnvironmentID, trafficType string) ([]store.AttributeUse, error) {
	uses := []store.AttributeUse{}
	query := fmt.Sprintf(`
		SELECT names.text AS attribute_name, keys, cuts, last_time, example FROM (
			SELECT attribute, count(*) AS keys, count(*) FILTER (WHERE newest.cut) AS cuts, max(newest.time) AS last_time, argMax(newest.value, newest.time) AS example FROM (
				SELECT attribute, argMax({'value': value, 'cut': cut, 'time': time}, (time, received_at, seq)) AS newest
				FROM attributes WHERE environment = ? AND traffic_type = ? GROUP BY attribute, key
			) AS values_now WHERE newest.value IS NOT NULL GROUP BY attribute
		) AS uses JOIN names ON names.id = uses.attribute ORDER BY keys DESC, attribute_name LIMIT %d`, store.MostAttributes)
	err := s.query(ctx, query, []any{name(environment), name(trafficType)}, func(rows *sql.Rows) error {
		var u store.AttributeUse
		err := rows.Scan(&u.ID, &u.Keys, &u.Cut, &u.LastSeen, &u.Example)
		uses = append(uses, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("attributes of %s: %w", trafficType, err)
	}
	return uses, nil
}
