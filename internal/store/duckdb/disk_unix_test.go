//go:build unix

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// A full disk is played by a limit on the size of files, which a process can
// only set for itself: so this, too, runs in a process of its own.
const fullDiskVariable = "CAUSEWAY_STORE_FULL_DISK"

func TestAFullDiskIsAnErrorAndHealsByItself(t *testing.T) {
	if dir := os.Getenv(fullDiskVariable); dir != "" {
		if err := fillTheDisk(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	child.Env = append(os.Environ(), fullDiskVariable+"="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func fillTheDisk(ctx context.Context, dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	s, err := openSmall(ctx, dir)
	if err != nil {
		return err
	}
	defer s.Close()
	acknowledged := 0
	write := func() error {
		batch := benchBatch(acknowledged, crashBatch)
		_, err := s.Write(ctx, &batch, nil)
		if err == nil {
			acknowledged += crashBatch
		}
		return err
	}
	if err := write(); err != nil {
		return err
	}
	// The log cannot grow at all, tears in the middle of a commit, or can and
	// the file itself cannot when the log is moved into it.
	for _, room := range []int64{0, 10 << 10, 2 << 20} {
		log, err := os.Stat(s.options.Path + ".wal")
		if err != nil {
			return err
		}
		if err := limitFiles(uint64(log.Size() + room)); err != nil {
			return err
		}
		for err = nil; err == nil && acknowledged < 1000*crashBatch; {
			err = write()
		}
		if err == nil {
			return fmt.Errorf("room for %d bytes: everything was acknowledged", room)
		}
		s.wroteAt.Store(0) // as if the last write was long ago
		if err := s.Check(ctx); err == nil && log.Size()+room < probeBytes {
			return errors.New("the store called itself writable on a full disk")
		}
		if err := limitFiles(math.MaxUint64); err != nil {
			return err
		}
		if acknowledged, err = s.agrees(ctx, acknowledged); err != nil {
			return fmt.Errorf("room for %d bytes: %w", room, err)
		}
		if err := s.Check(ctx); err != nil {
			return fmt.Errorf("check once there is room: %w", err)
		}
		if err := write(); err != nil {
			return fmt.Errorf("write once there is room: %w", err)
		}
	}
	_, err = s.agrees(ctx, acknowledged)
	return err
}

// agrees wants rows and position to agree, and the position to be what was
// acknowledged or one batch more: an error may come after the commit.
func (s *Store) agrees(ctx context.Context, acknowledged int) (int, error) {
	position, err := s.Position(ctx, "calls")
	if err != nil {
		return 0, err
	}
	if int(position) != acknowledged && int(position) != acknowledged+crashBatch {
		return 0, fmt.Errorf("position %d, acknowledged %d", position, acknowledged)
	}
	var events, distinct int
	if err := s.db.QueryRowContext(ctx, "SELECT count(*), count(DISTINCT foreign_id) FROM events").Scan(&events, &distinct); err != nil {
		return 0, err
	}
	if events != int(position) || distinct != events {
		return 0, fmt.Errorf("position %d, %d events, %d distinct", position, events, distinct)
	}
	return events, nil
}

func limitFiles(bytes uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	limit.Cur = min(bytes, limit.Max)
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func TestAFolderThatTakesNoWritesIsSaid(t *testing.T) {
	s, err := openSmall(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.options.Path = filepath.Join(t.TempDir(), "gone", "causeway.duckdb")
	if err := s.Check(t.Context()); err == nil {
		t.Error("a folder that cannot be written passed the check")
	}
}
