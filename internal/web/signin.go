package web

import (
	"errors"
	"net/http"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/peer"
)

type signInPage struct {
	layout
	Form form
	Next string
	// First is true while nobody has an account.
	First bool
	// Provider is the sign-in provider's name; empty: there is none.
	Provider string
}

func (s *Server) signInPage(r *request) error {
	next := safeNext(r.URL.Query().Get("next"))
	if r.who.Kind != "" {
		return s.redirect(r, next, "")
	}
	return s.showSignIn(r, http.StatusOK, form{}, next)
}

func (s *Server) showSignIn(r *request, status int, f form, next string) error {
	some, err := s.Accounts.HasUsers(r.Context())
	if err != nil {
		return err
	}
	p := signInPage{layout: s.layout(r, "Sign in"), Form: f, Next: next, First: !some}
	if s.OIDC != nil {
		p.Provider = s.OIDC.Name()
	}
	return s.showStatus(r, status, "signin", p)
}

func (s *Server) signIn(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	next := safeNext(f.Value("next"))
	user, err := s.Accounts.SignIn(r.Context(), f.Value("email"), f.Value("password"), peer.Address(r.RemoteAddr))
	if errors.Is(err, auth.ErrRefused) {
		f.Error, err = "That address and password do not belong together.", nil
	}
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		f.Values.Del("password")
		return s.showSignIn(r, http.StatusUnprocessableEntity, f, next)
	}
	if err := s.begin(r, user.Email); err != nil {
		return err
	}
	return s.redirect(r, next, "")
}

// begin starts a session for a user and hands it to the browser. A session
// that the browser had before ends.
func (s *Server) begin(r *request, email string) error {
	if r.session != "" {
		if err := s.Accounts.EndSession(r.Context(), r.session); err != nil {
			return err
		}
	}
	id, err := s.Accounts.StartSession(r.Context(), email, peer.Address(r.RemoteAddr))
	if err != nil {
		return err
	}
	s.setCookie(r, sessionCookie, id, auth.SessionMax)
	return nil
}

// signInByLink is the one page whose opening changes something: its link was
// made for it, and works once.
func (s *Server) signInByLink(r *request) error {
	email, err := s.Accounts.UseLink(r.Context(), auth.ForSignIn, r.PathValue("link"))
	if errors.Is(err, auth.ErrRefused) {
		if r.who.Kind != "" {
			return s.redirect(r, "/", "")
		}
		return linkIsOver()
	}
	if err != nil {
		return err
	}
	if err := s.begin(r, email); err != nil {
		return err
	}
	return s.redirect(r, "/", "")
}

func linkIsOver() error {
	return refuse(http.StatusGone, "This link works no longer", "A link works once and for one hour. Sign in with your password, or have a new link made: causeway user reset ADDRESS.")
}

func (s *Server) signOut(r *request) error {
	if r.session != "" {
		if err := s.Accounts.EndSession(r.Context(), r.session); err != nil {
			return err
		}
	}
	s.setCookie(r, sessionCookie, "", 0)
	return s.redirect(r, "/signin", "You are signed out.")
}

type passwordPage struct {
	layout
	Form  form
	Email string
	Post  string
}

func (s *Server) passwordPage(r *request) error { return s.showPassword(r, http.StatusOK, form{}) }

func (s *Server) showPassword(r *request, status int, f form) error {
	email, err := s.Accounts.CheckLink(r.Context(), auth.ForPassword, r.PathValue("link"))
	if errors.Is(err, auth.ErrRefused) {
		return linkIsOver()
	}
	if err != nil {
		return err
	}
	page := passwordPage{s.layout(r, "Choose a password"), f, email, r.URL.Path}
	page.Plain = true
	return s.showStatus(r, status, "password", page)
}

func (s *Server) setPassword(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	ctx, link := r.Context(), r.PathValue("link")
	email, err := s.Accounts.CheckLink(ctx, auth.ForPassword, link)
	if errors.Is(err, auth.ErrRefused) {
		return linkIsOver()
	}
	if err != nil {
		return err
	}
	if f.Value("password") != f.Value("again") {
		f.Errors["again"] = "The two are not the same."
	} else if err := f.refused(s.Accounts.SetPassword(ctx, email, f.Value("password"), "user "+email)); err != nil {
		return err
	}
	if f.Failed() {
		f.Values = nil
		return s.showPassword(r, http.StatusUnprocessableEntity, f)
	}
	if _, err := s.Accounts.UseLink(ctx, auth.ForPassword, link); err != nil && !errors.Is(err, auth.ErrRefused) {
		return err
	}
	if err := s.begin(r, email); err != nil {
		return err
	}
	return s.redirect(r, "/", "Your password is set.")
}

// setTheme keeps light, dark, or as the system has it.
func (s *Server) setTheme(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	theme := f.Value("theme")
	if theme != "light" && theme != "dark" {
		theme = ""
	}
	s.setCookie(r, themeCookie, theme, yearLong)
	return s.redirect(r, safeNext(f.Value("next")), "")
}

type setupPage struct {
	layout
	Form form
	// Token is that of the link; empty: the caller has to ask for a link with
	// the admin token first.
	Token string
	Over  bool // the link works no longer
}

// setupPage makes the first admin. Later there is nothing to set up.
func (s *Server) setupPage(r *request) error {
	return s.showSetup(r, http.StatusOK, form{}, r.URL.Query().Get("token"))
}

func (s *Server) showSetup(r *request, status int, f form, token string) error {
	some, err := s.Accounts.HasUsers(r.Context())
	if err != nil {
		return err
	}
	if some {
		return s.redirect(r, "/signin", "Causeway is set up already. Sign in, or ask an admin for an account.")
	}
	page := setupPage{layout: s.layout(r, "Set up Causeway"), Form: f, Token: token}
	if token != "" {
		_, err := s.Accounts.CheckLink(r.Context(), auth.ForSetup, token)
		if errors.Is(err, auth.ErrRefused) {
			page.Token, page.Over = "", true
		} else if err != nil {
			return err
		}
	}
	return s.showStatus(r, status, "setup", page)
}

func (s *Server) setUp(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	token := f.Value("token")
	user, err := s.Accounts.SetUp(r.Context(), token, f.Value("email"), f.Value("password"))
	if errors.Is(err, auth.ErrRefused) || errors.Is(err, auth.ErrExists) {
		return s.showSetup(r, http.StatusGone, f, token)
	}
	if err := f.refused(err); err != nil {
		return err
	}
	if f.Failed() {
		f.Values.Del("password")
		return s.showSetup(r, http.StatusUnprocessableEntity, f, token)
	}
	if err := s.begin(r, user.Email); err != nil {
		return err
	}
	return s.redirect(r, "/", "Welcome. You are the server's first admin.")
}

// setupLink makes a setup link for who holds the admin token, for when the
// printed one has run out or was never seen.
func (s *Server) setupLink(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	if err := f.refused(s.Accounts.Attempt(peer.Address(r.RemoteAddr))); err != nil {
		return err
	}
	if !f.Failed() && !s.Catalog.VerifyAdminToken(strings.TrimSpace(f.Value("adminToken"))) {
		f.Errors["adminToken"] = "This is not the server's admin token. It was printed at the first start, or set with --admin-token."
	}
	if f.Failed() {
		f.Values.Del("adminToken")
		return s.showSetup(r, http.StatusUnprocessableEntity, f, "")
	}
	token, err := s.Accounts.NewLink(r.Context(), auth.ForSetup, "", auth.AdminToken.Actor())
	if err != nil {
		return err
	}
	return s.redirect(r, "/setup?token="+token, "")
}
