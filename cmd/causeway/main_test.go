package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain puts the command on the path of scripts and tests: the test binary
// is it when it is called by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"causeway": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"server": serverCommand},
	})
}

const scriptToken = "the-token-of-the-scripts"

// serverCommand is "server FILE": it serves on a free port until the script
// ends, applies the configuration, which can be changed after, and sets CAUSEWAY_SERVER and CAUSEWAY_TOKEN.
func serverCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: server FILE")
	}
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{
			"serve", "--data", ts.MkAbs("data"), "--listen", "127.0.0.1:0",
			"--admin-token", scriptToken, "--log-level", "error", "--min-free-disk", "1MiB",
		}, strings.NewReader(""), io.Discard, writer)
		_ = writer.Close()
	}()
	address, logged := make(chan string, 1), make(chan string, 1)
	ts.Defer(func() {
		cancel()
		if code := <-done; code != exitDone {
			ts.Logf("the server exited with %d", code)
		}
		ts.Logf("the server said:\n%s", <-logged)
	})
	go func() {
		var log strings.Builder
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			if _, base, ok := strings.Cut(lines.Text(), " serves "); ok {
				address <- base
			}
			log.WriteString(lines.Text() + "\n")
		}
		close(address)
		logged <- log.String()
	}()
	select {
	case base, ok := <-address:
		if !ok {
			ts.Fatalf("the server does not start")
		}
		ts.Setenv("CAUSEWAY_SERVER", base)
		ts.Setenv("CAUSEWAY_TOKEN", scriptToken)
		waitReady(ts, base)
		apply := []string{"apply", ts.MkAbs(args[0]), "--server", base, "--token", scriptToken}
		if code := run(ctx, apply, strings.NewReader(""), io.Discard, io.Discard); code != exitDone {
			ts.Fatalf("the configuration is not applied: exit code %d", code)
		}
	case <-time.After(30 * time.Second):
		ts.Fatalf("the server does not start within 30 s")
	}
}

func waitReady(ts *testscript.TestScript, base string) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		response, err := http.Get(base + "/readyz")
		if err != nil {
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server does not become ready")
}

// shell runs a verb as a shell would.
func shell(t *testing.T, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

func TestEveryVerbExplainsItself(t *testing.T) {
	for _, verb := range []string{
		"", "serve", "demo", "validate", "translate", "diff-mapping", "apply", "export", "key list", "key rotate", "attribute list", "customer find", "customer show", "customer export", "customer erase", "key end-rotation", "tail", "trace", "replay",
		"send track", "send identify", "send page", "send screen", "send group", "user role", "token add", "audit", "flag list", "flag kill", "flag restore", "status", "backup", "restore", "healthcheck", "version",
	} {
		stdout, stderr, code := shell(t, "", append(strings.Fields(verb), "--help")...)
		if code != exitDone || stderr != "" || !strings.Contains(stdout, "Usage: causeway") {
			t.Errorf("%s --help: %d %q %q", verb, code, stdout, stderr)
		}
	}
}
