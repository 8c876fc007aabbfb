package api

import (
	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// The routes of projects, and of what a project has besides its traffic with
// Segment: environments with their SDK keys, traffic types, flags, segments of
// keys.

const projectPath = "/admin/v1/projects/{project}"

func projectRoutes() []route {
	routes := []route{
		{method: "POST", pattern: "/admin/v1/projects", need: auth.Change, handle: (*Server).addProject},
		{method: "DELETE", pattern: projectPath, need: auth.Change, handle: (*Server).removeProject},
		{method: "PUT", pattern: projectPath + "/traffic-types", need: auth.Change, handle: (*Server).setTrafficTypes},
	}
	for _, kind := range []catalog.ObjectKind{catalog.Environments, catalog.Flags, catalog.KeySegments, catalog.Attributes} {
		routes = append(routes, objectRoutes(kind, of(kind, (*Server).objects))...)
	}
	return routes
}

// objectRoutes list the objects of a kind, show one, put and remove it.
func objectRoutes(kind catalog.ObjectKind, list func(*Server, *request) error) []route {
	path := projectPath + "/" + string(kind)
	return []route{
		{method: "GET", pattern: path, need: auth.See, handle: list},
		{method: "GET", pattern: path + "/{name}", need: auth.See, handle: of(kind, (*Server).object)},
		{method: "PUT", pattern: path + "/{name}", need: auth.Change, query: []string{"dryRun"}, handle: of(kind, (*Server).putObject)},
		{method: "DELETE", pattern: path + "/{name}", need: auth.Change, handle: of(kind, (*Server).removeObject)},
	}
}

// of makes a handler of objects one of a single kind.
func of(kind catalog.ObjectKind, handle func(*Server, *request) error) func(*Server, *request) error {
	return func(s *Server, r *request) error {
		r.kind = kind
		return handle(s, r)
	}
}

// addProject makes a project with traffic types and environments. What else
// belongs into it has routes of its own.
func (s *Server) addProject(r *request) error {
	var want struct {
		Name         string   `json:"name"`
		TrafficTypes []string `json:"trafficTypes"`
		Environments []string `json:"environments"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	project := catalog.ProjectSpec{Name: want.Name, TrafficTypes: want.TrafficTypes}
	for _, name := range want.Environments {
		project.Environments = append(project.Environments, catalog.EnvironmentSpec{Name: name})
	}
	change, err := s.catalog.AddProject(r.Context(), project, actorOf(r))
	if err != nil {
		return objectProblem(err)
	}
	return answerChange(r, change)
}

// removeProject takes a project out with everything in it.
func (s *Server) removeProject(r *request) error {
	change, err := s.catalog.RemoveProject(r.Context(), r.path["project"], actorOf(r))
	if err != nil {
		return objectProblem(err)
	}
	return answerChange(r, change)
}

// setTrafficTypes replaces the list of a project.
func (s *Server) setTrafficTypes(r *request) error {
	var want struct {
		TrafficTypes []string `json:"trafficTypes"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	change, err := s.catalog.EditProject(r.Context(), r.path["project"], actorOf(r), func(p *catalog.ProjectSpec) error {
		p.TrafficTypes = want.TrafficTypes
		return nil
	})
	if err != nil {
		return objectProblem(err)
	}
	return answerChange(r, change)
}
