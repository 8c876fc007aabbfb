package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

var impressions = list{kind: 'i', table: "impressions", time: "time",
	columns: "environment, flag, key, bucketing_key, treatment, label, change_number, previous_time, traffic_type, sdk, sdk_version, machine_name, machine_ip, properties, received_at",
	names:   []string{"environment", "flag", "treatment", "label", "traffic_type", "sdk", "sdk_version", "machine_name", "machine_ip"}}

// Impressions lists impressions by their time, newest first.
func (s *Store) Impressions(ctx context.Context, q store.ImpressionQuery) (store.Page[fme.Impression], error) {
	var f filter
	f.named("environment", string(q.Environment))
	f.named("flag", q.Flag)
	f.equal("key", q.Key)
	f.named("treatment", q.Treatment)
	return page(ctx, s, impressions, f, q.Span, func(rows *sql.Rows, seq *int64, at *time.Time, i *fme.Impression) error {
		var previous sql.NullTime
		err := rows.Scan(seq, at, &i.Environment, &i.Flag, &i.Key, &i.BucketingKey, &i.Treatment, &i.Label, &i.ChangeNumber, &previous,
			&i.TrafficType, &i.SDK, &i.SDKVersion, &i.MachineName, &i.MachineIP, &i.Properties, &i.ReceivedAt)
		i.Time, i.PreviousTime = *at, previous.Time
		return err
	})
}

// Flags sums impressions (by their time), counts (by their hour) and unique
// keys (by receipt) of each flag since a time, by name.
func (s *Store) Flags(ctx context.Context, environment fme.EnvironmentID, since time.Time) ([]store.FlagCount, error) {
	since = stamp(since)
	flags := []store.FlagCount{}
	err := s.query(ctx, `
		SELECT names.text AS flag_name, impressions, evaluated, keys, last_time FROM (
		SELECT flag, CAST(sum(shown) AS BIGINT) AS impressions,
			CAST(least(sum(evaluations), 9223372036854775807) AS BIGINT) AS evaluated,
			count(DISTINCT key) AS keys, max(seen) AS last_time
		FROM (
			SELECT flag, 1 AS shown, 1 AS evaluations, key, time AS seen FROM impressions WHERE environment = ? AND time >= ?
			UNION ALL
			SELECT flag, 0 AS shown, evaluations, NULL AS key, hour AS seen FROM impression_counts WHERE environment = ? AND hour >= ?
			UNION ALL
			SELECT flag, 0 AS shown, 0 AS evaluations, key, received_at AS seen FROM unique_keys WHERE environment = ? AND received_at >= ?
		) AS sightings
		GROUP BY flag) AS sums JOIN names ON names.id = sums.flag ORDER BY flag_name`,
		[]any{name(environment), since, name(environment), since, name(environment), since},
		func(rows *sql.Rows) error {
			var f store.FlagCount
			if err := rows.Scan(&f.Flag, &f.Impressions, &f.Evaluations, &f.UniqueKeys, &f.LastSeen); err != nil {
				return err
			}
			flags = append(flags, f)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("flags of %s: %w", environment, err)
	}
	return flags, nil
}
