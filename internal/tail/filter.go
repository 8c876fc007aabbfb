package tail

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Filter is what a live stream wants to see: all of its terms must hold.
type Filter struct {
	kind        Kind
	environment string
	terms       []term
}

// term is one word of q: "type:track", "-outcome:stored", "signup", "page_*".
type term struct {
	field   string // "" for free text
	pattern string // lower case; * stands for anything
	negated bool
}

var fields = []string{"kind", "type", "outcome", "environment", "configuration"}

// kinds are all there are.
var kinds = []Kind{Call, Impression, Event, Delivery, Refused}

// FilterError says what is wrong with a filter.
type FilterError struct {
	Parameter string // kind, environment or q
	Text      string // a sentence
}

func (e *FilterError) Error() string { return e.Text }

func wrong(parameter, format string, args ...any) error {
	return &FilterError{parameter, fmt.Sprintf(format, args...)}
}

// ParseFilter reads what to watch: a kind, an environment ("project/environment")
// and words, of which all must hold. Empty ones do not restrict. A word is text
// to find, or field:value with * for anything; - in front negates. Errors are
// *FilterError.
func ParseFilter(kind Kind, environment, words string) (*Filter, error) {
	f := &Filter{kind: kind, environment: environment}
	if kind != "" && !slices.Contains(kinds, kind) {
		var names []string
		for _, k := range kinds {
			names = append(names, string(k))
		}
		return nil, wrong("kind", "kind is one of %s, not %q.", strings.Join(names, ", "), kind)
	}
	if environment != "" && strings.Count(environment, "/") != 1 {
		return nil, wrong("environment", "environment is \"project/environment\" here, not %q.", environment)
	}
	for _, word := range splitWords(words) {
		t, err := parseTerm(word)
		if err != nil {
			return nil, err
		}
		f.terms = append(f.terms, t)
	}
	return f, nil
}

// parseTerm reads one word. A quoted word is free text, whatever it holds.
func parseTerm(word string) (term, error) {
	var t term
	word, t.negated = strings.CutPrefix(word, "-")
	if quoted, ok := strings.CutPrefix(word, `"`); ok {
		t.pattern = strings.TrimSuffix(quoted, `"`)
	} else if field, pattern, ok := strings.Cut(word, ":"); ok {
		if !slices.Contains(fields, field) {
			return t, wrong("q", "q cannot filter by %q. Filter by %s, or put text with a colon into quotes.", field, strings.Join(fields, ", "))
		}
		t.field, t.pattern = field, strings.Trim(pattern, `"`)
	} else {
		t.pattern = word
	}
	t.pattern = strings.ToLower(t.pattern)
	if t.pattern == "" {
		return t, wrong("q", "A word of q is empty: %q.", word)
	}
	return t, nil
}

// splitWords splits at blanks, but not within double quotes.
func splitWords(text string) []string {
	var words []string
	var word strings.Builder
	quoted := false
	flush := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	for _, c := range text {
		if c == '"' {
			quoted = !quoted
		}
		if c == ' ' && !quoted {
			flush()
			continue
		}
		word.WriteRune(c)
	}
	flush()
	return words
}

// Matches reports whether an item is wanted.
func (f *Filter) Matches(item Item) bool {
	if f.kind != "" && item.Kind != f.kind || f.environment != "" && item.Environment != f.environment {
		return false
	}
	for _, t := range f.terms {
		if t.matches(item) == t.negated {
			return false
		}
	}
	return true
}

func (t term) matches(item Item) bool {
	switch t.field {
	case "kind":
		return wildcard(t.pattern, string(item.Kind))
	case "type":
		return wildcard(t.pattern, item.Type)
	case "outcome":
		return wildcard(t.pattern, item.Outcome)
	case "environment":
		return wildcard(t.pattern, item.Environment)
	case "configuration":
		return wildcard(t.pattern, item.Configuration)
	}
	anywhere := "*" + t.pattern + "*"
	if wildcard(anywhere, item.Summary) {
		return true
	}
	// As a person would search the raw payload. A detail that cannot be
	// encoded holds no text to find.
	detail, _ := json.Marshal(item.Detail)
	return wildcard(anywhere, string(detail))
}

// wildcard matches without regard to case; * stands for any text.
func wildcard(pattern, text string) bool {
	text = strings.ToLower(text)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return text == pattern
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(text, first) {
		return false
	}
	text = text[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, last)
}
