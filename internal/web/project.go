package web

import (
	"net/http"
	"net/url"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// projectRoutes are the pages of the configuration but for the traffic with
// Segment.
func projectRoutes() []route {
	const project, environment, flag, segment = "/projects/{project}", "/projects/{project}/environments/{environment}", "/projects/{project}/flags/{flag}", "/projects/{project}/key-segments/{segment}"
	return []route{
		{pattern: "GET /projects", need: auth.See, handle: (*Server).projects},
		{pattern: "POST /projects", need: auth.Change, server: true, handle: (*Server).addProject},
		{pattern: "GET " + project, need: auth.See, handle: (*Server).project},
		{pattern: "POST " + project + "/traffic-types", need: auth.Change, handle: (*Server).changeTrafficTypes},
		{pattern: "POST " + project + "/environments", need: auth.Change, handle: (*Server).addEnvironment},
		{pattern: "POST " + project + "/remove", need: auth.Change, handle: (*Server).removeProject},

		{pattern: "GET " + environment, need: auth.See, handle: (*Server).environment},
		{pattern: "POST " + environment, need: auth.Change, handle: (*Server).saveEnvironment},
		{pattern: "POST " + environment + "/keys", need: auth.Change, handle: (*Server).addSDKKey},
		{pattern: "POST " + environment + "/keys/rotate", need: auth.Change, handle: (*Server).rotateSDKKey},
		{pattern: "POST " + environment + "/keys/revoke", need: auth.Change, handle: (*Server).revokeSDKKey},
		{pattern: "POST " + environment + "/remove", need: auth.Change, handle: (*Server).removeEnvironment},
		{pattern: "GET /keys", need: auth.Change, handle: (*Server).credentials},

		{pattern: "GET /flags", need: auth.See, handle: (*Server).flags},
		{pattern: "GET " + project + "/new-flag", need: auth.Change, handle: (*Server).newFlag},
		{pattern: "POST " + project + "/new-flag", need: auth.Change, handle: (*Server).saveFlag},
		{pattern: "GET " + flag, need: auth.See, handle: (*Server).flag},
		{pattern: "POST " + flag, need: auth.Change, handle: (*Server).saveFlag},
		{pattern: "POST " + flag + "/kill", need: auth.Change, handle: (*Server).killFlag},
		{pattern: "POST " + flag + "/remove", need: auth.Change, handle: (*Server).removeFlag},

		{pattern: "GET /key-segments", need: auth.See, handle: (*Server).keySegments},
		{pattern: "POST " + project + "/key-segments", need: auth.Change, handle: (*Server).addKeySegment},
		{pattern: "GET " + segment, need: auth.SeePeople, handle: (*Server).keySegment},
		{pattern: "POST " + segment, need: auth.Change, handle: (*Server).changeKeySegment},
		{pattern: "POST " + segment + "/remove", need: auth.Change, handle: (*Server).removeKeySegment},
	}
}

// projectURL is the address of a project's page, or of one below it.
func (l layout) projectURL(project string, below ...string) string {
	path := "/projects/" + url.PathEscape(project)
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return l.Link(path)
}

// Of is a path below the project of the page, for templates.
func (c configured) Of(below ...string) string { return c.projectURL(c.Project, below...) }

type projectsPage struct {
	configured
	Projects []projectCard
}

type projectCard struct {
	Name, URL                               string
	Environments, TrafficTypes              []string
	Flags, Segments, Sources, Ins, Hearings int
}

func (s *Server) projects(r *request) error {
	return s.showProjects(r, http.StatusOK, form{})
}

func (s *Server) showProjects(r *request, status int, f form) error {
	page := projectsPage{configured: s.configuredPage(r, "Projects", "")}
	page.Form = f
	for _, p := range r.snapshot.Document().Projects {
		if !r.who.May(auth.See, p.Name) {
			continue
		}
		page.Projects = append(page.Projects, projectCard{
			Name: p.Name, URL: page.projectURL(p.Name), TrafficTypes: p.TrafficTypes, Environments: p.Names(catalog.Environments),
			Flags: len(p.Flags), Segments: len(p.Segments), Sources: len(p.Segment.Sources), Ins: len(p.Segment.Destinations), Hearings: len(p.Segment.Listeners),
		})
	}
	return s.showStatus(r, status, "projects", page)
}

// listed reads a list of names, by line or comma.
func listed(text string) []string {
	var names []string
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func (s *Server) addProject(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	project := catalog.ProjectSpec{Name: f.Value("name"), TrafficTypes: listed(f.Value("trafficTypes"))}
	for _, name := range listed(f.Value("environments")) {
		project.Environments = append(project.Environments, catalog.EnvironmentSpec{Name: name})
	}
	_, err = s.Catalog.AddProject(r.Context(), project, r.who.Actor())
	if err := f.unsaved(err, "trafficTypes", "environments", "name"); err != nil {
		return err
	}
	if f.Failed() {
		return s.showProjects(r, http.StatusUnprocessableEntity, f)
	}
	return s.redirect(r, s.layout(r, "").projectURL(project.Name), "The project "+project.Name+" is there.")
}

type projectPage struct {
	configured
	Spec *catalog.ProjectSpec
}

func (s *Server) project(r *request) error { return s.showProject(r, http.StatusOK, form{}) }

func (s *Server) showProject(r *request, status int, f form) error {
	spec, err := specOf(r)
	if err != nil {
		return err
	}
	page := projectPage{s.configuredPage(r, spec.Name, spec.Name), spec}
	page.Form = f
	page.Here = "/projects/" + url.PathEscape(spec.Name) // what is below it answers forms
	return s.showStatus(r, status, "project", page)
}

// saveProject changes the project of the path by a form of its page.
func (s *Server) saveProject(r *request, notice string, fields []string, edit func(*form, *catalog.ProjectSpec) error) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	_, err = s.Catalog.EditProject(r.Context(), r.PathValue("project"), r.who.Actor(), func(p *catalog.ProjectSpec) error { return edit(&f, p) })
	if err := f.unsaved(err, fields...); err != nil {
		return err
	}
	if f.Failed() {
		return s.showProject(r, http.StatusUnprocessableEntity, f)
	}
	return s.redirect(r, s.layout(r, "").projectURL(r.PathValue("project")), notice)
}

func (s *Server) changeTrafficTypes(r *request) error {
	return s.saveProject(r, "The traffic types are saved.", []string{"trafficTypes"}, func(f *form, p *catalog.ProjectSpec) error {
		p.TrafficTypes = listed(f.Value("trafficTypes"))
		return nil
	})
}

func (s *Server) addEnvironment(r *request) error {
	return s.saveProject(r, "The environment is there. It needs an SDK key before SDKs can use it.", []string{"name", "id"}, func(f *form, p *catalog.ProjectSpec) error {
		p.Environments = append(p.Environments, catalog.EnvironmentSpec{Name: f.Value("name"), ID: f.Value("id")})
		return nil
	})
}

// removeProject wants the name typed; the page says what goes with it.
func (s *Server) removeProject(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	project := r.PathValue("project")
	if f.confirmed(project) {
		_, err := s.Catalog.RemoveProject(r.Context(), project, r.who.Actor())
		if err := f.unsaved(err); err != nil {
			return err
		}
	}
	if f.Failed() {
		return s.showProject(r, http.StatusUnprocessableEntity, f)
	}
	return s.redirect(r, "/projects", "The project "+project+" is removed.")
}
