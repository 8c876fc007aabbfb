package auth

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"causeway/internal/catalog"
)

// LinkFor says what a one-time link is good for.
type LinkFor string

// The kinds of links.
const (
	ForSetup    LinkFor = "setup"    // to make the first admin
	ForSignIn   LinkFor = "sign_in"  // to be signed in at once
	ForPassword LinkFor = "password" // to choose a password
)

// LinkLasts is how long a link works.
const LinkLasts = time.Hour

type link struct {
	For     LinkFor   `json:"for"`
	User    string    `json:"user,omitempty"` // e-mail address; empty for ForSetup
	Expires time.Time `json:"expires"`
}

const linkPrefix = "link."

// NewLink makes what goes into the URL of a one-time link. email is the user's
// who it is for, and empty for ForSetup. ErrUnknown: there is no such user.
func (a *Accounts) NewLink(ctx context.Context, what LinkFor, email, actor string) (string, error) {
	a.sweep(ctx)
	if what != ForSetup {
		user, err := a.User(ctx, email)
		if err != nil {
			return "", err
		}
		email = user.Email
	}
	secret := catalog.GenerateCredential("cwl_")
	err := create(ctx, a, linkPrefix+hashed(secret), link{For: what, User: email, Expires: a.now().Add(LinkLasts).UTC()})
	if err != nil {
		return "", err
	}
	a.Record(ctx, actor, "link.made", email, string(what))
	return secret, nil
}

// CheckLink says whose link it is without using it up. ErrRefused: it was
// used, has run out, or never was one.
func (a *Accounts) CheckLink(ctx context.Context, what LinkFor, secret string) (email string, err error) {
	l, _, err := a.link(ctx, what, secret)
	return l.User, err
}

func (a *Accounts) link(ctx context.Context, what LinkFor, secret string) (link, uint64, error) {
	l, revision, err := load[link](ctx, a, linkPrefix+hashed(secret))
	if errors.Is(err, ErrUnknown) || err == nil && (l.For != what || a.now().After(l.Expires)) {
		return link{}, 0, ErrRefused
	}
	return l, revision, err
}

// UseLink uses a link up. ErrRefused as CheckLink.
func (a *Accounts) UseLink(ctx context.Context, what LinkFor, secret string) (email string, err error) {
	l, revision, err := a.link(ctx, what, secret)
	if err != nil {
		return "", err
	}
	err = a.kv.Purge(ctx, linkPrefix+hashed(secret), jetstream.LastRevision(revision))
	if wrongRevision(err) {
		return "", ErrRefused // somebody else was faster
	}
	if err != nil {
		return "", err
	}
	return l.User, nil
}

// SetUp makes the first admin with a setup link. What is wrong with the input
// is told before the link is used up. Errors: *InvalidError, ErrRefused,
// ErrExists when there are users already.
func (a *Accounts) SetUp(ctx context.Context, secret, email, password string) (User, error) {
	if _, err := a.CheckLink(ctx, ForSetup, secret); err != nil {
		return User{}, err
	}
	if password == "" {
		return User{}, checkPassword(password, email)
	}
	entry, err := a.newUser(ctx, email, password, Grants{Server: Admin})
	if err != nil {
		return User{}, err
	}
	if some, err := a.HasUsers(ctx); err != nil || some {
		return User{}, errors.Join(err, ErrExists)
	}
	if _, err := a.UseLink(ctx, ForSetup, secret); err != nil {
		return User{}, err
	}
	if err := create(ctx, a, userKey(entry.Email), entry); err != nil {
		return User{}, err
	}
	a.Record(ctx, "setup link", "user.added", entry.Email, entry.Grants.String())
	return entry.shown(), nil
}
