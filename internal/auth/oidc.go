package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// OIDCOptions say which OpenID Connect provider may vouch for people, and what
// they may then do.
type OIDCOptions struct {
	// Issuer is the provider's address, as its tokens name it. https, or http on
	// loopback.
	Issuer string
	// ClientID and ClientSecret are what the provider knows this server by. A
	// public client has no secret.
	ClientID, ClientSecret string
	// RedirectURL is where the provider sends browsers back to, whole and exact.
	RedirectURL string
	// Scopes that are asked for; default openid, email, profile.
	Scopes []string
	// GroupsClaim is the claim that lists somebody's groups; default groups.
	GroupsClaim string
	// Domains are those that an e-mail address must be of; empty: any.
	Domains []string
	// Roles by group. They are a person's roles at every sign-in, and who
	// matches none is refused. Empty: only who was added by an admin gets in,
	// with the roles they were given.
	Roles []OIDCRole
	// Name is what the button calls it; default: the issuer's host.
	Name string
	// Client asks the provider; default: one with a time limit of 10 s.
	Client *http.Client
}

// OIDCRole gives a role to a group.
type OIDCRole struct {
	Group   string // Everybody: whoever is let in
	Role    Role
	Project string // empty: on the whole server
}

// Everybody is the group of all that the provider vouches for.
const Everybody = "*"

// ParseOIDCRole reads GROUP=ROLE or GROUP=ROLE@PROJECT.
func ParseOIDCRole(text string) (OIDCRole, error) {
	at := strings.LastIndex(text, "=")
	if at < 1 {
		return OIDCRole{}, fmt.Errorf("%q is not GROUP=ROLE or GROUP=ROLE@PROJECT", text)
	}
	role, project, inProject := strings.Cut(text[at+1:], "@")
	r := OIDCRole{Group: text[:at], Role: Role(role), Project: project}
	if r.Role.rank() == 0 || inProject && project == "" {
		return OIDCRole{}, fmt.Errorf("%q is not GROUP=ROLE or GROUP=ROLE@PROJECT; the roles are viewer, analyst, editor and admin", text)
	}
	return r, nil
}

// OIDC lets people in whom an OpenID Connect provider vouches for: the
// authorization code flow with PKCE, state and nonce. Who they are is their
// verified e-mail address; the provider's own id for them is remembered, so
// that an address that was given to somebody else does not let them in.
type OIDC struct {
	accounts *Accounts
	options  OIDCOptions

	mu       sync.Mutex
	provider *oidc.Provider // nil until it answered once
}

// A RefusedError says why the provider's word was not enough. It is ErrRefused.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

// Is makes it ErrRefused to who does not care why.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }

// ErrProvider means that the provider could not be asked.
var ErrProvider = errors.New("the sign-in provider does not answer as it should")

// NewOIDC checks the options. It does not ask the provider: that may be down
// when the server starts.
func NewOIDC(accounts *Accounts, o OIDCOptions) (*OIDC, error) {
	issuer, err := url.Parse(o.Issuer)
	if err != nil || issuer.Host == "" || issuer.Scheme != "https" && !(issuer.Scheme == "http" && loopback(issuer.Hostname())) {
		return nil, fmt.Errorf("the issuer %q is no https address", o.Issuer)
	}
	back, err := url.Parse(o.RedirectURL)
	if err != nil || back.Host == "" || back.RawQuery != "" || back.Fragment != "" || back.Scheme != "https" && !(back.Scheme == "http" && loopback(back.Hostname())) {
		return nil, fmt.Errorf("browsers must come back to an https address, not to %q", o.RedirectURL)
	}
	if o.ClientID == "" {
		return nil, errors.New("the client id is missing")
	}
	for _, r := range o.Roles {
		if r.Group == Everybody && len(o.Domains) == 0 {
			return nil, errors.New("a role for everybody needs allowed domains; without them it may be the whole world")
		}
	}
	for i, domain := range o.Domains {
		o.Domains[i] = strings.ToLower(strings.TrimPrefix(domain, "@"))
	}
	if len(o.Scopes) == 0 {
		o.Scopes = []string{oidc.ScopeOpenID, "email", "profile"}
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		o.Scopes = append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	if o.GroupsClaim == "" {
		o.GroupsClaim = "groups"
	}
	if o.Name == "" {
		o.Name = issuer.Hostname()
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: 10 * time.Second}
	}
	return &OIDC{accounts: accounts, options: o}, nil
}

func loopback(host string) bool { return host == "localhost" || host == "127.0.0.1" || host == "::1" }

// Name is what the button calls the provider.
func (p *OIDC) Name() string { return p.options.Name }

// ask is the provider and what it is asked with.
func (p *OIDC) ask(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.provider == nil {
		provider, err := oidc.NewProvider(oidc.ClientContext(ctx, p.options.Client), p.options.Issuer)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrProvider, err)
		}
		p.provider = provider
	}
	return p.provider, &oauth2.Config{
		ClientID: p.options.ClientID, ClientSecret: p.options.ClientSecret, Endpoint: p.provider.Endpoint(),
		RedirectURL: p.options.RedirectURL, Scopes: p.options.Scopes,
	}, nil
}

// flow is what a browser keeps of a sign-in that it began. The secrets in it
// are of that one sign-in.
type flow struct {
	State, Nonce, Verifier, Next string
	Began                        time.Time
}

// FlowLasts is how long a sign-in at the provider may take.
const FlowLasts = 10 * time.Minute

// Begin starts a sign-in: where the browser goes, and what it has to bring
// back, in a cookie that only it has. next is where it wants to go in the end.
func (p *OIDC) Begin(ctx context.Context, next string) (to, kept string, err error) {
	_, config, err := p.ask(ctx)
	if err != nil {
		return "", "", err
	}
	f := flow{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Next: next, Began: p.accounts.now().UTC()}
	text, err := json.Marshal(f)
	if err != nil {
		return "", "", err
	}
	return config.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), base64.RawURLEncoding.EncodeToString(text), nil
}

// claims are what of the provider's token counts.
type claims struct {
	Email           string    `json:"email"`
	EmailVerified   boolClaim `json:"email_verified"`
	AuthorizedParty string    `json:"azp"`
}

// boolClaim is true, or "true" as some providers write it.
type boolClaim bool

func (b *boolClaim) UnmarshalJSON(text []byte) error {
	*b = string(text) == "true" || string(text) == `"true"`
	return nil
}

// Finish ends a sign-in: kept is what Begin gave the browser, query what the
// provider sent it back with, address where it comes from. Errors:
// *RefusedError, *LimitedError, ErrProvider.
func (p *OIDC) Finish(ctx context.Context, kept string, query url.Values, address string) (user User, next string, err error) {
	if err := p.accounts.Attempt(address); err != nil {
		return User{}, "", err
	}
	f, err := p.begun(kept, query.Get("state"))
	if err != nil {
		return User{}, "", err
	}
	if code := query.Get("error"); code != "" {
		return User{}, f.Next, refused("%s did not let you in (%.60q). Try again, or ask who runs it.", p.Name(), code)
	}
	subject, said, groups, err := p.vouched(ctx, f, query.Get("code"))
	if err == nil {
		user, err = p.admit(ctx, subject, said, groups)
	}
	var no *RefusedError
	if errors.As(err, &no) {
		p.accounts.Record(ctx, "address "+address, "session.refused", said.Email, p.Name()+": "+no.Text)
	}
	return user, f.Next, err
}

// begun reads what the browser kept.
func (p *OIDC) begun(kept, state string) (flow, error) {
	var f flow
	text, err := base64.RawURLEncoding.DecodeString(kept)
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	age := p.accounts.now().Sub(f.Began)
	if err != nil || f.State == "" || f.Verifier == "" || f.Nonce == "" || age < 0 || age > FlowLasts ||
		subtle.ConstantTimeCompare([]byte(f.State), []byte(state)) != 1 {
		return flow{}, refused("This sign-in did not begin in this browser, or took longer than %.0f minutes. Begin again.", FlowLasts.Minutes())
	}
	return f, nil
}

// vouched changes the code for the provider's word, and checks that it is the
// provider's, for us, for this very sign-in, and not over.
func (p *OIDC) vouched(ctx context.Context, f flow, code string) (subject string, said claims, groups []string, err error) {
	provider, config, err := p.ask(ctx)
	if err != nil {
		return "", said, nil, err
	}
	asking := oidc.ClientContext(ctx, p.options.Client)
	token, err := config.Exchange(asking, code, oauth2.VerifierOption(f.Verifier))
	var answered *oauth2.RetrieveError
	switch {
	case errors.As(err, &answered) && answered.Response != nil && answered.Response.StatusCode/100 == 4:
		p.accounts.log.Warn("the sign-in provider refused a code", "issuer", p.options.Issuer, "status", answered.Response.StatusCode, "error", answered.ErrorCode)
		return "", said, nil, refused("%s does not accept the sign-in any more. Begin again; if it stays so, the client id or secret may be wrong.", p.Name())
	case err != nil:
		return "", said, nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	raw, _ := token.Extra("id_token").(string)
	word, err := provider.Verifier(&oidc.Config{ClientID: p.options.ClientID, Now: p.accounts.now}).Verify(asking, raw)
	if err != nil {
		p.accounts.log.Warn("a token of the sign-in provider does not hold", "issuer", p.options.Issuer, "err", err)
		return "", said, nil, refused("What %s says of you does not hold: its token is not for this server, not signed by it, or over.", p.Name())
	}
	if subtle.ConstantTimeCompare([]byte(word.Nonce), []byte(f.Nonce)) != 1 {
		return "", said, nil, refused("What %s says is of another sign-in. Begin again.", p.Name())
	}
	all := map[string]json.RawMessage{}
	if err := errors.Join(word.Claims(&said), word.Claims(&all)); err != nil {
		return "", said, nil, fmt.Errorf("%w: %w", ErrProvider, err)
	}
	if said.AuthorizedParty != "" && said.AuthorizedParty != p.options.ClientID {
		return "", said, nil, refused("What %s says of you is for another client.", p.Name())
	}
	return p.options.Issuer + " " + word.Subject, said, groupsIn(all[p.options.GroupsClaim]), nil
}

// groupsIn reads a claim that is a list of texts, or one text.
func groupsIn(claim json.RawMessage) []string {
	var several []string
	if json.Unmarshal(claim, &several) == nil {
		return several
	}
	var one string
	if json.Unmarshal(claim, &one) == nil && one != "" {
		return []string{one}
	}
	return nil
}

// admit decides whether somebody the provider vouched for may come in.
func (p *OIDC) admit(ctx context.Context, subject string, said claims, groups []string) (User, error) {
	if !said.EmailVerified {
		return User{}, refused("%s has not verified your e-mail address, and that is who you are here.", p.Name())
	}
	email, err := cleanEmail(said.Email)
	if err != nil {
		return User{}, refused("%s gives no e-mail address of yours. The scope email may be missing.", p.Name())
	}
	_, domain, _ := strings.Cut(email, "@")
	if len(p.options.Domains) > 0 && !slices.Contains(p.options.Domains, domain) {
		return User{}, refused("Addresses of %s may not sign in here.", domain)
	}
	grants, mapped := p.grants(groups), len(p.options.Roles) > 0
	if mapped && grants.Server == "" && len(grants.Projects) == 0 {
		return User{}, refused("None of your groups has a role here. Ask an admin.")
	}
	return p.accounts.vouchedUser(ctx, email, subject, grants, mapped, p.Name())
}

// grants are the roles of somebody's groups, the most of each place.
func (p *OIDC) grants(groups []string) Grants {
	var g Grants
	for _, rule := range p.options.Roles {
		if rule.Group != Everybody && !slices.Contains(groups, rule.Group) {
			continue
		}
		if rule.Project == "" {
			if rule.Role.rank() > g.Server.rank() {
				g.Server = rule.Role
			}
			continue
		}
		if g.Projects == nil {
			g.Projects = map[string]Role{}
		}
		if rule.Role.rank() > g.Projects[rule.Project].rank() {
			g.Projects[rule.Project] = rule.Role
		}
	}
	return g
}

// vouchedUser finds the user, or adds them when groups give roles. Of users
// that were added this way the roles follow the groups; those that an admin
// added keep theirs.
func (a *Accounts) vouchedUser(ctx context.Context, email, subject string, grants Grants, mapped bool, provider string) (User, error) {
	entry, _, err := load[userEntry](ctx, a, userKey(email))
	switch {
	case errors.Is(err, ErrUnknown) && !mapped:
		return User{}, refused("%s has no account here. Ask an admin for one.", email)
	case errors.Is(err, ErrUnknown):
		entry, err = a.newUser(ctx, email, "", grants)
		if err != nil {
			return User{}, err
		}
		entry.Subject, entry.FollowsGroups = subject, true
		if err := create(ctx, a, userKey(email), entry); err != nil {
			return User{}, err
		}
		a.Record(ctx, provider, "user.added", email, grants.String())
		return entry.shown(), nil
	case err != nil:
		return User{}, err
	}
	if entry.Subject == subject && (!entry.FollowsGroups || entry.Grants.String() == grants.String()) {
		return entry.shown(), nil
	}
	before, after, err := change(ctx, a, userKey(email), func(u *userEntry) error {
		if u.Subject != "" && u.Subject != subject {
			return refused("%s belongs to another person at %s. When it was given to you, an admin has to remove the old account first.", email, provider)
		}
		u.Subject = subject
		if u.FollowsGroups && mapped {
			u.Grants = grants
		}
		return nil
	})
	if err != nil {
		return User{}, err
	}
	if was, is := before.Grants.String(), after.Grants.String(); was != is {
		a.Record(ctx, provider, "user.changed", email, was+" -> "+is)
	}
	return after.shown(), nil
}
