package web

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"causeway/internal/auth"
)

// tokensPage lists what scripts prove themselves with to the admin API.
type tokensPage struct {
	layout
	Tokens   []auth.Token
	Form     form
	Roles    []option
	Projects []string
	Lasts    []option
	Made     *made
}

// lifetimes are how long a token may be asked to work.
var lifetimes = []struct {
	name string
	days int
}{{"30 days", 30}, {"90 days", 90}, {"1 year", 365}, {"for ever", 0}}

func lifetimeOptions(f form) []option {
	var list []option
	for _, l := range lifetimes {
		list = append(list, option{l.name, l.name, f.Value("lasts") == l.name || f.Value("lasts") == "" && l.days == 90})
	}
	return list
}

// expiry is when a token runs out that the form asks for.
func expiry(f form, now time.Time) time.Time {
	for _, l := range lifetimes {
		if l.name == f.Value("lasts") && l.days > 0 {
			return now.AddDate(0, 0, l.days)
		}
	}
	return time.Time{}
}

func (s *Server) tokens(r *request) error {
	return s.showTokens(r, http.StatusOK, form{Values: url.Values{"role": {string(auth.Viewer)}}}, nil)
}

func (s *Server) showTokens(r *request, status int, f form, secret *made) error {
	tokens, err := s.Accounts.Tokens(r.Context(), "")
	if err != nil {
		return err
	}
	return s.showStatus(r, status, "tokens", tokensPage{
		layout: s.layout(r, "API tokens"), Tokens: tokens, Form: f, Made: secret,
		Roles: roleOptions(auth.Role(f.Value("role")), ""), Projects: r.projectNames(), Lasts: lifetimeOptions(f),
	})
}

func (s *Server) makeKey(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	secret, token, err := s.Accounts.NewKey(r.Context(), f.Value("name"), grantsChosen(f), expiry(f, r.now), r.who.Actor())
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		return s.showTokens(r, http.StatusUnprocessableEntity, f, nil)
	}
	return s.showTokens(r, http.StatusOK, form{Values: url.Values{"role": {string(auth.Viewer)}}}, madeToken(token, secret))
}

func madeToken(token auth.Token, secret string) *made {
	return &made{"This is " + token.Name + ". Copy it now: it is not shown again.", secret}
}

func (s *Server) removeToken(r *request) error {
	return s.tokenRemoved(r, "/tokens", s.Accounts.RemoveToken(r.Context(), r.PathValue("id"), "", r.who.Actor()))
}

// tokenRemoved goes back to the list; one that is gone already is gone.
func (s *Server) tokenRemoved(r *request, to string, err error) error {
	if err != nil && !errors.Is(err, auth.ErrUnknown) {
		return err
	}
	return s.redirect(r, s.layout(r, "").Link(to), "The token works no longer.")
}
