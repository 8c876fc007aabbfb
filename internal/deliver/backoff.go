package deliver

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// schedule says how long a source waits between attempts (R46).
type schedule struct {
	first   time.Duration // shortest wait: 1 s
	longest time.Duration // of the waits we choose: 5 min
	pause   time.Duration // between attempts while paused: 5 min
	asked   time.Duration // longest wait an endpoint may ask for: 1 h
}

var defaultSchedule = schedule{first: time.Second, longest: 5 * time.Minute, pause: 5 * time.Minute, asked: time.Hour}

// after is the wait after that many failed attempts in a row: what the endpoint
// asked for, else anything between the shortest wait and a ceiling that doubles
// each time, so that senders that failed together do not return together.
func (s schedule) after(failures int, asked time.Duration) time.Duration {
	if asked > 0 {
		return min(max(asked, s.first), s.asked)
	}
	ceiling := s.longest
	if failures < 30 { // beyond, the shift would overflow
		ceiling = min(s.first<<failures, s.longest)
	}
	return s.first + rand.N(ceiling-s.first+1)
}

// retryAfter reads a Retry-After header: seconds, or an HTTP date. 0 means that
// nothing readable was asked for. What lies in the past is a wait that is over.
func retryAfter(header http.Header, now time.Time) time.Duration {
	text := strings.TrimSpace(header.Get("Retry-After"))
	if text == "" {
		return 0
	}
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		const enough = int64(365 * 24 * time.Hour / time.Second)
		return max(time.Duration(min(seconds, enough))*time.Second, 1)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 1)
	}
	return 0
}
