package catalog

import (
	"context"
	"fmt"
)

// KeyRef names a credential that Causeway gives out.
type KeyRef struct {
	Kind string `json:"kind"` // "sdk", "destination" (its API key), "webhook" (its secret) or "listener"
	// Project and Environment are needed for "sdk" only: the other names are
	// unique per server.
	Project     string `json:"project,omitempty"`
	Environment string `json:"environment,omitempty"`
	Name        string `json:"name"` // of the SDK key, destination or listener; also its id
}

// Key describes a credential that Causeway gives out, without its value.
type Key struct {
	KeyRef
	Type string `json:"type,omitempty"` // of SDK keys: ServerSide or ClientSide
	// Hint tells keys apart: the first 8 digits of the key's SHA-256, which
	// whoever holds the key can compute and nobody can compute the key from.
	Hint string `json:"hint"`
}

// Keys lists the credentials that Causeway gives out, in configuration order.
func (c *Catalog) Keys() []Key {
	list := []Key{}
	for _, s := range c.Snapshot().document.slots() {
		if d, ok := s.secret.hashOf(); ok && s.kind.prefix() != "" {
			ref := KeyRef{Kind: string(s.kind), Project: s.project, Environment: s.environment, Name: s.name}
			list = append(list, Key{KeyRef: ref, Type: s.keyType, Hint: d.fingerprint()})
		}
	}
	return list
}

// RotateKey replaces a credential by a new one, which it returns this once. The
// old one stops working on this node now and on the others within moments. A
// file that gives the credential itself sets it back when it is applied.
//
// *UnknownKeyError: there is no such credential.
func (c *Catalog) RotateKey(ctx context.Context, what KeyRef, actor string) (GeneratedSecret, error) {
	var made GeneratedSecret
	_, err := c.change(ctx, actor, 0, func(current *Snapshot) (plan, error) {
		p := plan{document: current.Document()}
		for _, s := range p.document.slots() {
			if !s.is(what) {
				continue
			}
			made = GeneratedSecret{Path: s.path, Name: s.name, Value: generate(s.kind.prefix())}
			*s.secret = NewSecret(made.Value).hashed()
			p.change.Generated = []GeneratedSecret{made}
			p.change.Differences = difference(current.document, p.document)
			return p, nil
		}
		return plan{}, &UnknownKeyError{what}
	})
	if err != nil {
		return GeneratedSecret{}, err
	}
	return made, nil
}

// is reports whether the slot is the one that ref names.
func (s *slot) is(ref KeyRef) bool {
	if string(s.kind) != ref.Kind || s.kind.prefix() == "" {
		return false
	}
	if s.kind == sdkSlot {
		return s.project == ref.Project && s.environment == ref.Environment && s.name == ref.Name
	}
	return s.name == ref.Name || Slug(s.name) == ref.Name
}

// UnknownKeyError means that a KeyRef names no credential.
type UnknownKeyError struct{ Ref KeyRef }

// Error says which.
func (e *UnknownKeyError) Error() string {
	if e.Ref.Kind == string(sdkSlot) {
		return fmt.Sprintf("there is no SDK key %q in environment %q of project %q", e.Ref.Name, e.Ref.Environment, e.Ref.Project)
	}
	return fmt.Sprintf("there is no %s named %q", e.Ref.Kind, e.Ref.Name)
}
