package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Guessing is slowed for each address: a burst of wrong tokens, then one in
// each interval. Until then the address is not even verified, so a right guess
// gains nothing.
const (
	guessBurst    = 20
	guessInterval = 3 * time.Second
	guessersKept  = 4096
)

// guard keeps who may not try again yet.
type guard struct {
	mu       sync.Mutex
	guessers map[string]*rate.Limiter
	overflow *rate.Limiter // shared by whoever comes when guessers is full
	looked   time.Time     // when guessers was last gone through for room
}

func newGuard() *guard {
	return &guard{
		guessers: make(map[string]*rate.Limiter),
		overflow: rate.NewLimiter(rate.Every(guessInterval/10), guessBurst),
	}
}

// blocked says whether the address has used up its wrong tokens.
func (g *guard) blocked(address string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter, known := g.guessers[address]
	if !known {
		return len(g.guessers) >= guessersKept && g.overflow.Tokens() < 1
	}
	return limiter.Tokens() < 1
}

// wrong counts a wrong token.
func (g *guard) wrong(address string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	limiter, known := g.guessers[address]
	if !known {
		if len(g.guessers) >= guessersKept && time.Since(g.looked) > guessInterval {
			g.forget()
		}
		if len(g.guessers) >= guessersKept {
			g.overflow.Allow()
			return
		}
		limiter = rate.NewLimiter(rate.Every(guessInterval), guessBurst)
		g.guessers[address] = limiter
	}
	limiter.Allow()
}

// forget drops the addresses that have their whole burst again.
func (g *guard) forget() {
	g.looked = time.Now()
	for address, limiter := range g.guessers {
		if limiter.Tokens() >= guessBurst {
			delete(g.guessers, address)
		}
	}
}

// authorize checks the Bearer token. Loopback is trusted no more than any
// other address: whatever runs on the machine could ask.
func (s *Server) authorize(r *http.Request) error {
	address := addressOf(r)
	if s.guard.blocked(address) {
		s.authFailures.WithLabelValues("blocked").Inc()
		p := refuse(http.StatusTooManyRequests, "too_many_failures", "Too many wrong tokens came from this address. Wait, then use the right one.")
		p.retryAfter = guessInterval
		return p
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		s.authFailures.WithLabelValues("missing").Inc()
		return refuse(http.StatusUnauthorized, "token_missing", "Send the admin token as \"Authorization: Bearer TOKEN\". It was printed at the first start.")
	}
	if !s.catalog.VerifyAdminToken(token) {
		s.guard.wrong(address)
		s.authFailures.WithLabelValues("wrong").Inc()
		return refuse(http.StatusUnauthorized, "token_wrong", "The token is not this server's admin token. It was printed at the first start, or set with --admin-token.")
	}
	return nil
}

// addressOf is the peer's address; of IPv6 the /64, which one guesser owns.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
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
