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
	// Previous is the hint of the credential of before, while a rotation is
	// under way.
	Previous string `json:"previous,omitempty"`
}

// Keys lists the credentials that Causeway gives out, in configuration order.
func (c *Catalog) Keys() []Key {
	list := []Key{}
	for _, s := range c.Snapshot().document.slots() {
		d, ok := s.secret.hashOf()
		switch {
		case ok && s.kind.isPrevious():
			list[len(list)-1].Previous = d.fingerprint() // stands right behind its own
		case ok && s.kind.prefix() != "":
			ref := KeyRef{Kind: string(s.kind), Project: s.project, Environment: s.environment, Name: s.name}
			list = append(list, Key{KeyRef: ref, Type: s.keyType, Hint: d.fingerprint()})
		}
	}
	return list
}

// RotateKey replaces a credential by a new one, which it returns this once.
// With overlap the old one stays good beside it until EndRotation; without, it
// stops working on this node now and on the others within moments. SDK keys
// have no overlap: an environment takes any number of them.
//
// *UnknownKeyError: there is no such credential. *FileError: it stands in the
// file that the configuration comes from.
func (c *Catalog) RotateKey(ctx context.Context, what KeyRef, overlap bool, actor string) (GeneratedSecret, error) {
	var made GeneratedSecret
	err := c.changeKey(ctx, what, actor, func(now, previous *slot, p *plan) {
		if previous != nil {
			*previous.secret = Secret{}
			if overlap {
				*previous.secret = *now.secret
			}
		}
		made = GeneratedSecret{Path: now.path, Name: now.name, Value: generate(now.kind.prefix())}
		*now.secret = NewSecret(made.Value).hashed()
		p.change.Generated = []GeneratedSecret{made}
	})
	if err != nil {
		return GeneratedSecret{}, err
	}
	return made, nil
}

// EndRotation takes the credential of before away. Errors are those of
// RotateKey; when there is none, nothing changes.
func (c *Catalog) EndRotation(ctx context.Context, what KeyRef, actor string) error {
	return c.changeKey(ctx, what, actor, func(_, previous *slot, _ *plan) {
		if previous != nil {
			*previous.secret = Secret{}
		}
	})
}

// changeKey changes one credential; previous is nil for kinds without overlap.
func (c *Catalog) changeKey(ctx context.Context, what KeyRef, actor string, edit func(now, previous *slot, p *plan)) error {
	_, err := c.change(ctx, actor, 0, func(current *Snapshot) (plan, error) {
		p := plan{document: current.Document()}
		slots := p.document.slots()
		for i := range slots {
			now := &slots[i]
			if !now.is(what) {
				continue
			}
			if err := c.rotatable(now.owner); err != nil {
				return plan{}, err
			}
			var previous *slot
			if now.kind.previous() != "" {
				previous = &slots[i+1] // stands right behind it
			}
			edit(now, previous, &p)
			p.change.Differences = difference(current.document, p.document)
			return p, nil
		}
		return plan{}, &UnknownKeyError{what}
	})
	return err
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
