package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// CopyName is the database file's name in a folder that Copy filled; its
// write-ahead log lies beside it.
const CopyName = "store.duckdb"

// Copy copies the database into a folder, to the last commit, and returns each
// consumer's position in the copy. Queries go on; writes wait until the bytes
// are copied. Open takes the copy as it takes what a crash left.
func (s *Store) Copy(ctx context.Context, folder string) (positions map[string]uint64, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy the store: %w", err)
		}
	}()
	select {
	case s.writing <- struct{}{}:
		defer func() { <-s.writing }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// The writer keeps out whoever holds the token, this whoever tidies up
	// beside it: between commits nothing writes to the files.
	s.tidying.Lock()
	defer s.tidying.Unlock()
	if err := s.revive(ctx); err != nil {
		return nil, err
	}
	positions = map[string]uint64{}
	err = s.query(ctx, "SELECT consumer, sequence FROM positions", nil, func(rows *sql.Rows) error {
		var consumer string
		var sequence int64
		err := rows.Scan(&consumer, &sequence)
		positions[consumer] = uint64(sequence)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, suffix := range []string{"", ".wal"} {
		err := copyFile(ctx, filepath.Join(folder, CopyName+suffix), s.options.Path+suffix)
		if suffix != "" && errors.Is(err, fs.ErrNotExist) {
			err = nil // there is no log just after a checkpoint
		}
		if err != nil {
			return nil, err
		}
	}
	return positions, nil
}

// copyFile copies in pieces, so that the end of ctx is noticed.
func copyFile(ctx context.Context, to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	const piece = 64 << 20
	for err == nil && ctx.Err() == nil {
		_, err = io.CopyN(out, in, piece)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, ctx.Err(), out.Close())
}
