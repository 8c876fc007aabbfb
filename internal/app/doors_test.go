package app_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/app"
)

// dial opens a connection and sends the text.
func (r *running) dial(text string) net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.Address())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
	// A refused connection may be closed already; that is seen when it is read.
	_, _ = io.WriteString(conn, text)
	return conn
}

const slowHeaders = "POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: Bas"

// TestSlowClientsDoNotKeepOthersOut: many hold on to half a request, in its
// headers and in its body, and others are answered as if they were not there.
func TestSlowClientsDoNotKeepOthersOut(t *testing.T) {
	r := start(t)
	for i := range 300 {
		if i%2 == 0 {
			r.dial(slowHeaders)
		} else {
			r.dial("POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 400000\r\n\r\n{\"batch\":[")
		}
	}
	for i := range 20 {
		begin := time.Now()
		if got := r.post("/v1/track", "", `{"writeKey":"destination-key","event":"A","userId":"u1"}`); got != 200 {
			t.Fatalf("call %d is answered %d", i, got)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("call %d took %s", i, took)
		}
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	r := startWith(t, func(o *app.Options) { o.HeaderWait = 100 * time.Millisecond })
	for _, text := range []string{"", "P", slowHeaders} {
		conn := r.dial(text)
		begin := time.Now()
		if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, net.ErrClosed) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: %v", text, err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("%q: it took %s", text, took)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	r := start(t)
	for name, head := range map[string]string{
		"one long":  "X-Long: " + strings.Repeat("x", 200<<10) + "\r\n",
		"very many": strings.Repeat("X-Many: y\r\n", 20_000),
	} {
		conn := r.dial("")
		go func() { _, _ = fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\n%s\r\n", head) }()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
}

func TestConnectionsOverTheirCapAreRefusedAndCounted(t *testing.T) {
	r := startWith(t, func(o *app.Options) { o.MaxConnections, o.MaxConnectionsPerAddress = 20, 5 })
	var held []net.Conn
	for range 5 {
		held = append(held, r.dial(slowHeaders))
	}
	r.eventually("five connections", func() bool { // the sixth is closed unanswered
		_, err := io.ReadAll(r.dial("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		text, _ := io.ReadAll(r.dial("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		return err != nil || len(text) == 0
	})
	for _, conn := range held {
		_ = conn.Close()
	}
	http.DefaultClient.CloseIdleConnections()
	var metrics string
	r.eventually("an answer after they were closed", func() bool {
		text, err := io.ReadAll(r.dial("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		metrics = string(text)
		return err == nil && strings.HasPrefix(metrics, "HTTP/1.1 200")
	})
	if !strings.Contains(metrics, `causeway_connections_refused_total{door="doors"}`) || strings.Contains(metrics, `causeway_connections_refused_total{door="doors"} 0`) {
		t.Error("no refused connection was counted")
	}
}
