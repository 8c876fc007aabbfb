package catalog

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// sealer encrypts the secrets that Causeway needs in plain again, with
// AES-256-GCM under the master key. Each sealed text is bound to the object it
// belongs to, so one cannot be moved to another object, whose endpoint might
// be somebody else's.
type sealer struct {
	aead  cipher.AEAD
	keyID string // tells which master key sealed a text, without telling the key
}

const sealedVersion = "v1"

var errOtherMasterKey = errors.New("it was sealed with another master key")

func newSealer(masterKey [32]byte) (*sealer, error) {
	block, err := aes.NewCipher(masterKey[:])
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	id := sha256.Sum256(append([]byte("causeway master key id\x00"), masterKey[:]...))
	return &sealer{aead: aead, keyID: hex.EncodeToString(id[:4])}, nil
}

// seal encrypts plain for the object named by owner.
func (s *sealer) seal(plain, owner string) Secret {
	nonce := make([]byte, s.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails: the runtime stops instead
	sealed := s.aead.Seal(nonce, nonce, []byte(plain), []byte(owner))
	text := sealedPrefix + sealedVersion + ":" + s.keyID + ":" + base64.RawURLEncoding.EncodeToString(sealed)
	return newSecret(sealedSecret, text)
}

// open decrypts a sealed secret of the object named by owner.
func (s *sealer) open(secret Secret, owner string) (Secret, error) {
	if !secret.is(sealedSecret) {
		return Secret{}, errors.New("it is not a sealed text")
	}
	parts := strings.Split(strings.TrimPrefix(secret.v.text(), sealedPrefix), ":")
	if len(parts) != 3 || parts[0] != sealedVersion {
		return Secret{}, errors.New("it is not a sealed text of this version")
	}
	if parts[1] != s.keyID {
		return Secret{}, errOtherMasterKey
	}
	sealed, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(sealed) < s.aead.NonceSize() {
		return Secret{}, errors.New("it was cut or changed")
	}
	nonce, sealed := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():]
	plain, err := s.aead.Open(nil, nonce, sealed, []byte(owner))
	if err != nil {
		return Secret{}, errors.New("it was changed, or it belongs to another object")
	}
	return newSecret(plainSecret, string(plain)), nil
}
