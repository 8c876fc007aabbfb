//go:build linux

// Command bench measures Causeway on this machine: the rows of the table of
// figures to reach, each with its target and a verdict. docs/performance.md
// says how each is measured and what the figures do not say.
//
//	go run ./bench                                  # everything, in about three minutes
//	go run ./bench --rows single,batch --duration 60s
//	go run ./bench --rows console                   # the pages of the console over 5 million events
//	go run ./bench --against 127.0.0.1:1031 --form goff --pid 4711
//
// Contract: load goes to loopback addresses and nowhere else. Each row starts a
// server of its own, as a process of its own, on a folder of its own on a real
// disk; all of them are gone when the bench ends, on an interruption too. It
// exits with 0 when it measured, whatever the verdicts, and with 2 when it
// could not.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) > 2 && os.Args[1] == doorArgument {
		err = serveDoor(ctx, os.Args[2], len(os.Args) > 3)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
}

// options are the flags.
type options struct {
	rows     string
	duration time.Duration
	down     time.Duration
	kills    int
	history  int // events of the row query
	rate     float64
	conns    int
	batch    int
	stock    int
	quick    bool
	asJSON   bool
	data     string
	binary   string
	profiles string

	against, form, key string
	pid                int
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	usual := slices.DeleteFunc(rowNames(), func(name string) bool { return slices.Contains(byName, name) })
	flags.StringVar(&o.rows, "rows", strings.Join(usual, ","), "rows to measure, with commas between; also "+strings.Join(byName, ","))
	flags.DurationVar(&o.duration, "duration", 10*time.Second, "how long each load lasts")
	flags.DurationVar(&o.down, "down", 15*time.Second, "how long Segment is down in the row down (the target speaks of 10m)")
	flags.IntVar(&o.kills, "kills", 5, "how often the server is killed in the row kill (the target speaks of 20)")
	flags.IntVar(&o.history, "history", 2_000_000, "events of the row query, with a quarter as many impressions (the target speaks of 20000000: minutes, and 10 GB of disk with PostgreSQL)")
	flags.Float64Var(&o.rate, "rate", 100_000, "calls a second of the row batch; with --against, of the load. 0: as many as the server takes")
	flags.IntVar(&o.conns, "connections", 64, "connections of the loads with one call a request; batches use half")
	flags.IntVar(&o.batch, "batch", 100, "with --against: items in one request; 1 sends single calls where the form has them")
	flags.IntVar(&o.stock, "events", 5_000_000, "how many events the row console looks at")
	flags.BoolVar(&o.quick, "quick", false, "a first impression: loads of 3 s, Segment down for 5 s, 2 kills, 400,000 events of history")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON instead of a table")
	flags.StringVar(&o.data, "data", os.TempDir(), "where the servers' folders are made; must be on a disk")
	flags.StringVar(&o.binary, "binary", "", "a causeway command to measure; empty: built from this module")
	flags.StringVar(&o.profiles, "profiles", "", "folder for a CPU profile of each load; it costs the server some per cent")
	flags.StringVar(&o.against, "against", "", "loopback address of another server to send the same load to, host:port")
	flags.StringVar(&o.form, "form", "segment", "with --against: segment, split or goff")
	flags.StringVar(&o.key, "key", destinationKey, "with --against: the key that the server knows")
	flags.IntVar(&o.pid, "pid", 0, "with --against: the server's process, for its CPU and memory")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("what is %q? bench takes flags only", flags.Arg(0))
	}
	if o.quick {
		o.duration, o.down, o.kills, o.history = 3*time.Second, 5*time.Second, 2, 400_000
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	if o.against != "" && !set["rate"] {
		o.rate = 0
	}
	if o.history < 1000 || o.history > 100_000_000 {
		return o, errors.New("--history is 1000 to 100000000")
	}
	if o.conns < 2 || o.batch < 1 || o.duration < time.Second {
		return o, errors.New("--connections is at least 2, --batch at least 1, --duration at least 1s")
	}
	return o, nil
}

// A row measures one or more lines of the table.
type row struct {
	name    string
	measure func(*bench) error
}

// rowTable is the order of the rows. memory shares the load of batch.
func rowTable() []row {
	return []row{
		{"single", (*bench).single}, {"latency", (*bench).latency}, {"batch", (*bench).batch}, {"memory", nil},
		{"visible", (*bench).visible}, {"outgoing", (*bench).outgoing}, {"down", (*bench).down}, {"kill", (*bench).kill},
		{"console", (*bench).console}, {"query", (*bench).query},
	}
}

// byName are rows that take minutes, and are measured only when asked for.
var byName = []string{"console", "query"}

func rowNames() (names []string) {
	for _, r := range rowTable() {
		names = append(names, r.name)
	}
	return names
}

// bench is one run.
type bench struct {
	options
	ctx      context.Context
	progress io.Writer
	folder   string // of this run; deleted at its end
	wanted   []string
	report   report
}

// run measures what the arguments ask for and prints it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	b := &bench{options: o, ctx: ctx, progress: stderr, wanted: strings.Split(o.rows, ","), report: report{Machine: thisMachine()}}
	if o.against != "" {
		err = b.measureOther()
	} else {
		err = b.measureAll()
	}
	// What was measured before something went wrong is worth seeing.
	if len(b.report.Figures) > 0 {
		err = errors.Join(err, b.report.write(stdout, o.asJSON))
	}
	return err
}

func (b *bench) measureAll() (err error) {
	for _, name := range b.wanted {
		if !slices.Contains(rowNames(), name) {
			return fmt.Errorf("there is no row %q; the rows are %s", name, strings.Join(rowNames(), ", "))
		}
	}
	if memory, err := inMemory(b.options.data); err != nil {
		return err
	} else if memory {
		return fmt.Errorf("%s is in memory, where a sync costs nothing: name a folder on a disk with --data", b.options.data)
	}
	if b.folder, err = os.MkdirTemp(b.options.data, "causeway-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if err := b.build(); err != nil {
		return err
	}
	if b.profiles != "" {
		if err := os.MkdirAll(b.profiles, 0o755); err != nil {
			return err
		}
	}
	for _, r := range rowTable() {
		if r.measure == nil || !b.wants(r.name) && !(r.name == "batch" && b.wants("memory")) {
			continue
		}
		fmt.Fprintf(b.progress, "measuring %s\n", r.name)
		if err := r.measure(b); err != nil {
			return fmt.Errorf("row %s: %w", r.name, err)
		}
	}
	return nil
}

func (b *bench) wants(name string) bool { return slices.Contains(b.wanted, name) }

// build makes the command that is measured.
func (b *bench) build() error {
	if b.binary != "" {
		return nil
	}
	fmt.Fprintln(b.progress, "building the command")
	b.binary = filepath.Join(b.folder, "causeway")
	build := exec.CommandContext(b.ctx, "go", "build", "-o", b.binary, "causeway/cmd/causeway")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the command: %w\n%s", err, text)
	}
	return nil
}

// figure adds a line to the report.
func (b *bench) figure(row, what string, value float64, unit string, t *target, note string) {
	b.report.add(figure{Row: row, What: what, Value: value, Unit: unit, Target: t, Note: note})
}

// serve starts the product in a new folder. endpoint is where it thinks
// Segment lives; empty: it sends nothing.
func (b *bench) serve(endpoint string) (*server, error) {
	folder, err := os.MkdirTemp(b.folder, "server-")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(folder, "causeway.yaml"), []byte(configuration(endpoint)), 0o600); err != nil {
		return nil, err
	}
	return b.serveAgain(folder)
}

// serveAgain starts the product in a folder that it left.
func (b *bench) serveAgain(folder string) (*server, error) {
	command := []string{b.binary, "serve", "--data", filepath.Join(folder, "data"), "--config", filepath.Join(folder, "causeway.yaml"),
		"--listen", "127.0.0.1:0", "--allow-private-endpoints"}
	if b.profiles != "" {
		command = append(command, "--pprof", "127.0.0.1:0")
	}
	return start(b.ctx, folder, command...)
}

// serveDoorAlone starts the door without what is behind it.
func (b *bench) serveDoorAlone() (*server, error) {
	folder, err := os.MkdirTemp(b.folder, "door-")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := []string{self, doorArgument, folder}
	if b.profiles != "" {
		command = append(command, "profiled")
	}
	return start(b.ctx, folder, command...)
}

// profileFile is where a load's profile goes; empty: nowhere.
func (b *bench) profileFile(name string) string {
	if b.profiles == "" {
		return ""
	}
	return filepath.Join(b.profiles, name+".pprof")
}
