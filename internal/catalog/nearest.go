package catalog

import (
	"strconv"
	"strings"
)

// closest is the candidate that a person most likely meant by word: equal but
// for case, dashes and underscores, or else within a third of its length in
// single mistakes. Empty: none comes near.
func closest(word string, candidates []string) string {
	best, least := "", len(plainKey(word))/3+1
	for _, c := range candidates {
		if d := mistakes(plainKey(word), plainKey(c), least); d < least {
			best, least = c, d
		}
	}
	return best
}

// plainKey takes out of a key what people vary: case, dashes and underscores.
func plainKey(key string) string {
	b := make([]byte, 0, min(len(key), maxWord))
	for i := 0; i < len(key) && len(b) < maxWord; i++ {
		switch c := key[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		case c != '-' && c != '_':
			b = append(b, c)
		}
	}
	return string(b)
}

// maxWord bounds the words that are compared.
const maxWord = 64

// mistakes is the number of letters to insert, remove, replace or swap with
// their neighbour that make a into b (optimal string alignment). It stops
// counting at limit.
func mistakes(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

// quoted shows a word of the file.
func quoted(word string) string { return strconv.Quote(shortened(word)) }

// shortened cuts a word that nobody wants to see whole.
func shortened(word string) string {
	if len(word) <= 2*maxWord {
		return word
	}
	return strings.ToValidUTF8(word[:2*maxWord], "") + "…"
}
