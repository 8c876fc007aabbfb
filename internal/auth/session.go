package auth

import (
	"context"
	"errors"
	"time"

	"causeway/internal/catalog"
)

// How long a session lasts: without being used, and at all.
const (
	SessionIdle = 12 * time.Hour
	SessionMax  = 7 * 24 * time.Hour
	// sessionTouch is how exactly its last use is kept.
	sessionTouch = 5 * time.Minute
)

type session struct {
	User    string    `json:"user"` // e-mail address
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	From    string    `json:"from"` // address it was started from
}

func (s session) over(now time.Time) bool {
	return now.Sub(s.Seen) >= SessionIdle || now.Sub(s.Started) >= SessionMax
}

const sessionPrefix = "session."

// StartSession signs a user in and returns what proves it from then on.
func (a *Accounts) StartSession(ctx context.Context, email, address string) (id string, err error) {
	a.sweep(ctx)
	id = catalog.GenerateCredential("cws_")
	now := a.now().UTC()
	if err := create(ctx, a, sessionPrefix+hashed(id), session{User: email, Started: now, Seen: now, From: address}); err != nil {
		return "", err
	}
	a.Record(ctx, "user "+email, "session.started", email, "from "+address)
	return id, nil
}

// Session is whose session it is. ErrRefused: nobody's, or it is over.
func (a *Accounts) Session(ctx context.Context, id string) (Identity, error) {
	key := sessionPrefix + hashed(id)
	s, revision, err := load[session](ctx, a, key)
	now := a.now()
	if errors.Is(err, ErrUnknown) || err == nil && s.over(now) {
		return Identity{}, ErrRefused
	}
	if err != nil {
		return Identity{}, err
	}
	user, _, err := load[userEntry](ctx, a, userKey(s.User))
	if errors.Is(err, ErrUnknown) || err == nil && s.Started.Before(user.Since) {
		return Identity{}, ErrRefused
	}
	if err != nil {
		return Identity{}, err
	}
	if now.Sub(s.Seen) >= sessionTouch {
		s.Seen = now.UTC()
		a.touch(ctx, key, s, revision)
	}
	return Identity{Kind: "user", Name: user.Email, Email: user.Email, Grants: user.Grants}, nil
}

// EndSession signs out. Doing it twice is doing it once.
func (a *Accounts) EndSession(ctx context.Context, id string) error {
	return a.remove(ctx, sessionPrefix+hashed(id))
}
