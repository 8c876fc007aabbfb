package catalog

import (
	"context"
	"slices"
	"strconv"
)

// AddProject adds a project with nothing in it but traffic types and
// environments. Errors are those of Edit; the findings of an *InvalidError have
// paths within the project.
func (c *Catalog) AddProject(ctx context.Context, project ProjectSpec, actor string) (Change, error) {
	at := ""
	change, err := c.Edit(ctx, actor, func(doc *Document) error {
		at = projectPath(len(doc.Projects))
		doc.Projects = append(doc.Projects, project)
		return nil
	})
	if invalid, ok := err.(*InvalidError); ok {
		return change, &InvalidError{within(invalid.Findings, at)}
	}
	return change, err
}

// RemoveProject takes a project out with everything in it. What was stored of
// its environments stays as long as the retention says.
func (c *Catalog) RemoveProject(ctx context.Context, name, actor string) (Change, error) {
	return c.Edit(ctx, actor, func(doc *Document) error {
		if _, ok := doc.Project(name); !ok {
			return &UnknownObjectError{"project", name}
		}
		doc.Projects = slices.DeleteFunc(doc.Projects, func(p ProjectSpec) bool { return p.Name == name })
		return nil
	})
}

// EditProject changes one project: edit is given a copy of the present one.
// Errors are those of Edit, and *UnknownObjectError; findings have paths within
// the project.
func (c *Catalog) EditProject(ctx context.Context, name, actor string, edit func(*ProjectSpec) error) (Change, error) {
	at := ""
	change, err := c.Edit(ctx, actor, func(doc *Document) error {
		p, ok := doc.Project(name)
		if !ok {
			return &UnknownObjectError{"project", name}
		}
		at = projectPath(slices.IndexFunc(doc.Projects, func(p ProjectSpec) bool { return p.Name == name }))
		return edit(p)
	})
	if invalid, ok := err.(*InvalidError); ok {
		return change, &InvalidError{within(invalid.Findings, at)}
	}
	return change, err
}

func projectPath(i int) string { return "projects[" + strconv.Itoa(i) + "]" }
