package catalog

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
)

// Secret is a credential in a document, in one of four forms:
//
//   - none: left out of the file;
//   - plain: as a person wrote it, before it is applied;
//   - hashed: "hash:sha256:<hex>", for what others present to Causeway;
//   - sealed: "sealed:v1:<key id>:<...>", for what Causeway must send on or
//     compute with, encrypted with the master key.
//
// It never gives its plain text to fmt, slog, JSON or YAML: a plain secret
// prints and marshals as "[secret]", a hashed or sealed one marshals as its
// opaque text. Reveal is the one way to the plain text. The zero Secret is none.
type Secret struct {
	v *secretValue // nil: none
}

type secretValue struct {
	form secretForm
	// text gives the plain text, or the opaque text with its prefix. It is a
	// function because fmt prints unexported fields of an outer struct without
	// asking their methods, and follows pointers to complain about a verb; of
	// a function it knows only the address.
	text func() string
}

func newSecret(form secretForm, text string) Secret {
	return Secret{&secretValue{form, func() string { return text }}}
}

type secretForm uint8

const (
	plainSecret secretForm = iota + 1
	hashedSecret
	sealedSecret
	unreadableSecret // the file has one, but what is wrong with it was reported
)

const (
	masked       = "[secret]"
	hashPrefix   = "hash:sha256:"
	sealedPrefix = "sealed:"
)

// NewSecret is the secret that a file gives as text: an opaque text in its
// form, anything else as plain text, none for the empty text.
func NewSecret(text string) Secret {
	form := plainSecret
	switch {
	case text == "":
		return Secret{}
	case isHash(text):
		form = hashedSecret
	case strings.HasPrefix(text, sealedPrefix):
		form = sealedSecret
	}
	return newSecret(form, text)
}

func unreadable() Secret { return newSecret(unreadableSecret, masked) }

func isHash(text string) bool {
	digest, ok := strings.CutPrefix(text, hashPrefix)
	if !ok || len(digest) != 2*sha256.Size || strings.ToLower(digest) != digest {
		return false
	}
	_, err := hex.DecodeString(digest)
	return err == nil
}

// IsZero reports whether there is no secret: the file leaves it out.
func (s Secret) IsZero() bool { return s.v == nil }

// Reveal is the plain text, and empty for a hashed or sealed secret. Whoever
// calls it takes care of where the text goes.
func (s Secret) Reveal() string {
	if s.is(plainSecret) {
		return s.v.text()
	}
	return ""
}

func (s Secret) is(form secretForm) bool { return s.v != nil && s.v.form == form }

// opaque is the text that may be shown and stored.
func (s Secret) opaque() string {
	switch {
	case s.v == nil:
		return ""
	case s.v.form == plainSecret:
		return masked
	}
	return s.v.text()
}

// Equal reports whether both are the same secret in the same form. A sealed
// secret equals only itself: sealing the same text again gives another one.
func (s Secret) Equal(other Secret) bool {
	if s.v == nil || other.v == nil {
		return s.v == other.v
	}
	return s.v.form == other.v.form && subtle.ConstantTimeCompare([]byte(s.v.text()), []byte(other.v.text())) == 1
}

// String is "[secret]", or empty when there is none.
func (s Secret) String() string {
	if s.v == nil {
		return ""
	}
	return masked
}

// Format prints as String does, for every verb: %d and %x do not get around it.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = state.Write([]byte(s.String())) }

// LogValue is what slog writes.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes the opaque text, and "[secret]" for a plain secret.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.opaque()) }

// MarshalText does as MarshalJSON, for encodings that prefer text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.opaque()), nil }

// MarshalYAML does as MarshalJSON.
func (s Secret) MarshalYAML() (any, error) { return s.opaque(), nil }

// digest is the SHA-256 of a credential: what is stored and looked up instead
// of it. Credentials are long and random, so one round without salt is enough.
type digest [sha256.Size]byte

func digestOf(presented string) digest { return sha256.Sum256([]byte(presented)) }

// hashOf is the digest of a plain or hashed secret.
func (s Secret) hashOf() (digest, bool) {
	switch {
	case s.is(plainSecret):
		return digestOf(s.v.text()), true
	case s.is(hashedSecret):
		var d digest
		_, err := hex.Decode(d[:], []byte(strings.TrimPrefix(s.v.text(), hashPrefix)))
		return d, err == nil
	}
	return digest{}, false
}

// hashed is the secret in its hashed form.
func (s Secret) hashed() Secret {
	if d, ok := s.hashOf(); ok && s.is(plainSecret) {
		return newSecret(hashedSecret, d.text())
	}
	return s
}

// text is the digest as it is stored.
func (d digest) text() string { return hashPrefix + hex.EncodeToString(d[:]) }

// fingerprint is enough of a digest to tell two keys apart and to compare one
// with a copy at hand, and too little to find the key from.
func (d digest) fingerprint() string { return "sha256:" + hex.EncodeToString(d[:4]) }

// matches compares in constant time.
func (d digest) matches(presented string) bool {
	other := digestOf(presented)
	return subtle.ConstantTimeCompare(d[:], other[:]) == 1
}
