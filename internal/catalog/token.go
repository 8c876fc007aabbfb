package catalog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// adminToken is the hash of the admin token in use.
type adminToken struct {
	revision uint64 // 0: there is none
	digest   digest
}

// adminTokenPrefix makes a generated admin token recognisable.
const adminTokenPrefix = "cw_admin_"

// minAdminToken is the length of the shortest admin token that is accepted.
const minAdminToken = 8

// HasAdminToken reports whether an admin token was ever set.
func (c *Catalog) HasAdminToken() bool { return c.token.Load().revision > 0 }

// VerifyAdminToken reports, in constant time, whether token is the admin
// token. Without one, nothing is.
func (c *Catalog) VerifyAdminToken(token string) bool {
	stored := c.token.Load()
	return stored.digest.matches(token) && stored.revision > 0
}

// SetAdminToken makes token the admin token on every node, instead of the one
// before. Setting the present one again writes nothing.
func (c *Catalog) SetAdminToken(ctx context.Context, token string) error {
	if len(token) < minAdminToken || strings.ContainsFunc(token, notInAToken) {
		return fmt.Errorf("an admin token must be at least %d characters without blanks, in ASCII; leave it out to have one made", minAdminToken)
	}
	if c.VerifyAdminToken(token) {
		return nil
	}
	value := []byte(digestOf(token).text())
	revision, err := c.kv.Put(ctx, adminTokenKey, value)
	if err != nil {
		return fmt.Errorf("store the admin token: %w", err)
	}
	return c.installToken(value, revision)
}

// CreateAdminToken makes an admin token when there is none and returns it. It
// returns the empty text when there is one, also when another node made it in
// the same moment.
func (c *Catalog) CreateAdminToken(ctx context.Context) (string, error) {
	if c.HasAdminToken() {
		return "", nil
	}
	token := GenerateToken()
	value := []byte(digestOf(token).text())
	revision, err := c.kv.Create(ctx, adminTokenKey, value)
	switch {
	case errors.Is(err, jetstream.ErrKeyExists):
		return "", c.refresh(ctx)
	case err != nil:
		return "", fmt.Errorf("store the admin token: %w", err)
	}
	return token, c.installToken(value, revision)
}

func (c *Catalog) installToken(value []byte, revision uint64) error {
	d, err := hex.DecodeString(strings.TrimPrefix(string(value), hashPrefix))
	if err != nil || len(d) != len(digest{}) {
		return errors.New("the stored admin token is damaged; set it again with --admin-token")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if revision > c.token.Load().revision {
		c.token.Store(&adminToken{revision: revision, digest: digest(d)})
	}
	return nil
}

// GenerateToken makes an admin token. It is in use once SetAdminToken was given it.
func GenerateToken() string { return generate(adminTokenPrefix) }

// GenerateCredential makes a credential of another kind, for rooms that keep
// their own: 256 random bits behind a prefix that says what it is.
func GenerateCredential(prefix string) string { return generate(prefix) }

// generate makes a credential: the prefix, 32 random bytes and a checksum, in
// letters and digits. The prefix and checksum let a scanner tell a leaked
// credential from noise without asking the server.
func generate(prefix string) string {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails: the runtime stops instead
	body := prefix + base62(new(big.Int).SetBytes(random[:]), 43)
	return body + tokenChecksum(body)
}

const checksumLength = 6

func tokenChecksum(body string) string {
	return base62(big.NewInt(int64(crc32.ChecksumIEEE([]byte(body)))), checksumLength)
}

// base62 writes n with digits, upper-case and lower-case letters, padded to a width.
func base62(n *big.Int, width int) string {
	text := n.Text(62)
	return strings.Repeat("0", max(width-len(text), 0)) + text
}

// notInAToken is a character that does not survive an HTTP header or a shell.
func notInAToken(r rune) bool { return r <= ' ' || r == 0x7f || r > 0x7e }
