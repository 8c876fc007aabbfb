package duckdb

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"causeway/internal/reason"
	"causeway/internal/store"
)

// childVariable makes the test binary the process that is killed: it names
// what to do and in which folder.
const childVariable = "CAUSEWAY_STORE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if err := writeUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const crashBatch = 500

// openSmall opens a store that checkpoints every few batches, so that kills
// fall into checkpoints too.
func openSmall(ctx context.Context, dir string) (*Store, error) {
	return Open(ctx, Options{Path: filepath.Join(dir, "causeway.duckdb"), checkpointAt: 1 << 20})
}

// writeUntilKilled goes on from the stored position and says on standard
// output how far Write has acknowledged.
func writeUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := openSmall(ctx, dir)
	if err != nil {
		return err
	}
	at, err := s.Position(ctx, "calls")
	for err == nil {
		batch := benchBatch(int(at), crashBatch)
		if _, err = s.Write(ctx, &batch, nil); err == nil {
			at = batch.To
			fmt.Println(at)
		}
	}
	return err
}

func TestAKilledProcessLosesNothingItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	acknowledged := uint64(0)
	for _, writes := range []int{3, 17, 40} {
		acknowledged = killAfter(t, dir, writes, acknowledged)
		s, err := openSmall(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		position, err := s.Position(t.Context(), "calls")
		if err != nil {
			t.Fatal(err)
		}
		// The last batch may be stored without its writer having been told.
		if position != acknowledged && position != acknowledged+crashBatch {
			t.Errorf("position %d, acknowledged %d", position, acknowledged)
		}
		var events, distinct, calls, counted, ids uint64
		err = s.db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM events), (SELECT count(DISTINCT foreign_id) FROM events),
			(SELECT count(*) FROM calls), (SELECT sum(events)::BIGINT FROM event_type_days), (SELECT count(DISTINCT id) FROM recent)`).
			Scan(&events, &distinct, &calls, &counted, &ids)
		if err != nil {
			t.Fatal(err)
		}
		if events != position || distinct != position || calls != position || counted != position || ids != position {
			t.Errorf("position %d: %d events, %d distinct, %d calls, %d counted, %d ids; want all the same", position, events, distinct, calls, counted, ids)
		}
		// What the sender repeats because nobody told it is known.
		repeat := benchBatch(int(position)-crashBatch, crashBatch)
		repeat.From, repeat.To = position, position+crashBatch
		written, err := s.Write(t.Context(), &repeat, func(store.Written) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		for i, outcome := range written.Calls {
			if outcome != reason.Duplicate {
				t.Fatalf("repeated call %d is %s", i, outcome)
			}
		}
		// Undo the bookkeeping of that repeat: the child counts on from here.
		for _, undo := range []string{fmt.Sprint("UPDATE positions SET sequence = ", position), "DELETE FROM calls WHERE outcome = (SELECT id FROM names WHERE text = 'duplicate')"} {
			if _, err := s.db.ExecContext(t.Context(), undo); err != nil {
				t.Fatal(err)
			}
		}
		acknowledged = position
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter starts a writer on dir, kills it after some acknowledged writes
// and returns the last position it said.
func killAfter(t *testing.T, dir string, writes int, acknowledged uint64) uint64 {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for said := 0; lines.Scan(); said++ {
		if said == writes {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		// What it said between the kill being sent and its death counts too.
		if acknowledged, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := child.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acknowledged
}
