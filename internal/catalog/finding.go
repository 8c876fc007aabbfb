package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that is wrong with a document. Its texts never hold a
// secret's value.
type Finding struct {
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`   // from 1; 0: not known, as in a document that was not decoded
	Column int    `json:"column,omitempty"` // from 1, in characters; 0: not known, as in text that is not YAML
	// Path is where in the document, for example
	// projects[0].segment.sources[0].writeKey; empty for the whole file.
	Path    string `json:"path,omitempty"`
	Message string `json:"message"` // what is wrong: a clause without a full stop
	Fix     string `json:"fix"`     // what to do: a sentence
}

// String is the finding as compilers write theirs: "file:line:column: path:
// message. Fix".
func (f Finding) String() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File + ":")
	}
	if f.Line > 0 {
		fmt.Fprintf(&b, "%d:", f.Line)
	}
	if f.Column > 0 {
		fmt.Fprintf(&b, "%d:", f.Column)
	}
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	if f.Path != "" {
		b.WriteString(f.Path + ": ")
	}
	b.WriteString(f.Message + ".")
	if f.Fix != "" {
		b.WriteString(" " + f.Fix)
	}
	return b.String()
}

// InvalidError means that a document was not applied because of what is wrong with it.
type InvalidError struct {
	Findings []Finding // at least one
}

// Error lists the findings, one a line.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return "the configuration was not applied:\n" + strings.Join(lines, "\n")
}

// position is a place in a file; both count from 1.
type position struct{ line, column int }

// source remembers where the parts of a decoded document stood.
type source struct {
	file      string
	positions map[string]position // by path
}

// findings collects what is wrong and looks up where it stood.
type findings struct {
	source *source // nil: unknown
	list   []Finding
	form   []Finding // those about the form of the file, which the checks need not repeat
}

// maxFindings bounds the list: more help nobody.
const maxFindings = 200

// broken reports whether the form of something at, below or around the path is
// wrong, so that what it means cannot be judged.
func (f *findings) broken(path string) bool {
	return slices.ContainsFunc(f.form, func(finding Finding) bool {
		return isWithin(finding.Path, path) || finding.Path != "" && isWithin(path, finding.Path)
	})
}

// isWithin reports whether path is outer or a part of it.
func isWithin(path, outer string) bool {
	rest, ok := strings.CutPrefix(path, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// add reports something about a path. The position is that of the path or,
// when the file does not have it, of the nearest thing around it.
func (f *findings) add(path, fix, format string, args ...any) {
	if len(f.list) >= maxFindings {
		return
	}
	finding := Finding{Path: path, Message: fmt.Sprintf(format, args...), Fix: fix}
	if f.source != nil {
		at := f.source.nearest(path)
		finding.File, finding.Line, finding.Column = f.source.file, at.line, at.column
	}
	f.list = append(f.list, finding)
}

// addAt reports something at a place of its own, such as an unknown key.
func (f *findings) addAt(at position, path, fix, format string, args ...any) {
	if len(f.list) >= maxFindings {
		return
	}
	f.list = append(f.list, Finding{
		File: f.source.file, Line: at.line, Column: at.column,
		Path: path, Message: fmt.Sprintf(format, args...), Fix: fix,
	})
}

// sorted returns the findings in the order of the file, without repeats.
func (f *findings) sorted() []Finding {
	slices.SortStableFunc(f.list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.Compact(f.list)
}

// nearest is the position of the path or of the closest thing that holds it.
func (s *source) nearest(path string) position {
	for {
		if at, ok := s.positions[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return s.positions[""]
		}
		path = path[:cut]
	}
}
