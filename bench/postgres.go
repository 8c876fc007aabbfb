//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"causeway/internal/store"
)

// postgres is a PostgreSQL of the bench's own: a folder, a socket in it, no
// address. It is not needed for anything but to stand beside.
type postgres struct {
	ctx    context.Context
	folder string // of the programs
	data   string
	as     *syscall.SysProcAttr // PostgreSQL does not run as root
}

// findPostgres looks on the PATH and where Debian puts the programs.
func findPostgres() (folder string, found bool) {
	debian, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", false
	}
	slices.Reverse(debian) // the newest first
	for _, place := range append(filepath.SplitList(os.Getenv("PATH")), debian...) {
		program, err := filepath.EvalSymlinks(filepath.Join(place, "postgres"))
		if err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(filepath.Dir(program), "initdb")); err == nil {
			return filepath.Dir(program), true
		}
	}
	return "", false
}

// The settings are generous: what PostgreSQL would be given that had the
// machine to itself and this to do.
var postgresSettings = []string{"listen_addresses=", "shared_buffers=2GB", "work_mem=512MB", "maintenance_work_mem=1GB", "max_wal_size=8GB",
	"synchronous_commit=off", "effective_cache_size=8GB", "max_parallel_workers_per_gather=2"}

// The question, as plainly as it can be put: no key changes its treatment in
// this history, so neither changes nor exclusion are asked for, nor quantiles.
const postgresQuery = `
WITH seen AS (SELECT key, treatment, min(at) AS first FROM impressions WHERE flag = '` + queryFlag + `' GROUP BY key, treatment),
done AS (
	SELECT seen.treatment, seen.key, coalesce(sum(events.value), 0) AS x FROM seen
	LEFT JOIN events ON events.event_type = 'event_0' AND events.key = seen.key AND events.at >= seen.first - 900000
	GROUP BY seen.treatment, seen.key)
SELECT treatment, count(*), avg(x), var_pop(x) * count(*), min(x), max(x), sum(x) FROM done GROUP BY treatment`

// postgres asks PostgreSQL the same on the same rows; 0 and a note: it is not
// there. What it answers must be what arms say.
func (b *bench) postgres(h history, arms []store.Arm) (median time.Duration, note string, err error) {
	folder, found := findPostgres()
	if !found {
		return 0, "not measured: there is no postgres on the PATH (Debian's package is postgresql)", nil
	}
	p := &postgres{ctx: b.ctx, folder: folder}
	if p.data, err = os.MkdirTemp(b.folder, "postgres-"); err != nil {
		return 0, "", err
	}
	if os.Geteuid() == 0 {
		if err := p.notAsRoot(b.folder); err != nil {
			return 0, "", err
		}
	}
	stop, err := p.start()
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := p.load(h); err != nil {
		return 0, "", err
	}
	var times []time.Duration
	for range 3 {
		began := time.Now()
		answer, err := p.psql(nil, "-c", postgresQuery)
		if err != nil {
			return 0, "", err
		}
		times = append(times, time.Since(began))
		if err := sameArms(answer, arms); err != nil {
			return 0, "", err
		}
	}
	version, err := p.psql(nil, "-c", "SHOW server_version")
	slices.Sort(times)
	return times[1], fmt.Sprintf("%s, covering indexes, vacuumed; median of 3; the same answer", strings.TrimSpace(string(version))), err
}

// notAsRoot gives the folder to a user that PostgreSQL may run as.
func (p *postgres) notAsRoot(above string) error {
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return fmt.Errorf("PostgreSQL does not run as root: %w", err)
		}
	}
	uid, err := strconv.Atoi(who.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(who.Gid)
	if err != nil {
		return err
	}
	p.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if err := os.Chmod(above, 0o711); err != nil { // to be walked through
		return err
	}
	return os.Chown(p.data, uid, gid)
}

func (p *postgres) command(program string, args ...string) *exec.Cmd {
	command := exec.CommandContext(p.ctx, filepath.Join(p.folder, program), args...)
	command.Dir, command.SysProcAttr = p.data, p.as
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) } // a fast shutdown
	return command
}

// start makes a cluster and runs its server until stop.
func (p *postgres) start() (stop func() error, err error) {
	if text, err := p.command("initdb", "-D", p.data+"/cluster", "-A", "trust", "-U", "bench", "--no-sync", "-E", "UTF8", "--locale=C").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, text)
	}
	args := []string{"-D", p.data + "/cluster", "-k", p.data}
	for _, setting := range postgresSettings {
		args = append(args, "-c", setting)
	}
	server := p.command("postgres", args...)
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop = func() error {
		_ = server.Process.Signal(syscall.SIGINT)
		_ = server.Wait() // its folder is deleted, whatever it says
		return nil
	}
	for range 100 {
		if _, err = p.psql(nil, "-c", "SELECT 1"); err == nil {
			return stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil, errors.Join(err, stop(), fmt.Errorf("PostgreSQL does not start: %s", log.String()))
}

func (p *postgres) psql(input io.Reader, args ...string) ([]byte, error) {
	command := p.command("psql", append([]string{"-h", p.data, "-U", "bench", "-d", "postgres", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-t", "--csv"}, args...)...)
	command.Stdin = input
	var complaint bytes.Buffer
	command.Stderr = &complaint
	answer, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("psql: %w: %s", err, complaint.String())
	}
	return answer, nil
}

// load fills the tables and indexes them, so that the query reads indexes only.
func (p *postgres) load(h history) error {
	if _, err := p.psql(nil, "-c", `CREATE TABLE impressions (flag text, key text, treatment text, at bigint);
		CREATE TABLE events (event_type text, key text, at bigint, value float8)`); err != nil {
		return err
	}
	copyRows := func(table string, n int, row func(w *bufio.Writer, i int)) error {
		read, write := io.Pipe()
		go func() {
			w := bufio.NewWriterSize(write, 1<<20)
			for i := range n {
				row(w, i)
			}
			_ = write.CloseWithError(w.Flush())
		}()
		_, err := p.psql(read, "-c", "COPY "+table+" FROM STDIN")
		return errors.Join(err, read.Close())
	}
	err := copyRows("impressions", h.impressions, func(w *bufio.Writer, i int) {
		key, arm, at := h.impression(i)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\n", queryFlag, key, arm, at.UnixMilli())
	})
	if err != nil {
		return err
	}
	err = copyRows("events", h.events, func(w *bufio.Writer, i int) {
		key, eventType, value, at := h.event(i)
		fmt.Fprintf(w, "%s\t%s\t%d\t%v\n", eventType, key, at.UnixMilli(), value)
	})
	if err != nil {
		return err
	}
	for _, statement := range []string{
		"CREATE INDEX ON impressions (flag, key, treatment, at)", "CREATE INDEX ON events (event_type, key, at) INCLUDE (value)",
		"VACUUM (ANALYZE) impressions", "VACUUM (ANALYZE) events",
	} {
		if _, err := p.psql(nil, "-c", statement); err != nil {
			return err
		}
	}
	return nil
}

// sameArms compares PostgreSQL's answer with ours.
func sameArms(answer []byte, arms []store.Arm) error {
	lines, err := csv.NewReader(bytes.NewReader(answer)).ReadAll()
	if err != nil || len(lines) != len(arms) {
		return fmt.Errorf("PostgreSQL answers %q: %w", answer, err)
	}
	for _, line := range lines {
		i := slices.IndexFunc(arms, func(a store.Arm) bool { return a.Treatment == line[0] })
		if i < 0 {
			return fmt.Errorf("PostgreSQL has an arm %q", line[0])
		}
		a := arms[i]
		for j, ours := range []float64{float64(a.N), a.Mean, a.M2, a.Min, a.Max, a.Sum} {
			theirs, err := strconv.ParseFloat(line[j+1], 64)
			if err != nil || math.Abs(theirs-ours) > 1e-9*max(math.Abs(ours), 1) {
				return fmt.Errorf("of %s, PostgreSQL says %v and the store %v", a.Treatment, line[1:], a)
			}
		}
	}
	return nil
}
