//go:build unix

package main

import (
	"bufio"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatAServerWritesIsForItsOwnerOnly: also in a folder that was there
// before with wider rights, as systemd makes it.
func TestWhatAServerWritesIsForItsOwnerOnly(t *testing.T) {
	folder := t.TempDir()
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--data", folder, "--listen", "127.0.0.1:0", "--min-free-disk", "1MiB"}, strings.NewReader(""), io.Discard, writer)
		_ = writer.Close()
	}()
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if strings.Contains(lines.Text(), " serves ") {
			stop()
		}
	}
	if code := <-done; code != exitDone {
		t.Fatalf("the server exited with %d", code)
	}
	files := 0
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == folder {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files++
		if wide := info.Mode().Perm() & 0o077; wide != 0 {
			t.Errorf("%s has mode %04o", path, info.Mode().Perm())
		}
		return nil
	})
	if err != nil || files < 5 {
		t.Errorf("%d files, err %v", files, err)
	}
}
