package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// disk is a file system of a few megabytes in a file, mounted for one test.
type disk struct {
	t       *testing.T
	folder  string // where it is mounted
	image   string
	device  string // the loop device
	mounted bool
}

// newDisk makes a small ext4 file system and mounts it on the folder.
// The test's end ends the server on it.
func newDisk(s *server, folder string, megabytes int) *disk {
	t := s.t
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test mounts a small file system, which only root may do: run it as root, in a container if you like")
	}
	d := &disk{t: t, folder: folder, image: filepath.Join(t.TempDir(), "disk.img")}
	file, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Truncate(int64(megabytes) << 20); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	d.command("mkfs.ext4", "-q", "-m", "0", d.image)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	d.device = d.command("losetup", "--find", "--show", d.image)
	t.Cleanup(func() {
		if s.process != nil {
			s.kill()
		}
		if d.mounted {
			d.unmount()
		}
		d.command("losetup", "--detach", d.device)
	})
	d.mount()
	return d
}

func (d *disk) command(name string, arguments ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %s: %v: %s (mounting needs root, util-linux and e2fsprogs)", name, strings.Join(arguments, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *disk) mount(options ...string) {
	d.t.Helper()
	d.command("mount", append([]string{"-t", "ext4", "-o", strings.Join(append([]string{"errors=remount-ro"}, options...), ","), d.device}, d.folder)...)
	d.mounted = true
}

func (d *disk) unmount() {
	d.t.Helper()
	d.command("umount", d.folder)
	d.mounted = false
}

// ballast fills the disk up to so many free megabytes; remove it to make room.
func (d *disk) ballast(free int) (remove func()) {
	d.t.Helper()
	name := filepath.Join(d.folder, "ballast")
	file, err := os.Create(name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer file.Close()
	for d.free() > int64(free)<<20 {
		if _, err := file.Write(make([]byte, 1<<20)); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := file.Sync(); err != nil {
		d.t.Fatal(err)
	}
	return func() {
		d.t.Helper()
		if err := os.Remove(name); err != nil {
			d.t.Fatal(err)
		}
	}
}

// free is how many bytes may still be written.
func (d *disk) free() (bytes int64) {
	d.t.Helper()
	if _, err := fmt.Sscan(d.command("df", "--output=avail", "-B1", d.folder)[len("Avail"):], &bytes); err != nil {
		d.t.Fatal(err)
	}
	return bytes
}

// fullDisks are the two ways in which a disk gets full: slowly, so that the
// reserve is reached first, and before anybody notices, so that writes fail in
// the middle.
var fullDisks = []struct {
	name    string
	reserve string // --min-free-disk; half of it refuses
	leave   int    // megabytes beside the ballast
}{
	{"the reserve is reached", "32MiB", 30},
	{"writes fail", "2KiB", 12},
}

func TestAFullDiskRefusesAndLosesNothingAndRecoversByItself(t *testing.T) {
	for _, full := range fullDisks {
		t.Run(full.name, func(t *testing.T) {
			t.Parallel()
			s, segment := newFaultyServer(t)
			d := newDisk(s, filepath.Join(s.folder, "data"), 192)
			l := fillUp(t, s, d, full.reserve, full.leave)
			text := s.becomesUnready()
			if !strings.Contains(text, "disk") && !strings.Contains(text, "space") && !strings.Contains(text, "room") {
				t.Errorf("readyz does not say that the disk is full: %s", text)
			}
			time.Sleep(2 * time.Second) // load on a full disk
			if s.ended() {
				t.Fatal("the process ended")
			}
			if err := os.Remove(filepath.Join(d.folder, "ballast")); err != nil {
				t.Fatal(err)
			}
			s.becomesReady()
			before := l.acknowledgements()
			s.within(time.Minute, "calls are taken again", func() error {
				if l.acknowledgements() < before+500 {
					return fmt.Errorf("%d more", l.acknowledgements()-before)
				}
				return nil
			})
			l.stop()
			l.account("disk full, "+full.name, segment)
		})
	}
}

func TestARestartOnAFullDiskLosesNothing(t *testing.T) {
	for _, full := range fullDisks {
		t.Run(full.name, func(t *testing.T) {
			t.Parallel()
			s, segment := newFaultyServer(t)
			d := newDisk(s, filepath.Join(s.folder, "data"), 192)
			l := fillUp(t, s, d, full.reserve, full.leave)
			s.becomesUnready()
			s.kill()
			l.stop()
			s.launch("--min-free-disk", full.reserve)
			// Without any room it may not be able to start; then it says why.
			waiting := true
			for end := time.Now().Add(20 * time.Second); waiting && !s.ended() && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				_, _, err := s.readiness()
				waiting = err != nil
			}
			if s.ended() {
				if code := s.exitCode(time.Second); code != 2 || !strings.Contains(tail(s.said(), 600), "causeway: ") {
					t.Errorf("on a full disk it ends with %d", code)
				}
				t.Logf("on a full disk it does not start: %s", lastLine(s.said()))
			} else if ready, text, err := s.readiness(); err != nil || ready {
				t.Errorf("on a full disk it is ready %v, %v", ready, err)
			} else {
				t.Logf("on a full disk it starts and is not ready: %s", text)
			}
			if err := os.Remove(filepath.Join(d.folder, "ballast")); err != nil {
				t.Fatal(err)
			}
			if s.ended() {
				s.launch("--min-free-disk", full.reserve)
			}
			s.becomesReady()
			l.account("restart on a full disk, "+full.name, segment)
		})
	}
}

// fillUp runs a server under load until its disk takes no more.
func fillUp(t *testing.T, s *server, d *disk, reserve string, leave int) *load {
	t.Helper()
	s.launch("--min-free-disk", reserve)
	s.becomesReady()
	d.ballast(leave)
	l := newLoad(s)
	l.pad = strings.Repeat("x", 2000)
	l.start(4)
	s.within(time.Minute, "requests are refused", func() error {
		if l.refusals() < 20 {
			return fmt.Errorf("%d are, %d bytes are free", l.refusals(), d.free())
		}
		return nil
	})
	return l
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// A file system that meets an error of its disk becomes read-only under the
// feet of the process. (That it becomes writable again under its feet, too, no
// Linux file system allows while files are open for writing: it takes
// unmounting, and so a restart.)
//
// Nothing is written in the moment of the error itself: an fsync that ext4
// answers while it gives up its journal may succeed and be lost all the same,
// as five of sixty files did under a program that only wrote and synced.
func TestADiskThatBecomesReadOnlyRefusesAndLosesNothing(t *testing.T) {
	t.Parallel()
	s, segment := newFaultyServer(t)
	d := newDisk(s, filepath.Join(s.folder, "data"), 192)
	s.launch("--min-free-disk", "1MiB")
	s.becomesReady()
	l := newLoad(s)
	l.start(4)
	time.Sleep(2 * time.Second)
	l.stop()
	l.settle(segment)
	trigger := filepath.Join("/sys/fs/ext4", filepath.Base(d.device), "trigger_fs_error")
	if err := os.WriteFile(trigger, []byte("a test"), 0o200); err != nil {
		t.Fatal(err)
	}
	l.start(4)
	s.within(30*time.Second, "requests are refused", func() error {
		if n := l.refusals(); n < 20 && !s.ended() {
			return fmt.Errorf("%d are", n)
		}
		return nil
	})
	if !s.ended() {
		if text := s.becomesUnready(); !strings.Contains(text, "read-only") && !strings.Contains(text, "disk") {
			t.Errorf("readyz does not say that the disk is read-only: %s", text)
		}
		time.Sleep(2 * time.Second)
	}
	if s.ended() { // known: docs/operating.md, "the disk became read-only"
		_, words, found := strings.Cut(s.said(), "terminate called after throwing")
		if !found || !strings.Contains(words, "store.duckdb") {
			t.Errorf("it was not the store's engine that ended the process")
		}
		t.Log("the store's engine was in the middle of a commit and ended the process")
	}
	l.stop()
	s.kill()
	d.unmount()
	_, _ = exec.Command("e2fsck", "-p", "-f", d.device).CombinedOutput() // repairs, and says so with its exit code
	d.mount("ro")
	s.launch("--min-free-disk", "1MiB")
	if code := s.exitCode(40 * time.Second); code != 2 || !strings.Contains(lastLine(s.said()), "read-only") {
		t.Errorf("a start on a read-only folder ends with %d: %s", code, lastLine(s.said()))
	}
	d.command("mount", "-o", "remount,rw", d.folder)
	s.launch("--min-free-disk", "1MiB")
	s.becomesReady()
	l.account("read-only disk", segment)
}

// The store's disk hangs, while that of the streams does not: what comes in is
// taken, and stored afterwards. CAUSEWAY_TEST_STALL sets the seconds.
func TestAStoreThatHangsStopsNoDoor(t *testing.T) {
	t.Parallel()
	seconds := fromEnvironment(t, "CAUSEWAY_TEST_STALL", 15)
	s, segment := newFaultyServer(t)
	slow := newDisk(s, filepath.Join(s.folder, "data"), 192)
	newDisk(s, filepath.Join(s.folder, "data", "streams"), 192)
	s.launch("--min-free-disk", "1MiB")
	s.becomesReady()
	l := newLoad(s)
	l.pause = 20 * time.Millisecond
	l.start(4)
	time.Sleep(2 * time.Second)
	healthy, _ := l.p99()
	slow.command("fsfreeze", "--freeze", slow.folder)
	thaw := func() { _ = exec.Command("fsfreeze", "--unfreeze", slow.folder).Run() } // or it is thawed already
	t.Cleanup(thaw)
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	text := s.becomesUnready()
	if !strings.Contains(text, "store") {
		t.Errorf("readyz does not say that the store hangs: %s", text)
	}
	time.Sleep(time.Until(end))
	before := l.refusals()
	during, requests := l.p99()
	thaw()
	s.becomesReady()
	time.Sleep(time.Second)
	l.stop()
	if before > 0 || requests < 100 {
		t.Errorf("while the store hung %d requests were answered 2xx and %d refused", requests, before)
	}
	t.Logf("p99 of ingest: healthy %v, while the store hung for %d s %v", healthy, seconds, during)
	l.account("a store that hangs", segment)
}

// A folder that cannot be written is said, and is no start.
func TestAStartOnAReadOnlyFolderSaysSo(t *testing.T) {
	t.Parallel()
	s, _ := newFaultyServer(t)
	d := newDisk(s, filepath.Join(s.folder, "data"), 64)
	d.command("mount", "-o", "remount,ro", d.folder)
	s.launch()
	if code := s.exitCode(40 * time.Second); code != 2 {
		t.Errorf("exit code %d, want 2", code)
	}
	if said := lastLine(s.said()); !strings.HasPrefix(said, "causeway: ") || !strings.Contains(said, "read-only") {
		t.Errorf("it says %q", said)
	}
}
