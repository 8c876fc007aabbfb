package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"causeway/internal/catalog"
)

// The beginnings of tokens and keys, so that people and secret scanners know
// them.
const (
	personalPrefix = "cwp_"
	scopedPrefix   = "cwk_"
)

// Token proves somebody to the admin API: a personal token acts for its user,
// with whatever roles the user has then; a key has roles of its own.
type Token struct {
	ID        string    `json:"id"`             // to remove it by; not a secret
	User      string    `json:"user,omitempty"` // of a personal token: e-mail address
	Name      string    `json:"name"`           // what it is for
	Grants    Grants    `json:"grants,omitzero"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt,omitzero"`  // zero: never
	LastUsed  time.Time `json:"lastUsedAt,omitzero"` // to within five minutes
}

const tokenPrefix = "token."

// idLength is how much of the hash names a token; its whole is the entry's key.
const idLength = 12

// NewPersonalToken makes a token that acts for a user and returns it this
// once. A zero expires is never. Errors: *InvalidError, ErrUnknown.
func (a *Accounts) NewPersonalToken(ctx context.Context, email, name string, expires time.Time, actor string) (secret string, token Token, err error) {
	user, err := a.User(ctx, email)
	if err != nil {
		return "", Token{}, err
	}
	return a.newToken(ctx, personalPrefix, Token{User: user.Email, Name: name, ExpiresAt: expires}, actor)
}

// NewKey makes a key for a script, with roles of its own, and returns it this
// once. Errors: *InvalidError.
func (a *Accounts) NewKey(ctx context.Context, name string, grants Grants, expires time.Time, actor string) (secret string, token Token, err error) {
	if err := grants.check(); err != nil {
		return "", Token{}, err
	}
	return a.newToken(ctx, scopedPrefix, Token{Name: name, Grants: grants, ExpiresAt: expires}, actor)
}

func (a *Accounts) newToken(ctx context.Context, prefix string, token Token, actor string) (string, Token, error) {
	token.Name = strings.TrimSpace(token.Name)
	if token.Name == "" || utf8.RuneCountInString(token.Name) > 100 {
		return "", Token{}, &InvalidError{"name", "Say what it is for, in at most 100 characters."}
	}
	if !token.ExpiresAt.IsZero() && !token.ExpiresAt.After(a.now()) {
		return "", Token{}, &InvalidError{"expires", "The time at which it runs out has passed."}
	}
	secret := catalog.GenerateCredential(prefix)
	digest := hashed(secret)
	token.ID, token.CreatedAt = digest[:idLength], a.now().UTC()
	if err := create(ctx, a, tokenPrefix+digest, token); err != nil {
		return "", Token{}, err
	}
	a.Record(ctx, actor, "token.added", token.Name, token.owner())
	return secret, token, nil
}

func (t Token) owner() string {
	if t.User != "" {
		return "acts for " + t.User
	}
	return "key with the role " + t.Grants.String()
}

// Tokens lists personal tokens and keys by name; of one user only, if given.
func (a *Accounts) Tokens(ctx context.Context, email string) ([]Token, error) {
	entries, err := list[Token](ctx, a, tokenPrefix)
	if err != nil {
		return nil, err
	}
	tokens := slices.SortedFunc(maps.Values(entries), func(x, y Token) int {
		return cmp.Or(cmp.Compare(x.User, y.User), cmp.Compare(x.Name, y.Name), cmp.Compare(x.ID, y.ID))
	})
	return slices.DeleteFunc(tokens, func(t Token) bool { return email != "" && t.User != email }), nil
}

// RemoveToken removes a personal token or key by its id. A user's own only, if
// email is given. ErrUnknown: there is none.
func (a *Accounts) RemoveToken(ctx context.Context, id, email, actor string) error {
	entries, err := list[Token](ctx, a, tokenPrefix)
	if err != nil {
		return err
	}
	for key, t := range entries {
		if t.ID != id || email != "" && t.User != email {
			continue
		}
		if err := a.remove(ctx, key); err != nil {
			return err
		}
		a.Record(ctx, actor, "token.removed", t.Name, t.owner())
		return nil
	}
	return ErrUnknown
}

func (a *Accounts) removeTokensOf(ctx context.Context, email string) error {
	entries, err := list[Token](ctx, a, tokenPrefix)
	if err != nil {
		return err
	}
	for key, t := range entries {
		if t.User == email {
			err = errors.Join(err, a.remove(ctx, key))
		}
	}
	return err
}

// Looks reports whether a text has the form of a personal token or key.
func Looks(secret string) bool {
	return strings.HasPrefix(secret, personalPrefix) || strings.HasPrefix(secret, scopedPrefix)
}

// Token is who a personal token or key proves. ErrRefused: nobody.
func (a *Accounts) Token(ctx context.Context, secret string) (Identity, error) {
	if !Looks(secret) {
		return Identity{}, ErrRefused
	}
	key := tokenPrefix + hashed(secret)
	token, revision, err := load[Token](ctx, a, key)
	now := a.now()
	if errors.Is(err, ErrUnknown) || err == nil && !token.ExpiresAt.IsZero() && !now.Before(token.ExpiresAt) {
		return Identity{}, ErrRefused
	}
	if err != nil {
		return Identity{}, err
	}
	who := Identity{Kind: "key", Name: token.Name, Grants: token.Grants}
	if token.User != "" {
		user, _, err := load[userEntry](ctx, a, userKey(token.User))
		if errors.Is(err, ErrUnknown) {
			return Identity{}, ErrRefused
		}
		if err != nil {
			return Identity{}, err
		}
		if token.CreatedAt.Before(user.CreatedAt) {
			return Identity{}, ErrRefused // of somebody who had the address before
		}
		who = Identity{Kind: "token", Name: token.Name, Email: user.Email, Grants: user.Grants}
	}
	if now.Sub(token.LastUsed) >= sessionTouch {
		token.LastUsed = now.UTC()
		a.touch(ctx, key, token, revision)
	}
	return who, nil
}

// touch keeps when something was used last. It matters little: when somebody
// else changed the entry meanwhile, or the store does not answer, it is left.
func (a *Accounts) touch(ctx context.Context, key string, value any, revision uint64) {
	if text, err := json.Marshal(value); err == nil {
		_, _ = a.kv.Update(ctx, key, text, revision)
	}
}
