package peer_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"causeway/internal/peer"
)

func TestAnAddressIsTheHostAndOfIPv6TheNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.7:80":             "192.0.2.7",
		"[::ffff:192.0.2.7]:80":    "192.0.2.7",
		"[2001:db8:1:2:3::4]:80":   "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:81": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":        "fe80::/64",
		"pipe":                     "pipe",
		"name:80":                  "name",
	} {
		if got := peer.Address(remote); got != want {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
}

func TestAnAddressHasItsBurstThenItsRateAndIsToldTheRealWait(t *testing.T) {
	l := peer.NewLimiter(2, 3, 10)
	now := time.Now()
	for i := range 3 {
		if wait := l.Take("a", now); wait != 0 {
			t.Fatalf("try %d has to wait %s", i, wait)
		}
	}
	if wait := l.Take("a", now); wait != 500*time.Millisecond {
		t.Errorf("the wait is %s, want 500ms", wait)
	}
	if wait := l.Take("b", now); wait != 0 {
		t.Errorf("another address has to wait %s", wait)
	}
	if wait := l.Take("a", now.Add(500*time.Millisecond)); wait != 0 {
		t.Errorf("after the wait it has to wait another %s", wait)
	}
}

func TestOnlySoManyAddressesAreRemembered(t *testing.T) {
	l := peer.NewLimiter(1, 1, 100)
	now := time.Now()
	for i := range 10_000 {
		l.Take("steady", now)
		l.Take(fmt.Sprint(i), now)
	}
	if wait := l.Take("steady", now); wait == 0 {
		t.Error("who was seen all the time was forgotten")
	}
	if wait := l.Take("0", now); wait != 0 {
		t.Error("who was not seen longest is remembered")
	}
}

// listen opens a capped listener and accepts into the channel.
func listen(t *testing.T, caps peer.Caps) (*peer.Listener, chan net.Conn) {
	t.Helper()
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, accepted := peer.Listen(plain, caps), make(chan net.Conn, 100)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		defer close(accepted)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	return l, accepted
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestBeyondTheTotalAConnectionWaitsForAPlace(t *testing.T) {
	full := make(chan struct{}, 100)
	l, accepted := listen(t, peer.Caps{Total: 2, Full: func() { full <- struct{}{} }})
	for range 3 {
		dial(t, l)
	}
	first := <-accepted
	<-accepted
	<-full
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted")
	case <-time.After(30 * time.Millisecond):
	}
	if got := l.Open(); got != 2 {
		t.Errorf("%d open", got)
	}
	_, _ = first.Close(), first.Close() // the second time gives no second place
	(<-accepted).Close()
	if got := l.Open(); got != 1 {
		t.Errorf("%d open at the end", got)
	}
}

func TestBeyondItsOwnCapAnAddressIsClosedAtOnce(t *testing.T) {
	refused := make(chan string, 100)
	l, accepted := listen(t, peer.Caps{Total: 10, PerAddress: 2, Refused: func(address string) { refused <- address }})
	dial(t, l)
	dial(t, l)
	first := <-accepted
	<-accepted
	third := dial(t, l)
	_ = third.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := third.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the third connection reads %v, want its end", err)
	}
	if got := <-refused; got != "127.0.0.1" {
		t.Errorf("refused %s", got)
	}
	_ = first.Close()
	dial(t, l)
	<-accepted
}

func TestCloseEndsAnAcceptThatWaitsForAPlace(t *testing.T) {
	full := make(chan struct{}, 1)
	l, accepted := listen(t, peer.Caps{Total: 1, Full: func() { full <- struct{}{} }})
	dial(t, l)
	<-accepted
	<-full
	_ = l.Close()
	if _, open := <-accepted; open {
		t.Error("a connection was accepted after Close")
	}
}
