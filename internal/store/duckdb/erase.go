package duckdb

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"causeway/internal/fme"
	"causeway/internal/store"
)

// Erase removes what is kept of one key. It is one transaction of the writer,
// so that no batch comes in between; Retain, which adds up the same counts,
// waits for it.
func (s *Store) Erase(ctx context.Context, environment fme.EnvironmentID, trafficType, key string) (store.Erased, error) {
	s.retaining.Lock()
	defer s.retaining.Unlock()
	var erased store.Erased
	err := s.update(ctx, func(tx *transaction) error {
		erased = store.Erased{}
		for _, step := range eraseSteps(&erased, environment, trafficType, key) {
			args, err := s.withNumbers(ctx, step.args)
			if err != nil {
				return err
			}
			result, err := tx.conn.ExecContext(context.WithoutCancel(ctx), step.text, args...) // why: see Store.query
			if err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return fmt.Errorf("%s: %w", step.what, err)
			}
			*step.count += n
		}
		return nil
	})
	if err != nil {
		return store.Erased{}, fmt.Errorf("erase a key: %w", err)
	}
	// Until then the write-ahead log holds the rows.
	s.reclaim(ctx)
	return erased, nil
}

// eraseStep is one statement of Erase and where its rows are counted.
type eraseStep struct {
	what  string
	count *int64
	statement
}

// eraseSteps are the statements of Erase, in their order: what leads to the key
// goes first, because the key's own rows tell which that is.
func eraseSteps(erased *store.Erased, environment fme.EnvironmentID, trafficType, key string) []eraseStep {
	const (
		who = "environment = ? AND traffic_type = ? AND key = ?"
		ids = "(SELECT foreign_id FROM events WHERE " + who + " AND foreign_id <> '' UNION SELECT message_id FROM attributes WHERE " + who + " AND message_id <> '')"
	)
	env, of := name(environment), []any{name(environment), name(trafficType), text(key)}
	var steps []eraseStep
	add := func(what string, count *int64, statementText string, args ...any) {
		steps = append(steps, eraseStep{what, count, statement{statementText, args}})
	}
	add("calls", &erased.Calls, fmt.Sprintf("UPDATE calls SET message_id = '', frame = 0, place = 0 WHERE environment = ? AND message_id <> '' AND substr(message_id, 1, %d) IN %s", foreignIDLength, ids),
		slices.Concat([]any{env}, of, of)...)
	// A sample is a messageId, or a flag or event type with the key behind it,
	// cut to sampleLength.
	add("samples of reasons", &erased.Samples, fmt.Sprintf(`UPDATE reason_counts SET sample = '' WHERE environment = ? AND sample <> '' AND (
		substr(sample, 1, %d) IN %s OR ends_with(sample, ' ' || ?) OR length(sample) = %d AND contains(sample, ' ' || substr(?, 1, 100)))`, foreignIDLength, ids, sampleLength),
		slices.Concat([]any{string(environment)}, of, of, []any{text(key), text(key)})...)
	for _, form := range jsonForms(key) {
		add("samples of deliveries", &erased.Samples, "UPDATE deliveries SET sample = '' WHERE contains(sample, ?)", `"key":`+form)
	}
	add("impressions", &erased.Impressions, "DELETE FROM impressions WHERE environment = ? AND key = ? AND (traffic_type = ? OR traffic_type = 0)", env, text(key), name(trafficType))
	add("unique keys", &erased.UniqueKeys, "DELETE FROM unique_keys WHERE environment = ? AND key = ?", env, text(key))
	add("events", &erased.Events, "DELETE FROM events WHERE "+who, of...)
	add("attributes", &erased.Attributes, "DELETE FROM attributes WHERE "+who, of...)
	add("identities", &erased.Attributes, "DELETE FROM identities WHERE "+who, of...)
	return steps
}

// jsonForms are the ways in which our own encoders write a text.
func jsonForms(s string) []string {
	escaped, _ := json.Marshal(s) // a string is always encoded
	var plain bytes.Buffer
	encoder := json.NewEncoder(&plain)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s)
	forms := []string{string(escaped)}
	if form := string(bytes.TrimSuffix(plain.Bytes(), []byte("\n"))); form != forms[0] {
		forms = append(forms, form)
	}
	return forms
}
