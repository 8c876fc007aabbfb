package ingest

import (
	"encoding/base64"
	"net/http"
	"strings"

	"causeway/internal/catalog"
	"causeway/internal/reason"
)

// credential is what a request presents, and the form it came in.
type credential struct{ scheme, value string }

// credentials lists what an Authorization header may mean, likeliest first
// (R32): the user name of Basic, with or without its colon; the token of
// Bearer; the header itself, as Segment's webhooks send their secret.
func credentials(authorization string) []credential {
	var list []credential
	add := func(scheme, value string) {
		if value != "" {
			list = append(list, credential{scheme, value})
		}
	}
	authorization = strings.TrimSpace(authorization)
	scheme, rest, _ := strings.Cut(authorization, " ")
	switch rest = strings.TrimSpace(rest); strings.ToLower(scheme) {
	case "basic":
		if pair, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(rest, "=")); err == nil {
			whole := strings.TrimSuffix(string(pair), ":")
			add("basic", whole)
			if user, _, found := strings.Cut(whole, ":"); found {
				add("basic", user)
			}
		}
	case "bearer":
		add("bearer", rest)
	}
	add("raw", authorization)
	return list
}

// writeKey finds the destination whose API key a tracking request presents.
// Where several places hold a key, the first of these counts, known or not:
// Basic, body, query (RudderStack's beacon), X-Write-Key (Jitsu).
type writeKey struct {
	destination *catalog.Destination
	scheme      string
	presented   bool // a key was there, known or not
}

// inHeader looks at Basic only: a Bearer token is OAuth's, and the key is then
// in the body.
func (k *writeKey) inHeader(snapshot *catalog.Snapshot, r *http.Request) {
	for _, credential := range credentials(r.Header.Get("Authorization")) {
		if credential.scheme == "basic" {
			k.try(snapshot, credential)
		}
	}
}

// elsewhere looks at the other places, given the key that stood in the body.
func (k *writeKey) elsewhere(snapshot *catalog.Snapshot, r *http.Request, inBody string) {
	switch {
	case k.presented:
	case inBody != "":
		k.try(snapshot, credential{"body", inBody})
	case r.URL.Query().Get("writeKey") != "":
		k.try(snapshot, credential{"query", r.URL.Query().Get("writeKey")})
	case r.Header.Get("X-Write-Key") != "":
		k.try(snapshot, credential{"header", r.Header.Get("X-Write-Key")})
	}
}

func (k *writeKey) try(snapshot *catalog.Snapshot, c credential) {
	k.presented = true
	if k.destination != nil {
		return
	}
	if destination, ok := snapshot.DestinationByKey(c.value); ok {
		k.destination, k.scheme = destination, c.scheme
	}
}

// unauthorized is the refusal of a request without, or with an unknown, key.
func unauthorized(presented bool, what string) error {
	if !presented {
		return &refusal{status: http.StatusUnauthorized, code: reason.CredentialsMissing, message: "the request carries no " + what}
	}
	return &refusal{status: http.StatusUnauthorized, code: reason.CredentialsUnknown, message: "the " + what + " is not known"}
}

// secret checks the header against a check of the catalog. It returns the
// scheme that matched.
func (c *exchange) secret(check func(string) bool) (scheme string, err error) {
	list := credentials(c.r.Header.Get("Authorization"))
	for _, credential := range list {
		if check(credential.value) {
			return credential.scheme, nil
		}
	}
	return "", unauthorized(len(list) > 0, "secret")
}
