package duckdb

import (
	"fmt"
	"math"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"

	"causeway/internal/fme"
	"causeway/internal/store"
)

const fmeControl = fme.Control

// The statements of an analysis hold their constants: of a parameter, DuckDB
// reads a path and compiles a regular expression for each row anew.

// literal is a text as SQL has it.
func literal(s string) string { return "'" + strings.ReplaceAll(text(s), "'", "''") + "'" }

// moment is a time as SQL has it.
func moment(t time.Time) string {
	return fmt.Sprintf("make_timestamp(%d)", stamp(t).UnixMicro())
}

func interval(d time.Duration) string {
	return fmt.Sprintf("to_microseconds(%d)", d.Microseconds())
}

// numeral is a finite number as SQL has it.
func numeral(f float64) string {
	return "CAST(" + literal(strconv.FormatFloat(f, 'g', -1, 64)) + " AS DOUBLE)"
}

// eventValue names the event's value among properties.
const eventValue = "value"

// propertyText is SQL for a property of an event as text; NULL: it lacks it.
func propertyText(property string) string {
	if property == eventValue {
		return "CASE WHEN value = trunc(value) AND abs(value) < 1e15 THEN CAST(CAST(value AS BIGINT) AS VARCHAR) ELSE CAST(value AS VARCHAR) END"
	}
	// A JSON pointer, in which a dot is a dot.
	pointer := "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(property)
	return fmt.Sprintf("TRY(json_extract_string(nullif(properties, ''), %s))", literal(pointer))
}

// propertyNumber is SQL for a property as a number; NULL: it is none (R8).
func propertyNumber(property string) string {
	if property == eventValue {
		return "value"
	}
	text := "trim(" + propertyText(property) + `, E' \t\r\n')`
	return fmt.Sprintf(`CASE WHEN regexp_full_match(%[1]s, '[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?') AND isfinite(TRY_CAST(%[1]s AS DOUBLE)) THEN TRY_CAST(%[1]s AS DOUBLE) END`, text)
}

var comparisons = map[string]string{"equal": "=", "greater": ">", "greater_or_equal": ">=", "less": "<", "less_or_equal": "<="}

// condition is SQL for filters that all hold. The filters were checked.
func condition(filters []store.PropertyFilter) string {
	all := make([]string, len(filters))
	for i, f := range filters {
		all[i] = "(" + holds(f) + ")"
	}
	if len(all) == 0 {
		return "TRUE"
	}
	return strings.Join(all, " AND ")
}

func holds(f store.PropertyFilter) string {
	text := propertyText(f.Property)
	switch f.Operator {
	case "present":
		return text + " IS NOT NULL"
	case "absent":
		return text + " IS NULL"
	case "is", "is_not":
		values := make([]string, len(f.Values))
		for i, v := range f.Values {
			values[i] = literal(v)
		}
		is := fmt.Sprintf("coalesce(%s IN (%s), FALSE)", text, strings.Join(values, ", "))
		if f.Operator == "is_not" {
			return "NOT " + is
		}
		return is
	case "matches", "matches_not":
		pattern, _ := patternOf(f.Values[0])
		matches := fmt.Sprintf("coalesce(regexp_matches(%s, %s), FALSE)", text, literal(pattern))
		if f.Operator == "matches_not" {
			return "NOT " + matches
		}
		return matches
	}
	limit, _ := strconv.ParseFloat(f.Values[0], 64)
	return fmt.Sprintf("coalesce(%s %s %s, FALSE)", propertyNumber(f.Property), comparisons[f.Operator], numeral(limit))
}

// patternOf is a regular expression of Go's as RE2 reads it: RE2 does not know
// all of Go's ways to write the same.
func patternOf(pattern string) (string, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return "", err
	}
	return parsed.String(), nil
}

// checkMatch refuses filters that cannot be asked.
func checkMatch(m store.EventMatch) error {
	for _, f := range m.Filters {
		if err := checkFilter(f); err != nil {
			return fmt.Errorf("a filter on %q of %s: %w", f.Property, m.EventType, err)
		}
	}
	return nil
}

func checkFilter(f store.PropertyFilter) error {
	wanted, numeric := 1, comparisons[f.Operator] != ""
	switch {
	case f.Operator == "present" || f.Operator == "absent":
		wanted = 0
	case f.Operator == "is" || f.Operator == "is_not":
		wanted = max(1, len(f.Values))
	case !numeric && !slices.Contains([]string{"matches", "matches_not"}, f.Operator):
		return fmt.Errorf("there is no operator %q", f.Operator)
	}
	if len(f.Values) != wanted {
		return fmt.Errorf("%s with %d values", f.Operator, len(f.Values))
	}
	if numeric {
		if limit, err := strconv.ParseFloat(f.Values[0], 64); err != nil || math.IsNaN(limit) || math.IsInf(limit, 0) {
			return fmt.Errorf("%q is not a number", f.Values[0])
		}
	}
	if strings.HasPrefix(f.Operator, "matches") {
		if _, err := patternOf(f.Values[0]); err != nil {
			return err
		}
	}
	return nil
}
