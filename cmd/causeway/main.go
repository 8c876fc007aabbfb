// Command causeway runs Causeway and talks to a running one.
//
// Contract of every verb: data goes to standard output, everything else to
// standard error. It exits with 0 when it did what was asked, 1 when the answer
// is "no" (findings, not found, not healthy), 2 when it was used wrongly or
// could not run.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"causeway/internal/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// The exit codes.
const (
	exitDone  = 0
	exitNo    = 1
	exitWrong = 2
)

// cliContext is what a verb may use of the world.
type cliContext struct {
	Ctx            context.Context // ends when the process is asked to stop
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Environ        func(string) (string, bool) // as os.LookupEnv
	Settings       []web.Setting               // the verb's flags and where their values come from
}

// commands are the verbs.
type commands struct {
	Serve serveCmd `cmd:"" help:"Run the server."`
	Demo  demoCmd  `cmd:"" help:"Run a server with an invented shop, live traffic and a fake Segment."`

	Validate  validateCmd  `cmd:"" help:"Check a configuration file."`
	Translate translateCmd `cmd:"" help:"Show what calls or impressions would become under a configuration file. No server."`

	DiffMapping diffMappingCmd `cmd:"" help:"Show what a file would change of the newest calls of a running server."`

	Apply       applyCmd       `cmd:"" help:"Make a file the configuration of a running server."`
	Export      exportCmd      `cmd:"" help:"Print the configuration of a running server."`
	Key         keyCmd         `cmd:"" help:"List or rotate the credentials that Causeway gives out."`
	User        userCmd        `cmd:"" help:"Add, list, reset or remove who may sign in to the console."`
	Token       tokenCmd       `cmd:"" help:"Make, list or remove what scripts prove themselves with."`
	Audit       auditCmd       `cmd:"" help:"Show who changed what, newest first."`
	Results     resultsCmd     `cmd:"" help:"Show what an experiment has shown."`
	Flag        flagCmd        `cmd:"" help:"List flags; kill one or bring it back."`
	Experiments experimentsCmd `cmd:"" help:"List experiments."`
	Metrics     metricsCmd     `cmd:"" help:"List metrics."`
	Attribute   attributeCmd   `cmd:"" help:"List attributes of a traffic type."`
	Customer    customerCmd    `cmd:"" help:"Look up, export or erase what is kept of one key."`

	Tail    tailCmd    `cmd:"" help:"Show what happens, as it happens."`
	Trace   traceCmd   `cmd:"" help:"Show what became of one messageId."`
	Replay  replayCmd  `cmd:"" help:"Send what was set aside on its way again."`
	Send    sendCmd    `cmd:"" help:"Send a Segment call through the real route."`
	Status  statusCmd  `cmd:"" help:"Show how a running server is, or its settings and where each comes from."`
	Backup  backupCmd  `cmd:"" help:"Write one archive of a running server."`
	Restore restoreCmd `cmd:"" help:"Fill an empty data folder from an archive. No server."`
	Version versionCmd `cmd:"" help:"Print the version."`

	Healthcheck healthcheckCmd `cmd:"" help:"Ask a server whether it is ready."`
}

// run is main with its surroundings passed in.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	// kong exits after it printed the help; that is the end of run, not of the
	// process.
	defer func() {
		if v := recover(); v != nil {
			exit, ok := v.(exited)
			if !ok {
				panic(v)
			}
			code = int(exit)
		}
	}()
	var verbs commands
	parser, err := kong.New(&verbs,
		kong.Name("causeway"),
		kong.Description("Segment calls in, FME events out; impressions in, Segment calls out."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exited(code)) }),
	)
	if err != nil {
		panic(err) // the verbs above are wrong, whatever the arguments
	}
	verb, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "causeway: %v (causeway --help explains)\n", err)
		return exitWrong
	}
	cli := &cliContext{Ctx: ctx, Stdin: stdin, Stdout: stdout, Stderr: stderr, Environ: os.LookupEnv}
	cli.Settings = settingsOf(verb, cli.Environ)
	return exitCode(stderr, verb.Run(cli))
}

type exited int

// A noError says that the verb ran and the answer is "no".
type noError string

func (e noError) Error() string { return string(e) }

// A usageError says that a verb was used wrongly.
type usageError string

func (e usageError) Error() string { return string(e) }

// exitCode reports an error and gives the code it means. An empty noError was
// reported already.
func exitCode(stderr io.Writer, err error) int {
	var no noError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &no):
		if err.Error() != "" {
			fmt.Fprintf(stderr, "causeway: %v\n", err)
		}
		return exitNo
	}
	fmt.Fprintf(stderr, "causeway: %v\n", err)
	return exitWrong
}

// version is set by the release build (-ldflags "-X main.version=v1.2.3").
var version = buildVersion()

// buildVersion is what the Go toolchain recorded: a tag when installed from
// one, else the commit.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}

type versionCmd struct{}

// Run prints one line.
func (versionCmd) Run(cli *cliContext) error {
	_, err := fmt.Fprintf(cli.Stdout, "causeway %s\n", version)
	return err
}

// trimLine is the text of a file that holds one line.
func trimLine(text string) string { return strings.TrimSpace(text) }
