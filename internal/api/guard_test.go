package api

import (
	"fmt"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestAGuesserMayTryAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for range guessBurst {
			if g.blocked("a") {
				t.Fatal("blocked within the burst")
			}
			g.wrong("a")
		}
		if !g.blocked("a") || g.blocked("b") {
			t.Error("a must be blocked, b must not")
		}
		time.Sleep(guessInterval)
		if g.blocked("a") {
			t.Error("still blocked after the interval")
		}
	})
}

func TestManyGuessersDoNotFillTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard()
		for i := range 3 * guessersKept {
			g.wrong(fmt.Sprint(i))
		}
		if len(g.guessers) > guessersKept {
			t.Errorf("%d guessers are kept", len(g.guessers))
		}
		if !g.blocked("one more") {
			t.Error("whoever comes when all places are taken shares one budget, which is used up")
		}
		time.Sleep(time.Hour)
		g.wrong("the next")
		if len(g.guessers) != 1 || g.blocked("one more") {
			t.Errorf("after an hour %d guessers are kept", len(g.guessers))
		}
	})
}

func TestAnIPv6GuesserIsItsWholeNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:1234":              "192.0.2.1",
		"[::ffff:192.0.2.1]:1234":     "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:1234": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1234":         "fe80::/64",
		"@":                           "@",
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = remote
		if got := addressOf(r); got != want {
			t.Errorf("%s: got %s, want %s", remote, got, want)
		}
	}
}
