package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"causeway/internal/store"
)

// SaveReading keeps one result of an experiment.
func (s *Store) SaveReading(ctx context.Context, r store.Reading) error {
	calm := context.WithoutCancel(ctx) // why: see Store.query
	err := s.update(ctx, func(tx *transaction) error {
		at := stamp(r.ComputedAt)
		if err := tx.exec(calm, "DELETE FROM readings WHERE project = ? AND experiment = ? AND computed_at = ?", text(r.Project), text(r.Experiment), at); err != nil {
			return err
		}
		return tx.append("readings", text(r.Project), text(r.Experiment), at, text(string(r.Body)))
	})
	if err != nil {
		return fmt.Errorf("save the reading of %s: %w", r.Experiment, err)
	}
	return nil
}

// Readings lists the results of an experiment since a time, oldest first.
func (s *Store) Readings(ctx context.Context, project, experiment string, since time.Time) ([]store.Reading, error) {
	list, err := s.readings(ctx, "WHERE project = ? AND experiment = ? AND computed_at >= ? ORDER BY computed_at",
		text(project), text(experiment), stamp(since))
	if err != nil {
		return nil, fmt.Errorf("readings of %s: %w", experiment, err)
	}
	return list, nil
}

// LastReading is the newest result of an experiment.
func (s *Store) LastReading(ctx context.Context, project, experiment string) (store.Reading, bool, error) {
	list, err := s.readings(ctx, "WHERE project = ? AND experiment = ? ORDER BY computed_at DESC LIMIT 1", text(project), text(experiment))
	if err != nil {
		return store.Reading{}, false, fmt.Errorf("last reading of %s: %w", experiment, err)
	}
	if len(list) == 0 {
		return store.Reading{}, false, nil
	}
	return list[0], true, nil
}

func (s *Store) readings(ctx context.Context, where string, args ...any) ([]store.Reading, error) {
	list := []store.Reading{}
	err := s.query(ctx, "SELECT project, experiment, computed_at, body FROM readings "+where, args, func(rows *sql.Rows) error {
		var r store.Reading
		var body string
		err := rows.Scan(&r.Project, &r.Experiment, &r.ComputedAt, &body)
		r.Body = json.RawMessage(body)
		list = append(list, r)
		return err
	})
	return list, err
}
