package e2e

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// fault is what the proxy does with a request instead of passing it on.
type fault string

const (
	none            fault = ""
	tooManyRequests fault = "429"                   // 429, Retry-After: 1
	unavailable     fault = "503"                   // 503, Retry-After: 1, as Causeway answers when it cannot make a call durable
	cutBefore       fault = "dropped before"        // the connection is reset, the server never saw the request
	cutAfter        fault = "dropped after the 2xx" // the server took it, the client is not told
)

// faults are all of them.
var faults = []fault{tooManyRequests, unavailable, cutBefore, cutAfter}

// exchange is one request that went through the proxy.
type exchange struct {
	At     time.Time
	Path   string
	Header http.Header
	Body   []byte // decompressed
	Fault  fault
	Server int // what the server answered; 0: it was not asked
}

// acknowledged says whether the server took it, whatever the client was told.
func (e exchange) acknowledged() bool { return e.Server/100 == 2 }

// proxy stands between a client and the server. The first requests to the
// paths it is told to disturb get the faults, in order, and all others pass.
type proxy struct {
	URL    string
	target string

	mu    sync.Mutex
	plans []plan
	log   []exchange
}

// plan is what happens to the next POST requests to paths that hold the text.
type plan struct {
	path   string
	faults []fault
}

// startProxy starts a proxy that passes everything on.
func startProxy(t *testing.T, s *server) *proxy {
	t.Helper()
	p := &proxy{target: s.URL}
	front := httptest.NewServer(p)
	t.Cleanup(front.Close)
	p.URL = front.URL
	return p
}

// misbehave sets the faults of the next requests to paths that hold the text.
func (p *proxy) misbehave(path string, faults ...fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plans = append(p.plans, plan{path, faults})
}

// exchanges returns the POST requests so far to paths that hold the text.
func (p *proxy) exchanges(path string) []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(p.log), func(e exchange) bool { return !strings.Contains(e.Path, path) })
}

// tell logs how a client went on after a fault, for who wants to know.
func tell(t *testing.T, sent []exchange) {
	t.Helper()
	for i, e := range sent {
		text := "taken"
		if e.Fault != none {
			text = string(e.Fault)
		}
		t.Logf("%6.1f s  %s  %s", e.At.Sub(sent[0].At).Seconds(), e.Path, text)
		if i == 20 {
			return
		}
	}
}

func (p *proxy) next(r *http.Request) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.plans {
		plan := &p.plans[i]
		if r.Method == http.MethodPost && len(plan.faults) > 0 && strings.Contains(r.URL.Path, plan.path) {
			f := plan.faults[0]
			plan.faults = plan.faults[1:]
			return f
		}
	}
	return none
}

// ServeHTTP passes a request on, or does what the plan says.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	e := exchange{At: time.Now(), Path: r.URL.Path, Header: r.Header.Clone(), Body: plain(body), Fault: p.next(r)}
	var answer *http.Response
	if e.Fault == none || e.Fault == cutAfter {
		if answer, err = p.forward(r, body); err == nil {
			defer answer.Body.Close()
			e.Server = answer.StatusCode
		}
	}
	if r.Method == http.MethodPost {
		p.mu.Lock()
		p.log = append(p.log, e)
		p.mu.Unlock()
	}
	switch e.Fault {
	case none:
		if answer == nil { // the server is down
			reset(w)
			return
		}
		for name, values := range answer.Header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.StatusCode)
		stream(w, answer.Body)
	case tooManyRequests:
		refuse(w, r, http.StatusTooManyRequests)
	case unavailable:
		refuse(w, r, http.StatusServiceUnavailable)
	default:
		reset(w)
	}
}

func (p *proxy) forward(r *http.Request, body []byte) (*http.Response, error) {
	onward, err := http.NewRequestWithContext(r.Context(), r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	onward.Header = r.Header.Clone()
	onward.Host = r.Host // the settings document repeats it
	return http.DefaultTransport.RoundTrip(onward)
}

// stream copies as the bytes come: an SDK may be listening for pushes.
func stream(w http.ResponseWriter, body io.Reader) {
	control := http.NewResponseController(w)
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if _, writeErr := w.Write(buffer[:n]); writeErr != nil || err != nil {
			return
		}
		_ = control.Flush() // best effort: the next write tells
	}
}

// refuse answers as Causeway does, with the headers a browser needs to read it.
func refuse(w http.ResponseWriter, r *http.Request, status int) {
	if origin := r.Header.Get("Origin"); origin != "" {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Access-Control-Expose-Headers", "Retry-After, X-RateLimit-Reset")
	}
	w.Header().Set("Retry-After", "1")
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"success":false,"message":"try again","code":"unavailable"}`) // the client may be gone
}

// reset closes the connection so that the client sees it broken.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, not an orderly end
	}
	_ = conn.Close()
}

// plain decompresses what is compressed.
func plain(body []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	if text, err := io.ReadAll(r); err == nil {
		return text
	}
	return body
}

// messageIDs are those of the Segment calls in a body, single or batch.
func (e exchange) messageIDs() []string {
	type one struct{ MessageID string }
	var body struct {
		MessageID string
		Batch     []one
	}
	if json.Unmarshal(e.Body, &body) != nil {
		return nil
	}
	if body.Batch == nil {
		return []string{body.MessageID}
	}
	var ids []string
	for _, c := range body.Batch {
		ids = append(ids, c.MessageID)
	}
	return ids
}
