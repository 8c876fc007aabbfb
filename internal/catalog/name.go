package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// names remembers where a kind of object got its names, so that none is used twice.
type names struct {
	what  string
	slugs bool              // also the ids made from the names must differ
	first map[string]string // name, or slug, to path
}

func uniqueNames(what string) *names { return &names{what: what, first: make(map[string]string)} }

// serverNames are unique over all projects, as are the ids made from them:
// routes and stored rows name these objects by id alone.
func serverNames(what string) *names {
	return &names{what: what, slugs: true, first: make(map[string]string)}
}

// name checks a name and remembers it.
func (c *checker) name(name, path string, taken *names) {
	if c.broken(path) {
		return
	}
	switch {
	case name == "" && !strings.HasSuffix(path, "]"):
		c.missing(path, fmt.Sprintf("Give the %s a name.", taken.what))
		return
	case strings.TrimSpace(name) == "":
		c.add(path, fmt.Sprintf("Give the %s a name.", taken.what), "the name is blank")
		return
	case hasBlanksAround(name):
		c.add(path, "Take the blanks away.", "the name %s has blanks around it", quoted(name))
	case strings.Contains(name, "/"):
		c.add(path, "Use a dash instead; a slash separates project and environment.", "the name %s has a slash in it", quoted(name))
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		c.add(path, "Take it away.", "the name %s has a control character in it", quoted(name))
	case utf8.RuneCountInString(name) > maxName:
		c.add(path, fmt.Sprintf("Use at most %d.", maxName), "the name has %d characters", utf8.RuneCountInString(name))
	}
	c.unique(name, path, taken)
}

func (c *checker) unique(name, path string, taken *names) {
	if first, ok := taken.first[name]; ok {
		c.add(path, "Give each its own name.", "the %s %s is at %s already", taken.what, quoted(name), first)
		return
	}
	taken.first[name] = path
	if !taken.slugs {
		return
	}
	id := "/" + Slug(name) // a name has no slash: names and ids are apart
	if first, ok := taken.first[id]; ok {
		c.add(path, "Use a name that differs in more than punctuation and case.", "the %s %s gets the id %s, which the one at %s has", taken.what, quoted(name), Slug(name), first)
		return
	}
	taken.first[id] = path
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
