package deliver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestAddressesThatSourcesMayReach(t *testing.T) {
	t.Parallel()
	const (
		public     = "public"     // always allowed
		restricted = "restricted" // with AllowPrivateEndpoints only
		forbidden  = "forbidden"  // never
	)
	for addr, want := range map[string]string{
		"52.11.22.33":          public,
		"100.63.255.255":       public,
		"100.128.0.1":          public,
		"172.32.0.1":           public,
		"2600:1f14::1":         public,
		"64:ff9b::340b:1621":   public, // NAT64 of 52.11.22.33
		"::ffff:52.11.22.33":   public,
		"127.0.0.1":            restricted,
		"127.255.255.254":      restricted,
		"::1":                  restricted,
		"10.0.0.1":             restricted,
		"172.16.0.1":           restricted,
		"172.31.255.255":       restricted,
		"192.168.1.1":          restricted,
		"100.64.0.1":           restricted,
		"198.18.0.1":           restricted,
		"fc00::1":              restricted,
		"fd12:3456::1":         restricted,
		"fec0::1":              restricted,
		"::ffff:127.0.0.1":     restricted,
		"::ffff:10.0.0.1":      restricted,
		"64:ff9b::7f00:1":      restricted, // NAT64 of 127.0.0.1
		"64:ff9b::a00:1":       restricted,
		"64:ff9b:1::340b:1621": restricted,
		"2002:a00:1::1":        restricted, // 6to4 of 10.0.0.1
		"::10.0.0.1":           restricted,
		"0.0.0.0":              forbidden,
		"0.1.2.3":              forbidden,
		"169.254.169.254":      forbidden,
		"169.254.0.1":          forbidden,
		"100.100.100.200":      forbidden,
		"168.63.129.16":        forbidden,
		"192.0.0.192":          forbidden,
		"224.0.0.1":            forbidden,
		"239.255.255.250":      forbidden,
		"240.0.0.1":            forbidden,
		"255.255.255.255":      forbidden,
		"::":                   forbidden,
		"fe80::1":              forbidden,
		"fe80::1%eth0":         forbidden,
		"febf::1":              forbidden,
		"fd00:ec2::254":        forbidden,
		"fd20:ce::254":         forbidden,
		"ff02::1":              forbidden,
		"::ffff:169.254.1.1":   forbidden,
		"::ffff:0.0.0.0":       forbidden,
		"64:ff9b::a9fe:a9fe":   forbidden, // NAT64 of 169.254.169.254
		"64:ff9b:1::a9fe:a9fe": forbidden,
		"2002:a9fe:a9fe::1":    forbidden,
		"::169.254.169.254":    forbidden,
		"64:ff9b::6464:64c8":   forbidden, // NAT64 of 100.100.100.200
	} {
		a := netip.MustParseAddr(addr)
		strict, open := guard{}.check(a), guard{allowPrivate: true}.check(a)
		if got := strict == nil; got != (want == public) {
			t.Errorf("%s (%s): %v", addr, want, strict)
		}
		if got := open == nil; got != (want != forbidden) {
			t.Errorf("%s (%s), private allowed: %v", addr, want, open)
		}
		for _, err := range []error{strict, open} {
			if err != nil && !errors.Is(err, ErrEndpointNotAllowed) {
				t.Errorf("%s: %v is no ErrEndpointNotAllowed", addr, err)
			}
		}
	}
}

// get asks a client made by the guard.
func get(t *testing.T, g guard, url string) (int, error) {
	t.Helper()
	client := g.client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

func TestTheDialledAddressIsCheckedAndNotTheName(t *testing.T) {
	t.Parallel()
	reached := false
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer server.Close()
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"} {
		_, err := get(t, guard{}, "http://"+host+":"+port)
		if err == nil || (host != "127.1" && !errors.Is(err, ErrEndpointNotAllowed)) {
			t.Errorf("%s: %v, want ErrEndpointNotAllowed", host, err)
		}
	}
	if reached {
		t.Error("a refused address was reached")
	}
	if status, err := get(t, guard{allowPrivate: true}, "http://localhost:"+port); status != 200 {
		t.Errorf("localhost, private allowed: %d, %v", status, err)
	}
}

func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	transport, ok := guard{}.client().Transport.(*http.Transport)
	if !ok || transport.Proxy != nil {
		t.Error("the client has a proxy, which would dial in our place")
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	status, err := get(t, guard{allowPrivate: true}, server.URL)
	if status != http.StatusTemporaryRedirect || err != nil || followed {
		t.Errorf("status %d, %v, followed %t", status, err, followed)
	}
}

// A name that resolves to something harmless while it is looked at and to
// loopback when it is dialled: the check is in the dial, so there is no gap.
func TestControlRefusesWhateverTheNameWas(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"169.254.169.254:80", "[fe80::1%lo]:443", "127.0.0.1:80", "[::1]:80", "api.segment.io:443", "nonsense"} {
		if err := (guard{}).control(context.Background(), "tcp", address, nil); !errors.Is(err, ErrEndpointNotAllowed) {
			t.Errorf("%s: %v, want ErrEndpointNotAllowed", address, err)
		}
	}
	if err := (guard{}).control(context.Background(), "tcp", "52.11.22.33:443", nil); err != nil {
		t.Error(err)
	}
}
