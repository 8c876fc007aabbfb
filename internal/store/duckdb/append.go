package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// transaction is what may be done between BEGIN and COMMIT of the writer.
type transaction struct {
	conn   *sql.Conn
	raw    mapping.Connection
	seq    int64
	tables []*table
	rows   map[string]int // flushed, by table
	names  numbering
	// namesDropped: what is remembered of the names does not hold afterwards.
	namesDropped bool
}

func (tx *transaction) exec(ctx context.Context, text string, args ...any) error {
	_, err := tx.conn.ExecContext(context.WithoutCancel(ctx), text, args...) // why: see Store.query
	return err
}

func (tx *transaction) next() int64 {
	tx.seq++
	return tx.seq
}

// table gives the table to append rows to. They are in the database after
// flush.
func (tx *transaction) table(name string) (*table, error) {
	for _, open := range tx.tables {
		if open.name == name {
			return open, nil
		}
	}
	t, err := newTable(tx.raw, name)
	if err != nil {
		return nil, fmt.Errorf("append to %s: %w", name, err)
	}
	tx.tables = append(tx.tables, t)
	return t, nil
}

// append adds a row to a table that gets few; values stand in the order of the
// table's columns.
func (tx *transaction) append(name string, values ...any) error {
	t, err := tx.table(name)
	if err != nil {
		return err
	}
	for _, value := range values {
		switch v := value.(type) {
		case string:
			t.text(v)
		case int32:
			t.int32(v)
		case int64:
			t.int64(v)
		case time.Time:
			t.time(v)
		default:
			panic(fmt.Sprintf("append to %s: a %T", name, value))
		}
	}
	return tx.end(t)
}

// end ends a row of a table.
func (tx *transaction) end(t *table) error {
	if err := t.end(); err != nil {
		return fmt.Errorf("append to %s: %w", t.name, err)
	}
	return nil
}

// flush puts all appended rows into the tables.
func (tx *transaction) flush() error {
	for len(tx.tables) > 0 {
		t := tx.tables[len(tx.tables)-1]
		tx.tables = tx.tables[:len(tx.tables)-1]
		if err := t.flush(); err != nil {
			return fmt.Errorf("append to %s: %w", t.name, err)
		}
		if tx.rows == nil {
			tx.rows = make(map[string]int)
		}
		tx.rows[t.name] += t.rows
	}
	return nil
}

// discard gives up rows that are not flushed. The transaction is about to be
// rolled back, so errors have nothing left to say.
func (tx *transaction) discard() {
	for _, t := range tx.tables {
		t.discard()
	}
	tx.tables = nil
}

// text makes s fit to be stored: UTF-8 without NUL. Translation removes NUL
// (X2); this holds for what other doors let through, because one odd text must
// not stop everything behind it.
func text(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "")
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	return s
}

// cut returns the first n code points of s.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// The years that JSON can say (RFC 3339); a clock outside of them is wrong
// anyway, and must not make a page of other rows unreadable.
var (
	earliest = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// stamp makes t fit to be stored: UTC, microseconds, years 0 to 9999.
func stamp(t time.Time) time.Time {
	switch {
	case t.Before(earliest):
		return earliest
	case t.After(latest):
		return latest
	}
	return t.UTC()
}
