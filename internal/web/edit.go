package web

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// configured is the layout of a page of the configuration.
type configured struct {
	layout
	Project   string
	File      string // that the configuration comes from; empty: it is changed here
	CanChange bool
	Form      form
	// Tag is the version that a form was made from, Stale what saving would
	// change of the version that somebody else made meanwhile.
	Tag   string
	Stale []auditChange
	Gone  bool // it was removed by somebody else meanwhile
	Made  *made
}

func (s *Server) configuredPage(r *request, title, project string) configured {
	c := configured{layout: s.layout(r, title), Project: project, File: s.Catalog.File(), Form: form{Errors: map[string]string{}}}
	c.CanChange = c.File == "" && r.who.May(auth.Change, project)
	return c
}

// specOf is the project that the path names, as it stands in the configuration.
func specOf(r *request) (*catalog.ProjectSpec, error) {
	name := r.PathValue("project")
	doc := r.snapshot.Document()
	spec, ok := doc.Project(name)
	if !ok {
		return nil, notFound("There is no project %q. It may have been removed.", cutText(name, 80))
	}
	return spec, nil
}

// objectOf is an object of it.
func objectOf[T catalog.Object](spec *catalog.ProjectSpec, kind catalog.ObjectKind, what, name string) (T, error) {
	object, ok := spec.Object(kind, name)
	if !ok {
		var none T
		return none, notFound("There is no %s %q in the project %s. It may have been removed.", what, cutText(name, 80), spec.Name)
	}
	return object.(T), nil
}

// unsaved takes what is wrong with a change of the configuration into the form
// that brought it about: findings to the fields whose names are in their paths,
// the others to the whole. Errors that nobody can mend in the form are returned.
func (f *form) unsaved(err error, fields ...string) error {
	var invalid *catalog.InvalidError
	var file *catalog.FileError
	var unknown *catalog.UnknownObjectError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &invalid):
		f.findings(invalid.Findings, fields)
		return nil
	case errors.As(err, &file):
		return refuse(http.StatusConflict, "The configuration comes from a file", "Nothing was changed: %s.", file.Error())
	case errors.As(err, &unknown):
		return notFound("Nothing was changed: %s. It may have been removed meanwhile.", unknown.Error())
	}
	return err
}

func (f *form) findings(found []catalog.Finding, fields []string) {
	for _, finding := range found {
		text := strings.ToUpper(finding.Message[:1]) + finding.Message[1:] + ". " + finding.Fix
		steps := strings.FieldsFunc(finding.Path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
		slices.Reverse(steps)
		i := slices.IndexFunc(steps, func(step string) bool { return slices.Contains(fields, step) })
		switch {
		case i < 0:
			f.Error = strings.TrimSpace(f.Error + " " + finding.Path + ": " + text)
		case f.Errors[steps[i]] == "":
			f.Errors[steps[i]] = text
		}
	}
}

// stale notes that somebody else was first, and what saving would change of
// what they made.
func (c *configured) stale(err error, mine catalog.Object) bool {
	var stale *catalog.StaleObjectError
	if !errors.As(err, &stale) {
		return false
	}
	c.Form.Error = "Somebody else saved meanwhile. Below is what saving now would change of that; nothing you entered is lost."
	c.Tag, c.Gone = catalog.TagOf(stale.Now), stale.Now == nil
	if c.Gone {
		c.Form.Error = "Somebody else removed it meanwhile. Saving adds it again as you entered it."
	}
	c.Stale, _ = showChanges(catalog.CompareObjects(stale.Now, mine))
	return true
}

// confirmed wants a name typed.
func (f *form) confirmed(name string) bool {
	if strings.TrimSpace(f.Value("confirm")) != name {
		f.Errors["confirm"] = "Type " + name + " to remove it."
	}
	return !f.Failed()
}
