package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/catalog"
)

// A metric or an experiment is edited as the catalog has it: each field of its
// form is named by its path in the configuration, so what is found wrong with
// it stands at its field.

// errStaleSpec means that somebody else changed what a form was made from.
var errStaleSpec = errors.New("somebody else changed it meanwhile")

// specForm is the form of one metric or experiment.
type specForm struct {
	form
	// Seen is the specification that the form was made from, as JSON; empty: it
	// is new.
	Seen string
	// Stale lists what somebody else changed since.
	Stale []staleField
	// File is the file that the configuration comes from; then nothing is saved
	// here.
	File string
}

// newSpecForm fills a form from a specification.
func newSpecForm(spec any, seen, file string) specForm {
	f := specForm{form: form{Values: url.Values{}, Errors: map[string]string{}}, Seen: seen, File: file}
	var fields map[string]any
	if err := json.Unmarshal([]byte(specJSON(spec)), &fields); err == nil { // our own
		f.fill("", fields)
	}
	return f
}

// specJSON is a specification as JSON, to be compared and kept in a form.
func specJSON(spec any) string {
	text, err := json.Marshal(spec)
	if err != nil {
		return "" // texts, numbers and lists always marshal
	}
	return string(text)
}

// fill sets the form's fields from decoded JSON. Lists of texts are lines.
func (f *specForm) fill(at string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			if at != "" {
				name = at + "." + name
			}
			f.fill(name, inner)
		}
	case []any:
		var lines []string
		for i, inner := range v {
			if text, ok := inner.(string); ok {
				lines = append(lines, text)
				continue
			}
			f.fill(fmt.Sprintf("%s[%d]", at, i), inner)
		}
		if len(lines) > 0 {
			f.Values.Set(at, strings.Join(lines, "\n"))
		}
	case string:
		f.Values.Set(at, v)
	case bool:
		f.Values.Set(at, strconv.FormatBool(v))
	case float64:
		f.Values.Set(at, strconv.FormatFloat(v, 'g', -1, 64))
	}
}

// text is a field without blanks around it.
func (f *specForm) text(name string) string { return strings.TrimSpace(f.Value(name)) }

// lines are the lines of a field that are not empty, or its values where it
// was given several times.
func (f *specForm) lines(name string) []string {
	var list []string
	for _, value := range f.Values[name] {
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); line != "" {
				list = append(list, line)
			}
		}
	}
	return list
}

// number reads a number; what is none stands at the field. Empty is otherwise.
func (f *specForm) number(name string, otherwise float64) float64 {
	text := f.text(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		f.Errors[name] = "Write a number, for example 500 or 0.05."
	}
	return v
}

// whole reads a whole number.
func (f *specForm) whole(name string, otherwise int) int {
	text := f.text(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.Atoi(text)
	if err != nil {
		f.Errors[name] = "Write a whole number."
	}
	return v
}

// event reads an event and its filters; nil when nothing of it was entered.
// Filters that are empty are left out.
func (f *specForm) event(name string) *catalog.EventSpec {
	spec := &catalog.EventSpec{EventType: f.text(name + ".eventType")}
	for i := range f.filterRows(name) {
		at := fmt.Sprintf("%s.filters[%d]", name, i)
		filter := catalog.FilterSpec{Property: f.text(at + ".property"), Operator: f.text(at + ".operator"), Values: f.lines(at + ".values")}
		if filter.Operator == "present" || filter.Operator == "absent" {
			filter.Values = nil // left over from another operator
		}
		if filter.Property != "" || len(filter.Values) > 0 {
			spec.Filters = append(spec.Filters, filter)
		}
	}
	if spec.EventType == "" && len(spec.Filters) == 0 {
		return nil
	}
	return spec
}

var filterField = regexp.MustCompile(`^(\w+)\.filters\[(\d{1,3})\]\.`)

// filterRows is how many rows of filters the form has for an event.
func (f *specForm) filterRows(name string) int {
	rows := 0
	for field := range f.Values {
		if m := filterField.FindStringSubmatch(field); m != nil && m[1] == name {
			i, _ := strconv.Atoi(m[2])
			rows = max(rows, min(i, 99)+1)
		}
	}
	return rows
}

// find puts what the catalog found at the fields. prefix is the path of the
// object; what is found elsewhere concerns the whole.
func (f *specForm) find(findings []catalog.Finding, prefix string) {
	for _, finding := range findings {
		text := findingText(finding)
		path, inside := strings.CutPrefix(finding.Path, prefix+".")
		if inside {
			f.Errors[fieldAt(path)] = text
		} else {
			f.Error = strings.TrimSpace(f.Error + " " + finding.Path + ": " + text)
		}
	}
}

var inList = regexp.MustCompile(`^(.*(?:values|dimensions|treatments|key|guardrail|supporting))\[\d+\]$`)

// fieldAt is the field of the form at which a path stands: an item of a list
// of texts is a line of the list's field.
func fieldAt(path string) string {
	if m := inList.FindStringSubmatch(path); m != nil {
		return m[1]
	}
	return path
}

// stale shows what somebody else changed, and goes on from there with what was
// entered.
func (f *specForm) stale(now, yours any) {
	fields := func(text string) map[string]json.RawMessage {
		m := map[string]json.RawMessage{}
		_ = json.Unmarshal([]byte(text), &m) // what is none has no fields
		return m
	}
	was, is, entered := fields(f.Seen), fields(specJSON(now)), fields(specJSON(yours))
	var names []string
	for _, m := range []map[string]json.RawMessage{was, is} {
		for name := range m {
			if !slices.Contains(names, name) && string(was[name]) != string(is[name]) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	for _, name := range names {
		f.Stale = append(f.Stale, staleField{name, orNone(was[name]), orNone(is[name]), orNone(entered[name])})
	}
	f.Error = "Somebody else changed it meanwhile, so nothing was saved. What you entered is still here; saving again puts it over theirs."
	f.Seen = specJSON(now)
}

func orNone(text json.RawMessage) string {
	if len(text) == 0 {
		return "none"
	}
	return string(text)
}

// saved takes what went wrong with saving into the form: false, nil when it is
// to be shown again, and the status to show it with.
func (f *specForm) saved(err error, prefix string) (ok bool, other error) {
	var invalid *catalog.InvalidError
	var file *catalog.FileError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &invalid):
		f.find(invalid.Findings, prefix)
	case errors.As(err, &file):
		f.Error = "Nothing was saved: " + file.Error() + "."
	case errors.Is(err, errStaleSpec):
	default:
		return false, err
	}
	return false, nil
}

// editProject changes a project of the configuration.
func (s *Server) editProject(ctx context.Context, r *request, edit func(*catalog.ProjectSpec) error) error {
	_, err := s.Catalog.Edit(ctx, r.who.Actor(), func(doc *catalog.Document) error {
		for i := range doc.Projects {
			if doc.Projects[i].Name == r.env.Project.Name {
				return edit(&doc.Projects[i])
			}
		}
		return notFound("The project %s is gone.", r.env.Project.Name)
	})
	return err
}

// replaced swaps a name in a list for another; an empty one takes it out.
func replaced(list []string, before, after string) []string {
	var changed []string
	for _, name := range list {
		if name != before {
			changed = append(changed, name)
		} else if after != "" {
			changed = append(changed, after)
		}
	}
	return changed
}

// projectPath is where the project of the chosen environment stands in the
// configuration.
func (r *request) projectPath() string {
	i := slices.IndexFunc(r.snapshot.Projects(), func(p *catalog.Project) bool { return p == r.env.Project })
	return fmt.Sprintf("projects[%d]", i)
}
