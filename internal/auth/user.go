package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// User is somebody who may sign in.
type User struct {
	Email     string    `json:"email"` // lower case; who they are
	Grants    Grants    `json:"grants"`
	CreatedAt time.Time `json:"createdAt"`
	// HasPassword is false until they followed their link and chose one.
	HasPassword bool `json:"hasPassword"`
	// SingleSignOn says that the sign-in provider vouched for them.
	SingleSignOn bool `json:"singleSignOn"`
}

// userEntry is a user as stored.
type userEntry struct {
	Email     string    `json:"email"`
	Grants    Grants    `json:"grants"`
	CreatedAt time.Time `json:"createdAt"`
	Password  string    `json:"password,omitempty"` // argon2id
	// Since ends sessions that began before it: a new password signs everybody out.
	Since time.Time `json:"since"`
	// Subject is who the sign-in provider says they are: issuer and subject.
	Subject string `json:"subject,omitempty"`
	// FollowsGroups says that the roles are those of the groups at the provider.
	FollowsGroups bool `json:"followsGroups,omitempty"`
}

const userPrefix = "user."

// userKey is where a user is stored. The address may hold characters that a
// key may not.
func userKey(email string) string { return userPrefix + hashed(email) }

func (u userEntry) shown() User {
	return User{Email: u.Email, Grants: u.Grants, CreatedAt: u.CreatedAt, HasPassword: u.Password != "", SingleSignOn: u.Subject != ""}
}

// AddUser adds a user. Without a password they need a link (NewLink) to choose
// one. Errors: *InvalidError, ErrExists.
func (a *Accounts) AddUser(ctx context.Context, email, password string, grants Grants, actor string) (User, error) {
	entry, err := a.newUser(ctx, email, password, grants)
	if err != nil {
		return User{}, err
	}
	if err := create(ctx, a, userKey(entry.Email), entry); err != nil {
		return User{}, err
	}
	a.Record(ctx, actor, "user.added", entry.Email, grants.String())
	return entry.shown(), nil
}

func (a *Accounts) newUser(ctx context.Context, email, password string, grants Grants) (userEntry, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return userEntry{}, err
	}
	if err := grants.check(); err != nil {
		return userEntry{}, err
	}
	now := a.now().UTC()
	entry := userEntry{Email: email, Grants: grants, CreatedAt: now, Since: now}
	if password != "" {
		if err := checkPassword(password, email); err != nil {
			return userEntry{}, err
		}
		entry.Password, err = a.hashPassword(ctx, password)
	}
	return entry, err
}

// Users lists them by address.
func (a *Accounts) Users(ctx context.Context) ([]User, error) {
	entries, err := list[userEntry](ctx, a, userPrefix)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(entries))
	for _, entry := range slices.SortedFunc(maps.Values(entries), func(x, y userEntry) int { return cmp.Compare(x.Email, y.Email) }) {
		users = append(users, entry.shown())
	}
	return users, nil
}

// HasUsers reports whether anybody was ever added and not removed.
func (a *Accounts) HasUsers(ctx context.Context) (bool, error) {
	users, err := a.Users(ctx)
	return len(users) > 0, err
}

// User finds one. ErrUnknown: there is none.
func (a *Accounts) User(ctx context.Context, email string) (User, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return User{}, ErrUnknown
	}
	entry, _, err := load[userEntry](ctx, a, userKey(email))
	return entry.shown(), err
}

// SetGrants replaces a user's roles. The last server-wide admin stays one.
// Errors: *InvalidError, ErrUnknown.
func (a *Accounts) SetGrants(ctx context.Context, email string, grants Grants, actor string) error {
	email, err := cleanEmail(email)
	if err != nil {
		return ErrUnknown
	}
	if err := grants.check(); err != nil {
		return err
	}
	if grants.Server != Admin {
		if err := a.notLastAdmin(ctx, email); err != nil {
			return err
		}
	}
	before, _, err := change(ctx, a, userKey(email), func(u *userEntry) error {
		u.Grants = grants
		return nil
	})
	if err != nil {
		return err
	}
	a.Record(ctx, actor, "user.changed", email, before.Grants.String()+" -> "+grants.String())
	return nil
}

// SetPassword replaces a user's password and ends their sessions. Errors:
// *InvalidError, ErrUnknown.
func (a *Accounts) SetPassword(ctx context.Context, email, password, actor string) error {
	email, err := cleanEmail(email)
	if err != nil {
		return ErrUnknown
	}
	if err := checkPassword(password, email); err != nil {
		return err
	}
	stored, err := a.hashPassword(ctx, password)
	if err != nil {
		return err
	}
	_, _, err = change(ctx, a, userKey(email), func(u *userEntry) error {
		u.Password, u.Since = stored, a.now().UTC()
		return nil
	})
	if err != nil {
		return err
	}
	a.Record(ctx, actor, "user.password", email, "")
	return nil
}

// RemoveUser removes a user; their sessions and tokens work no longer. The
// last server-wide admin stays. ErrUnknown: there is none.
func (a *Accounts) RemoveUser(ctx context.Context, email, actor string) error {
	email, err := cleanEmail(email)
	if err != nil {
		return ErrUnknown
	}
	entry, _, err := load[userEntry](ctx, a, userKey(email))
	if err != nil {
		return err
	}
	if err := a.notLastAdmin(ctx, email); err != nil {
		return err
	}
	if err := a.remove(ctx, userKey(email)); err != nil {
		return err
	}
	a.Record(ctx, actor, "user.removed", email, entry.Grants.String())
	return a.removeTokensOf(ctx, email)
}

// notLastAdmin refuses when nobody but this user is an admin of the server.
func (a *Accounts) notLastAdmin(ctx context.Context, email string) error {
	users, err := a.Users(ctx)
	if err != nil {
		return err
	}
	is := false
	for _, u := range users {
		if u.Grants.Server != Admin {
			continue
		}
		if u.Email != email {
			return nil
		}
		is = true
	}
	if is {
		return &InvalidError{"role", "This is the last admin of the server. Make somebody else an admin first."}
	}
	return nil
}

// SignIn checks a password. address is where the attempt comes from. Errors:
// ErrRefused, *LimitedError.
func (a *Accounts) SignIn(ctx context.Context, email, password, address string) (User, error) {
	email, err := cleanEmail(email)
	if err != nil {
		return User{}, ErrRefused
	}
	now := a.now()
	for _, wait := range []time.Duration{a.byAddress.Take(address, now), a.byAccount.Take(email, now)} {
		if wait > 0 {
			return User{}, &LimitedError{wait}
		}
	}
	entry, _, err := load[userEntry](ctx, a, userKey(email))
	if err != nil && !errors.Is(err, ErrUnknown) {
		return User{}, err
	}
	if len(password) > maxPassword {
		return User{}, ErrRefused
	}
	right, err := a.matches(ctx, password, entry.Password)
	if err != nil {
		return User{}, fmt.Errorf("sign in: %w", err)
	}
	if !right {
		a.Record(ctx, "address "+address, "session.refused", email, "")
		return User{}, ErrRefused
	}
	return entry.shown(), nil
}

// Attempt counts a try to prove something other than a password from an
// address: *LimitedError when there were too many.
func (a *Accounts) Attempt(address string) error {
	if wait := a.byAddress.Take(address, a.now()); wait > 0 {
		return &LimitedError{wait}
	}
	return nil
}
