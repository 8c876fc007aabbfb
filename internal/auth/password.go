package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Cost of a password: OWASP's first choice for argon2id, about 40 ms. A stored
// password carries the cost it was made with, so these may rise.
const (
	argonMemory  = 46 * 1024 // KiB
	argonTime    = 1
	argonThreads = 1
	argonKey     = 32
	argonSalt    = 16
)

// Bounds of a password, in characters and bytes.
const (
	minPassword = 10
	maxPassword = 1024
)

func checkPassword(password, email string) error {
	name, _, _ := strings.Cut(email, "@")
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return &InvalidError{"password", fmt.Sprintf("A password has at least %d characters. A few words in a row are easy to remember and hard to guess.", minPassword)}
	case len(password) > maxPassword:
		return &InvalidError{"password", fmt.Sprintf("A password has at most %d bytes.", maxPassword)}
	case strings.EqualFold(password, email), strings.EqualFold(password, strings.Repeat(name, 2)), strings.Count(password, password[:1]) == len(password):
		return &InvalidError{"password", "This password is too easy to guess."}
	}
	return nil
}

// hashPassword makes the stored form, in the PHC string format.
func (a *Accounts) hashPassword(ctx context.Context, password string) (string, error) {
	salt := make([]byte, argonSalt)
	_, _ = rand.Read(salt) // never fails
	if err := a.takeHashing(ctx); err != nil {
		return "", err
	}
	defer a.giveHashing()
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, encode(salt), encode(key)), nil
}

// matches compares a password with a stored form. An empty form never matches
// but takes as long, so that who asks cannot tell which users there are.
func (a *Accounts) matches(ctx context.Context, password, stored string) (bool, error) {
	var version int
	memory, passes, threads := uint32(argonMemory), uint32(argonTime), uint8(argonThreads)
	salt, want := make([]byte, argonSalt), make([]byte, argonKey)
	known := stored != ""
	if known {
		parts := strings.Split(stored, "$")
		if len(parts) != 6 || parts[1] != "argon2id" {
			return false, fmt.Errorf("a stored password has an unknown form")
		}
		_, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads)
		if err == nil {
			salt, err = base64.RawStdEncoding.DecodeString(parts[4])
		}
		if err == nil {
			want, err = base64.RawStdEncoding.DecodeString(parts[5])
		}
		if err != nil || len(want) == 0 || passes == 0 || threads == 0 {
			return false, fmt.Errorf("a stored password is damaged: %w", err)
		}
	}
	if err := a.takeHashing(ctx); err != nil {
		return false, err
	}
	defer a.giveHashing()
	got := argon2.IDKey([]byte(password), salt, passes, memory, threads, uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// takeHashing waits for one of the places; each takes argonMemory.
func (a *Accounts) takeHashing(ctx context.Context) error {
	select {
	case a.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *Accounts) giveHashing() { <-a.hashing }
