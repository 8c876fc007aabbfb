package web

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
)

// usersPage lists who may sign in.
type usersPage struct {
	layout
	Users    []userRow
	Form     form
	Roles    []option
	Projects []string
	Made     *made
}

type userRow struct {
	auth.User
	URL      string
	Sessions int
	Seen     time.Time // last use of a session; zero: none is open
}

func (s *Server) users(r *request) error {
	return s.showUsers(r, http.StatusOK, form{Values: url.Values{"role": {string(auth.Viewer)}}}, nil)
}

func (s *Server) showUsers(r *request, status int, f form, link *made) error {
	users, err := s.Accounts.Users(r.Context())
	if err != nil {
		return err
	}
	sessions, err := s.Accounts.Sessions(r.Context(), "")
	if err != nil {
		return err
	}
	page := usersPage{layout: s.layout(r, "Users"), Form: f, Roles: roleOptions(auth.Role(f.Value("role")), ""), Projects: r.projectNames(), Made: link}
	for _, user := range users {
		row := userRow{User: user, URL: page.Link("/users/" + url.PathEscape(user.Email))}
		for _, session := range sessions {
			if session.User == user.Email {
				row.Sessions++
				if session.Seen.After(row.Seen) {
					row.Seen = session.Seen
				}
			}
		}
		page.Users = append(page.Users, row)
	}
	return s.showStatus(r, status, "users", page)
}

// inviteUser adds a user and shows the link by which they choose a password.
func (s *Server) inviteUser(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	user, err := s.Accounts.AddUser(r.Context(), f.Value("email"), "", grantsChosen(f), r.who.Actor())
	if errors.Is(err, auth.ErrExists) {
		f.Errors["email"], err = "There is a user of that address already.", nil
	}
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		return s.showUsers(r, http.StatusUnprocessableEntity, f, nil)
	}
	link, err := s.passwordLink(r, user.Email)
	if err != nil {
		return err
	}
	return s.showUsers(r, http.StatusOK, form{Values: url.Values{"role": {string(auth.Viewer)}}}, link)
}

// passwordLink makes the link by which a user chooses a password.
func (s *Server) passwordLink(r *request, email string) (*made, error) {
	secret, err := s.Accounts.NewLink(r.Context(), auth.ForPassword, email, r.who.Actor())
	if err != nil {
		return nil, err
	}
	return &made{"Give this link to " + email + ". It works once and for one hour; it is not shown again.", s.consoleBase(r) + "/password/" + secret}, nil
}

// consoleBase is where this console was asked, without a slash at the end.
func (s *Server) consoleBase(r *request) string {
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// userPage is one user: roles, sessions, tokens.
type userPage struct {
	layout
	User     auth.User
	Self     bool
	Form     form
	Server   []option
	Projects []projectRole
	Sessions []auth.SessionInfo
	Tokens   []auth.Token
	Made     *made
}

// projectRole is the role of a user in a project.
type projectRole struct {
	Project string
	Gone    bool // the project is no longer configured
	Roles   []option
}

func (s *Server) user(r *request) error { return s.showUser(r, http.StatusOK, form{}, nil) }

// userOf finds the user that the path names.
func (s *Server) userOf(r *request) (auth.User, error) {
	user, err := s.Accounts.User(r.Context(), r.PathValue("email"))
	if errors.Is(err, auth.ErrUnknown) {
		return user, notFound("There is no user %s. They may have been removed.", r.PathValue("email"))
	}
	return user, err
}

func (s *Server) showUser(r *request, status int, f form, link *made) error {
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	page := userPage{layout: s.layout(r, user.Email), User: user, Self: user.Email == r.who.Email, Form: f, Made: link}
	page.Here = "/users/" + url.PathEscape(user.Email) // what is below it answers forms only
	grants := user.Grants
	if len(f.Values["server"]) > 0 { // as it was entered
		grants = grantsEntered(f)
	}
	page.Server = roleOptions(grants.Server, "none")
	known := r.projectNames()
	for _, project := range slices.Concat(known, slices.Sorted(maps.Keys(grants.Projects))) {
		gone := !slices.Contains(known, project)
		if gone || len(page.Projects) < len(known) {
			page.Projects = append(page.Projects, projectRole{project, gone, roleOptions(grants.Projects[project], "none")})
		}
	}
	if page.Sessions, err = s.Accounts.Sessions(r.Context(), user.Email); err != nil {
		return err
	}
	if page.Tokens, err = s.Accounts.Tokens(r.Context(), user.Email); err != nil {
		return err
	}
	return s.showStatus(r, status, "user", page)
}

// grantsEntered are the roles of the form of a user.
func grantsEntered(f form) auth.Grants {
	grants := auth.Grants{Server: auth.Role(f.Value("server")), Projects: map[string]auth.Role{}}
	for name, values := range f.Values {
		if project, ok := strings.CutPrefix(name, "project."); ok && values[0] != "" {
			grants.Projects[project] = auth.Role(values[0])
		}
	}
	return grants
}

func (s *Server) setRoles(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	if err := f.refused(s.Accounts.SetGrants(r.Context(), user.Email, grantsEntered(f), r.who.Actor())); err != nil {
		return err
	}
	if f.Failed() {
		return s.showUser(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.redirect(r, s.layout(r, "").Link("/users/"+url.PathEscape(user.Email)), "The roles are saved.")
}

func (s *Server) makeLink(r *request) error {
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	link, err := s.passwordLink(r, user.Email)
	if err != nil {
		return err
	}
	return s.showUser(r, http.StatusOK, form{}, link)
}

func (s *Server) signUserOut(r *request) error {
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	ended, err := s.Accounts.EndSessions(r.Context(), user.Email, "", "", r.who.Actor())
	if err != nil {
		return err
	}
	return s.redirect(r, s.layout(r, "").Link("/users/"+url.PathEscape(user.Email)), plural(ended, "session")+" ended.")
}

// removeUser wants the address typed.
func (s *Server) removeUser(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	user, err := s.userOf(r)
	if err != nil {
		return err
	}
	if !strings.EqualFold(strings.TrimSpace(f.Value("confirm")), user.Email) {
		f.Errors["confirm"] = "Type " + user.Email + " to remove this user."
	} else if err := f.refused(s.Accounts.RemoveUser(r.Context(), user.Email, r.who.Actor())); err != nil {
		return err
	}
	if f.Failed() {
		return s.showUser(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.redirect(r, s.layout(r, "").Link("/users"), user.Email+" is removed.")
}
