// Package auth knows who may do what: users, their sessions and tokens, keys
// for scripts, and roles.
//
// Contract:
//   - Passwords are stored as argon2id, everything else that proves somebody
//     (sessions, tokens, keys, links) as SHA-256: it is long and random. What
//     is made is shown once and cannot be read from the store again.
//   - Everything is looked up in the store at each use, so that a removed user,
//     session or token is refused on every node at once.
//   - A link works once, also when two people use it in the same moment.
//   - Every change leaves an entry in the audit log, without secrets.
//   - When the store does not answer, nobody gets in: the error is no refusal
//     and says so.
package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"causeway/internal/peer"
)

// What callers branch on.
var (
	// ErrRefused means that what was presented proves nothing: it is wrong, has
	// run out, or was removed.
	ErrRefused = errors.New("not accepted")
	// ErrUnknown means that there is no such user, token or key.
	ErrUnknown = errors.New("not known")
	// ErrExists means that there is one of that name already.
	ErrExists = errors.New("exists already")
)

// InvalidError is what is wrong with something a person entered.
type InvalidError struct {
	Field string // email, password, role, project, name or expires
	Text  string // a sentence
}

func (e *InvalidError) Error() string { return e.Text }

// LimitedError means that there were too many attempts.
type LimitedError struct{ Wait time.Duration }

func (e *LimitedError) Error() string {
	return fmt.Sprintf("too many attempts; wait %s", max(e.Wait.Round(time.Second), time.Second))
}

// Options of an Accounts.
type Options struct {
	// KV is the bucket that holds the accounts and nothing else. Required.
	KV jetstream.KeyValue
	// Audit keeps an entry for each change, a JSON AuditEntry. Default: none kept.
	Audit func(ctx context.Context, entry []byte) error
	// Log is told of audit entries that could not be kept. Default: slog.Default().
	Log *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Accounts keeps users and what proves them. Its methods may be used from any
// number of goroutines.
type Accounts struct {
	kv    jetstream.KeyValue
	audit func(context.Context, []byte) error
	log   *slog.Logger
	now   func() time.Time

	hashing              chan struct{} // bounds the memory that passwords take
	byAddress, byAccount *peer.Limiter // sign-in attempts
	sharesSeen           *peer.Limiter

	mu    sync.Mutex
	swept time.Time
}

// Sign-in attempts: at once, and then at a rate. An address guesses for many
// accounts, an account is guessed from many addresses.
const (
	addressTries, accountTries = 20, 50
	addressRate, accountRate   = rate.Limit(1.0 / 3), rate.Limit(1.0 / 2)
	limitersKept               = 4096
)

// New checks the options. It does not read the store.
func New(o Options) (*Accounts, error) {
	if o.KV == nil {
		return nil, errors.New("auth: KV is required")
	}
	a := &Accounts{
		kv: o.KV, audit: o.Audit, log: o.Log, now: o.Now,
		hashing:    make(chan struct{}, 2),
		byAddress:  peer.NewLimiter(addressRate, addressTries, limitersKept),
		sharesSeen: peer.NewLimiter(shareRate, shareLooks, limitersKept),
		byAccount:  peer.NewLimiter(accountRate, accountTries, limitersKept),
	}
	if a.audit == nil {
		a.audit = func(context.Context, []byte) error { return nil }
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a, nil
}

// AuditEntry is what the audit log keeps of a change, as JSON.
type AuditEntry struct {
	Time    time.Time `json:"time"` // UTC
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`           // user.added, user.changed, session.started ...
	Subject string    `json:"subject"`          // whom or what it was done to
	Detail  string    `json:"detail,omitempty"` // for example the roles before and after
}

// LettersReplayed is the action of a replay of dead letters; its subject is the
// source, empty for all of them.
const LettersReplayed = "dead_letters.replayed"

// TestSent is the action of a test that somebody sent; its subject is the
// source or destination.
const TestSent = "test.sent"

// MadeInSegment is the action of something that was made in a Segment
// workspace; its subject says what.
const MadeInSegment = "segment.made"

// Record appends an entry to the audit log, for changes of other rooms too. The
// change has happened by then, so a failure is not the caller's: the entry goes
// to the log instead.
func (a *Accounts) Record(ctx context.Context, actor, action, subject, detail string) {
	entry := AuditEntry{Time: a.now().UTC(), Actor: actor, Action: action, Subject: subject, Detail: detail}
	text, err := json.Marshal(entry)
	if err == nil {
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = a.audit(asking, text)
	}
	if err != nil {
		a.log.Error("an audit entry could not be kept and stands here instead", "err", err, "entry", string(text))
	}
}

// hashed is what is stored instead of a long random text.
func hashed(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// load reads one entry. ErrUnknown: there is none.
func load[T any](ctx context.Context, a *Accounts, key string) (value T, revision uint64, err error) {
	entry, err := a.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return value, 0, ErrUnknown
	}
	if err == nil {
		err = json.Unmarshal(entry.Value(), &value)
	}
	if err != nil {
		return value, 0, fmt.Errorf("read the accounts: %w", err)
	}
	return value, entry.Revision(), nil
}

// create writes an entry that must not be there. ErrExists: it is.
func create(ctx context.Context, a *Accounts, key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	_, err = a.kv.Create(ctx, key, text)
	if errors.Is(err, jetstream.ErrKeyExists) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}

// changeTries is how often a change is tried against other people's changes.
const changeTries = 10

// change reads an entry, has it changed, and writes it if nobody else did.
func change[T any](ctx context.Context, a *Accounts, key string, edit func(*T) error) (before, after T, err error) {
	for range changeTries {
		value, revision, err := load[T](ctx, a, key)
		if err != nil {
			return before, after, err
		}
		before = value
		if err := edit(&value); err != nil {
			return before, after, err
		}
		text, err := json.Marshal(value)
		if err != nil {
			return before, after, err
		}
		_, err = a.kv.Update(ctx, key, text, revision)
		if err == nil {
			return before, value, nil
		}
		if !wrongRevision(err) {
			return before, after, fmt.Errorf("write the accounts: %w", err)
		}
	}
	return before, after, errors.New("write the accounts: somebody else changed the same entry each time")
}

func wrongRevision(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence
}

// list reads every entry under a prefix.
func list[T any](ctx context.Context, a *Accounts, prefix string) (map[string]T, error) {
	keys, err := a.kv.ListKeysFiltered(ctx, prefix+"*")
	if err != nil {
		return nil, fmt.Errorf("list the accounts: %w", err)
	}
	found := map[string]T{}
	for key := range keys.Keys() {
		value, _, err := load[T](ctx, a, key)
		if errors.Is(err, ErrUnknown) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		found[key] = value
	}
	return found, nil
}

func (a *Accounts) remove(ctx context.Context, key string) error {
	if err := a.kv.Purge(ctx, key); err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}

// sweepEvery is how often what has run out is removed from the store.
const sweepEvery = time.Hour

// sweep removes what has run out, at most once in a while. It is refused
// without this too; a failure waits for the next time.
func (a *Accounts) sweep(ctx context.Context) {
	now := a.now()
	a.mu.Lock()
	due := now.Sub(a.swept) >= sweepEvery
	if due {
		a.swept = now
	}
	a.mu.Unlock()
	if !due {
		return
	}
	sessions, err := list[session](ctx, a, sessionPrefix)
	for key, s := range sessions {
		if err == nil && s.over(now) {
			err = a.remove(ctx, key)
		}
	}
	links, listed := list[link](ctx, a, linkPrefix)
	err = errors.Join(err, listed)
	for key, l := range links {
		if err == nil && now.After(l.Expires) {
			err = a.remove(ctx, key)
		}
	}
	if err == nil {
		err = a.kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(sweepEvery))
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("what has run out of the accounts could not be removed", "err", err)
	}
}

// cleanEmail checks an address and brings it into the one form it is kept in.
func cleanEmail(text string) (string, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text || len(text) > 254 {
		return "", &InvalidError{"email", "Give an e-mail address, for example ada@example.com. It is only a name to sign in with; nothing is sent to it."}
	}
	return text, nil
}
