package web

import (
	"errors"
	"net/http"

	"causeway/internal/auth"
	"causeway/internal/peer"
)

// profilePage is the signed-in user's own account.
type profilePage struct {
	layout
	User     auth.User
	Session  string // id of the one in use
	Sessions []auth.SessionInfo
	Tokens   []auth.Token
	Password form
	Token    form
	Lasts    []option
	Made     *made
}

func (s *Server) profile(r *request) error {
	return s.showProfile(r, http.StatusOK, profilePage{})
}

// showProfile fills the page in around the forms that are given.
func (s *Server) showProfile(r *request, status int, page profilePage) error {
	ctx, email := r.Context(), r.who.Email
	var err error
	if page.User, err = s.Accounts.User(ctx, email); err != nil {
		return err
	}
	if page.Sessions, err = s.Accounts.Sessions(ctx, email); err != nil {
		return err
	}
	if page.Tokens, err = s.Accounts.Tokens(ctx, email); err != nil {
		return err
	}
	page.layout, page.Session, page.Lasts = s.layout(r, "Your account"), auth.SessionID(r.session), lifetimeOptions(page.Token)
	page.Here = "/profile" // what is below it answers forms only
	return s.showStatus(r, status, "profile", page)
}

// changePassword wants the present one, if there is one: an open browser is
// not enough to take an account over.
func (s *Server) changePassword(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	ctx, email := r.Context(), r.who.Email
	user, err := s.Accounts.User(ctx, email)
	if err != nil {
		return err
	}
	if user.HasPassword {
		_, err := s.Accounts.SignIn(ctx, email, f.Value("current"), peer.Address(r.RemoteAddr))
		if errors.Is(err, auth.ErrRefused) {
			f.Errors["current"], err = "This is not your password.", nil
		}
		if err := f.refused(err); err != nil {
			return err
		}
	}
	if f.Value("password") != f.Value("again") {
		f.Errors["again"] = "The two are not the same."
	}
	if !f.Failed() {
		if err := f.refused(s.Accounts.SetPassword(ctx, email, f.Value("password"), r.who.Actor())); err != nil {
			return err
		}
	}
	if f.Failed() {
		f.Values = nil // a password is not sent back
		return s.showProfile(r, http.StatusUnprocessableEntity, profilePage{Password: f})
	}
	if err := s.begin(r, email); err != nil {
		return err
	}
	return s.redirect(r, s.layout(r, "").Link("/profile"), "Your password is changed. You are signed out everywhere else.")
}

// endOwnSessions ends the session that the form names, or all but this one.
func (s *Server) endOwnSessions(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	ended, err := s.Accounts.EndSessions(r.Context(), r.who.Email, f.Value("session"), auth.SessionID(r.session), r.who.Actor())
	if err != nil {
		return err
	}
	return s.redirect(r, s.layout(r, "").Link("/profile"), plural(ended, "session")+" ended.")
}

func (s *Server) makePersonalToken(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	secret, token, err := s.Accounts.NewPersonalToken(r.Context(), r.who.Email, f.Value("name"), expiry(f, r.now), r.who.Actor())
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		return s.showProfile(r, http.StatusUnprocessableEntity, profilePage{Token: f})
	}
	return s.showProfile(r, http.StatusOK, profilePage{Made: madeToken(token, secret)})
}

func (s *Server) removePersonalToken(r *request) error {
	return s.tokenRemoved(r, "/profile", s.Accounts.RemoveToken(r.Context(), r.PathValue("id"), r.who.Email, r.who.Actor()))
}
