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
//
// Names. In the tables that grow with traffic, a text that repeats from row to
// row is an INTEGER, and the table names has the text once for all columns:
// nameColumns lists them. A query compares numbers: it says "environment = ?"
// and binds name("shop/production"), which Store.query replaces by the number;
// a text that was never stored gets a number that no row has. Where texts are
// to come back, join names last, to the rows of the answer and not to those it
// is made of:
//
//	SELECT names.text, arms.keys
//	FROM (SELECT treatment, count(DISTINCT key) AS keys FROM impressions
//	      WHERE environment = ? AND flag = ? GROUP BY treatment) AS arms
//	JOIN names ON names.id = arms.treatment
//
// Numbers have no order and no meaning: sort by the text. 0 is the empty text.
// Retain removes names that no row has.
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
`, `
CREATE TABLE names (id INTEGER NOT NULL, text VARCHAR NOT NULL);
INSERT INTO names VALUES (0, '');
INSERT INTO names SELECT row_number() OVER (ORDER BY text), text FROM (
	SELECT environment AS text FROM events UNION SELECT traffic_type AS text FROM events UNION
	SELECT event_type AS text FROM events UNION SELECT source AS text FROM events UNION
	SELECT configuration AS text FROM events UNION SELECT environment AS text FROM impressions UNION
	SELECT flag AS text FROM impressions UNION SELECT treatment AS text FROM impressions UNION
	SELECT label AS text FROM impressions UNION SELECT traffic_type AS text FROM impressions UNION
	SELECT sdk AS text FROM impressions UNION SELECT sdk_version AS text FROM impressions UNION
	SELECT machine_name AS text FROM impressions UNION SELECT machine_ip AS text FROM impressions UNION
	SELECT environment AS text FROM impression_counts UNION SELECT flag AS text FROM impression_counts UNION
	SELECT environment AS text FROM unique_keys UNION SELECT flag AS text FROM unique_keys UNION
	SELECT environment AS text FROM attributes UNION SELECT traffic_type AS text FROM attributes UNION
	SELECT attribute AS text FROM attributes UNION SELECT environment AS text FROM identities UNION
	SELECT traffic_type AS text FROM identities UNION SELECT environment AS text FROM calls UNION
	SELECT configuration AS text FROM calls UNION SELECT route AS text FROM calls UNION SELECT scheme AS text FROM calls UNION
	SELECT type AS text FROM calls UNION SELECT name AS text FROM calls UNION SELECT outcome AS text FROM calls
) AS texts WHERE text <> '';
ALTER TABLE events RENAME TO events_1;
CREATE TABLE events (
	seq BIGINT NOT NULL, environment INTEGER NOT NULL, traffic_type INTEGER NOT NULL, key VARCHAR NOT NULL,
	event_type INTEGER NOT NULL, value DOUBLE, time TIMESTAMP NOT NULL, properties VARCHAR NOT NULL,
	source INTEGER NOT NULL, foreign_id VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL, configuration INTEGER NOT NULL);
INSERT INTO events SELECT o.seq, environment_name.id, traffic_type_name.id, o.key, event_type_name.id, o.value, o.time, o.properties,
	source_name.id, o.foreign_id, o.received_at, configuration_name.id
	FROM events_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS traffic_type_name ON traffic_type_name.text = o.traffic_type
	JOIN names AS event_type_name ON event_type_name.text = o.event_type
	JOIN names AS source_name ON source_name.text = o.source
	JOIN names AS configuration_name ON configuration_name.text = o.configuration;
DROP TABLE events_1;
ALTER TABLE impressions RENAME TO impressions_1;
CREATE TABLE impressions (
	seq BIGINT NOT NULL, environment INTEGER NOT NULL, flag INTEGER NOT NULL, key VARCHAR NOT NULL,
	bucketing_key VARCHAR NOT NULL, treatment INTEGER NOT NULL, label INTEGER NOT NULL, change_number BIGINT NOT NULL,
	time TIMESTAMP NOT NULL, previous_time TIMESTAMP, traffic_type INTEGER NOT NULL, sdk INTEGER NOT NULL,
	sdk_version INTEGER NOT NULL, machine_name INTEGER NOT NULL, machine_ip INTEGER NOT NULL,
	properties VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL);
INSERT INTO impressions SELECT o.seq, environment_name.id, flag_name.id, o.key, o.bucketing_key, treatment_name.id, label_name.id, o.change_number,
	o.time, o.previous_time, traffic_type_name.id, sdk_name.id, sdk_version_name.id, machine_name_name.id,
	machine_ip_name.id, o.properties, o.received_at
	FROM impressions_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS flag_name ON flag_name.text = o.flag JOIN names AS treatment_name ON treatment_name.text = o.treatment
	JOIN names AS label_name ON label_name.text = o.label
	JOIN names AS traffic_type_name ON traffic_type_name.text = o.traffic_type
	JOIN names AS sdk_name ON sdk_name.text = o.sdk
	JOIN names AS sdk_version_name ON sdk_version_name.text = o.sdk_version
	JOIN names AS machine_name_name ON machine_name_name.text = o.machine_name
	JOIN names AS machine_ip_name ON machine_ip_name.text = o.machine_ip;
DROP TABLE impressions_1;
ALTER TABLE impression_counts RENAME TO impression_counts_1;
CREATE TABLE impression_counts (
	environment INTEGER NOT NULL, flag INTEGER NOT NULL, hour TIMESTAMP NOT NULL, evaluations BIGINT NOT NULL,
	received_at TIMESTAMP NOT NULL);
INSERT INTO impression_counts SELECT environment_name.id, flag_name.id, o.hour, o.evaluations, o.received_at
	FROM impression_counts_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS flag_name ON flag_name.text = o.flag;
DROP TABLE impression_counts_1;
ALTER TABLE unique_keys RENAME TO unique_keys_1;
CREATE TABLE unique_keys (
	environment INTEGER NOT NULL, flag INTEGER NOT NULL, key VARCHAR NOT NULL, received_at TIMESTAMP NOT NULL);
INSERT INTO unique_keys SELECT environment_name.id, flag_name.id, o.key, o.received_at
	FROM unique_keys_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS flag_name ON flag_name.text = o.flag;
DROP TABLE unique_keys_1;
ALTER TABLE attributes RENAME TO attributes_1;
CREATE TABLE attributes (
	seq BIGINT NOT NULL, environment INTEGER NOT NULL, traffic_type INTEGER NOT NULL, key VARCHAR NOT NULL,
	attribute INTEGER NOT NULL, value VARCHAR, cut BOOLEAN NOT NULL, time TIMESTAMP NOT NULL,
	received_at TIMESTAMP NOT NULL, message_id VARCHAR NOT NULL);
INSERT INTO attributes SELECT o.seq, environment_name.id, traffic_type_name.id, o.key, attribute_name.id, o.value, o.cut, o.time, o.received_at,
	o.message_id
	FROM attributes_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS traffic_type_name ON traffic_type_name.text = o.traffic_type
	JOIN names AS attribute_name ON attribute_name.text = o.attribute;
DROP TABLE attributes_1;
ALTER TABLE identities RENAME TO identities_1;
CREATE TABLE identities (
	seq BIGINT NOT NULL, environment INTEGER NOT NULL, traffic_type INTEGER NOT NULL, key VARCHAR NOT NULL,
	time TIMESTAMP NOT NULL, received_at TIMESTAMP NOT NULL);
INSERT INTO identities SELECT o.seq, environment_name.id, traffic_type_name.id, o.key, o.time, o.received_at
	FROM identities_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS traffic_type_name ON traffic_type_name.text = o.traffic_type;
DROP TABLE identities_1;
ALTER TABLE calls RENAME TO calls_1;
CREATE TABLE calls (
	seq BIGINT NOT NULL, environment INTEGER NOT NULL, configuration INTEGER NOT NULL, route INTEGER NOT NULL,
	scheme INTEGER NOT NULL, message_id VARCHAR NOT NULL, type INTEGER NOT NULL, name INTEGER NOT NULL,
	received_at TIMESTAMP NOT NULL, outcome INTEGER NOT NULL, reasons VARCHAR NOT NULL, events INTEGER NOT NULL,
	attributes INTEGER NOT NULL, frame BIGINT NOT NULL, place INTEGER NOT NULL);
INSERT INTO calls SELECT o.seq, environment_name.id, configuration_name.id, route_name.id, scheme_name.id, o.message_id, type_name.id,
	name_name.id, o.received_at, outcome_name.id, o.reasons, o.events, o.attributes, o.frame, o.place
	FROM calls_1 AS o JOIN names AS environment_name ON environment_name.text = o.environment
	JOIN names AS configuration_name ON configuration_name.text = o.configuration
	JOIN names AS route_name ON route_name.text = o.route JOIN names AS scheme_name ON scheme_name.text = o.scheme
	JOIN names AS type_name ON type_name.text = o.type JOIN names AS name_name ON name_name.text = o.name
	JOIN names AS outcome_name ON outcome_name.text = o.outcome;
DROP TABLE calls_1;
`, `
CREATE TABLE readings (project VARCHAR NOT NULL, experiment VARCHAR NOT NULL, computed_at TIMESTAMP NOT NULL, body VARCHAR NOT NULL);
`}

// nameColumns are the columns that hold numbers of names, by table.
var nameColumns = []struct {
	table   string
	columns []string
}{
	{"events", []string{"environment", "traffic_type", "event_type", "source", "configuration"}},
	{"impressions", []string{"environment", "flag", "treatment", "label", "traffic_type", "sdk", "sdk_version", "machine_name", "machine_ip"}},
	{"impression_counts", []string{"environment", "flag"}},
	{"unique_keys", []string{"environment", "flag"}},
	{"attributes", []string{"environment", "traffic_type", "attribute"}},
	{"identities", []string{"environment", "traffic_type"}},
	{"calls", []string{"environment", "configuration", "route", "scheme", "type", "name", "outcome"}},
}

// createStages makes the tables that a batch's ids and names are joined from.
// They live and die with the writer's connection and are empty between
// transactions.
const createStages = `
CREATE TEMPORARY TABLE stage (place INTEGER NOT NULL, id UUID NOT NULL);
CREATE TEMPORARY TABLE stage_names (id INTEGER NOT NULL, text VARCHAR NOT NULL)`

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
