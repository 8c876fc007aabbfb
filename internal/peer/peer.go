// Package peer bounds what one network address may do: how many connections it
// may hold open, and how often it may try what does not work.
//
// Contract:
//   - Memory is bounded: who is forgotten first is who was not seen longest.
//   - An address is the connection's own. Headers that a proxy adds are not
//     looked at, because anybody can write them; behind a proxy all clients are
//     one address, so nothing here may cost a client that does nothing wrong.
package peer

import (
	"container/list"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Address is who a remote address ("host:port") counts as: the host; of IPv6
// the /64, which one customer of a provider usually has to himself.
func Address(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		if prefix, err := address.Prefix(64); err == nil {
			return prefix.String()
		}
	}
	return address.String()
}

// Limiter lets each address do something a number of times at once and then at
// a rate.
type Limiter struct {
	every rate.Limit
	burst int
	keep  int

	mu     sync.Mutex
	known  map[string]*list.Element // of *entry
	recent list.List                // last seen first
}

type entry struct {
	address string
	limiter *rate.Limiter
}

// NewLimiter makes a Limiter that allows burst at once and then every per
// second, and remembers at most keep addresses.
func NewLimiter(every rate.Limit, burst, keep int) *Limiter {
	return &Limiter{every: every, burst: burst, keep: keep, known: make(map[string]*list.Element)}
}

// NewStrangers makes the Limiter of requests whose credential is missing or
// unknown. All doors share one, or each would be another chance to guess.
func NewStrangers() *Limiter {
	const (
		atOnce    = 100
		perSecond = 10
		addresses = 4096
	)
	return NewLimiter(perSecond, atOnce, addresses)
}

// Take uses up one of the address's tries. When there is none it uses up
// nothing and returns how long it is until there is one again.
func (l *Limiter) Take(address string, now time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, known := l.known[address]
	if !known {
		if len(l.known) >= l.keep {
			oldest := l.recent.Back()
			delete(l.known, l.recent.Remove(oldest).(*entry).address)
		}
		element = l.recent.PushFront(&entry{address, rate.NewLimiter(l.every, l.burst)})
		l.known[address] = element
	}
	l.recent.MoveToFront(element)
	limiter := element.Value.(*entry).limiter
	if limiter.AllowN(now, 1) {
		return 0
	}
	return time.Duration((1 - limiter.TokensAt(now)) / float64(l.every) * float64(time.Second))
}
