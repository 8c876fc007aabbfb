//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// environment is where the bench's calls and impressions belong to.
const environment = "/admin/v1/projects/shop/environments/production"

// configuration is what every server of the bench runs with. One call becomes
// one event; one impression becomes one call to Segment. Without an endpoint
// there is no source, and impressions are only stored.
func configuration(endpoint string) string {
	sources := "[]"
	if endpoint != "" {
		sources = fmt.Sprintf("[{name: out, environments: [production], identities: {user: userId}, writeKey: bench, endpoint: %q}]", endpoint)
	}
	return fmt.Sprintf(`projects:
  - name: shop
    trafficTypes: [user]
    environments:
      - {name: production, sdkKeys: [{name: backend, type: server_side, key: %s}]}
    flags:
      - {name: checkout_button, trafficType: user}
    segment:
      sources: %s
      destinations:
        - {name: events, environment: production, identities: {userId: [user]}, track: {value: properties.revenue}, apiKey: %s}
`, sdkKey, sources, destinationKey)
}

// server is one process under test, in a folder of its own.
type server struct {
	folder  string
	address netip.AddrPort
	profile string // address of its profiles; empty: none
	process *exec.Cmd
	ended   chan struct{} // closed when its output ended
	said    lastLines     // of its standard error
}

// lastLines keeps the end of what a process says, for when it fails.
type lastLines []string

func (l *lastLines) add(line string) {
	*l = append(*l, line)
	if len(*l) > 20 {
		*l = (*l)[1:]
	}
}

// start starts the command in a folder that exists and waits until it is
// ready. The process says its address on standard error.
func start(ctx context.Context, folder string, command ...string) (*server, error) {
	s := &server{folder: folder, process: exec.Command(command[0], command[1:]...), ended: make(chan struct{})}
	s.process.Env = append(os.Environ(), "CAUSEWAY_ADMIN_TOKEN="+adminToken, "CAUSEWAY_LOG_LEVEL=warn")
	// A terminal's Ctrl-C is for the bench, which then stops its servers.
	s.process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := s.process.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	address := make(chan string, 1)
	go s.listen(stderr, address)
	select {
	case text := <-address:
		if s.address, err = netip.ParseAddrPort(text); err == nil {
			err = s.ready(ctx)
		}
	case <-s.ended:
		err = errors.New("the server ended")
	case <-time.After(30 * time.Second):
		err = errors.New("the server does not say where it serves")
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.kill()
		return nil, fmt.Errorf("start the server: %w\n%s", err, strings.Join(s.said, "\n"))
	}
	return s, nil
}

// listen reads what the process says: first where it serves.
func (s *server) listen(stderr io.Reader, address chan<- string) {
	defer close(s.ended)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		if _, at, found := strings.Cut(line, "profiles: http://"); found {
			s.profile = at
		}
		if _, at, found := strings.Cut(line, "serves http://"); found {
			address <- at
		}
		s.said.add(line)
	}
}

func (s *server) ready(ctx context.Context) error {
	for end := time.Now().Add(30 * time.Second); ; {
		if err := s.get(ctx, "/readyz", nil); err == nil {
			return nil
		} else if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("the server does not become ready: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// get reads an admin route: JSON into a value, or the text into a *string.
func (s *server) get(ctx context.Context, path string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address.String()+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Accept-Encoding", "identity") // compressing would be the server's work
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.200s", path, response.Status, body)
	}
	switch into := into.(type) {
	case nil:
	case *string:
		*into = string(body)
	default:
		if err := json.Unmarshal(body, into); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
	}
	return nil
}

func (s *server) pid() int { return s.process.Process.Pid }

// kill ends the process as a power cut would.
func (s *server) kill() {
	_ = s.process.Process.Kill() // it may be gone already
	<-s.ended
	_ = s.process.Wait() // it was killed: that is its status
}

// stop ends the process and deletes its folder.
func (s *server) stop() error {
	s.kill()
	return os.RemoveAll(s.folder)
}

// processed reads from the metrics what became of calls so far.
func (s *server) processed(ctx context.Context) (stored, repeated int, err error) {
	var text string
	if err := s.get(ctx, "/metrics", &text); err != nil {
		return 0, 0, err
	}
	all, repeats := sum(text, "causeway_calls_total", ""), sum(text, "causeway_calls_total", `outcome="duplicate"`)
	return int(all - repeats), int(repeats), nil
}

// sum adds up the samples of a metric whose labels hold a text (Prometheus
// text format).
func sum(text, name, label string) float64 {
	total := 0.0
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if !found || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		labels, value, found := strings.Cut(strings.TrimSpace(rest), "} ")
		if !found {
			labels, value = "", labels
		}
		if !strings.Contains(labels, label) {
			continue
		}
		// A line that is none adds nothing; the caller compares the sum.
		n, _ := strconv.ParseFloat(value, 64)
		total += n
	}
	return total
}

// eventTypes sums the events in the store, by type.
func (s *server) eventTypes(ctx context.Context) (map[string]int, error) {
	var list struct {
		Items []struct {
			Name          string
			SevenDayCount int
		}
	}
	if err := s.get(ctx, environment+"/event-types", &list); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, item := range list.Items {
		counts[item.Name] += item.SevenDayCount
	}
	return counts, nil
}

// drained waits until so many calls are processed; it says how long that took
// and how many were stored and repeated.
func (s *server) drained(ctx context.Context, calls int, most time.Duration) (took time.Duration, stored, repeated int, err error) {
	for start := time.Now(); ; {
		if stored, repeated, err = s.processed(ctx); err != nil {
			return 0, 0, 0, err
		}
		if took = time.Since(start); stored+repeated >= calls || took > most {
			return took, stored, repeated, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// profileTo writes a CPU profile of the seconds to come into a file, in the
// background; finish waits for it.
func (s *server) profileTo(file string, duration time.Duration) (finish func() error) {
	if s.profile == "" || file == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			seconds := strconv.Itoa(max(int(duration/time.Second), 1))
			response, err := http.Get("http://" + s.profile + "/debug/pprof/profile?seconds=" + seconds)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			out, err := os.Create(filepath.Clean(file))
			if err != nil {
				return err
			}
			_, err = io.Copy(out, response.Body)
			return errors.Join(err, out.Close())
		}()
	}()
	return func() error { return <-done }
}
