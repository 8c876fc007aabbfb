package duckdb

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"time"

	"causeway/internal/store"
)

const (
	defaultLimit = 50
	maxLimit     = 500
)

// filter is the WHERE of a query. Conditions are constants of this program;
// what a caller gave is only ever bound.
type filter struct {
	conditions []string
	args       []any
}

func (f *filter) add(condition string, args ...any) {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
}

// equal restricts a column to a value; the empty value does not restrict.
func (f *filter) equal(column, value string) {
	if value != "" {
		f.add(column+" = ?", text(value))
	}
}

// named is equal for a column that holds names.
func (f *filter) named(column, value string) {
	if value != "" {
		f.add(column+" = ?", name(value))
	}
}

func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(f.conditions, " AND ")
}

// list is a table that is paged through, newest first.
type list struct {
	kind    byte // in its cursors: those of one list do not fit another
	table   string
	columns string   // after seq
	names   []string // of columns: those that hold names
	time    string   // the column that orders it
}

// query is the text of a query for the newest rows that a filter lets through.
// Of the names only those of these few rows are read, and once for all columns:
// there may be millions. A row whose name is missing shows as an error and does
// not get lost.
func (l list) query(f filter, limit int) string {
	page := fmt.Sprintf("SELECT seq, %[1]s, %[2]s FROM %[3]s %[4]s ORDER BY %[1]s DESC, seq DESC LIMIT %[5]d", l.time, l.columns, l.table, f.where(), limit)
	if len(l.names) == 0 {
		return page
	}
	columns, joins := strings.Split(l.columns, ", "), ""
	var ids []string
	for i, column := range columns {
		if !slices.Contains(l.names, column) {
			columns[i] = "page." + column
			continue
		}
		columns[i] = column + "_name.text"
		ids = append(ids, "SELECT "+column+" AS id FROM page")
		joins += fmt.Sprintf(" LEFT JOIN texts AS %[1]s_name ON %[1]s_name.id = page.%[1]s", column)
	}
	return fmt.Sprintf(`WITH page AS MATERIALIZED (%[1]s),
		texts AS MATERIALIZED (SELECT id, text FROM names WHERE id IN (%[2]s))
		SELECT page.seq, page.%[3]s, %[4]s FROM page%[5]s ORDER BY page.%[3]s DESC, page.seq DESC`,
		page, strings.Join(ids, " UNION "), l.time, strings.Join(columns, ", "), joins)
}

// page reads one page of a list. scan reads the columns into an item; seq and
// the ordering time are its first two, for the cursor.
//
// The place to go on from is the (time, seq) of the last item given: rows that
// arrive meanwhile never shift what follows it.
func page[T any](ctx context.Context, s *Store, l list, f filter, span store.Span, scan func(rows *sql.Rows, seq *int64, at *time.Time, item *T) error) (store.Page[T], error) {
	limit := span.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	limit = min(limit, maxLimit)
	if !span.From.IsZero() {
		f.add(l.time+" >= ?", stamp(span.From))
	}
	if !span.To.IsZero() {
		f.add(l.time+" < ?", stamp(span.To))
	}
	if span.Cursor != "" {
		at, seq, err := readCursor(l.kind, span.Cursor)
		if err != nil {
			return store.Page[T]{}, err
		}
		// The first half lets the engine skip blocks; it cannot see through OR.
		f.add(l.time+" <= ? AND ("+l.time+" < ? OR seq < ?)", at, at, seq)
	}
	result := store.Page[T]{Items: []T{}}
	more := false
	var lastAt time.Time
	var lastSeq int64
	err := s.query(ctx, l.query(f, limit+1), f.args, func(rows *sql.Rows) error {
		if len(result.Items) == limit {
			more = true
			return nil
		}
		var item T
		if err := scan(rows, &lastSeq, &lastAt, &item); err != nil {
			return err
		}
		result.Items = append(result.Items, item)
		return nil
	})
	if err != nil {
		return store.Page[T]{}, fmt.Errorf("list %s: %w", l.table, err)
	}
	if more {
		result.NextCursor = cursor(l.kind, lastAt, lastSeq)
	}
	return result, nil
}

// A cursor is kind, time in microseconds, seq and a checksum that tells a
// mangled one; it is no secret.
const cursorBytes = 1 + 8 + 8 + 4

func cursor(kind byte, at time.Time, seq int64) string {
	b := make([]byte, 0, cursorBytes)
	b = append(b, kind)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))
	b = binary.BigEndian.AppendUint64(b, uint64(seq))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func readCursor(kind byte, text string) (at time.Time, seq int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != cursorBytes || b[0] != kind ||
		binary.BigEndian.Uint32(b[cursorBytes-4:]) != crc32.ChecksumIEEE(b[:cursorBytes-4]) {
		return time.Time{}, 0, store.ErrCursor
	}
	at = time.UnixMicro(int64(binary.BigEndian.Uint64(b[1:]))).UTC()
	return at, int64(binary.BigEndian.Uint64(b[9:])), nil
}
