package main

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestProfilesAreServedOnLoopbackOnly(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":6060", "192.0.2.1:6060", "localhost:0", "6060"} {
		if _, err := serveProfiles(io.Discard, address); err == nil {
			t.Errorf("profiles are served on %q", address)
		}
	}
	var said bytes.Buffer
	end, err := serveProfiles(&said, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	base, found := strings.CutPrefix(strings.TrimSpace(said.String()), "profiles: ")
	if !found {
		t.Fatalf("it says %q", said.String())
	}
	response, err := http.Get(base + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || !bytes.Contains(body, []byte("goroutine profile")) {
		t.Errorf("%v: %.100s", err, body)
	}
}
