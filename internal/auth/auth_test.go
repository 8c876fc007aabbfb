package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"causeway/internal/auth"
	"causeway/internal/stream"
)

const password = "correct horse battery"

var admin = auth.Grants{Server: auth.Admin}

// rig is accounts in a real bucket, with a clock of the test's.
type rig struct {
	*auth.Accounts
	t     *testing.T
	ctx   context.Context
	mu    sync.Mutex
	clock time.Time
	audit []auth.AuditEntry
	kept  func() string // everything that is in the bucket
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, ctx: t.Context(), clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	streams, err := stream.Open(r.ctx, stream.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = streams.Close() })
	kv, err := streams.KeyValue(r.ctx, "auth")
	if err != nil {
		t.Fatal(err)
	}
	r.kept = func() string {
		var all strings.Builder
		watch, err := kv.WatchAll(r.ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer watch.Stop()
		for entry := range watch.Updates() {
			if entry == nil {
				break
			}
			fmt.Fprintf(&all, "%s %s\n", entry.Key(), entry.Value())
		}
		return all.String()
	}
	r.Accounts, err = auth.New(auth.Options{
		KV: kv, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.clock },
		Audit: func(_ context.Context, text []byte) error {
			var entry auth.AuditEntry
			if err := json.Unmarshal(text, &entry); err != nil {
				t.Error(err)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			r.audit = append(r.audit, entry)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) pass(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock = r.clock.Add(d)
}

func (r *rig) add(email string, grants auth.Grants) {
	r.t.Helper()
	if _, err := r.AddUser(r.ctx, email, password, grants, "test"); err != nil {
		r.t.Fatal(err)
	}
}

func invalid(t *testing.T, err error, field string) {
	t.Helper()
	var wrong *auth.InvalidError
	if !errors.As(err, &wrong) || wrong.Field != field || wrong.Text == "" {
		t.Errorf("got %v, want an error about %s", err, field)
	}
}

func TestASessionLastsWhileItIsUsedAndAWeekAtMost(t *testing.T) {
	r := newRig(t)
	r.add("Ada@Example.com ", admin)
	user, err := r.SignIn(r.ctx, "ADA@example.com", password, "10.0.0.1")
	if err != nil || user.Email != "ada@example.com" {
		t.Fatal(user, err)
	}
	start := func() string {
		id, err := r.StartSession(r.ctx, user.Email, "10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	idle, used := start(), start()
	if strings.Contains(r.kept(), used) || strings.Contains(r.kept(), password) {
		t.Error("the bucket holds a secret in the clear")
	}
	for range 15 {
		r.pass(11 * time.Hour)
		if who, err := r.Session(r.ctx, used); err != nil || who.Email != "ada@example.com" || !who.May(auth.Administer, "") {
			t.Fatal(who, err)
		}
	}
	if _, err := r.Session(r.ctx, idle); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("an idle session gave %v", err)
	}
	r.pass(4 * time.Hour) // 169 hours
	if _, err := r.Session(r.ctx, used); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("a session of eight days gave %v", err)
	}
}

func TestANewPasswordARemovalAndASignOutEndSessions(t *testing.T) {
	r := newRig(t)
	r.add("root@example.com", admin)
	for name, end := range map[string]func(email, session string) error{
		"password": func(email, _ string) error { return r.SetPassword(r.ctx, email, "another good one", "test") },
		"removal":  func(email, _ string) error { return r.RemoveUser(r.ctx, email, "test") },
		"sign-out": func(_, session string) error { return r.EndSession(r.ctx, session) },
	} {
		email := name + "@example.com"
		r.add(email, auth.Grants{Server: auth.Viewer})
		session, err := r.StartSession(r.ctx, email, "here")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Session(r.ctx, session); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Second)
		if err := end(email, session); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Session(r.ctx, session); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("after the %s the session gave %v", name, err)
		}
	}
}

func TestGuessingIsSlowedByAddressAndByAccount(t *testing.T) {
	r := newRig(t)
	r.add("ada@example.com", admin)
	tries := func(email, password string, address func(int) string, n int) (refused, limited int) {
		for i := range n {
			_, err := r.SignIn(r.ctx, email, password, address(i))
			var limit *auth.LimitedError
			switch {
			case errors.Is(err, auth.ErrRefused):
				refused++
			case errors.As(err, &limit) && limit.Wait > 0:
				limited++
			default:
				t.Fatal(err)
			}
		}
		return refused, limited
	}
	one := func(int) string { return "10.0.0.1" }
	if refused, limited := tries("nobody@example.com", "wrong wrong", one, 25); refused != 20 || limited != 5 {
		t.Errorf("one address: %d refused, %d limited", refused, limited)
	}
	if _, err := r.SignIn(r.ctx, "ada@example.com", password, "10.0.0.2"); err != nil {
		t.Errorf("another address: %v", err)
	}
	many := func(i int) string { return fmt.Sprintf("10.1.0.%d", i) }
	if refused, limited := tries("ada@example.com", "wrong wrong", many, 55); refused != 49 || limited != 6 {
		t.Errorf("one account: %d refused, %d limited", refused, limited)
	}
	r.pass(time.Minute)
	if _, err := r.SignIn(r.ctx, "ada@example.com", password, "10.0.0.1"); err != nil {
		t.Errorf("after a minute: %v", err)
	}
}

func TestALinkWorksOnceAndForAnHour(t *testing.T) {
	r := newRig(t)
	secret, err := r.NewLink(r.ctx, auth.ForSetup, "", "server")
	if err != nil {
		t.Fatal(err)
	}
	late, err := r.NewLink(r.ctx, auth.ForSetup, "", "server")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.SetUp(r.ctx, secret, "ada@example.com", "short")
	invalid(t, err, "password")
	_, err = r.SetUp(r.ctx, secret, "no address", password)
	invalid(t, err, "email")
	if _, err := r.CheckLink(r.ctx, auth.ForSignIn, secret); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("a setup link signs in: %v", err)
	}
	var wait sync.WaitGroup
	made := make(chan string, 8)
	for i := range 8 {
		wait.Go(func() {
			if u, err := r.SetUp(r.ctx, secret, fmt.Sprintf("u%d@example.com", i), password); err == nil {
				made <- u.Email
			} else if !errors.Is(err, auth.ErrRefused) && !errors.Is(err, auth.ErrExists) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if len(made) != 1 {
		t.Errorf("%d admins were made with one link", len(made))
	}
	if _, err := r.SetUp(r.ctx, late, "eve@example.com", password); !errors.Is(err, auth.ErrExists) {
		t.Errorf("a second setup gave %v", err)
	}
	r.pass(auth.LinkLasts + time.Second)
	if _, err := r.CheckLink(r.ctx, auth.ForSetup, late); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("after an hour: %v", err)
	}
	if _, err := r.NewLink(r.ctx, auth.ForPassword, "nobody@example.com", "server"); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("a link for nobody gave %v", err)
	}
}

func TestTokensActForTheirUserAndKeysForThemselves(t *testing.T) {
	r := newRig(t)
	r.add("root@example.com", admin)
	r.add("ada@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Editor}})
	personal, token, err := r.NewPersonalToken(r.ctx, "ada@example.com", "laptop", time.Time{}, "test")
	if err != nil || !strings.HasPrefix(personal, "cwp_") {
		t.Fatal(personal, err)
	}
	key, _, err := r.NewKey(r.ctx, "export", auth.Grants{Server: auth.Analyst}, r.clock.Add(time.Hour), "test")
	if err != nil || !strings.HasPrefix(key, "cwk_") {
		t.Fatal(key, err)
	}
	if strings.Contains(r.kept(), personal) || strings.Contains(r.kept(), key) {
		t.Error("the bucket holds a token in the clear")
	}
	who, err := r.Token(r.ctx, personal)
	if err != nil || !who.May(auth.Change, "shop") || who.May(auth.See, "other") || who.May(auth.See, "") || !who.MayAnywhere(auth.Change) || who.MayAnywhere(auth.Administer) {
		t.Errorf("%+v %v", who, err)
	}
	if err := r.SetGrants(r.ctx, "ada@example.com", auth.Grants{Server: auth.Viewer}, "test"); err != nil {
		t.Fatal(err)
	}
	if who, _ := r.Token(r.ctx, personal); who.May(auth.Change, "shop") || !who.May(auth.See, "other") {
		t.Errorf("the token kept the roles its user had: %+v", who)
	}
	if who, err := r.Token(r.ctx, key); err != nil || !who.May(auth.SeePeople, "shop") || who.May(auth.Change, "shop") || who.Actor() != "key export" {
		t.Errorf("%+v %v", who, err)
	}
	if list, err := r.Tokens(r.ctx, "ada@example.com"); err != nil || len(list) != 1 || list[0].LastUsed.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	if err := r.RemoveToken(r.ctx, token.ID, "root@example.com", "test"); !errors.Is(err, auth.ErrUnknown) {
		t.Errorf("somebody else's token: %v", err)
	}
	r.pass(time.Hour)
	if _, err := r.Token(r.ctx, key); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("a key that ran out gave %v", err)
	}
	if err := r.RemoveUser(r.ctx, "ada@example.com", "test"); err != nil {
		t.Fatal(err)
	}
	r.add("ada@example.com", admin)
	if _, err := r.Token(r.ctx, personal); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("the token of a removed user gave %v", err)
	}
	for _, secret := range []string{"", "cwp_x", "cws_" + personal, personal + " "} {
		if _, err := r.Token(r.ctx, secret); !errors.Is(err, auth.ErrRefused) {
			t.Errorf("%q gave %v", secret, err)
		}
	}
}

func TestTheLastAdminStays(t *testing.T) {
	r := newRig(t)
	r.add("ada@example.com", admin)
	r.add("bob@example.com", auth.Grants{Projects: map[string]auth.Role{"shop": auth.Admin}})
	invalid(t, r.RemoveUser(r.ctx, "ada@example.com", "test"), "role")
	invalid(t, r.SetGrants(r.ctx, "ada@example.com", auth.Grants{Server: auth.Editor}, "test"), "role")
	r.add("eve@example.com", admin)
	if err := r.RemoveUser(r.ctx, "ada@example.com", "test"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsWrongWithAUserIsSaid(t *testing.T) {
	r := newRig(t)
	r.add("ada@example.com", admin)
	for _, c := range []struct {
		email, password, field string
		grants                 auth.Grants
	}{
		{"ada", password, "email", admin},
		{"Ada <ada@example.com>", password, "email", admin},
		{"bob@example.com", "short", "password", admin},
		{"bob@example.com", "aaaaaaaaaaaa", "password", admin},
		{"bob@example.com", "Bob@Example.com", "password", admin},
		{"bob@example.com", strings.Repeat("long ", 300), "password", admin},
		{"bob@example.com", password, "role", auth.Grants{}},
		{"bob@example.com", password, "role", auth.Grants{Server: "king"}},
		{"bob@example.com", password, "project", auth.Grants{Projects: map[string]auth.Role{"": auth.Viewer}}},
	} {
		_, err := r.AddUser(r.ctx, c.email, c.password, c.grants, "test")
		invalid(t, err, c.field)
	}
	if _, err := r.AddUser(r.ctx, "ADA@example.com", password, admin, "test"); !errors.Is(err, auth.ErrExists) {
		t.Errorf("a second ada gave %v", err)
	}
	if _, err := r.SignIn(r.ctx, "ada@example.com", strings.Repeat("x", 5000), "here"); !errors.Is(err, auth.ErrRefused) {
		t.Errorf("an endless password gave %v", err)
	}
}

func TestEveryChangeIsAudited(t *testing.T) {
	r := newRig(t)
	r.add("ada@example.com", admin)
	r.add("bob@example.com", auth.Grants{Server: auth.Viewer})
	if err := r.SetGrants(r.ctx, "bob@example.com", auth.Grants{Server: auth.Editor}, "user ada@example.com"); err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveUser(r.ctx, "bob@example.com", "user ada@example.com"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range r.audit {
		got = append(got, e.Action+" "+e.Subject+" "+e.Detail)
	}
	want := "user.added ada@example.com admin|user.added bob@example.com viewer|user.changed bob@example.com viewer -> editor|user.removed bob@example.com editor"
	if strings.Join(got, "|") != want {
		t.Errorf("got %q", got)
	}
}
