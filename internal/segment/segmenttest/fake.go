// Package segmenttest is a fake of Segment's HTTP tracking API: what tests and
// the demo send to instead of Segment.
//
// Contract:
//   - POST /v1/batch answers as Segment answers (facts: "Segment: HTTP Tracking
//     API"): Basic auth with the write key, 400 for what is not JSON or over
//     500 KB or holds a call over 32 KB, 200 otherwise, even for calls that it
//     then discards. It differs in one thing: no write key is 401.
//   - It is stricter than Segment in what it remembers: whatever a careful
//     sender would not do is a violation, see Violations.
//   - A messageId is kept once, whatever write key it came with, and repeats
//     are counted: Segment deduplicates globally.
//   - Write keys misbehave by name: fail-429 (with Retry-After), fail-500,
//     fail-401, fail-400, slow, reset (drops the connection after reading the
//     body) and poison (400 if any call has a property named poison). With a
//     number behind, such as fail-429-3, only the first so many requests are
//     treated that way. Respond misbehaves by program.
//   - With Options.KeepCalls the memory is bounded, and so is deduplication.
//
// It imports nothing of ours: its limits are its own reading of Segment's
// pages, so that a wrong limit of ours shows. It does not import testing
// either, because the demo runs it.
package segmenttest

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Segment's limits (Segment: HTTP Tracking API).
const (
	maxBatchBytes = 500 * 1024
	maxBatchCalls = 2500
	maxCallBytes  = 32 * 1024
)

// Options say how the fake behaves. The zero value keeps everything.
type Options struct {
	// KeepCalls is how many requests, calls and violations are kept, and over how
	// many calls repeats are recognised. Default 0: all.
	KeepCalls int
	// RetryAfter is what a 429 asks for, in whole seconds. Default 1 s.
	RetryAfter time.Duration
	// Slow is how long the write key "slow" waits before it answers. Default 3 s.
	Slow time.Duration
}

// Request is one request that reached the fake.
type Request struct {
	At         time.Time
	WriteKey   string
	Header     http.Header
	Bytes      int      // of the body, decompressed
	MessageIDs []string // of the calls in it, in order; empty when it could not be read
	Status     int      // what was answered; 0: the connection was dropped
}

// Call is one call that the fake accepted.
type Call struct {
	At        time.Time
	WriteKey  string
	MessageID string
	JSON      json.RawMessage
}

// Answer is what the fake does with a request instead of the right thing.
type Answer struct {
	Status int    // 0: as Segment would
	Body   string // "" with a Status: Segment's error body
	Header http.Header
	Delay  time.Duration // before answering
	Reset  bool          // drop the connection instead of answering
	Keep   bool          // take the calls all the same: it happened, but the sender is not told
}

// Totals are counts since the fake was made.
type Totals struct {
	Requests, Calls, Repeats, Violations int
}

// Fake is the fake. It is an http.Handler; make it with New or Start.
type Fake struct {
	// URL is where it listens, when it was made by Start.
	URL string

	options Options

	mu         sync.Mutex
	respond    func(Request) (Answer, bool)
	perKey     map[string]int // requests so far, for keys that misbehave only at first
	requests   []Request
	calls      []Call
	seen       map[string]struct{} // messageIds of calls
	violations []string
	totals     Totals
	grown      chan struct{} // closed and replaced when calls grow
}

// New returns a fake that serves nothing yet.
func New(options Options) *Fake {
	if options.RetryAfter <= 0 {
		options.RetryAfter = time.Second
	}
	if options.Slow <= 0 {
		options.Slow = 3 * time.Second
	}
	return &Fake{options: options, perKey: map[string]int{}, seen: map[string]struct{}{}, grown: make(chan struct{})}
}

// Start serves a fake on a loopback port until the test ends. Any *testing.T
// is such a t.
func Start(t interface{ Cleanup(func()) }, options Options) *Fake {
	f := New(options)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Sprintf("segmenttest: listen: %v", err))
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	f.URL = "http://" + listener.Addr().String()
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends with ErrServerClosed
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-served
	})
	return f
}

// Respond asks the function about every request first; false means the fake
// behaves as the write key says. It replaces the function given before.
func (f *Fake) Respond(respond func(Request) (Answer, bool)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.respond = respond
}

// ServeHTTP answers one request.
func (f *Fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/v1/batch" {
		f.violate("request to %s, want /v1/batch", r.URL.Path)
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodPost {
		f.violate("%s /v1/batch, want POST", r.Method)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	request := Request{At: time.Now(), Header: r.Header.Clone()}
	body, err := readBody(r)
	if err != nil && !errors.Is(err, errTooLarge) {
		f.violate("unreadable body: %v", err)
	}
	request.Bytes = len(body)
	var calls []json.RawMessage
	if err == nil {
		calls, request.MessageIDs, err = f.open(body)
	}
	key, authorized := f.authorize(r)
	request.WriteKey = key

	answer := f.decide(request, calls, err, authorized)
	f.pause(r.Context(), answer.Delay)
	request.Status = answer.Status
	if answer.Reset {
		request.Status = 0
	}
	f.record(request, calls, answer.Keep)
	if answer.Reset {
		drop(w)
		return
	}
	write(w, answer)
}

// decide is what becomes of a request: by program, by the write key's name, or
// as Segment would.
func (f *Fake) decide(request Request, calls []json.RawMessage, err error, authorized bool) Answer {
	f.mu.Lock()
	respond := f.respond
	n := f.perKey[request.WriteKey]
	f.perKey[request.WriteKey] = n + 1
	f.mu.Unlock()

	var answer Answer
	special := false
	if respond != nil {
		answer, special = respond(request)
	}
	if !special {
		answer = f.misbehave(request.WriteKey, n, calls)
	}
	if answer.Status != 0 || answer.Reset {
		return answer
	}
	switch {
	case !authorized:
		answer.Status = http.StatusUnauthorized
	case err != nil:
		answer.Status, answer.Body = http.StatusBadRequest, errorBody(err.Error())
	default:
		// More than 2,500 calls are answered 200 and discarded.
		answer.Status, answer.Keep = http.StatusOK, len(calls) <= maxBatchCalls
	}
	return answer
}

// misbehave is what a write key's name makes of its request number n (from 0).
func (f *Fake) misbehave(writeKey string, n int, calls []json.RawMessage) Answer {
	name := writeKey
	if i := strings.LastIndexByte(writeKey, '-'); i > 0 {
		if first, err := strconv.Atoi(writeKey[i+1:]); err == nil && first < 400 {
			if n >= first {
				return Answer{}
			}
			name = writeKey[:i]
		}
	}
	switch name {
	case "fail-429":
		seconds := strconv.Itoa(int(f.options.RetryAfter / time.Second))
		return Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {seconds}}}
	case "fail-500":
		return Answer{Status: http.StatusInternalServerError}
	case "fail-401":
		return Answer{Status: http.StatusUnauthorized}
	case "fail-400":
		return Answer{Status: http.StatusBadRequest}
	case "slow":
		return Answer{Delay: f.options.Slow}
	case "reset":
		return Answer{Reset: true}
	case "poison":
		if slices.ContainsFunc(calls, poisoned) {
			return Answer{Status: http.StatusBadRequest, Body: errorBody("a call of the batch is poisoned")}
		}
	}
	return Answer{}
}

func poisoned(call json.RawMessage) bool {
	var c struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if json.Unmarshal(call, &c) != nil {
		return false
	}
	_, found := c.Properties["poison"]
	return found
}

// record remembers the request, and its calls when they are kept.
func (f *Fake) record(request Request, calls []json.RawMessage, keep bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.totals.Requests++
	f.requests = trim(append(f.requests, request), f.options.KeepCalls, nil)
	if !keep {
		return
	}
	for i, call := range calls {
		id := request.MessageIDs[i]
		if id == "" {
			id = fmt.Sprintf("assigned-%d", f.totals.Calls) // as Segment does
		}
		if _, repeated := f.seen[id]; repeated {
			f.totals.Repeats++
			continue
		}
		f.seen[id] = struct{}{}
		f.totals.Calls++
		f.calls = append(f.calls, Call{At: request.At, WriteKey: request.WriteKey, MessageID: id, JSON: slices.Clone(call)})
	}
	f.calls = trim(f.calls, f.options.KeepCalls, func(c Call) { delete(f.seen, c.MessageID) })
	close(f.grown)
	f.grown = make(chan struct{})
}

// trim drops the oldest items once there are twice as many as are to be kept,
// so that dropping costs little each.
func trim[T any](items []T, keep int, dropped func(T)) []T {
	if keep <= 0 || len(items) < 2*keep {
		return items
	}
	old := items[:len(items)-keep]
	if dropped != nil {
		for _, item := range old {
			dropped(item)
		}
	}
	return slices.Clone(items[len(old):])
}

// Requests returns the requests that are kept, oldest first.
func (f *Fake) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// Calls returns the calls that are kept, without repeats, oldest first.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Violations returns what a careful sender would not have done.
func (f *Fake) Violations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.violations)
}

// Totals returns the counts so far.
func (f *Fake) Totals() Totals {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.totals
}

// Wait returns once that many different calls were accepted, or with the
// context's error and how many there were.
func (f *Fake) Wait(ctx context.Context, calls int) error {
	for {
		f.mu.Lock()
		have, grown := f.totals.Calls, f.grown
		f.mu.Unlock()
		if have >= calls {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d calls arrived: %w", have, calls, ctx.Err())
		}
	}
}

func (f *Fake) violate(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.totals.Violations++
	f.violations = trim(append(f.violations, fmt.Sprintf(format, args...)), f.options.KeepCalls, nil)
}

// pause waits, unless the sender goes away first.
func (f *Fake) pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var errTooLarge = errors.New("exceeds maximum payload size")

// readBody reads the body, decompressed, up to Segment's limit.
func readBody(r *http.Request) ([]byte, error) {
	var reader io.Reader = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "":
	case "gzip":
		decompressed, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", err)
		}
		reader = decompressed
	default:
		return nil, fmt.Errorf("content encoding %q", encoding)
	}
	body, err := io.ReadAll(io.LimitReader(reader, maxBatchBytes+1))
	if err != nil {
		return body, err
	}
	if len(body) > maxBatchBytes {
		return body, errTooLarge
	}
	return body, nil
}

// drop closes the connection so that the sender sees a reset.
func drop(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: the stream is reset
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func write(w http.ResponseWriter, answer Answer) {
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	body := answer.Body
	if body == "" {
		body = errorBody(http.StatusText(answer.Status))
		if answer.Status == http.StatusOK {
			body = `{"success":true}`
		}
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(answer.Status)
	_, _ = io.WriteString(w, body) // the sender may have gone away
}

func errorBody(message string) string {
	text, err := json.Marshal(map[string]any{"success": false, "message": message, "code": "invalid_request"})
	if err != nil {
		panic(err) // a map of texts always encodes
	}
	return string(text)
}
