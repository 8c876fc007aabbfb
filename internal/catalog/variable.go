package catalog

import (
	"fmt"
	"strings"
)

// escapeVariables writes a text so that expand reads it back.
func escapeVariables(text string) string { return strings.ReplaceAll(text, "${", "$${") }

// variableError says what is wrong with a ${NAME} in a text.
type variableError struct{ message, fix string }

// expand replaces each ${NAME} by the environment's value and each $${ by ${.
// It reports every variable that is wrong, and which ones it took.
func expand(text string, environ func(string) (string, bool)) (expanded string, taken []string, wrong []variableError) {
	var b strings.Builder
	for {
		at := strings.Index(text, "${")
		if at < 0 {
			b.WriteString(text)
			return b.String(), taken, wrong
		}
		if at > 0 && text[at-1] == '$' {
			b.WriteString(text[:at-1] + "${")
			text = text[at+2:]
			continue
		}
		b.WriteString(text[:at])
		name, rest, closed := strings.Cut(text[at+2:], "}")
		switch {
		case !closed:
			return b.String(), taken, append(wrong, variableError{"\"${\" is not closed by a \"}\"", "Write ${NAME}, or $${ for the two characters themselves."})
		case !isVariable(name):
			wrong = append(wrong, variableError{"what stands in \"${...}\" is not a variable's name", "Write ${NAME} with letters, digits and underscores, or $${ for the two characters themselves."})
		case environ == nil:
			wrong = append(wrong, variableError{fmt.Sprintf("environment variable %s is not read here", name), "Send the value itself; only files are read with the environment."})
		default:
			value, ok := environ(name)
			if !ok {
				wrong = append(wrong, variableError{fmt.Sprintf("environment variable %s is not set", name), fmt.Sprintf("Set %s, or write the value itself.", name)})
			}
			taken = append(taken, name)
			b.WriteString(value)
		}
		text = rest
	}
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
