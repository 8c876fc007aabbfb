package catalog

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestASecretNeverShowsItsPlainText(t *testing.T) {
	const plain = "hunter2"
	s := NewSecret(plain)
	type inner struct{ hidden Secret }
	outer := struct {
		Secret Secret
		Point  *Secret
		List   []Secret
		inner
		Source   *Source
		document *Document
	}{s, &s, []Secret{s}, inner{s}, &Source{WriteKey: s}, &Document{Projects: []ProjectSpec{{Environments: []EnvironmentSpec{{SDKKeys: []SDKKeySpec{{Key: s}}}}}}}}
	var shown strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&shown, verb+verb+verb, s, outer, &outer)
	}
	fmt.Fprint(&shown, outer.document, outer.hidden, s.String(), outer.document.Projects)
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal, xml.Marshal} {
		for _, v := range []any{s, &s, outer.List, outer.document.Projects[0].Environments[0].SDKKeys[0]} {
			text, err := marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			shown.Write(text)
		}
	}
	for _, handler := range []slog.Handler{slog.NewTextHandler(&shown, nil), slog.NewJSONHandler(&shown, nil)} {
		slog.New(handler).Info("x", "secret", s, "pointer", &s, "outer", outer, "generated", GeneratedSecret{Path: "p", Value: plain})
	}
	text := shown.String()
	for _, form := range []string{plain, hex.EncodeToString([]byte(plain)), strings.ToUpper(hex.EncodeToString([]byte(plain))), base64.StdEncoding.EncodeToString([]byte(plain)), fmt.Sprint([]byte(plain))} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows in:\n%s", form, text)
		}
	}
	if s.Reveal() != plain || NewSecret("").String() != "" {
		t.Error("Reveal or the zero secret")
	}
}

func TestOpaqueTextsAreRecognised(t *testing.T) {
	hashed := NewSecret("abc").hashed()
	if got := hashed.opaque(); got != "hash:sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("hash: %s", got)
	}
	if again := NewSecret(hashed.opaque()); !again.Equal(hashed) || again.Reveal() != "" || !again.hashed().Equal(hashed) {
		t.Error("a hashed secret is not read back")
	}
	if d, ok := hashed.hashOf(); !ok || !d.matches("abc") || d.matches("abd") {
		t.Error("a hash does not match its secret")
	}
	for _, text := range []string{"hash:sha256:12", "HASH:sha256:" + strings.Repeat("0", 64), "hash:sha256:" + strings.Repeat("X", 64)} {
		if !NewSecret(text).is(plainSecret) {
			t.Errorf("%s is taken for a hash", text)
		}
	}
}

func TestSealingHidesBindsAndDetectsChanges(t *testing.T) {
	sealer, err := newSealer(testMasterKey)
	if err != nil {
		t.Fatal(err)
	}
	one, two := sealer.seal("hunter2", "sources[a].writeKey"), sealer.seal("hunter2", "sources[a].writeKey")
	if one.Equal(two) || strings.Contains(one.opaque(), "hunter2") {
		t.Error("sealing the same twice gives the same text, or shows it")
	}
	if plain, err := sealer.open(NewSecret(one.opaque()), "sources[a].writeKey"); err != nil || plain.Reveal() != "hunter2" {
		t.Errorf("opened: %q %v", plain.Reveal(), err)
	}
	text := one.opaque()
	for _, changed := range []string{text[:len(text)-4], text[:30] + "AAAA" + text[34:], "sealed:v2" + text[9:], "sealed:", "sealed:v1:" + sealer.keyID + ":!", "plain", ""} {
		if plain, err := sealer.open(NewSecret(changed), "sources[a].writeKey"); err == nil {
			t.Errorf("%s opened to %q", changed, plain.Reveal())
		}
	}
	if _, err := sealer.open(one, "sources[b].writeKey"); err == nil {
		t.Error("it opened for another object")
	}
}

func TestTheMasterKeyIsMadeOnceAndReadBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var wg sync.WaitGroup
	keys, made := make([][32]byte, 8), make([]bool, 8)
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], made[i], err = LoadMasterKey(dir, ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	creators := 0
	for i, key := range keys {
		if key != keys[0] || key == [32]byte{} {
			t.Error("two starts got two keys")
		}
		if made[i] {
			creators++
		}
	}
	if creators != 1 {
		t.Errorf("%d starts made the key", creators)
	}
	info, err := os.Stat(filepath.Join(dir, "master.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestAMasterKeyThatOthersCanReadOrThatIsDamagedIsRefused(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := LoadMasterKey(dir, ""); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "master.key")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadMasterKey(dir, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by the group: %v", err)
	}
	for _, content := range []string{"", "abc\n", strings.Repeat("zz", 32)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadMasterKey(dir, ""); err == nil || !strings.Contains(err.Error(), "32 bytes") || content != "" && strings.Contains(err.Error(), strings.TrimSpace(content)) {
			t.Errorf("content %q: %v", content, err)
		}
	}
}

func TestTheMasterKeyOfTheEnvironmentIsHexOrBase64(t *testing.T) {
	want := [32]byte(bytes.Repeat([]byte{0xfb, 0xef}, 16))
	for _, text := range []string{
		hex.EncodeToString(want[:]), strings.ToUpper(hex.EncodeToString(want[:])), " " + hex.EncodeToString(want[:]) + "\n",
		base64.StdEncoding.EncodeToString(want[:]), base64.RawStdEncoding.EncodeToString(want[:]),
		base64.URLEncoding.EncodeToString(want[:]), base64.RawURLEncoding.EncodeToString(want[:]),
	} {
		key, made, err := LoadMasterKey("/nowhere", text)
		if err != nil || key != want || made {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, _, err := LoadMasterKey("/nowhere", "password"); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("got %v", err)
	}
}

func TestGeneratedCredentialsDifferAndCheckThemselves(t *testing.T) {
	seen := make(map[string]bool)
	for range 100 {
		token := GenerateToken()
		if seen[token] || !wellFormed(token) || len(token) != len(adminTokenPrefix)+43+6 {
			t.Fatalf("token %s", token)
		}
		seen[token] = true
		wrong := []byte(token)
		wrong[15] ^= 1
		if wellFormed(string(wrong)) {
			t.Errorf("a mistyped token passes: %s", wrong)
		}
	}
	if wellFormed("") || wellFormed("abcdef") {
		t.Error("a token that is too short passes")
	}
}

func TestTheNearestKeyIsOffered(t *testing.T) {
	keys := []string{"name", "environment", "environments", "apiKey", "userId", "anonymousId", "identify", "identities"}
	for word, want := range map[string]string{
		"Name": "name", "nmae": "name", "enviroment": "environment", "api-key": "apiKey", "user_id": "userId", "anonymous": "anonymousId", "identites": "identities", "x": "", "": "",
	} {
		if got := closest(word, keys); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// wellFormed reports whether token ends in the checksum of the rest, as
// scanners of leaked secrets ask.
func wellFormed(token string) bool {
	cut := len(token) - checksumLength
	return cut > 0 && tokenChecksum(token[:cut]) == token[cut:]
}
