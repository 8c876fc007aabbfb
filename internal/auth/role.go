package auth

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Role is what somebody is, in a project or on the whole server. Each includes
// the ones before it.
type Role string

// The roles.
const (
	Viewer  Role = "viewer"  // sees counts, names and states, nothing about single people
	Analyst Role = "analyst" // sees people too: keys, attributes, calls
	Editor  Role = "editor"  // changes the configuration, replays, rotates keys
	Admin   Role = "admin"   // users, keys for scripts, the audit log; erases
)

// Roles lists them, from least to most.
var Roles = []Role{Viewer, Analyst, Editor, Admin}

// rank is the place in Roles from 1, and 0 for no role.
func (r Role) rank() int { return slices.Index(Roles, r) + 1 }

// Permission is one kind of thing that can be done.
type Permission string

// The permissions, and the least role that has each.
const (
	See        Permission = "see"
	SeePeople  Permission = "see_people"
	Change     Permission = "change"
	Administer Permission = "administer"
)

var leastRole = map[Permission]Role{See: Viewer, SeePeople: Analyst, Change: Editor, Administer: Admin}

// Least is the least role that has the permission.
func (p Permission) Least() Role { return leastRole[p] }

// Grants are the roles of somebody.
type Grants struct {
	Server   Role            `json:"server,omitempty"`   // in every project, and on what belongs to none; empty: none
	Projects map[string]Role `json:"projects,omitempty"` // by project
}

// In is the role in a project; "" stands for the whole server.
func (g Grants) In(project string) Role {
	role := g.Server
	if project != "" && g.Projects[project].rank() > role.rank() {
		role = g.Projects[project]
	}
	return role
}

// String is the roles as a person reads them.
func (g Grants) String() string {
	var parts []string
	if g.Server != "" {
		parts = append(parts, string(g.Server))
	}
	for _, project := range slices.Sorted(maps.Keys(g.Projects)) {
		parts = append(parts, fmt.Sprintf("%s of %s", g.Projects[project], project))
	}
	if len(parts) == 0 {
		return "no role"
	}
	return strings.Join(parts, ", ")
}

// check refuses roles that do not exist.
func (g Grants) check() error {
	roles := slices.Collect(maps.Values(g.Projects))
	if g.Server != "" {
		roles = append(roles, g.Server)
	}
	if len(roles) == 0 {
		return &InvalidError{"role", "Give a role, on the server or in a project."}
	}
	for _, role := range roles {
		if role.rank() == 0 {
			return &InvalidError{"role", fmt.Sprintf("There is no role %q. The roles are viewer, analyst, editor and admin.", role)}
		}
	}
	for project := range g.Projects {
		if strings.TrimSpace(project) == "" {
			return &InvalidError{"project", "Name the project of the role."}
		}
	}
	return nil
}

// Identity is who somebody proved to be.
type Identity struct {
	Kind   string // "user", "token" (of a user), "key" or "admin token"
	Name   string // the user's e-mail address, or the key's name
	Email  string // of the user; empty for keys and the admin token
	Grants Grants
}

// AdminToken is who holds the server's admin token.
var AdminToken = Identity{Kind: "admin token", Name: "admin token", Grants: Grants{Server: Admin}}

// May reports whether it has the permission in the project; "" stands for the
// whole server.
func (i Identity) May(p Permission, project string) bool {
	least, ok := leastRole[p]
	return ok && i.Grants.In(project).rank() >= least.rank()
}

// MayAnywhere reports whether it has the permission in any project.
func (i Identity) MayAnywhere(p Permission) bool {
	if i.May(p, "") {
		return true
	}
	for project := range i.Grants.Projects {
		if i.May(p, project) {
			return true
		}
	}
	return false
}

// Actor names it in the audit log.
func (i Identity) Actor() string {
	switch i.Kind {
	case "admin token":
		return "admin token"
	case "token":
		return fmt.Sprintf("user %s (token %s)", i.Email, i.Name)
	}
	return i.Kind + " " + i.Name
}
