package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/playground"
)

// translateCmd is the playground in the shell.
type translateCmd struct {
	Config      string `required:"" help:"Configuration file." placeholder:"FILE"`
	Destination string `help:"Name of the destination that the calls are for." xor:"half" required:"" placeholder:"NAME"`
	Source      string `help:"Name of the source that the impressions are for." xor:"half" required:"" placeholder:"NAME"`
	Environment string `help:"Environment of the impressions, when the source has several." placeholder:"NAME"`
	File        string `arg:"" optional:"" default:"-" help:"Calls as JSON, NDJSON, a list or a Segment batch; or impressions in the Split SDK's bulk form."`
}

// Run prints one JSON result a line.
func (c *translateCmd) Run(cli *cliContext) error {
	if c.Environment != "" && c.Source == "" {
		return usageError("--environment goes with --source; a destination has only one")
	}
	doc, err := c.configuration(cli)
	if err != nil {
		return err
	}
	in, err := openInput(cli, c.File)
	if err != nil {
		return err
	}
	defer in.Close()
	out := bufio.NewWriterSize(cli.Stdout, 64<<10)
	if c.Source != "" {
		err = c.impressions(doc, in, out)
	} else {
		err = c.calls(doc, in, out)
	}
	return errors.Join(err, out.Flush())
}

func (c *translateCmd) calls(doc *catalog.Document, in io.Reader, out io.Writer) error {
	destination, err := playground.DestinationIn(doc, c.Destination)
	if err != nil {
		return wrongName(err)
	}
	return printResults(out, c.File, playground.TranslateCalls(destination, in, time.Now()))
}

func (c *translateCmd) impressions(doc *catalog.Document, in io.Reader, out io.Writer) error {
	source, err := playground.SourceIn(doc, c.Source, c.Environment, version)
	if err != nil {
		return wrongName(err)
	}
	return printResults(out, c.File, playground.TranslateImpressions(source, in, time.Now()))
}

// wrongName is a name that the configuration does not have, as a sentence.
func wrongName(err error) error {
	var problem *playground.Error
	if errors.As(err, &problem) {
		return usageError(problem.Text)
	}
	return err
}

// printResults prints until the input ends or is no JSON any more; what came
// before is printed then.
func printResults[T any](out io.Writer, file string, results iter.Seq2[T, error]) error {
	for result, err := range results {
		if err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		if err := printJSON(out, result); err != nil {
			return err
		}
	}
	return nil
}

// secretPath is where a configuration holds what translating does not need.
var secretPath = regexp.MustCompile(`\.(key|writeKey|apiKey|secret|signingSecret)$`)

// configuration reads the file. A variable that only a credential needs may be
// missing: translating has no use for it, and the shell of a test has none.
func (c *translateCmd) configuration(cli *cliContext) (*catalog.Document, error) {
	doc, findings, err := readConfiguration(cli, c.Config, cli.Environ)
	if err != nil {
		return nil, err
	}
	if len(findings) == 0 {
		return doc, nil
	}
	for _, finding := range findings {
		if !secretPath.MatchString(finding.Path) {
			return nil, badConfiguration(cli, c.Config, findings)
		}
	}
	made := 0
	doc, again, err := readConfiguration(cli, c.Config, func(name string) (string, bool) {
		if value, ok := cli.Environ(name); ok {
			return value, true
		}
		made++
		return fmt.Sprintf("not-set-%d-%s", made, name), true
	})
	if err != nil {
		return nil, err
	}
	if len(again) > 0 || made == 0 {
		return nil, badConfiguration(cli, c.Config, findings)
	}
	return doc, nil
}

func badConfiguration(cli *cliContext, file string, findings []catalog.Finding) error {
	_ = printFindings(cli.Stderr, findings)
	return fmt.Errorf("%s: %d to correct", file, len(findings))
}
