package playground

import (
	"strings"
)

// Curl is what a pasted curl line would send: the last body it gives. ok is
// false when the text is no curl line or sends no body of its own.
func Curl(text string) (body string, ok bool) {
	words := shellWords(text)
	if len(words) == 0 || words[0] != "curl" && !strings.HasSuffix(words[0], "/curl") {
		return "", false
	}
	for i := 1; i < len(words); i++ {
		word := words[i]
		for _, option := range []string{"--data-raw", "--data-binary", "--data-ascii", "--data", "--json", "-d"} {
			rest, found := strings.CutPrefix(word, option)
			if !found {
				continue
			}
			switch {
			case rest == "" && i+1 < len(words):
				body = words[i+1]
				i++
			case strings.HasPrefix(rest, "="):
				body = rest[1:]
			case option == "-d" && rest != "":
				body = rest
			default:
				continue
			}
			ok = true
			break
		}
	}
	if strings.HasPrefix(body, "@") {
		return "", false // a file that is not here
	}
	return body, ok
}

// shellWords splits a line as a shell does: blanks, both kinds of quotes,
// backslashes, and lines that a backslash continues. What browsers copy as
// curl ($'...') is understood too.
func shellWords(text string) []string {
	var words []string
	var word strings.Builder
	begun := false
	flush := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\n', '\r':
			flush()
		case '\\':
			if i++; i < len(text) && text[i] != '\n' && text[i] != '\r' {
				word.WriteByte(text[i])
				begun = true
			}
		case '\'':
			begun = true
			ansi := strings.HasSuffix(word.String(), "$")
			if ansi {
				before := strings.TrimSuffix(word.String(), "$")
				word.Reset()
				word.WriteString(before)
			}
			for i++; i < len(text) && text[i] != '\''; i++ {
				if ansi && text[i] == '\\' && i+1 < len(text) {
					i++
					word.WriteString(unescaped(text[i]))
					continue
				}
				word.WriteByte(text[i])
			}
		case '"':
			begun = true
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' && i+1 < len(text) && strings.IndexByte("\"\\$`\n", text[i+1]) >= 0 {
					i++
				}
				word.WriteByte(text[i])
			}
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	flush()
	return words
}

// unescaped is a character after a backslash in $'...'; those that JSON has as
// well keep their backslash, as it stands in a body.
func unescaped(c byte) string {
	switch c {
	case '\'', '\\':
		return string(c)
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 'r':
		return "\r"
	}
	return `\` + string(c)
}
