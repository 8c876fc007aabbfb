package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestScannersAreNotLoggedAndPanicsAre(t *testing.T) {
	var text bytes.Buffer
	a := &App{log: slog.New(slog.NewTextHandler(&text, nil))}
	a.serverLog().Print("http: TLS handshake error from 192.0.2.1:7: EOF")
	a.serverLog().Print("http: panic serving 192.0.2.1:7: out of cheese")
	if got := text.String(); strings.Contains(got, "handshake") || !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "cheese") {
		t.Errorf("the log is %q", got)
	}
}
