package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrEndpointNotAllowed means that an endpoint leads to an address that sources
// may not send to.
var ErrEndpointNotAllowed = errors.New("endpoint not allowed")

// guard decides which addresses a source may reach. It looks at the address
// that is about to be dialled, after names were resolved, so that neither a
// name, nor a redirect, nor an answer of DNS that changes in between leads
// past it.
type guard struct {
	allowPrivate bool // --allow-private-endpoints
}

// never are the addresses that are refused whatever the settings: link-local,
// the metadata services of clouds, and what is no host's address.
var never = prefixes(
	"0.0.0.0/8",          // this network; dials loopback on Linux
	"169.254.0.0/16",     // link-local, and the metadata service of most clouds
	"100.100.100.200/32", // metadata, Alibaba Cloud
	"168.63.129.16/32",   // metadata, Azure's wire server
	"192.0.0.192/32",     // metadata, Oracle Cloud
	"224.0.0.0/4",        // multicast
	"240.0.0.0/4",        // reserved, and broadcast
	"::/128",             // unspecified
	"fe80::/10",          // link-local
	"fd00:ec2::254/128",  // metadata, AWS
	"fd20:ce::254/128",   // metadata, Google Cloud
	"ff00::/8",           // multicast
)

// private are the addresses behind --allow-private-endpoints.
var private = prefixes(
	"127.0.0.0/8", "::1/128", // loopback
	"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", // RFC 1918
	"100.64.0.0/10",                 // carrier-grade NAT
	"192.0.0.0/24", "198.18.0.0/15", // protocol assignments, benchmarking
	"fc00::/7", "fec0::/10", // unique local, site-local
	"64:ff9b:1::/48", // local-use NAT64: leads anywhere
)

// The forms in which an IPv6 address carries an IPv4 address that is reached
// in its place, and where in the 16 bytes it stands.
var carriers = []struct {
	prefix netip.Prefix
	at     int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},   // NAT64, RFC 6052
	{netip.MustParsePrefix("64:ff9b:1::/48"), 12}, // local-use NAT64, RFC 8215
	{netip.MustParsePrefix("::/96"), 12},          // IPv4-compatible, deprecated
	{netip.MustParsePrefix("2002::/16"), 2},       // 6to4, RFC 3056
}

func prefixes(texts ...string) []netip.Prefix {
	list := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParsePrefix(text)
	}
	return list
}

// check refuses an address with a sentence a person can act on.
func (g guard) check(addr netip.Addr) error {
	addr = addr.WithZone("").Unmap()
	for _, p := range never {
		if p.Contains(addr) {
			return fmt.Errorf("%w: %s is link-local, multicast, reserved or a metadata service (%s)", ErrEndpointNotAllowed, addr, p)
		}
	}
	if !g.allowPrivate {
		for _, p := range private {
			if p.Contains(addr) {
				return fmt.Errorf("%w: %s is loopback or private (%s); --allow-private-endpoints permits it", ErrEndpointNotAllowed, addr, p)
			}
		}
	}
	if addr.Is4() || addr == netip.IPv6Loopback() {
		return nil
	}
	bytes := addr.As16()
	for _, c := range carriers {
		if !c.prefix.Contains(addr) {
			continue
		}
		if err := g.check(netip.AddrFrom4([4]byte(bytes[c.at : c.at+4]))); err != nil {
			return fmt.Errorf("%w, reached as %s", err, addr)
		}
	}
	return nil
}

// control is called by the dialler with each address it is about to connect to.
func (g guard) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s address %q is no IP address", ErrEndpointNotAllowed, network, address)
	}
	return g.check(to.Addr())
}

// client makes the HTTP client of one source: its own connections, so that no
// other source waits for them; no proxy, which would dial in our place; no
// redirects.
func (g guard) client() *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, ControlContext: g.control}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxConnsPerHost:        2,
			MaxIdleConns:           2,
			IdleConnTimeout:        90 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
