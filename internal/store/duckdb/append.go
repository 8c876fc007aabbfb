package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	engine "github.com/duckdb/duckdb-go/v2"
)

// transaction is what may be done between BEGIN and COMMIT of the writer.
type transaction struct {
	conn   *sql.Conn
	raw    driver.Conn
	seq    int64
	row    []driver.Value // of append, used again and again
	tables []*table
	rows   map[string]int // flushed, by table
	names  numbering
	// namesDropped: what is remembered of the names does not hold afterwards.
	namesDropped bool
}

// table appends rows to one table, in bulk.
type table struct {
	name     string
	appender *engine.Appender
	rows     int
}

func (tx *transaction) exec(ctx context.Context, text string, args ...any) error {
	_, err := tx.conn.ExecContext(context.WithoutCancel(ctx), text, args...) // why: see Store.query
	return err
}

func (tx *transaction) next() int64 {
	tx.seq++
	return tx.seq
}

// append adds a row; values stand in the order of the table's columns. It is
// in the database after flush.
func (tx *transaction) append(name string, values ...driver.Value) error {
	var t *table
	for _, open := range tx.tables {
		if open.name == name {
			t = open
			break
		}
	}
	if t == nil {
		appender, err := engine.NewAppenderFromConn(tx.raw, "", name)
		if err != nil {
			return fmt.Errorf("append to %s: %w", name, err)
		}
		t = &table{name: name, appender: appender}
		tx.tables = append(tx.tables, t)
	}
	t.rows++
	// A row of the caller's would be allocated anew each time.
	tx.row = append(tx.row[:0], values...)
	if err := t.appender.AppendRow(tx.row...); err != nil {
		return fmt.Errorf("append to %s: %w", name, err)
	}
	return nil
}

// flush puts all appended rows into the tables.
func (tx *transaction) flush() error {
	for len(tx.tables) > 0 {
		t := tx.tables[len(tx.tables)-1]
		tx.tables = tx.tables[:len(tx.tables)-1]
		if err := t.appender.Close(); err != nil {
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
		_ = t.appender.Clear()
		_ = t.appender.Close()
	}
	tx.tables = nil
}

// sameTime gives the values of a column in which most rows repeat the row
// before: checked and made an interface once.
type sameTime struct {
	of    time.Time
	value driver.Value
}

func (m *sameTime) stamp(t time.Time) driver.Value {
	if m.value == nil || m.of != t {
		m.of, m.value = t, stamp(t)
	}
	return m.value
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

// optionalStamp is stamp, or NULL for the zero time.
func optionalStamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}
