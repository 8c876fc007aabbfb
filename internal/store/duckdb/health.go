package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

const (
	// A commit this recent says all that a probe would.
	freshWrite = 2 * time.Second
	// probeBytes must fit on the disk for the store to call itself writable.
	probeBytes = 256 << 10
)

// Check reports whether the store can be written: nil when it was just now, or
// when a probe of some bytes beside the file and a small commit succeed.
func (s *Store) Check(ctx context.Context) error {
	if !s.broken.Load() && s.closing.Err() == nil && time.Since(time.Unix(0, s.wroteAt.Load())) < freshWrite {
		return nil
	}
	if err := probe(s.options.Path + ".probe"); err != nil {
		return fmt.Errorf("the store's disk does not take writes: %w", err)
	}
	err := s.update(ctx, func(tx *transaction) error {
		return tx.exec(ctx, "UPDATE probe SET written_at = ?", stamp(s.options.Now()))
	})
	if err != nil {
		return fmt.Errorf("the store does not take writes: %w", err)
	}
	return nil
}

// probe writes a file, waits until it is on the disk and removes it. A small
// commit alone would fit into what a full disk has left.
func probe(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	_, err = file.Write(make([]byte, probeBytes))
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Size is the bytes of the database file and of its write-ahead log.
func (s *Store) Size() (int64, error) {
	var size int64
	for _, name := range []string{s.options.Path, s.options.Path + ".wal"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("size of the store: %w", err)
		}
		size += info.Size()
	}
	return size, nil
}

// writable writes a byte beside the file. The engine must not meet a read-only
// file system while it commits: it fails to take back what it began, and an
// exception in a destructor of DuckDB's ends the process.
func writable(name string) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt([]byte{'.'}, 0)
	return errors.Join(err, file.Close())
}
