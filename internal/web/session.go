package web

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/fme"
)

// The console's cookies. Over TLS the session's has the prefix that keeps
// other hosts of the domain from setting it.
const (
	sessionCookie = "causeway_session"
	themeCookie   = "causeway_theme"       // light or dark; absent: as the system has it
	envCookie     = "causeway_environment" // chosen last
	noticeCookie  = "causeway_notice"      // what the next page says once
	yearLong      = 365 * 24 * time.Hour
)

func (s *Server) secure(r *request) bool { return s.Secure || r.TLS != nil }

func (s *Server) cookieName(r *request, name string) string {
	if (name == sessionCookie || name == flowCookie) && s.secure(r) {
		return "__Host-" + name
	}
	return name
}

func (s *Server) cookie(r *request, name string) string {
	c, err := r.Cookie(s.cookieName(r, name))
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie sets a cookie of the console; no value removes it.
func (s *Server) setCookie(r *request, name, value string, lasts time.Duration) {
	age := int(lasts / time.Second)
	if value == "" {
		age = -1
	}
	http.SetCookie(r.w, &http.Cookie{
		Name: s.cookieName(r, name), Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: s.secure(r), SameSite: http.SameSiteLaxMode,
	})
}

func encodeNotice(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// takeNotice is what the page before wanted to be said here, once.
func (s *Server) takeNotice(r *request) string {
	value := s.cookie(r, noticeCookie)
	if value == "" {
		return ""
	}
	s.setCookie(r, noticeCookie, "", 0)
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// identify finds out who asks by the session's cookie. Without one, or with
// one that is over, it is nobody.
func (s *Server) identify(r *request) error {
	id := s.cookie(r, sessionCookie)
	if id == "" {
		return nil
	}
	who, err := s.Accounts.Session(r.Context(), id)
	if errors.Is(err, auth.ErrRefused) {
		return nil
	}
	if err != nil {
		return &problem{http.StatusServiceUnavailable, "The accounts cannot be read", "So nobody can be let in at present. Accepting and delivering go on by themselves; try again in a moment.", err}
	}
	r.who, r.session = who, id
	return nil
}

// chooseEnvironment takes the environment that the URL names (env=
// project/environment), else the one chosen last, else the first. It is only
// ever one that the caller may see.
func (s *Server) chooseEnvironment(r *request) {
	visible := s.environments(r)
	wanted := r.URL.Query().Get("env")
	find := func(id string) bool {
		i := slices.IndexFunc(visible, func(e *catalog.Environment) bool { return e.ID == fme.EnvironmentID(id) })
		if i >= 0 {
			r.env = visible[i]
		}
		return i >= 0
	}
	if wanted != "" && find(wanted) {
		r.chosen = true
		if remembered := s.cookie(r, envCookie); remembered != encodeNotice(wanted) && r.Method == http.MethodGet {
			s.setCookie(r, envCookie, encodeNotice(wanted), yearLong)
		}
		return
	}
	if last, err := base64.RawURLEncoding.DecodeString(s.cookie(r, envCookie)); err == nil && find(string(last)) {
		return
	}
	if len(visible) > 0 {
		r.env = visible[0]
	}
}

// enterProject is the project that the path names, if it does. What the page
// shows is of it, so an environment of it is chosen.
func (s *Server) enterProject(r *request) string {
	project := r.PathValue("project")
	if project == "" || r.env != nil && r.env.Project.Name == project {
		return project
	}
	r.env, r.chosen = nil, false
	for _, e := range s.environments(r) {
		if e.Project.Name == project {
			r.env = e
			break
		}
	}
	return project
}

// environments are those the caller may see, in configuration order.
func (s *Server) environments(r *request) []*catalog.Environment {
	var visible []*catalog.Environment
	for _, project := range r.snapshot.Projects() {
		if r.who.May(auth.See, project.Name) {
			visible = append(visible, project.Environments...)
		}
	}
	return visible
}

// askToSignIn sends who is nobody to the sign-in page and remembers where they
// wanted to go.
func (s *Server) askToSignIn(r *request) error {
	to := "/signin"
	if r.Method == http.MethodGet && r.URL.Path != "/" {
		to += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	if r.Method != http.MethodGet && r.Header.Get("HX-Request") == "" {
		return refuse(http.StatusUnauthorized, "You are signed out", "The session is over, so nothing was changed. Sign in again and repeat it.")
	}
	return s.redirect(r, to, "")
}

// safeNext is a place of this console to go to, and nothing else.
func safeNext(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.Contains(next, "\\") {
		return "/"
	}
	return next
}
