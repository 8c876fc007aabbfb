package stream

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// The test binary starts itself again as a process that can be killed; this
// variable then says what it is to do, with arguments separated by blanks.
const childRole = "CAUSEWAY_TEST_CHILD"

func TestMain(m *testing.M) {
	switch role := strings.Fields(os.Getenv(childRole)); {
	case len(role) == 0:
		os.Exit(m.Run())
	case role[0] == "victim":
		victim(role[1], role[2])
	case role[0] == "node":
		node(role[1], role[2], role[3], role[4:])
	}
}

// child starts a process in a role and returns what it prints.
func child(t *testing.T, role ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childRole+"="+strings.Join(role, " "))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // or it has ended already
		_ = c.Wait()
	})
	return c, bufio.NewScanner(out)
}

// victim appends and publishes, and prints what was acknowledged, until it is
// killed.
func victim(dir, name string) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println("cannot open:", err)
		os.Exit(1)
	}
	var printing sync.Mutex
	say := func(format string, args ...any) {
		printing.Lock()
		defer printing.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	for c := range 8 {
		go func() {
			for n := 0; ; n++ {
				r := sized(2000)
				id := fmt.Sprintf("%s-%d-%d", name, c, n)
				r.Scheme = id
				if err := s.Append(ctx, Calls, r); err != nil {
					say("append: %v", err)
				}
				say("appended %s", id)
			}
		}()
	}
	origin, err := s.LastOrigin(ctx, "a")
	for ; err == nil; origin++ {
		// Every third origin needs several parcels.
		many := calls(fmt.Sprintf("origin-%d", origin+1), 3)
		if origin%3 == 0 {
			for i := range many {
				many[i] = []byte(fmt.Sprintf(`{"messageId":"origin-%d-%d","pad":%q}`, origin+1, i, strings.Repeat("x", 500<<10)))
			}
		}
		if err = s.PublishOutbound(ctx, "a", origin+1, many); err == nil {
			say("published %d", origin+1)
		}
	}
	say("publish: %v", err)
}

// killVictim runs a victim until it has had that many acknowledgements, kills
// it, and returns the appended ids and the newest published origin.
func killVictim(t *testing.T, dir, name string, acknowledgements int) (appended []string, published uint64) {
	t.Helper()
	process, scanner := child(t, "victim", dir, name)
	lines := 0
	for scanner.Scan() {
		line := scanner.Text()
		what, id, _ := strings.Cut(line, " ")
		switch what {
		case "appended":
			appended = append(appended, id)
		case "published":
			if _, err := fmt.Sscan(id, &published); err != nil {
				t.Error(err)
			}
		default:
			t.Errorf("the child says %q", line)
		}
		if lines++; lines == acknowledgements {
			if err := process.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = process.Wait() // killed
	if lines < acknowledgements {
		t.Fatalf("the child ended after %d acknowledgements", lines)
	}
	return appended, published
}

func TestNothingAcknowledgedIsLostOrDoubledWhenTheProcessIsKilled(t *testing.T) {
	dir := t.TempDir()
	var appended []string
	var published uint64
	for life := range 3 {
		ids, origin := killVictim(t, dir, fmt.Sprint("life", life), 600)
		appended = append(appended, ids...)
		published = max(published, origin)
	}
	s := openTest(t, Options{Dir: dir})
	seen := make(map[string]int)
	for _, f := range readAll(t, s, Calls, 0) {
		for _, r := range f.Records {
			seen[r.Scheme]++
		}
	}
	for _, id := range appended {
		if seen[id] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", id, seen[id])
		}
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s is there %d times", id, times)
		}
	}

	last, err := s.LastOrigin(t.Context(), "a")
	if err != nil || last < published {
		t.Errorf("last origin %d, %v; %d was acknowledged", last, err, published)
	}
	out := make(map[string]int)
	for _, call := range drain(t, outboundTest(t, s, "a")) {
		id, _, _ := strings.Cut(strings.TrimPrefix(call, `{"messageId":"`), `"`)
		out[id]++
	}
	for origin := uint64(1); origin <= last; origin++ {
		for i := range 3 {
			if id := fmt.Sprintf("origin-%d-%d", origin, i); out[id] != 1 {
				t.Errorf("outgoing call %s is there %d times", id, out[id])
			}
		}
	}
}

// A process that ends without Close, its files left as they are.
func TestFilesCopiedFromARunningServerOpen(t *testing.T) {
	from := t.TempDir()
	s := openTest(t, Options{Dir: from})
	for n := range 50 {
		appendTest(t, s, numbered(n))
	}
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if got := len(readAll(t, openTest(t, Options{Dir: to}), Calls, 0)); got != 50 {
		t.Errorf("%d of 50 frames are in the copy", got)
	}
}
