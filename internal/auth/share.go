package auth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"causeway/internal/catalog"
)

// Share lets whoever has its secret see the results of one experiment, without
// an account.
type Share struct {
	ID         string    `json:"id"` // to remove it by; not a secret
	Project    string    `json:"project"`
	Experiment string    `json:"experiment"` // its id
	CreatedBy  string    `json:"createdBy"`
	CreatedAt  time.Time `json:"createdAt"`
	ExpiresAt  time.Time `json:"expiresAt,omitzero"` // zero: never
}

const (
	sharePrefix       = "share."
	shareSecretPrefix = "cws_"
	sharesKept        = 50 // of one experiment
)

// How often one address may look at share links: at once, and then at a rate.
// A secret cannot be guessed; this keeps who tries from keeping the store busy.
const (
	shareLooks = 60
	shareRate  = rate.Limit(1)
)

// NewShare makes a share link's secret and returns it this once. Errors:
// *InvalidError.
func (a *Accounts) NewShare(ctx context.Context, project, experiment string, expires time.Time, actor string) (secret string, share Share, err error) {
	if !expires.IsZero() && !expires.After(a.now()) {
		return "", Share{}, &InvalidError{"expires", "The time at which it runs out has passed."}
	}
	shares, err := a.Shares(ctx, project, experiment)
	if err != nil {
		return "", Share{}, err
	}
	if len(shares) >= sharesKept {
		return "", Share{}, &InvalidError{"experiment", "The experiment has as many share links as it may have. Remove one first."}
	}
	secret = catalog.GenerateCredential(shareSecretPrefix)
	digest := hashed(secret)
	share = Share{ID: digest[:idLength], Project: project, Experiment: experiment, CreatedBy: actor, CreatedAt: a.now().UTC(), ExpiresAt: expires}
	if err := create(ctx, a, sharePrefix+digest, share); err != nil {
		return "", Share{}, err
	}
	a.Record(ctx, actor, "share.added", project+"/"+experiment, share.ID)
	return secret, share, nil
}

// Shares lists the share links of an experiment that still work, the oldest
// first. What has run out is removed.
func (a *Accounts) Shares(ctx context.Context, project, experiment string) ([]Share, error) {
	entries, err := list[Share](ctx, a, sharePrefix)
	if err != nil {
		return nil, err
	}
	now := a.now()
	for key, s := range entries {
		if s.over(now) {
			if err := a.remove(ctx, key); err != nil {
				return nil, err
			}
			delete(entries, key)
		}
	}
	maps.DeleteFunc(entries, func(_ string, s Share) bool { return s.Project != project || s.Experiment != experiment })
	return slices.SortedFunc(maps.Values(entries), func(x, y Share) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), cmp.Compare(x.ID, y.ID))
	}), nil
}

func (s Share) over(now time.Time) bool { return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt) }

// RemoveShare makes a share link of an experiment useless. ErrUnknown: there is
// none of that id.
func (a *Accounts) RemoveShare(ctx context.Context, project, experiment, id, actor string) error {
	entries, err := list[Share](ctx, a, sharePrefix)
	if err != nil {
		return err
	}
	for key, s := range entries {
		if s.ID != id || s.Project != project || s.Experiment != experiment {
			continue
		}
		if err := a.remove(ctx, key); err != nil {
			return err
		}
		a.Record(ctx, actor, "share.removed", project+"/"+experiment, id)
		return nil
	}
	return ErrUnknown
}

// Share is what a share link's secret lets one see who asks from an address.
// Errors: ErrRefused (nothing), *LimitedError.
func (a *Accounts) Share(ctx context.Context, secret, address string) (Share, error) {
	if wait := a.sharesSeen.Take(address, a.now()); wait > 0 {
		return Share{}, &LimitedError{wait}
	}
	s, _, err := load[Share](ctx, a, sharePrefix+hashed(secret))
	if errors.Is(err, ErrUnknown) || err == nil && s.over(a.now()) {
		return Share{}, ErrRefused
	}
	return s, err
}
