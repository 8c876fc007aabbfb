package api

import (
	"encoding/json"
	"slices"
	"strings"

	"causeway/internal/tail"
)

// tailFilter is what a live stream wants to see: all of its terms must hold.
type tailFilter struct {
	kind        string
	environment string
	terms       []term
}

// term is one word of q: "type:track", "-outcome:stored", "signup", "page_*".
type term struct {
	field   string // "" for free text
	pattern string // lower case; * stands for anything
	negated bool
}

var tailFields = []string{"kind", "type", "outcome", "environment", "configuration"}

func newTailFilter(r *request) (*tailFilter, error) {
	f := &tailFilter{environment: r.query.Get("environment")}
	var err error
	f.kind, err = r.oneOf("kind", string(tail.Call), string(tail.Impression), string(tail.Event), string(tail.Delivery), string(tail.Refused))
	if err != nil {
		return nil, err
	}
	if f.environment != "" && strings.Count(f.environment, "/") != 1 {
		return nil, badParameter("environment", "environment is \"project/environment\" here, not %q.", f.environment)
	}
	for _, word := range splitWords(r.query.Get("q")) {
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
		if !slices.Contains(tailFields, field) {
			return t, badParameter("q", "q cannot filter by %q. Filter by %s, or put text with a colon into quotes.", field, strings.Join(tailFields, ", "))
		}
		t.field, t.pattern = field, strings.Trim(pattern, `"`)
	} else {
		t.pattern = word
	}
	t.pattern = strings.ToLower(t.pattern)
	if t.pattern == "" {
		return t, badParameter("q", "A word of q is empty: %q.", word)
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

func (f *tailFilter) matches(item tail.Item) bool {
	if f.kind != "" && string(item.Kind) != f.kind || f.environment != "" && item.Environment != f.environment {
		return false
	}
	for _, t := range f.terms {
		if t.matches(item) == t.negated {
			return false
		}
	}
	return true
}

func (t term) matches(item tail.Item) bool {
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
