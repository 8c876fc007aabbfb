package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/segment/segmenttest"
)

// faulty is the configuration of the tests of failure: calls come in, and
// impressions go out to a fake Segment.
func faulty(segment *segmenttest.Fake) string {
	return `projects:
  - name: shop
    trafficTypes: [user]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: ` + serverKey + `}]}
    flags:
      - {name: button, trafficType: user}
    segment:
      sources:
        - {name: impressions, environments: [production], identities: {user: userId}, writeKey: segment-key, endpoint: "` + segment.URL + `"}
      destinations:
        - {name: events, environment: production, identities: {userId: [user], anonymousId: []}, apiKey: ` + writeKey + `}
`
}

// newFaultyServer is a server that is not started yet, so that its folder can
// be put on a disk of its own, and the fake Segment that it sends to.
func newFaultyServer(t *testing.T) (*server, *segmenttest.Fake) {
	t.Helper()
	segment := segmenttest.Start(t, segmenttest.Options{})
	s := &server{t: t, URL: "http://" + freeAddress(t), folder: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.folder, "causeway.yaml"), []byte(faulty(segment)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.kill()
		}
		if t.Failed() {
			t.Logf("the server said:\n%s", tail(s.said(), 6000))
		}
	})
	return s, segment
}

// launch starts the process, with flags beyond the usual, and waits for nothing.
func (s *server) launch(flags ...string) {
	s.t.Helper()
	arguments := []string{"serve", "--data", filepath.Join(s.folder, "data"), "--config", filepath.Join(s.folder, "causeway.yaml"),
		"--listen", strings.TrimPrefix(s.URL, "http://"), "--allow-private-endpoints"}
	s.process = exec.Command(binary, append(arguments, flags...)...)
	s.process.Env = append(os.Environ(), "CAUSEWAY_ADMIN_TOKEN="+adminToken)
	s.process.Stdout, s.process.Stderr = &logWriter{s}, &logWriter{s}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) {
		_ = process.Wait() // exitCode reads it
		close(exited)
	}(s.process)
}

// said is what the server has logged so far.
func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// ended says whether the process is gone.
func (s *server) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// exitCode waits for the end of the process.
func (s *server) exitCode(most time.Duration) int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(most):
		s.t.Fatalf("the process has not ended after %v", most)
	}
	return s.process.ProcessState.ExitCode()
}

// readiness is what /readyz answers; err: it does not answer.
func (s *server) readiness() (ready bool, text string, err error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(s.URL + "/readyz")
	if err != nil {
		return false, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode == http.StatusOK, string(body), err
}

// becomesReady waits for a yes of /readyz.
func (s *server) becomesReady() {
	s.t.Helper()
	s.within(90*time.Second, "the server is ready", func() error {
		if s.ended() {
			s.t.Fatalf("the server ended by itself with code %d", s.process.ProcessState.ExitCode())
		}
		ready, text, err := s.readiness()
		if err == nil && !ready {
			err = errors.New(text)
		}
		return err
	})
}

// becomesUnready waits for a no of /readyz and returns what it says.
func (s *server) becomesUnready() (text string) {
	s.t.Helper()
	s.within(90*time.Second, "the server says that it is not ready", func() (err error) {
		if s.ended() {
			s.t.Fatalf("the server ended by itself with code %d", s.process.ProcessState.ExitCode())
		}
		var ready bool
		if ready, text, err = s.readiness(); err == nil && ready {
			err = errors.New("it is ready")
		}
		return err
	})
	return text
}

// within is eventually with a patience of its own.
func (s *server) within(most time.Duration, what string, try func() error) {
	s.t.Helper()
	var err error
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	s.t.Fatalf("%s: not so after %v: %v", what, most, err)
}

// load sends batches of calls and of impressions for as long as it runs, and
// keeps account of what was sent and of what was acknowledged. It goes on while
// the server is away, as clients do.
type load struct {
	s     *server
	pad   string        // makes every call and impression so much longer
	pause time.Duration // of each sender between two requests
	twice bool          // every other request is sent again, as by a client that was not told

	next    atomic.Int64
	halt    chan struct{}
	senders sync.WaitGroup

	mu           sync.Mutex
	sent         int             // items, repeats not counted
	acknowledged map[string]bool // ids of items
	refused      map[int]int     // answers other than 2xx, by status
	unanswered   int             // requests
	wrong        []string        // answers that no door may give
	latencies    []time.Duration // of requests that were acknowledged
}

func newLoad(s *server) *load {
	return &load{s: s, acknowledged: map[string]bool{}, refused: map[int]int{}}
}

// start lets so many senders send until stop. It may be started again after.
func (l *load) start(senders int) {
	l.halt = make(chan struct{})
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	for range senders {
		l.senders.Go(func() {
			defer client.CloseIdleConnections()
			for {
				select {
				case <-l.halt:
					return
				case <-time.After(l.pause):
				}
				n := l.next.Add(1)
				for range 1 + n/2%2*boolean(l.twice) {
					l.request(client, n)
				}
			}
		})
	}
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (l *load) stop() {
	close(l.halt)
	l.senders.Wait()
}

// itemsOf is how many calls or impressions one request holds.
const itemsOf = 5

// request sends request number n: calls when it is odd, impressions when even.
func (l *load) request(client *http.Client, n int64) {
	ids, path, body := l.body(n)
	request, err := http.NewRequest(http.MethodPost, l.s.URL+path, strings.NewReader(body))
	if err != nil {
		panic(err) // our own address and path
	}
	request.Header.Set("Content-Type", "application/json")
	if n%2 == 0 {
		request.Header.Set("Authorization", "Bearer "+serverKey)
		request.Header.Set("SplitSDKVersion", "go-6.10.0")
	}
	start := time.Now()
	response, err := client.Do(request)
	status := 0
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		status = response.StatusCode
	}
	l.note(ids, status, err, time.Since(start))
	if status/100 != 2 {
		select { // not at once again
		case <-time.After(20 * time.Millisecond):
		case <-l.halt:
		}
	}
}

func (l *load) body(n int64) (ids []string, path, body string) {
	items := make([]string, itemsOf)
	if n%2 == 1 {
		for i := range items {
			ids = append(ids, fmt.Sprintf("call-%d-%d", n, i))
			items[i] = fmt.Sprintf(`{"type":"track","messageId":%q,"userId":"u%d","event":"A","properties":{"pad":%q}}`, ids[i], i, l.pad)
		}
		return ids, "/v1/batch", `{"writeKey":"` + writeKey + `","batch":[` + strings.Join(items, ",") + `]}`
	}
	for i := range items {
		ids = append(ids, fmt.Sprintf("impression-%d-%d", n, i))
		items[i] = fmt.Sprintf(`{"k":%q,"t":"on","m":%d,"c":7,"r":"default rule %s"}`, ids[i], 1767225600000+n, l.pad)
	}
	return ids, "/api/testImpressions/bulk", `[{"f":"button","i":[` + strings.Join(items, ",") + `]}]`
}

func (l *load) note(ids []string, status int, err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent = max(l.sent, int(l.next.Load())*itemsOf)
	switch {
	case status/100 == 2:
		l.latencies = append(l.latencies, took)
		for _, id := range ids { // whatever became of the rest of the answer
			l.acknowledged[id] = true
		}
	case err != nil || status == 0:
		l.unanswered++
	default:
		l.refused[status]++
		if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			l.wrong = append(l.wrong, fmt.Sprint(status))
		}
	}
}

// p99 is the latency that one of a hundred acknowledged requests exceeded since
// it was last asked, and how many there were.
func (l *load) p99() (p99 time.Duration, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.latencies)
	if requests = len(l.latencies); requests > 0 {
		p99 = l.latencies[requests*99/100]
	}
	l.latencies = nil
	return p99, requests
}

// refusals is how many requests got an answer other than 2xx.
func (l *load) refusals() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, requests := range l.refused {
		n += requests
	}
	return n
}

// acknowledgements is how many items were acknowledged.
func (l *load) acknowledgements() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// settle sends one call and one impression behind all others, and waits until
// both have gone all the way: then all before them have, since streams keep
// their order.
func (l *load) settle(segment *segmenttest.Fake) {
	l.s.t.Helper()
	var last []string
	client := &http.Client{Timeout: 30 * time.Second}
	for range 2 {
		n := l.next.Add(1)
		ids, _, _ := l.body(n)
		l.s.within(2*time.Minute, "the last request is acknowledged", func() error {
			l.halt = make(chan struct{})
			l.request(client, n)
			l.mu.Lock()
			defer l.mu.Unlock()
			if !l.acknowledged[ids[0]] {
				return errors.New("it is not")
			}
			return nil
		})
		last = append(last, ids[0])
	}
	l.s.within(3*time.Minute, "the last call and impression are stored and delivered", func() error {
		for _, id := range last {
			if strings.HasPrefix(id, "call") {
				found, err := list[event](l.s, environmentPath+"/events", url.Values{"messageId": {id}})
				if err != nil || len(found) == 0 {
					return fmt.Errorf("%s is not stored: %v", id, err)
				}
			} else if !delivered(segment)[id] {
				return fmt.Errorf("%s is not delivered", id)
			}
		}
		return nil
	})
}

// delivered are the keys of the impressions that the fake Segment has.
func delivered(segment *segmenttest.Fake) map[string]bool {
	keys := map[string]bool{}
	for _, c := range segment.Calls() {
		var sent struct{ UserID string }
		if err := json.Unmarshal(c.JSON, &sent); err == nil {
			keys[sent.UserID] = true
		}
	}
	return keys
}

// stored counts what the store has, by id.
func (s *server) stored() map[string]int {
	s.t.Helper()
	counts := map[string]int{}
	events, err := list[event](s, environmentPath+"/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range events {
		counts[e.ForeignID]++
	}
	impressions, err := s.impressions()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, imp := range impressions {
		counts[imp.Key]++
	}
	return counts
}

// account waits until all is through, counts, prints one line and fails the
// test when anything acknowledged is missing anywhere or anything is there
// twice. What was sent and not acknowledged may be there or not.
func (l *load) account(what string, segment *segmenttest.Fake) {
	t := l.s.t
	t.Helper()
	l.settle(segment)
	stored, out := l.s.stored(), delivered(segment)
	l.mu.Lock()
	defer l.mu.Unlock()
	var lost, doubled []string
	for id := range l.acknowledged {
		if stored[id] == 0 || strings.HasPrefix(id, "impression") && !out[id] {
			lost = append(lost, id)
		}
	}
	for id, n := range stored {
		if n > 1 {
			doubled = append(doubled, id)
		}
	}
	// The fake keeps a messageId once; two messageIds for one impression would
	// be two calls for Segment.
	if calls := len(segment.Calls()); calls != len(out) {
		t.Errorf("Segment counts %d calls for %d impressions", calls, len(out))
	}
	t.Logf("%s: sent %d, acknowledged %d, stored %d, delivered %d, lost %d, doubled %d (%d repeats arrived at Segment and were recognised; refused requests %v, unanswered %d)",
		what, l.sent, len(l.acknowledged), len(stored), len(out), len(lost), len(doubled), segment.Totals().Repeats, l.refused, l.unanswered)
	if len(l.acknowledged) < 100 {
		t.Errorf("only %d items were acknowledged: the test did not test", len(l.acknowledged))
	}
	if len(lost)+len(doubled) > 0 {
		t.Errorf("lost %q, doubled %q", sample5(lost), sample5(doubled))
	}
	if len(l.wrong) > 0 {
		t.Errorf("requests were answered %s", strings.Join(l.wrong[:min(5, len(l.wrong))], ", "))
	}
	noViolations(t, segment.Violations())
}

// sample5 is the beginning of a long list.
func sample5(ids []string) []string {
	slices.Sort(ids)
	return ids[:min(5, len(ids))]
}

// fromEnvironment is a number that an environment variable may set.
func fromEnvironment(t *testing.T, variable string, fallback int) int {
	t.Helper()
	n := fallback
	if text := os.Getenv(variable); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("%s: %v", variable, err)
		}
	}
	return n
}
