package ingest

import (
	"errors"
	"math"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"causeway/internal/catalog"
	"causeway/internal/peer"
	"causeway/internal/reason"
)

// quotas holds what each limited credential has left. Only credentials of the
// catalog that have limits get one, so who sends cannot make it grow.
type quotas struct {
	mu       sync.Mutex
	revision uint64 // of the catalog when it was last gone through
	of       map[string]*quota
}

// get returns the quota of a credential. What is left survives changes of the configuration that do not change the limits.
func (q *quotas) get(revision uint64, id string, limits catalog.Limits, now time.Time) *quota {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.revision != revision {
		q.revision = revision
		for id, old := range q.of {
			if old.full(now) { // as good as a new one: nothing is forgotten
				delete(q.of, id)
			}
		}
	}
	have := q.of[id]
	if have == nil || have.limits != limits {
		have = newQuota(limits)
		if q.of == nil {
			q.of = make(map[string]*quota)
		}
		q.of[id] = have
	}
	return have
}

// quota is what one credential has left. A request is let in while something
// is left and then pays all it costs, so that a large batch under a small limit
// is not refused forever; what it overdraws, later ones wait for.
type quota struct {
	limits catalog.Limits

	mu       sync.Mutex
	requests *rate.Limiter
	calls    *rate.Limiter
	bytes    *rate.Limiter
}

// newQuota is full: one second's requests and calls, one minute's bytes.
func newQuota(limits catalog.Limits) *quota {
	limiter := func(n int, per time.Duration) *rate.Limiter {
		if n <= 0 {
			return rate.NewLimiter(rate.Inf, 1)
		}
		return rate.NewLimiter(rate.Limit(float64(n)/per.Seconds()), n)
	}
	return &quota{
		limits:   limits,
		requests: limiter(limits.RequestsPerSecond, time.Second),
		calls:    limiter(limits.CallsPerSecond, time.Second),
		bytes:    limiter(limits.BytesPerMinute, time.Minute),
	}
}

// admit lets a request in and takes its place among the requests, or says how
// long it is until one will be let in.
func (q *quota) admit(now time.Time) (wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range []*rate.Limiter{q.requests, q.calls, q.bytes} {
		if left := l.TokensAt(now); left < 1 && l.Limit() != rate.Inf {
			wait = max(wait, time.Duration((1-left)/float64(l.Limit())*float64(time.Second)))
		}
	}
	if wait == 0 {
		pay(q.requests, now, 1)
	}
	return wait
}

// spend pays for what an admitted request brought.
func (q *quota) spend(now time.Time, calls, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pay(q.calls, now, calls)
	pay(q.bytes, now, bytes)
}

// pay takes n, also more than there is.
func pay(l *rate.Limiter, now time.Time, n int) {
	if l.Limit() == rate.Inf {
		return
	}
	for ; n > 0; n -= l.Burst() {
		l.ReserveN(now, min(n, l.Burst()))
	}
}

func (q *quota) full(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range []*rate.Limiter{q.requests, q.calls, q.bytes} {
		if l.TokensAt(now) < float64(l.Burst()) {
			return false
		}
	}
	return true
}

// admit asks the quota of the known credential that a request presented; finish
// charges it. It comes before the body is read where that is possible, and
// always before anything is appended.
func (s *Server) admit(c *exchange, id string, limits catalog.Limits) error {
	if limits == (catalog.Limits{}) {
		return nil
	}
	c.quota = s.quotas.get(s.opt.Snapshot().Revision, id, limits, c.received)
	if wait := c.quota.admit(c.received); wait > 0 {
		c.quota = nil // a refused request costs nothing
		return overLimit(wait, "the limit of this key is used up")
	}
	return nil
}

// estranged is err, or 429 when it says that the request's credential is no
// good and its address has sent too many of those. Who sends good ones is
// never affected: behind a proxy all have the same address.
func (s *Server) estranged(c *exchange, err error) error {
	var r *refusal
	if !errors.As(err, &r) || r.code != reason.CredentialsMissing && r.code != reason.CredentialsUnknown {
		return err
	}
	if wait := s.opt.Strangers.Take(peer.Address(c.r.RemoteAddr), c.received); wait > 0 {
		return overLimit(wait, "too many requests without a known key came from this address")
	}
	return err
}

// overLimit is the refusal of a request over a limit. There is no
// X-RateLimit-Reset: some of Segment's libraries read it as seconds, others as
// a time in milliseconds. Retry-After they read alike.
func overLimit(wait time.Duration, message string) error {
	return &refusal{
		status: http.StatusTooManyRequests, code: reason.RateLimited, message: message,
		retryAfter: max(1, int(math.Ceil(wait.Seconds()))),
	}
}
