package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"causeway/docs"
	"causeway/internal/segment/segmenttest"
)

// The guides are run as they stand. The words behind the language of a code
// block say what it is:
//
//	yaml causeway.yaml   a file of that name
//	sh serve             starts the server, in the background
//	sh tried             is run; it must end with 0
//	sh tried until       is run until it says what the next block shows
//	text shows           what the block before printed: these lines, in this
//	                     order; "..." stands for anything within a line
//
// What a guide cannot have on every machine is put in place of what it names:
// see the environment in startGuide.
type guideBlock struct {
	line  int
	kind  string // file, serve, tried, until or shows
	file  string
	lines []string
}

func (b guideBlock) text() string { return strings.Join(b.lines, "\n") + "\n" }

func guideBlocks(t *testing.T, page string) []guideBlock {
	t.Helper()
	var blocks []guideBlock
	var open *guideBlock
	for i, line := range strings.Split(page, "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &guideBlock{line: i + 1}
			words := strings.Fields(fence)
			switch {
			case len(words) < 2:
			case words[0] == "sh" || words[0] == "text":
				if open.kind = words[len(words)-1]; !slices.Contains([]string{"serve", "tried", "until", "shows"}, open.kind) {
					t.Errorf("line %d: what is a block %q?", i+1, fence)
				}
			default:
				open.kind, open.file = "file", words[1]
			}
		case isFence:
			if open.kind != "" {
				blocks = append(blocks, *open)
			}
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	return blocks
}

func TestTheCommandsOfTheGuidesWork(t *testing.T) {
	files, err := fs.Glob(docs.Files, "guides/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, file := range files {
		text, err := fs.ReadFile(docs.Files, file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := guideBlocks(t, string(text))
		if len(blocks) == 0 {
			t.Errorf("%s: nothing of it is tried", file)
		}
		tried += len(blocks)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) {
			t.Parallel()
			runGuide(t, blocks)
		})
	}
	if tried == 0 {
		t.Fatal("no guide has a block to try")
	}
}

// guideShell is a shell that is told one block after the other.
type guideShell struct {
	t       *testing.T
	folder  string
	address string // of the server, once there is one
	replace *strings.Replacer
	stdin   io.Writer
	stdout  *bufio.Reader
}

func runGuide(t *testing.T, blocks []guideBlock) {
	shell := startGuide(t)
	for i, b := range blocks {
		switch b.kind {
		case "file":
			shell.write(b.file, b.text())
		case "serve":
			shell.serve(b)
		case "tried", "until":
			var shows []string
			if i+1 < len(blocks) && blocks[i+1].kind == "shows" {
				shows = blocks[i+1].lines
			}
			shell.try(b, shows)
		case "shows":
			if i == 0 || blocks[i-1].kind != "tried" && blocks[i-1].kind != "until" {
				t.Errorf("line %d: it shows what no block before it prints", b.line)
			}
		}
		if t.Failed() {
			return
		}
	}
}

func startGuide(t *testing.T) *guideShell {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	segment := segmenttest.Start(t, segmenttest.Options{})
	s := &guideShell{t: t, folder: t.TempDir(), address: address,
		replace: strings.NewReplacer("127.0.0.1:8080", address, "https://api.segment.io", segment.URL)}
	command := exec.Command("sh") // its context would end before Cleanup can end the server
	command.Dir = s.folder
	command.Env = append(os.Environ(), "CAUSEWAY_DATA="+filepath.Join(s.folder, "data"), "CAUSEWAY_LISTEN="+address, "CAUSEWAY_SERVER=http://"+address,
		"CAUSEWAY_ALLOW_PRIVATE_ENDPOINTS=true", "CAUSEWAY_MIN_FREE_DISK=1MiB", "CAUSEWAY_LOG_LEVEL=error", "TMPDIR="+s.folder)
	if s.stdin, err = command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.stdout = bufio.NewReader(stdout)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer time.AfterFunc(30*time.Second, func() { _ = command.Process.Kill() }).Stop()
		_, _ = io.WriteString(s.stdin, "test -z \"${guide_server:-}\" || { kill $guide_server; wait $guide_server; }\nexit\n")
		_ = command.Wait() // its status is that of the server
	})
	return s
}

func (s *guideShell) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(s.replace.Replace(text)), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// serve starts the server and waits until it is ready.
func (s *guideShell) serve(b guideBlock) {
	s.t.Helper()
	s.write("serve.sh", strings.Replace(b.text(), "causeway serve", "exec causeway serve", 1))
	if out, code := s.run(". ./serve.sh >server.out 2>&1 & guide_server=$!"); code != 0 {
		s.t.Fatalf("line %d: %d %s", b.line, code, out)
	}
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + s.address + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			said, _ := os.ReadFile(filepath.Join(s.folder, "server.out"))
			s.t.Fatalf("line %d: the server does not become ready: %s", b.line, said)
		}
	}
}

// try runs a block, again and again when what it shows may take a moment.
func (s *guideShell) try(b guideBlock, shows []string) {
	s.t.Helper()
	s.write("block.sh", b.text())
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		out, code := s.run(". ./block.sh 2>&1")
		missing := lacks(out, shows)
		if code == 0 && missing == "" {
			return
		}
		if b.kind == "tried" || time.Now().After(end) {
			s.t.Fatalf("line %d ended with %d and lacks %q; it printed:\n%s", b.line, code, missing, out)
		}
	}
}

// run gives the shell one line and reads what comes of it.
func (s *guideShell) run(line string) (out string, code int) {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.stdin, "%s\nprintf '\\036%%d\\n' $?\n", line); err != nil {
		s.t.Fatal(err)
	}
	out, err := s.stdout.ReadString('\036')
	if err != nil {
		s.t.Fatalf("the shell is gone: %v; it said %s", err, out)
	}
	status, err := s.stdout.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	code, err = strconv.Atoi(strings.TrimSpace(status))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(out, "\036"), code
}

// lacks is the first line of what should be shown that is not there, in order.
func lacks(out string, shows []string) string {
	lines := strings.Split(out, "\n")
	for _, want := range shows {
		pattern := regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), `\.\.\.`, ".*"))
		at := slices.IndexFunc(lines, pattern.MatchString)
		if at < 0 {
			return want
		}
		lines = lines[at+1:]
	}
	return ""
}

func TestAGuideThatDoesNotSayWhatIsSoIsFound(t *testing.T) {
	for _, c := range []struct {
		out   string
		shows []string
		lacks string
	}{
		{"a\nb 12 c\nd\n", []string{"a", "b ... c"}, ""},
		{"a\nb\n", []string{"b", "a"}, "a"},
		{"a.b\n", []string{"axb"}, "axb"},
		{"", []string{"something"}, "something"},
	} {
		if got := lacks(c.out, c.shows); got != c.lacks {
			t.Errorf("%q: lacks %q, want %q", c.out, got, c.lacks)
		}
	}
}
