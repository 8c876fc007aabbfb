// Package e2e runs clients that nobody here wrote or changed against the built
// binary: Segment's and RudderStack's libraries, the Split SDKs, in Go, in Node
// and in a real Chromium.
//
// Contract: every test starts a server of its own on loopback with a folder of
// its own, lets a client send all that it can send, and looks at what became
// of it through the admin API and at the fake Segment. Between client and
// server stands a proxy that can refuse, drop and lie (proxy_test.go). Nothing
// waits for time to pass; what is waited for is a condition. What is missing on
// the machine (node, chromium, the packages) fails a test with a sentence that
// says what to install.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// What the configuration of the tests gives to clients.
const (
	adminToken = "e2e-admin-token"
	writeKey   = "e2e-write-key"       // of the destination, for Segment libraries
	serverKey  = "e2e-server-side-key" // of the environment, for server SDKs
	clientKey  = "e2e-client-side-key" // of the environment, for browser SDKs
)

// patience is how long a condition may take to become true. It is long because
// it costs nothing when all is well.
const patience = 30 * time.Second

// binary is the built command.
var binary string

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "causeway-e2e-")
	if err == nil {
		binary = filepath.Join(folder, "causeway")
		build := exec.Command("go", "build", "-o", binary, "./cmd/causeway")
		build.Dir = ".."
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: building the binary:", err)
		os.Exit(1)
	}
	code := m.Run()
	closeBrowser()
	closeDemo()
	_ = os.RemoveAll(folder) // a temporary folder
	os.Exit(code)
}

// server is a Causeway in a process of its own.
type server struct {
	t       *testing.T
	URL     string
	folder  string
	process *exec.Cmd
	exited  chan struct{} // closed when the process is gone

	wasKilled bool // in the middle of its work
	bare      bool // without a configuration file

	mu  sync.Mutex
	log bytes.Buffer
}

// startBareServer starts Causeway as somebody does who has nothing yet.
func startBareServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.bare = true
	s.start()
	return s
}

// newServer is a server to start. It is stopped when the test ends.
func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, URL: "http://" + freeAddress(t), folder: t.TempDir()}
	t.Cleanup(func() {
		if s.process != nil {
			s.kill()
		}
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Logf("the server said:\n%s", tail(s.log.String(), 4000))
		}
	})
	return s
}

// startServer starts Causeway with the configuration and stops it when the
// test ends; a test that failed shows the server's last words.
func startServer(t *testing.T, configuration string) *server {
	t.Helper()
	s := newServer(t)
	if err := os.WriteFile(filepath.Join(s.folder, "causeway.yaml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	return s
}

// start starts the process and returns once it is ready.
func (s *server) start() {
	s.t.Helper()
	arguments := []string{"serve", "--data", filepath.Join(s.folder, "data"), "--listen", strings.TrimPrefix(s.URL, "http://"), "--allow-private-endpoints"}
	if !s.bare {
		arguments = append(arguments, "--config", filepath.Join(s.folder, "causeway.yaml"))
	}
	s.process = exec.Command(binary, arguments...)
	s.process.Env = append(os.Environ(), "CAUSEWAY_ADMIN_TOKEN="+adminToken)
	s.process.Stdout, s.process.Stderr = &logWriter{s}, &logWriter{s}
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	exited := make(chan struct{})
	s.exited = exited
	go func(process *exec.Cmd) {
		_ = process.Wait() // it is killed: that is its status
		close(exited)
	}(s.process)
	s.eventually("the server is ready", func() error {
		select {
		case <-exited:
			s.t.Fatal("the server ended by itself")
		default:
		}
		response, err := http.Get(s.URL + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

// kill ends the process as kill -9 does.
func (s *server) kill() {
	_ = s.process.Process.Kill() // it may be gone already
	<-s.exited
}

// eventually tries until there is no error.
func (s *server) eventually(what string, try func() error) {
	s.t.Helper()
	eventually(s.t, what, try)
}

// eventually tries until there is no error, and fails the test with the last
// one when patience is over.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(25 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not so after %v: %v", what, patience, err)
}

type logWriter struct{ s *server }

func (w *logWriter) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(p)
}

func tail(text string, n int) string {
	return text[max(0, len(text)-n):]
}

// freeAddress is a loopback address that nobody listens on. It is known before
// the server starts, so that a server that is started again has the same.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// repository is a file or folder next to this package, which must be there.
func repository(t *testing.T, missing string, path ...string) string {
	t.Helper()
	name := filepath.Join(path...)
	if _, err := os.Stat(name); err != nil {
		t.Fatalf("%s is missing: %s", name, missing)
	}
	return name
}

// npmCI is what to do when a package is missing.
const npmCI = "run `npm ci` in e2e/"

// tryNode runs a client of clients/ with its options as a line of JSON. The
// client prints one line of JSON, which is decoded into answer. Then wait is
// called, if there is one, and only then the client's input ends: it may wait
// for that before it ends itself. It is for goroutines, too: it returns what
// went wrong.
func tryNode(t *testing.T, script string, options, answer any, wait ...func()) error {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		return errors.New("node is missing: install Node.js 20 or later (on Debian, apt-get install nodejs npm)")
	}
	if _, err := os.Stat("node_modules"); err != nil {
		return errors.New("node_modules is missing: " + npmCI)
	}
	text, err := json.Marshal(options)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	command := exec.CommandContext(ctx, path, filepath.Join("clients", script))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	in, err := command.StdinPipe()
	if err != nil {
		return err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	_, err = in.Write(append(text, '\n'))
	decodeErr := json.NewDecoder(out).Decode(answer)
	if decodeErr == nil {
		for _, w := range wait {
			w()
		}
	}
	_ = in.Close() // the client may be gone: Wait tells
	_, drainErr := io.Copy(io.Discard, out)
	if err = errors.Join(err, decodeErr, drainErr, command.Wait()); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, tail(stderr.String(), 4000))
	}
	return nil
}
