package api

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"causeway/internal/auth"
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

// authorize finds out who asks by the Bearer token. Loopback is trusted no
// more than any other address: whatever runs on the machine could ask.
func (s *Server) authorize(r *http.Request) (auth.Identity, error) {
	address := addressOf(r)
	if s.guard.blocked(address) {
		s.authFailures.WithLabelValues("blocked").Inc()
		p := refuse(http.StatusTooManyRequests, "too_many_failures", "Too many wrong tokens came from this address. Wait, then use the right one.")
		p.retryAfter = guessInterval
		return auth.Identity{}, p
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		s.authFailures.WithLabelValues("missing").Inc()
		return auth.Identity{}, refuse(http.StatusUnauthorized, "token_missing", "Send a token as \"Authorization: Bearer TOKEN\": a personal token, a key, or the admin token, which was printed at the first start.")
	}
	if s.catalog.VerifyAdminToken(token) {
		return auth.AdminToken, nil
	}
	who, err := s.accounts.Token(r.Context(), token)
	if errors.Is(err, auth.ErrRefused) {
		s.guard.wrong(address)
		s.authFailures.WithLabelValues("wrong").Inc()
		return who, refuse(http.StatusUnauthorized, "token_wrong", "The token is not known here: it is none of this server's, was removed, or has run out.")
	}
	if err != nil {
		return who, accountsUnavailable(err)
	}
	return who, nil
}

func accountsUnavailable(err error) *Problem {
	p := refuse(http.StatusServiceUnavailable, "accounts_unavailable", "The accounts cannot be read at present, so nobody can be let in. Try again in a moment.")
	p.retryAfter, p.cause = 5*time.Second, err
	return p
}

// permit refuses who lacks the permission of a route.
func (rt *route) permit(who auth.Identity, path map[string]string) error {
	if rt.need == "" {
		return nil
	}
	project, where := path["project"], "on the whole server"
	granted := who.May(rt.need, project)
	if project != "" {
		where = "in the project " + project
	}
	if rt.some {
		granted, where = who.MayAnywhere(rt.need), "in a project"
	}
	if !granted {
		return refuse(http.StatusForbidden, "role_missing", "This needs the role %s %s. The token acts for %s, whose role is: %s.", rt.need.Least(), where, who.Name, who.Grants)
	}
	return nil
}

// may says which projects the caller has a permission in.
func (r *request) may(p auth.Permission) func(project string) bool {
	return func(project string) bool { return r.who.May(p, project) }
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
