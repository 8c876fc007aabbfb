package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/tail"
	"causeway/internal/web"
)

// maxStreams is how many live streams may be open at once, of people and
// scripts together.
const maxStreams = 64

// openAccounts opens the users, sessions and tokens.
func (a *App) openAccounts(ctx context.Context) error {
	kv, err := a.streams.KeyValue(ctx, "auth")
	if err != nil {
		return fmt.Errorf("open the accounts: %w", err)
	}
	a.accounts, err = auth.New(auth.Options{KV: kv, Audit: a.streams.AppendAudit, Log: a.log})
	return err
}

// openConsole makes the console; the doors serve it.
func (a *App) openConsole(context.Context) error {
	ready := func(ctx context.Context) []web.Check {
		var checks []web.Check
		for _, c := range a.Ready(ctx) {
			checks = append(checks, web.Check{Name: c.Name, OK: c.OK, Detail: c.Detail})
		}
		return checks
	}
	a.feed = tail.NewFeed(&a.tail, maxStreams)
	oidc, err := a.signInProvider()
	if err != nil {
		return err
	}
	a.web, err = web.New(web.Options{
		Catalog: a.catalog, Streams: a.streams, Store: a.store, Tail: &a.tail, Feed: a.feed, Accounts: a.accounts, Backups: a.backups, Experiments: a.experiments, Metrics: a.metrics, Log: a.log,
		Version: a.opt.Version, Started: a.started, Ready: ready, Notice: a.opt.Notice, Secure: a.opt.BehindTLS, DataURL: a.dataURL, OIDC: oidc,
		Try: a.tryTest, Take: a.takeTest,
		System: web.System{
			Settings: a.opt.Settings, Data: a.opt.Data, Retention: a.opt.Retention,
			Free: func() (int64, error) { return freeBytes(a.opt.Data) },
		},
	})
	if err != nil {
		return err
	}
	a.background("console", a.web.Run)
	return nil
}

// signInProvider makes the OpenID Connect provider that is configured; nil: none.
func (a *App) signInProvider() (*auth.OIDC, error) {
	if a.opt.OIDC == nil {
		return nil, nil
	}
	o := *a.opt.OIDC
	o.RedirectURL = strings.TrimSuffix(a.opt.ConsoleURL, "/") + web.OIDCPath
	oidc, err := auth.NewOIDC(a.accounts, o)
	if err != nil {
		return nil, fmt.Errorf("sign-in provider: %w", err)
	}
	return oidc, nil
}

// dataURL is where clients reach the data routes when that is not where the
// console is.
func (a *App) dataURL() string {
	if a.opt.AdminListen == "" {
		return ""
	}
	return a.URL()
}

// withConsole sends the console's paths to it and all others to next.
func (a *App) withConsole(next http.Handler) http.Handler {
	console := a.web.Routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.web.Serves(r) {
			console.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// SetupURL is where the first admin is made, with a link of its own; empty
// when there are users.
func (a *App) SetupURL(ctx context.Context) (string, error) {
	some, err := a.accounts.HasUsers(ctx)
	if err != nil || some {
		return "", err
	}
	token, err := a.accounts.NewLink(ctx, auth.ForSetup, "", "server start")
	if err != nil {
		return "", err
	}
	return a.consoleURL() + "/setup?token=" + token, nil
}

// SignInURL signs a user in once, and makes the user an admin of the server
// first when there is none of that address. It is for the demo.
func (a *App) SignInURL(ctx context.Context, email, password string) (string, error) {
	if _, err := a.accounts.User(ctx, email); err != nil {
		if _, err := a.accounts.AddUser(ctx, email, password, auth.Grants{Server: auth.Admin}, "server start"); err != nil {
			return "", err
		}
	}
	token, err := a.accounts.NewLink(ctx, auth.ForSignIn, email, "server start")
	if err != nil {
		return "", err
	}
	return a.consoleURL() + "/signin/" + token, nil
}

// consoleURL is where a browser on this machine finds the console.
func (a *App) consoleURL() string {
	u, err := url.Parse(a.AdminURL())
	if err != nil {
		return a.AdminURL()
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	return u.String()
}
