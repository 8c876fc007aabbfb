package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"causeway/internal/store"
)

// Exposures counts who saw what, and what is doubtful about it.
func (s *Store) Exposures(ctx context.Context, e store.Exposure) (store.ExposureReport, error) {
	var r store.ExposureReport
	err := s.analysis(ctx, e, nil, func(a *analysis) error {
		if err := a.stays(true); err != nil {
			return err
		}
		for _, part := range []func(*store.ExposureReport) error{a.rulesAndVersions, a.keys, a.days, a.eventsOfKeys} {
			if err := part(&r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return store.ExposureReport{}, fmt.Errorf("exposures of %s: %w", e.Flag, err)
	}
	return r, nil
}

func (a *analysis) rulesAndVersions(r *store.ExposureReport) error {
	unit := fmt.Sprintf("CAST(treatment AS BIGINT) * %d", int64(unitBase)) // no label: whatever the rule
	anyRule := *a
	anyRule.e.Rule = ""
	err := a.query(fmt.Sprintf(`SELECT names.text, keys FROM (
			SELECT label, count(DISTINCT hash(key)) AS keys FROM impressions WHERE %s AND %s IS NOT NULL GROUP BY label) AS labels
		JOIN names ON names.id = labels.label ORDER BY keys DESC, names.text`, a.seen(false), anyRule.arm("("+unit+")")),
		func(rows *sql.Rows) error {
			var rule store.RuleCount
			err := rows.Scan(&rule.Rule, &rule.Keys)
			r.Rules = append(r.Rules, rule)
			return err
		})
	if err != nil {
		return fmt.Errorf("count the rules: %w", err)
	}
	err = a.query(fmt.Sprintf(`SELECT change_number, min(time) AS first, max(time) AS last, count(DISTINCT hash(key)) AS keys
		FROM impressions WHERE %s GROUP BY change_number ORDER BY first, change_number`, a.seen(true)),
		func(rows *sql.Rows) error {
			var v store.VersionCount
			err := rows.Scan(&v.ChangeNumber, &v.First, &v.Last, &v.Keys)
			r.Versions = append(r.Versions, v)
			return err
		})
	if err != nil {
		return fmt.Errorf("count the versions: %w", err)
	}
	return nil
}

func (a *analysis) keys(r *store.ExposureReport) error {
	r.Arms = make([]store.ArmExposure, len(a.e.Treatments))
	for i, treatment := range a.e.Treatments {
		r.Arms[i].Treatment = treatment
	}
	err := a.query(`SELECT s.arm, count(*) FILTER (NOT coalesce(v.excluded, FALSE)), count(*) FILTER (v.excluded), CAST(sum(s.n) AS BIGINT), min(s.first), max(s.last)
		FROM stays AS s LEFT JOIN moved AS v ON v.id = s.rowid WHERE `+a.isIn()+" GROUP BY s.arm", func(rows *sql.Rows) error {
		var i int
		var arm store.ArmExposure
		var first, last time.Time
		if err := rows.Scan(&i, &arm.Keys, &arm.Excluded, &arm.Impressions, &first, &last); err != nil {
			return err
		}
		arm.Treatment = a.e.Treatments[i]
		r.Arms[i] = arm
		if r.FirstImpression.IsZero() || first.Before(r.FirstImpression) {
			r.FirstImpression = first
		}
		if last.After(r.LastSeen) {
			r.LastSeen = last
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the keys: %w", err)
	}
	err = a.query(fmt.Sprintf(`SELECT count(*) FILTER (v.id IS NULL) + count(DISTINCT v.key), count(DISTINCT v.key) FILTER (s.several), count(DISTINCT v.key) FILTER (v.excluded)
		FROM stays AS s LEFT JOIN moved AS v ON v.id = s.rowid WHERE %s`, a.isIn()),
		func(rows *sql.Rows) error { return rows.Scan(&r.Keys, &r.InSeveral, &r.Excluded) })
	if err != nil {
		return fmt.Errorf("count the keys: %w", err)
	}
	return nil
}

func (a *analysis) days(r *store.ExposureReport) error {
	err := a.query(`SELECT date_trunc('day', s.first) AS day, s.arm AS arm, count(*) FROM stays AS s LEFT JOIN moved AS v ON v.id = s.rowid
		WHERE NOT coalesce(v.excluded, FALSE) AND `+a.isIn()+" GROUP BY day, arm ORDER BY day, arm", func(rows *sql.Rows) error {
		var day time.Time
		var arm int
		var keys int64
		if err := rows.Scan(&day, &arm, &keys); err != nil {
			return err
		}
		if last := len(r.Days) - 1; last < 0 || !r.Days[last].Day.Equal(day) {
			r.Days = append(r.Days, store.ExposureDay{Day: day, Keys: make([]int64, len(a.e.Treatments))})
		}
		r.Days[len(r.Days)-1].Keys[arm] = keys
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the days: %w", err)
	}
	return nil
}

// eventsOfKeys sums, in one pass, what the events of the keys say.
func (a *analysis) eventsOfKeys(r *store.ExposureReport) error {
	err := a.query(fmt.Sprintf(`WITH earliest AS (
			SELECT v.id, row_number() OVER (PARTITION BY v.key ORDER BY s.first, s.arm) AS place FROM moved AS v JOIN stays AS s ON s.rowid = v.id WHERE %[7]s)
		SELECT count(*) FILTER (did), CAST(coalesce(sum(before), 0) AS BIGINT), CAST(coalesce(sum(late), 0) AS BIGINT), CAST(coalesce(sum(events), 0) AS BIGINT)
		FROM (SELECT bool_or(e.time >= s.begins AND e.time < coalesce(s.until, %[5]s)) AS did,
				count(*) FILTER (s.earliest AND e.time >= %[1]s AND e.time < %[2]s AND e.time < s.first - %[3]s) AS before,
				count(*) FILTER (s.earliest AND e.received_at > e.time + INTERVAL 1 HOUR) AS late, count(*) FILTER (s.earliest) AS events
			FROM (SELECT hash(key) AS key, time, received_at FROM events WHERE %[4]s) AS e
			JOIN (SELECT s.key, s.first, %[6]s AS begins, v.until, v.id IS NULL OR v.id IN (SELECT id FROM earliest WHERE place = 1) AS earliest
				FROM stays AS s LEFT JOIN moved AS v ON v.id = s.rowid WHERE %[7]s) AS s ON s.key = e.key
			GROUP BY s.key) AS keys`, moment(a.e.From), moment(a.e.To), interval(a.e.Buffer), a.anyEvent(), moment(a.to), a.begins(), a.isIn()),
		func(rows *sql.Rows) error {
			return rows.Scan(&r.WithEvents, &r.EventsBefore, &r.LateEvents, &r.EventsOfKeys)
		})
	if err != nil {
		return fmt.Errorf("count the events: %w", err)
	}
	return nil
}
