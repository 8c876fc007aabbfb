package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"causeway/internal/reason"
	"causeway/internal/store"
)

var calls = list{kind: 'c', table: "calls", time: "received_at",
	columns: "environment, configuration, route, scheme, message_id, type, name, outcome, reasons, events, attributes, frame, place",
	names:   []string{"environment", "configuration", "route", "scheme", "type", "name", "outcome"}}

// Calls lists calls by their receipt, newest first.
func (s *Store) Calls(ctx context.Context, q store.CallQuery) (store.Page[store.CallRow], error) {
	var f filter
	f.named("environment", string(q.Environment))
	f.equal("message_id", q.MessageID)
	f.named("outcome", string(q.Outcome))
	f.named("type", q.Type)
	f.named("configuration", q.Configuration)
	if q.Reason != "" {
		code, err := json.Marshal(q.Reason)
		if err != nil {
			return store.Page[store.CallRow]{}, fmt.Errorf("list calls: %w", err)
		}
		// reasons is JSON of ours: inside of a text its quotes are escaped, so
		// this finds codes and nothing else.
		f.add("position(? IN reasons) > 0", `"code":`+text(string(code)))
	}
	return page(ctx, s, calls, f, q.Span, func(rows *sql.Rows, seq *int64, at *time.Time, c *store.CallRow) error {
		var reasons string
		err := rows.Scan(seq, at, &c.Environment, &c.Configuration, &c.Route, &c.Scheme, &c.MessageID, &c.Type, &c.Name, &c.Outcome, &reasons, &c.Events, &c.Attributes, &c.Frame, &c.Index)
		if err != nil {
			return err
		}
		c.ReceivedAt, c.Reasons = *at, []reason.Note{}
		if reasons == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(reasons), &c.Reasons); err != nil {
			return fmt.Errorf("decode reasons: %w", err)
		}
		return nil
	})
}
