package web

import (
	"errors"
	"net/http"

	"causeway/internal/auth"
	"causeway/internal/peer"
)

// OIDCPath is where the sign-in provider sends browsers back to, below the
// console's address.
const OIDCPath = "/signin/oidc/return"

// flowCookie holds what a browser has to bring back from the provider. Like
// the session's it is this host's alone.
const flowCookie = "causeway_signin"

func oidcRoutes() []route {
	return []route{
		{pattern: "GET /signin/oidc", handle: (*Server).oidcBegin},
		{pattern: "GET " + OIDCPath, handle: (*Server).oidcReturn},
	}
}

// oidcBegin sends a browser to the provider. It is a GET since a form may be
// sent to the console only, and redirects count.
func (s *Server) oidcBegin(r *request) error {
	if s.OIDC == nil {
		return notFound("No sign-in provider is configured (--oidc-issuer). Sign in with your password.")
	}
	to, kept, err := s.OIDC.Begin(r.Context(), safeNext(r.URL.Query().Get("next")))
	if err != nil {
		return providerFailed(s.OIDC.Name(), err)
	}
	s.setCookie(r, flowCookie, kept, auth.FlowLasts)
	http.Redirect(r.w, r.Request, to, http.StatusSeeOther)
	return nil
}

// oidcReturn takes a browser back from the provider. What it brings works once:
// the provider takes a code once, and the cookie goes.
func (s *Server) oidcReturn(r *request) error {
	if s.OIDC == nil {
		return notFound("No sign-in provider is configured (--oidc-issuer). Sign in with your password.")
	}
	kept := s.cookie(r, flowCookie)
	s.setCookie(r, flowCookie, "", 0)
	user, next, err := s.OIDC.Finish(r.Context(), kept, r.URL.Query(), peer.Address(r.RemoteAddr))
	var no *auth.RefusedError
	var limited *auth.LimitedError
	switch {
	case errors.As(err, &no):
		return s.showSignIn(r, http.StatusForbidden, form{Error: no.Text}, safeNext(next))
	case errors.As(err, &limited):
		return s.showSignIn(r, http.StatusTooManyRequests, form{Error: "There were too many attempts. Wait " + shortDuration(limited.Wait) + " and try again."}, "/")
	case err != nil:
		return providerFailed(s.OIDC.Name(), err)
	}
	if err := s.begin(r, user.Email); err != nil {
		return err
	}
	return s.redirect(r, safeNext(next), "")
}

func providerFailed(name string, err error) error {
	if !errors.Is(err, auth.ErrProvider) {
		return err
	}
	return &problem{http.StatusBadGateway, name + " does not answer", "Nobody can sign in with it at present. Try again in a moment, or sign in with a password; the server's log holds the cause.", err}
}
