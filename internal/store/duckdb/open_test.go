package duckdb

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"causeway/internal/store"
)

func TestOpenTakesAnyFolderName(t *testing.T) {
	for _, name := range []string{"plain", "with space", "quote's", "日本", "a:b", "semi;colon&x=y#z", "deep/er"} {
		s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), name, "causeway.duckdb")})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := os.Stat(s.options.Path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", filepath.Join(t.TempDir(), "what?", "db"), filepath.Join(t.TempDir(), "100%", "db")} {
		if s, err := Open(t.Context(), Options{Path: name}); err == nil {
			s.Close()
			t.Errorf("%q was opened, although DuckDB reads it as another name", name)
		}
	}
}

func TestOpenRefusesWhatIsNotItsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "causeway.duckdb")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(t.Context(), Options{Path: path}); err == nil {
		s.Close()
		t.Error("a file of something else was opened")
	}

	s, err := openSmall(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path = s.options.Path
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO schema_version VALUES (1000)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), "newer Causeway") {
		t.Errorf("err %v, want that the file is of a newer version", err)
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := openSmall(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	out, err := child.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "lock") {
		t.Errorf("err %v, said %q, want that the file is locked", err, out)
	}
}

func TestCloseEndsARunningQuery(t *testing.T) {
	s, err := openSmall(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	running := make(chan error, 1)
	go func() {
		running <- s.query(context.Background(), "SELECT count(*) AS n FROM range(10000000) AS a, range(10000000) AS b WHERE a.range + b.range = 3", nil, nil)
	}()
	for s.open.TryLock() { // until the query holds it
		s.open.Unlock()
		time.Sleep(time.Millisecond)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-running; err == nil {
		t.Error("a query over 10^14 pairs came to an end")
	}
}

func TestRetainGivesSpaceBack(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "causeway.duckdb")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const size = 5_000
	var first int64
	for round := range 4 {
		for i := range 5 {
			batch := benchBatch((round*5+i)*size, size)
			if _, err := s.Write(t.Context(), &batch, nil); err != nil {
				t.Fatal(err)
			}
		}
		bytes, err := s.Size()
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			first = bytes
		}
		if bytes > 2*first {
			t.Errorf("round %d: %d bytes, although the first took %d and was deleted", round, bytes, first)
		}
		policy := store.Retention{Events: time.Hour, Calls: time.Hour, EventTypes: time.Hour, Dedup: time.Nanosecond}
		if err := s.Retain(t.Context(), policy, time.Now().Add(1000*24*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMetricsCountRowsAndDuplicates(t *testing.T) {
	registry := prometheus.NewRegistry()
	path := filepath.Join(t.TempDir(), "causeway.duckdb")
	s, err := Open(t.Context(), Options{Path: path, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	batch := benchBatch(0, 10)
	repeat := benchBatch(0, 10)
	repeat.From, repeat.To = 10, 20
	for _, b := range []*store.Batch{&batch, &repeat} {
		if _, err := s.Write(t.Context(), b, nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Write(t.Context(), &store.Batch{Consumer: "calls", From: 20, To: 30}, func(store.Written) error { return errors.New("no") }); err == nil {
		t.Fatal("the error of beforeCommit was lost")
	}
	for _, want := range []struct {
		what string
		got  float64
		want float64
	}{
		{"event rows", testutil.ToFloat64(s.metrics.rows.WithLabelValues("events")), 10},
		{"call rows", testutil.ToFloat64(s.metrics.rows.WithLabelValues("calls")), 20},
		{"duplicates", testutil.ToFloat64(s.metrics.duplicates.WithLabelValues("call")), 10},
		{"failures", testutil.ToFloat64(s.metrics.failures), 1},
	} {
		if want.got != want.want {
			t.Errorf("%s: %v, want %v", want.what, want.got, want.want)
		}
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v %v", problems, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(t.Context(), Options{Path: path, Metrics: registry})
	if err != nil {
		t.Fatalf("a second store on the same registry: %v", err)
	}
	again.Close()
}
