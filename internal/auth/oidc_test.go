package auth_test

import (
	"testing"

	"causeway/internal/auth"
)

func TestRolesOfGroupsAreRead(t *testing.T) {
	for text, want := range map[string]auth.OIDCRole{
		"admins=admin":           {Group: "admins", Role: auth.Admin},
		"cn=a,dc=b=editor@shop":  {Group: "cn=a,dc=b", Role: auth.Editor, Project: "shop"},
		"*=viewer":               {Group: auth.Everybody, Role: auth.Viewer},
		"team=analyst@my projec": {Group: "team", Role: auth.Analyst, Project: "my projec"},
	} {
		if got, err := auth.ParseOIDCRole(text); err != nil || got != want {
			t.Errorf("%q: %+v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "=admin", "admins", "admins=", "admins=root", "admins=admin@"} {
		if got, err := auth.ParseOIDCRole(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

func TestAProviderThatWouldNotBeSafeIsRefused(t *testing.T) {
	good := auth.OIDCOptions{Issuer: "https://id.example.com", ClientID: "x", RedirectURL: "https://causeway.example.com/signin/oidc/return"}
	if _, err := auth.NewOIDC(nil, good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*auth.OIDCOptions){
		"an issuer in the clear":     func(o *auth.OIDCOptions) { o.Issuer = "http://id.example.com" },
		"no issuer":                  func(o *auth.OIDCOptions) { o.Issuer = "id.example.com" },
		"back in the clear":          func(o *auth.OIDCOptions) { o.RedirectURL = "http://causeway.example.com/x" },
		"back with a query":          func(o *auth.OIDCOptions) { o.RedirectURL += "?x=1" },
		"no way back":                func(o *auth.OIDCOptions) { o.RedirectURL = "/signin/oidc/return" },
		"no client id":               func(o *auth.OIDCOptions) { o.ClientID = "" },
		"everybody of the world":     func(o *auth.OIDCOptions) { o.Roles = []auth.OIDCRole{{Group: "*", Role: auth.Viewer}} },
		"a loopback name that isn't": func(o *auth.OIDCOptions) { o.Issuer = "http://localhost.evil.example" },
	} {
		o := good
		change(&o)
		if _, err := auth.NewOIDC(nil, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
