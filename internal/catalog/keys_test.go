package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestKeysAreListedWithoutValuesAndRotated(t *testing.T) {
	c := open(t, bucket(t))
	apply(t, c, example(t))
	var kinds []string
	for _, key := range c.Keys() {
		kinds = append(kinds, key.Kind+" "+key.Name+" "+key.Environment+" "+key.Type)
		if !strings.HasPrefix(key.Hint, "sha256:") || len(key.Hint) != 15 {
			t.Errorf("hint %q", key.Hint)
		}
	}
	want := []string{
		"sdk backend production server_side", "destination prod-events production ", "webhook prod-events production ",
		"listener fme-webhook production ", "listener synchronizer production ",
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, ref := range c.Keys() {
		made, err := c.RotateKey(t.Context(), ref.KeyRef, false, "test")
		if err != nil || made.Value == "" {
			t.Errorf("%+v: %v", ref, err)
		}
	}
	s := c.Snapshot()
	if _, ok := s.SDKKey("sdk-key-1"); ok {
		t.Error("the old SDK key still works")
	}
	if _, ok := s.DestinationByKey("api-key-1"); ok {
		t.Error("the old API key still works")
	}
	if l, _ := s.Listener("fme-webhook"); l.CheckSecret("hook-secret-1") {
		t.Error("the old listener secret still works")
	}
	var unknown *UnknownKeyError
	for _, ref := range []KeyRef{{Kind: "sdk", Name: "backend"}, {Kind: "source", Name: "prod-impressions"}, {Kind: "listener", Name: "x"}} {
		if _, err := c.RotateKey(t.Context(), ref, false, "test"); !errors.As(err, &unknown) {
			t.Errorf("%+v: %v", ref, err)
		}
	}
}

func TestTheAdminTokenIsKnownOnEveryNode(t *testing.T) {
	kv := bucket(t)
	one, two := open(t, kv), open(t, kv)
	if one.HasAdminToken() || one.VerifyAdminToken("") {
		t.Error("there is a token before there is one")
	}
	if err := one.SetAdminToken(t.Context(), "short"); err == nil {
		t.Error("a short token is accepted")
	}
	token, err := one.CreateAdminToken(t.Context())
	if err != nil || !one.VerifyAdminToken(token) || one.VerifyAdminToken(token+"x") || one.VerifyAdminToken("") {
		t.Fatalf("token %q, %v", token, err)
	}
	if second, err := two.CreateAdminToken(t.Context()); second != "" || err != nil || !two.VerifyAdminToken(token) {
		t.Errorf("a second token %q, %v", second, err)
	}
	replacement := GenerateToken()
	if err := two.SetAdminToken(t.Context(), replacement); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); !one.VerifyAdminToken(replacement); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the token did not arrive on the other node")
		}
	}
	if one.VerifyAdminToken(token) || !open(t, kv).VerifyAdminToken(replacement) {
		t.Error("the old token still works, or the new one not after a restart")
	}
	entry, err := kv.Get(t.Context(), adminTokenKey)
	if err != nil || strings.Contains(string(entry.Value()), replacement) {
		t.Errorf("stored: %s, %v", entry.Value(), err)
	}
}
