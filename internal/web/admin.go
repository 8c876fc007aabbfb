package web

import (
	"causeway/internal/auth"
)

// adminRoutes are the pages about the server itself and who may use it.
func adminRoutes() []route {
	return []route{
		{pattern: "GET /users", need: auth.Administer, server: true, handle: (*Server).users},
		{pattern: "POST /users", need: auth.Administer, server: true, handle: (*Server).inviteUser},
		{pattern: "GET /users/{email}", need: auth.Administer, server: true, handle: (*Server).user},
		{pattern: "POST /users/{email}/roles", need: auth.Administer, server: true, handle: (*Server).setRoles},
		{pattern: "POST /users/{email}/link", need: auth.Administer, server: true, handle: (*Server).makeLink},
		{pattern: "POST /users/{email}/sign-out", need: auth.Administer, server: true, handle: (*Server).signUserOut},
		{pattern: "POST /users/{email}/remove", need: auth.Administer, server: true, handle: (*Server).removeUser},

		{pattern: "GET /tokens", need: auth.Administer, server: true, handle: (*Server).tokens},
		{pattern: "POST /tokens", need: auth.Administer, server: true, handle: (*Server).makeKey},
		{pattern: "POST /tokens/{id}/remove", need: auth.Administer, server: true, handle: (*Server).removeToken},

		{pattern: "GET /audit", need: auth.Administer, server: true, handle: (*Server).audit},

		{pattern: "GET /profile", need: auth.See, handle: (*Server).profile},
		{pattern: "POST /profile/password", need: auth.See, handle: (*Server).changePassword},
		{pattern: "POST /profile/sessions", need: auth.See, handle: (*Server).endOwnSessions},
		{pattern: "POST /profile/tokens", need: auth.See, handle: (*Server).makePersonalToken},
		{pattern: "POST /profile/tokens/{id}/remove", need: auth.See, handle: (*Server).removePersonalToken},
	}
}

// made is a secret that is shown this once.
type made struct {
	What   string // a sentence
	Secret string
}

// roleOptions are the roles of a select, the chosen one marked; first is what
// stands for none, if that can be chosen.
func roleOptions(chosen auth.Role, first string) []option {
	list := options(chosen, auth.Roles...)
	if first != "" {
		list = append([]option{{"", first, chosen == ""}}, list...)
	}
	return list
}

// projectNames lists the projects of the configuration.
func (r *request) projectNames() []string {
	var names []string
	for _, p := range r.snapshot.Projects() {
		names = append(names, p.Name)
	}
	return names
}

// grantsChosen is the one role that a form gives, in a project or on the server.
func grantsChosen(f form) auth.Grants {
	role := auth.Role(f.Value("role"))
	if project := f.Value("project"); project != "" {
		return auth.Grants{Projects: map[string]auth.Role{project: role}}
	}
	return auth.Grants{Server: role}
}
