package main

import (
	"strings"

	"causeway/internal/auth"
)

// oidcFlags are about signing in to the console through an OpenID Connect
// provider.
type oidcFlags struct {
	ConsoleURL string `help:"Address at which browsers reach the console, for example https://causeway.example.com; needed for --oidc-issuer." env:"CAUSEWAY_CONSOLE_URL" placeholder:"URL"`

	OIDCIssuer           string   `name:"oidc-issuer" help:"OpenID Connect provider that people may sign in with." env:"CAUSEWAY_OIDC_ISSUER" placeholder:"URL"`
	OIDCClientID         string   `name:"oidc-client-id" help:"Client id that the provider gave this server." env:"CAUSEWAY_OIDC_CLIENT_ID" placeholder:"ID"`
	OIDCClientSecret     string   `name:"oidc-client-secret" help:"Client secret; none for a public client." env:"CAUSEWAY_OIDC_CLIENT_SECRET" placeholder:"SECRET"`
	OIDCClientSecretFile string   `name:"oidc-client-secret-file" help:"File that holds the client secret." type:"path" env:"CAUSEWAY_OIDC_CLIENT_SECRET_FILE" placeholder:"FILE"`
	OIDCDomain           []string `name:"oidc-domain" help:"Domain that e-mail addresses must be of; may be given several times. Without, any." env:"CAUSEWAY_OIDC_DOMAIN" placeholder:"DOMAIN"`
	OIDCRole             []string `name:"oidc-role" help:"GROUP=ROLE or GROUP=ROLE@PROJECT: the role of a group at the provider; * is everybody. May be given several times. Without, only who an admin added may sign in." env:"CAUSEWAY_OIDC_ROLE" placeholder:"GROUP=ROLE"`
	OIDCGroupsClaim      string   `name:"oidc-groups-claim" help:"Claim of the provider's token that lists groups." default:"groups" env:"CAUSEWAY_OIDC_GROUPS_CLAIM" placeholder:"CLAIM"`
	OIDCScope            []string `name:"oidc-scope" help:"Scopes to ask for." default:"openid,email,profile" env:"CAUSEWAY_OIDC_SCOPE" placeholder:"SCOPE"`
	OIDCName             string   `name:"oidc-name" help:"What the button on the sign-in page calls the provider. Default: its host." env:"CAUSEWAY_OIDC_NAME" placeholder:"NAME"`
}

// options are nil when no provider is configured.
func (f *oidcFlags) options() (*auth.OIDCOptions, error) {
	secret, err := secretFrom(f.OIDCClientSecret, f.OIDCClientSecretFile, "oidc-client-secret")
	if err != nil {
		return nil, err
	}
	if f.OIDCIssuer == "" {
		if f.OIDCClientID != "" || secret != "" || len(f.OIDCRole) > 0 || len(f.OIDCDomain) > 0 {
			return nil, usageError("--oidc-issuer is missing; the other --oidc flags do nothing without it")
		}
		return nil, nil
	}
	if f.ConsoleURL == "" {
		return nil, usageError("--oidc-issuer needs --console-url, the address that the provider sends browsers back to")
	}
	o := &auth.OIDCOptions{
		Issuer: f.OIDCIssuer, ClientID: f.OIDCClientID, ClientSecret: secret, Scopes: f.OIDCScope,
		GroupsClaim: f.OIDCGroupsClaim, Domains: f.OIDCDomain, Name: f.OIDCName,
	}
	for _, text := range f.OIDCRole {
		role, err := auth.ParseOIDCRole(strings.TrimSpace(text))
		if err != nil {
			return nil, usageError("--oidc-role: " + err.Error())
		}
		o.Roles = append(o.Roles, role)
	}
	return o, nil
}
