package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// of reports whether it still signs that user in.
func (s session) of(user userEntry, now time.Time) bool {
	return !s.over(now) && !s.Started.Before(user.Since)
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

// SessionInfo is a session as a person sees it.
type SessionInfo struct {
	ID      string    `json:"id"` // to end it by; not a secret
	User    string    `json:"user"`
	Started time.Time `json:"startedAt"`
	Seen    time.Time `json:"seenAt"` // to within five minutes
	From    string    `json:"from"`   // address it was started from
}

// SessionID names a session without proving it.
func SessionID(session string) string { return hashed(session)[:idLength] }

// Sessions lists the sessions that are not over, the one used last first; of
// one user only, if given.
func (a *Accounts) Sessions(ctx context.Context, email string) ([]SessionInfo, error) {
	entries, err := list[session](ctx, a, sessionPrefix)
	if err != nil {
		return nil, err
	}
	users, err := list[userEntry](ctx, a, userPrefix)
	if err != nil {
		return nil, err
	}
	infos, now := []SessionInfo{}, a.now()
	for key, s := range entries {
		user, known := users[userKey(s.User)]
		if !known || !s.of(user, now) || email != "" && s.User != email {
			continue
		}
		id := strings.TrimPrefix(key, sessionPrefix)[:idLength]
		infos = append(infos, SessionInfo{ID: id, User: s.User, Started: s.Started, Seen: s.Seen, From: s.From})
	}
	slices.SortFunc(infos, func(x, y SessionInfo) int { return cmp.Or(y.Seen.Compare(x.Seen), cmp.Compare(x.ID, y.ID)) })
	return infos, nil
}

// EndSessions signs a user out: of the session of that id, or of all but the
// one called except when id is empty. It returns how many there were.
func (a *Accounts) EndSessions(ctx context.Context, email, id, except, actor string) (int, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return 0, ErrUnknown
	}
	user, _, err := load[userEntry](ctx, a, userKey(email))
	if err != nil {
		return 0, err
	}
	entries, err := list[session](ctx, a, sessionPrefix)
	if err != nil {
		return 0, err
	}
	ended, now := 0, a.now()
	for key, s := range entries {
		this := strings.TrimPrefix(key, sessionPrefix)[:idLength]
		if s.User != user.Email || id != "" && this != id || id == "" && this == except {
			continue
		}
		if err := a.remove(ctx, key); err != nil {
			return ended, err
		}
		if s.of(user, now) {
			ended++
		}
	}
	if ended > 0 {
		a.Record(ctx, actor, "session.ended", user.Email, fmt.Sprintf("%d", ended))
	}
	return ended, nil
}
