package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"causeway/internal/auth"
)

func TestAShareLinkShowsOneExperimentUntilItIsRemovedOrRunsOut(t *testing.T) {
	r := newRig(t)
	secret, share, err := r.NewShare(r.ctx, "shop", "checkout", time.Time{}, "user ada")
	if err != nil {
		t.Fatal(err)
	}
	soon, _, err := r.NewShare(r.ctx, "shop", "checkout", r.clock.Add(time.Hour), "user ada")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{secret, soon} {
		if got, err := r.Share(r.ctx, s, "10.0.0.1"); err != nil || got.Project != "shop" || got.Experiment != "checkout" {
			t.Errorf("%+v, %v", got, err)
		}
		if kept := r.kept(); strings.Contains(kept, s) || strings.Contains(kept, s[4:]) {
			t.Error("the bucket holds the secret")
		}
	}
	for _, wrong := range []string{"", "cws_", secret[:len(secret)-1], share.ID, "*", ">", strings.ToUpper(secret)} {
		if _, err := r.Share(r.ctx, wrong, "10.0.0.1"); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	if _, err := r.Token(r.ctx, secret); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("a share link opens the API: %v", err)
	}

	r.pass(2 * time.Hour)
	if _, err := r.Share(r.ctx, soon, "10.0.0.1"); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("after its time: %v", err)
	}
	if shares, err := r.Shares(r.ctx, "shop", "checkout"); err != nil || len(shares) != 1 || shares[0].ID != share.ID {
		t.Errorf("%+v, %v", shares, err)
	}
	if shares, err := r.Shares(r.ctx, "shop", "other"); err != nil || len(shares) != 0 {
		t.Errorf("of another experiment: %+v, %v", shares, err)
	}
	if err := r.RemoveShare(r.ctx, "shop", "other", share.ID, "user ada"); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("removed as one of another experiment: %v", err)
	}
	if err := r.RemoveShare(r.ctx, "shop", "checkout", share.ID, "user ada"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Share(r.ctx, secret, "10.0.0.1"); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("after it was removed: %v", err)
	}
	actions := ""
	for _, entry := range r.audit {
		actions += entry.Action + " "
		if strings.Contains(entry.Detail+entry.Subject, secret) {
			t.Error("the audit log holds the secret")
		}
	}
	if actions != "share.added share.added share.removed " {
		t.Errorf("audit: %s", actions)
	}
}

func TestAnExperimentHasOnlySoManyShareLinks(t *testing.T) {
	r := newRig(t)
	var invalid *auth.InvalidError
	for i := range 51 {
		_, _, err := r.NewShare(r.ctx, "shop", "checkout", time.Time{}, "user ada")
		if (i == 50) != errors.As(err, &invalid) {
			t.Fatalf("link %d: %v", i, err)
		}
	}
	if _, _, err := r.NewShare(r.ctx, "shop", "other", r.clock.Add(-time.Second), "user ada"); !errors.As(err, &invalid) {
		t.Errorf("a link that has run out: %v", err)
	}
}

func TestOneAddressMayLookAtShareLinksOnlySoOften(t *testing.T) {
	r := newRig(t)
	secret, _, err := r.NewShare(r.ctx, "shop", "checkout", time.Time{}, "user ada")
	if err != nil {
		t.Fatal(err)
	}
	var limited *auth.LimitedError
	for i := range 61 {
		_, err := r.Share(r.ctx, "cws_guess", "10.0.0.1")
		if (i == 60) != errors.As(err, &limited) {
			t.Fatalf("look %d: %v", i, err)
		}
	}
	if _, err := r.Share(r.ctx, secret, "10.0.0.1"); !errors.As(err, &limited) {
		t.Errorf("a right one after that: %v", err)
	}
	if _, err := r.Share(r.ctx, secret, "10.0.0.2"); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	r.pass(2 * time.Second)
	if _, err := r.Share(r.ctx, secret, "10.0.0.1"); err != nil {
		t.Errorf("a moment later: %v", err)
	}
}
