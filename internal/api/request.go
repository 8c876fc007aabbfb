package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/store"
)

// request is one call of a route, with its path and query taken apart.
type request struct {
	*http.Request
	w     http.ResponseWriter
	id    string            // X-Request-Id
	who   auth.Identity     // zero on open routes
	path  map[string]string // the route's {names}, unescaped
	query url.Values
	kind  catalog.ObjectKind // of the object, on routes that are for one kind
}

// Limits of lists.
const (
	defaultLimit = 50
	maxLimit     = 500
)

// checkQuery is strict: a parameter the route does not know is refused by name,
// since a misspelled filter that is ignored shows the wrong rows.
func (r *request) checkQuery(known []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return refuse(http.StatusBadRequest, "parameter_invalid", "The query cannot be read. Percent-encode its values.")
	}
	for name, values := range query {
		if !slices.Contains(known, name) {
			p := refuse(http.StatusBadRequest, "parameter_unknown", "There is no parameter %q here. This route takes %s.", name, listOf(known))
			p.Parameter = name
			return p
		}
		if len(values) > 1 {
			return badParameter(name, "The parameter %q is given %d times. Give it once.", name, len(values))
		}
	}
	r.query = query
	return nil
}

func listOf(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// time reads an instant: RFC 3339, or milliseconds since 1970. Absent is zero.
func (r *request) time(name string) (time.Time, error) {
	text := r.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 && ms < 1e15 {
		return time.UnixMilli(ms).UTC(), nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, badParameter(name, "%q is no time. Give RFC 3339, for example 2026-01-02T03:04:05Z, or milliseconds since 1970.", text)
	}
	return at.UTC(), nil
}

// limit reads how many rows are wanted.
func (r *request) limit() (int, error) { return r.number("limit", defaultLimit, maxLimit) }

// number reads a whole number from 1 to most. Absent is the default.
func (r *request) number(name string, absent, most int) (int, error) {
	text := r.query.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, badParameter(name, "%s is a whole number from 1 to %d, not %q.", name, most, text)
	}
	return n, nil
}

// span reads what every list has in common.
func (r *request) span() (store.Span, error) {
	var span store.Span
	var err error
	if span.From, err = r.time("from"); err != nil {
		return span, err
	}
	if span.To, err = r.time("to"); err != nil {
		return span, err
	}
	if !span.From.IsZero() && !span.To.IsZero() && span.To.Before(span.From) {
		return span, badParameter("to", "to lies before from. The span is from (included) to to (not included).")
	}
	span.Limit, err = r.limit()
	span.Cursor = r.query.Get("cursor")
	return span, err
}

// since reads the start of a count; back is how far it lies by default.
func (r *request) since(now time.Time, back time.Duration) (time.Time, error) {
	at, err := r.time("since")
	if at.IsZero() && err == nil {
		at = now.Add(-back)
	}
	return at, err
}

// oneOf reads a parameter that has few values. Absent is "".
func (r *request) oneOf(name string, values ...string) (string, error) {
	text := r.query.Get(name)
	if text != "" && !slices.Contains(values, text) {
		return "", badParameter(name, "%s is one of %s, not %q.", name, strings.Join(values, ", "), text)
	}
	return text, nil
}

// flag reads a parameter that is true or false. Absent is false.
func (r *request) flag(name string) (bool, error) {
	text, err := r.oneOf(name, "true", "false")
	return text == "true", err
}

// body reads the whole body, up to the limit in bytes.
func (r *request) body(limit int64) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, err
	case err != nil:
		p := refuse(http.StatusBadRequest, "body_unreadable", "The body ended early. Send it again.")
		p.cause = err
		return nil, p
	}
	return data, nil
}

// answer writes a JSON answer.
func (r *request) answer(value any) error {
	return writeJSON(r.w, http.StatusOK, "application/json", value)
}

// list is a page of a list; items is never null.
type list[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"nextCursor,omitempty"`
}

// listFrom turns each row of a page into what the API shows of it.
func listFrom[Row, Shown any](rows []Row, nextCursor string, show func(Row) Shown) list[Shown] {
	items := make([]Shown, 0, len(rows))
	for _, row := range rows {
		items = append(items, show(row))
	}
	return list[Shown]{Items: items, NextCursor: nextCursor}
}

// same shows a row as it is.
func same[Row any](row Row) Row { return row }

// decode reads a JSON body into value. An unknown field is refused by name: a
// misspelled selection that is ignored selects everything.
func (r *request) decode(value any, limit int64) error {
	data, err := r.body(limit)
	if err != nil {
		return err
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(value)
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = errors.New("something follows the JSON object")
		}
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "body_invalid", "The body is not the JSON object this route takes: %s. /admin/v1/openapi.yaml describes it.", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
