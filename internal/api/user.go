package api

import (
	"errors"
	"net/http"
	"time"

	"causeway/internal/auth"
)

// shownLink is a one-time link of the console, to be shown this once. The path
// is below the address of the admin side.
type shownLink struct {
	Email     string    `json:"email"`
	Path      string    `json:"path"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (s *Server) users(r *request) error {
	users, err := s.accounts.Users(r.Context())
	if err != nil {
		return err
	}
	return r.answer(listFrom(users, "", same[auth.User]))
}

// addUser adds a user, who chooses a password by the link that comes back.
func (s *Server) addUser(r *request) error {
	var want struct {
		Email  string      `json:"email"`
		Grants auth.Grants `json:"grants"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	user, err := s.accounts.AddUser(r.Context(), want.Email, "", want.Grants, actorOf(r))
	if err != nil {
		return accountProblem(err)
	}
	return s.answerLink(r, user.Email)
}

// resetUser makes a link by which a user chooses a new password.
func (s *Server) resetUser(r *request) error { return s.answerLink(r, r.path["email"]) }

func (s *Server) answerLink(r *request, email string) error {
	secret, err := s.accounts.NewLink(r.Context(), auth.ForPassword, email, actorOf(r))
	if err != nil {
		return accountProblem(err)
	}
	return r.answer(shownLink{email, "/password/" + secret, time.Now().Add(auth.LinkLasts).UTC().Truncate(time.Second)})
}

// changeUser replaces a user's roles.
func (s *Server) changeUser(r *request) error {
	var grants auth.Grants
	if err := r.decode(&grants, 64<<10); err != nil {
		return err
	}
	if err := s.accounts.SetGrants(r.Context(), r.path["email"], grants, actorOf(r)); err != nil {
		return accountProblem(err)
	}
	user, err := s.accounts.User(r.Context(), r.path["email"])
	if err != nil {
		return accountProblem(err)
	}
	return r.answer(user)
}

// sessions lists where a user is signed in.
func (s *Server) sessions(r *request) error {
	user, err := s.accounts.User(r.Context(), r.path["email"])
	if err != nil {
		return accountProblem(err)
	}
	sessions, err := s.accounts.Sessions(r.Context(), user.Email)
	if err != nil {
		return err
	}
	return r.answer(listFrom(sessions, "", same[auth.SessionInfo]))
}

// endSessions signs a user out everywhere.
func (s *Server) endSessions(r *request) error {
	ended, err := s.accounts.EndSessions(r.Context(), r.path["email"], "", "", actorOf(r))
	if err != nil {
		return accountProblem(err)
	}
	return r.answer(struct {
		Ended int `json:"ended"`
	}{ended})
}

// removed is the answer of what removes something.
type removed struct {
	Removed string `json:"removed"`
}

func (s *Server) removeUser(r *request) error {
	if err := s.accounts.RemoveUser(r.Context(), r.path["email"], actorOf(r)); err != nil {
		return accountProblem(err)
	}
	return r.answer(removed{r.path["email"]})
}

func (s *Server) tokens(r *request) error {
	tokens, err := s.accounts.Tokens(r.Context(), "")
	if err != nil {
		return err
	}
	return r.answer(listFrom(tokens, "", same[auth.Token]))
}

// addToken makes a personal token for a user, or a key with roles of its own,
// and shows it this once.
func (s *Server) addToken(r *request) error {
	var want struct {
		Name      string       `json:"name"`
		User      string       `json:"user"`
		Grants    *auth.Grants `json:"grants"`
		ExpiresAt time.Time    `json:"expiresAt"`
	}
	if err := r.decode(&want, 64<<10); err != nil {
		return err
	}
	if (want.User == "") == (want.Grants == nil) {
		return refuse(http.StatusBadRequest, "body_invalid", "Give either user, for a personal token, or grants, for a key.")
	}
	var secret string
	var token auth.Token
	var err error
	if want.Grants != nil {
		secret, token, err = s.accounts.NewKey(r.Context(), want.Name, *want.Grants, want.ExpiresAt, actorOf(r))
	} else {
		secret, token, err = s.accounts.NewPersonalToken(r.Context(), want.User, want.Name, want.ExpiresAt, actorOf(r))
	}
	if err != nil {
		return accountProblem(err)
	}
	return r.answer(struct {
		Secret string     `json:"secret"`
		Token  auth.Token `json:"token"`
	}{secret, token})
}

func (s *Server) removeToken(r *request) error {
	if err := s.accounts.RemoveToken(r.Context(), r.path["id"], "", actorOf(r)); err != nil {
		return accountProblem(err)
	}
	return r.answer(removed{r.path["id"]})
}

// accountProblem is what the accounts refuse, as a problem.
func accountProblem(err error) error {
	var invalid *auth.InvalidError
	switch {
	case errors.As(err, &invalid):
		return refuse(http.StatusUnprocessableEntity, "account_invalid", "%s", invalid.Text)
	case errors.Is(err, auth.ErrExists):
		return refuse(http.StatusConflict, "user_exists", "There is a user of that address already.")
	case errors.Is(err, auth.ErrUnknown):
		return refuse(http.StatusNotFound, "account_unknown", "There is no such user or token.")
	}
	return err
}
