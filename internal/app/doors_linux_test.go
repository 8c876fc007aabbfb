package app_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"causeway/internal/app"
)

// TestOneAddressCannotTakeAllConnections: only Linux answers on all of
// 127.0.0.0/8, so only there one machine can be two clients.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	r := startWith(t, func(o *app.Options) { o.MaxConnections, o.MaxConnectionsPerAddress = 30, 20 })
	for range 100 {
		r.dial(slowHeaders)
	}
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	for range 20 {
		answer, err := client.Post(r.base+"/v1/track", "", strings.NewReader(`{"writeKey":"destination-key","event":"A","userId":"u1"}`))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			t.Errorf("the other client is answered %d", answer.StatusCode)
		}
	}
}
