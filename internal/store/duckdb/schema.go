package duckdb

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations bring the schema from version i to i+1. A released one is never
// edited; a new one is appended.
//
// The column seq numbers rows in the order they were written. Times are UTC.
// Texts hold no NUL. Every write adds rows to event_type_days and
// reason_counts and Retain adds them up: a reader always sums over them.
var migrations = []string{`
CREATE TABLE events (
	seq BIGINT NOT NULL, environment VARCHAR NOT NULL, traffic_type VARCHAR NOT NULL, key VARCHAR NOT NULL,
	event_type VARCHAR NOT NULL, value DOUBLE, time TIMESTAMP NOT NULL, properties VARCHAR NOT NULL,
	source VARCHAR NOT NULL, foreign_id VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL, configuration VARCHAR NOT NULL);
CREATE TABLE impressions (
	seq BIGINT NOT NULL, environment VARCHAR NOT NULL, flag VARCHAR NOT NULL, key VARCHAR NOT NULL,
	bucketing_key VARCHAR NOT NULL, treatment VARCHAR NOT NULL, label VARCHAR NOT NULL, change_number BIGINT NOT NULL,
	time TIMESTAMP NOT NULL, previous_time TIMESTAMP, traffic_type VARCHAR NOT NULL, sdk VARCHAR NOT NULL,
	sdk_version VARCHAR NOT NULL, machine_name VARCHAR NOT NULL, machine_ip VARCHAR NOT NULL,
	properties VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL);
CREATE TABLE impression_counts (
	environment VARCHAR NOT NULL, flag VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, evaluations BIGINT NOT NULL,
	received_at TIMESTAMP NOT NULL);
CREATE TABLE unique_keys (
	environment VARCHAR NOT NULL, flag VARCHAR NOT NULL, key VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL);
CREATE TABLE attributes (
	seq BIGINT NOT NULL, environment VARCHAR NOT NULL, traffic_type VARCHAR NOT NULL, key VARCHAR NOT NULL,
	attribute VARCHAR NOT NULL, value VARCHAR, cut BOOLEAN NOT NULL, time TIMESTAMP NOT NULL,
	received_at TIMESTAMP NOT NULL, message_id VARCHAR NOT NULL);
CREATE TABLE identities (
	seq BIGINT NOT NULL, environment VARCHAR NOT NULL, traffic_type VARCHAR NOT NULL, key VARCHAR NOT NULL,
	time TIMESTAMP NOT NULL, received_at TIMESTAMP NOT NULL);
CREATE TABLE calls (
	seq BIGINT NOT NULL, environment VARCHAR NOT NULL, configuration VARCHAR NOT NULL, route VARCHAR NOT NULL,
	scheme VARCHAR NOT NULL, message_id VARCHAR NOT NULL, type VARCHAR NOT NULL, name VARCHAR NOT NULL,
	received_at TIMESTAMP NOT NULL, outcome VARCHAR NOT NULL, reasons VARCHAR NOT NULL,
	events INTEGER NOT NULL, attributes INTEGER NOT NULL, frame BIGINT NOT NULL, place INTEGER NOT NULL);
CREATE TABLE deliveries (
	seq BIGINT NOT NULL, id VARCHAR NOT NULL, source VARCHAR NOT NULL, attempt INTEGER NOT NULL,
	started_at TIMESTAMP NOT NULL, duration_ns BIGINT NOT NULL, calls INTEGER NOT NULL, bytes BIGINT NOT NULL,
	status INTEGER NOT NULL, outcome VARCHAR NOT NULL, answer VARCHAR NOT NULL, error VARCHAR NOT NULL, sample VARCHAR NOT NULL);
CREATE TABLE telemetry (
	environment VARCHAR NOT NULL, kind VARCHAR NOT NULL, sdk VARCHAR NOT NULL, sdk_version VARCHAR NOT NULL,
	body VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL);
CREATE TABLE positions (consumer VARCHAR NOT NULL, sequence BIGINT NOT NULL);
CREATE TABLE recent (id UUID NOT NULL, seen_at TIMESTAMP NOT NULL);
CREATE TABLE event_type_days (
	environment VARCHAR NOT NULL, traffic_type VARCHAR NOT NULL, event_type VARCHAR NOT NULL, day TIMESTAMP NOT NULL,
	first_seen TIMESTAMP NOT NULL, last_seen TIMESTAMP NOT NULL, with_value BIGINT NOT NULL, events BIGINT NOT NULL);
CREATE TABLE reason_counts (
	environment VARCHAR NOT NULL, configuration VARCHAR NOT NULL, type VARCHAR NOT NULL, outcome VARCHAR NOT NULL,
	code VARCHAR NOT NULL, hour TIMESTAMP NOT NULL, seq BIGINT NOT NULL, sample VARCHAR NOT NULL, times BIGINT NOT NULL);
CREATE TABLE probe (written_at TIMESTAMP NOT NULL);
INSERT INTO probe VALUES (TIMESTAMP '1970-01-01 00:00:00');
`}

// createStage makes the table that a batch's ids are joined from. It lives and
// dies with the writer's connection and is empty between transactions.
const createStage = "CREATE TEMPORARY TABLE stage (place INTEGER NOT NULL, id UUID NOT NULL)"

func migrate(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)"); err != nil {
		return err
	}
	var version int
	if err := conn.QueryRowContext(ctx, "SELECT coalesce(max(version), 0) FROM schema_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("the file has schema version %d, this program knows %d: it was written by a newer Causeway", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		tx, err := conn.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, migrations[version])
		if err == nil {
			_, err = tx.ExecContext(ctx, "INSERT INTO schema_version VALUES (?)", version+1)
		}
		if err != nil {
			tx.Rollback()
			return fmt.Errorf("bring the schema to version %d: %w", version+1, err)
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("bring the schema to version %d: %w", version+1, err)
		}
	}
	return nil
}

// lastSeq is the highest row number in use.
func lastSeq(ctx context.Context, conn *sql.Conn) (int64, error) {
	var last int64
	err := conn.QueryRowContext(ctx, `SELECT coalesce(max(top), 0) FROM (
		SELECT max(seq) AS top FROM events UNION ALL SELECT max(seq) FROM impressions UNION ALL
		SELECT max(seq) FROM attributes UNION ALL SELECT max(seq) FROM identities UNION ALL
		SELECT max(seq) FROM calls UNION ALL SELECT max(seq) FROM deliveries UNION ALL
		SELECT max(seq) FROM reason_counts) AS tops`).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("read the last row number: %w", err)
	}
	return last, nil
}
