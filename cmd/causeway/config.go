package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"causeway/internal/catalog"
)

func openInput(cli *cliContext, file string) (io.ReadCloser, error) {
	if file == "-" {
		return io.NopCloser(cli.Stdin), nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open the input: %w", err)
	}
	return f, nil
}

// readConfiguration reads a file and what its ${NAME} stand for.
func readConfiguration(cli *cliContext, file string, environ func(string) (string, bool)) (*catalog.Document, []catalog.Finding, error) {
	data, err := readInput(cli, file, catalog.MaxFileBytes)
	if err != nil {
		return nil, nil, err
	}
	doc, findings := catalog.Decode(file, data, environ)
	return doc, findings, nil
}

// validateCmd checks a configuration file.
type validateCmd struct {
	File   string `arg:"" help:"Configuration file, or -."`
	Format string `help:"text or json." enum:"text,json" default:"text"`
}

// Run prints the findings; the answer is "no" when there are any.
func (c *validateCmd) Run(cli *cliContext) error {
	_, findings, err := readConfiguration(cli, c.File, cli.Environ)
	if err != nil {
		return err
	}
	if c.Format == "json" {
		err = printJSON(cli.Stdout, struct {
			File     string            `json:"file"`
			OK       bool              `json:"ok"`
			Findings []catalog.Finding `json:"findings"`
		}{c.File, len(findings) == 0, append([]catalog.Finding{}, findings...)})
	} else {
		err = printFindings(cli.Stdout, findings)
	}
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		return noError(fmt.Sprintf("%s: %d to correct", c.File, len(findings)))
	}
	fmt.Fprintf(cli.Stderr, "%s is fine\n", c.File)
	return nil
}

func printFindings(w io.Writer, findings []catalog.Finding) error {
	for _, finding := range findings {
		if _, err := fmt.Fprintln(w, finding); err != nil {
			return err
		}
	}
	return nil
}

// applyCmd makes a file the configuration of a running server.
type applyCmd struct {
	serverFlags
	File   string `arg:"" help:"Configuration file, or -."`
	DryRun bool   `help:"Show what would change and change nothing."`
	JSON   bool   `name:"json" help:"Print the server's answer as JSON."`
}

// change is the server's answer to a configuration.
type change struct {
	Revision    uint64                    `json:"revision"`
	Differences []catalog.Difference      `json:"differences"`
	Generated   []catalog.GeneratedSecret `json:"generated"`
}

// Run asks what would change and applies exactly that: when somebody else
// changes the configuration in between, nothing is applied.
func (c *applyCmd) Run(cli *cliContext) error {
	doc, findings, err := readConfiguration(cli, c.File, cli.Environ)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		_ = printFindings(cli.Stderr, findings)
		return noError(fmt.Sprintf("%s was not applied: %d to correct", c.File, len(findings)))
	}
	body, err := doc.Plaintext()
	if err != nil {
		return err
	}
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	request := ask{
		method: http.MethodPut, path: "/catalog", query: url.Values{"dryRun": {"true"}}, body: body,
		header: http.Header{"Content-Type": {"application/json"}},
	}
	var planned, applied change
	header, err := client.json(cli.Ctx, request, &planned)
	if err != nil {
		return c.refused(cli, err)
	}
	if c.DryRun {
		return c.print(cli, planned)
	}
	request.query = nil
	request.header.Set("If-Match", header.Get("ETag"))
	if _, err = client.json(cli.Ctx, request, &applied); err != nil {
		return c.refused(cli, err)
	}
	return c.print(cli, applied)
}

// refused shows the server's findings, whose places are lost on the way.
func (c *applyCmd) refused(cli *cliContext, err error) error {
	var problem *refusedError
	if errors.As(err, &problem) {
		for _, finding := range problem.Findings {
			finding.Line, finding.Column = 0, 0 // of the JSON that was sent
			fmt.Fprintln(cli.Stderr, finding)
		}
	}
	return err
}

func (c *applyCmd) print(cli *cliContext, answer change) error {
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	for _, difference := range answer.Differences {
		fmt.Fprintln(cli.Stdout, differenceLine(difference))
	}
	if !c.DryRun {
		showGenerated(cli.Stdout, answer.Generated)
	}
	switch {
	case len(answer.Differences) == 0:
		fmt.Fprintf(cli.Stderr, "nothing to change; the configuration is at revision %d\n", answer.Revision)
	case c.DryRun:
		fmt.Fprintf(cli.Stderr, "differences: %d; nothing was applied (--dry-run)\n", len(answer.Differences))
	default:
		fmt.Fprintf(cli.Stderr, "differences applied: %d; the configuration is at revision %d\n", len(answer.Differences), answer.Revision)
	}
	return nil
}

// differenceLine is a difference as a person reads it.
func differenceLine(d catalog.Difference) string {
	switch d.Kind {
	case catalog.Added:
		return fmt.Sprintf("+ %s: %s", d.Path, oneLine(d.After))
	case catalog.Removed:
		return fmt.Sprintf("- %s: %s", d.Path, oneLine(d.Before))
	}
	return fmt.Sprintf("~ %s: %s -> %s", d.Path, oneLine(d.Before), oneLine(d.After))
}

func oneLine(value json.RawMessage) string {
	const limit = 200
	text := strings.Join(strings.Fields(string(value)), " ")
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return text
}

// exportCmd prints the configuration of a running server.
type exportCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print JSON instead of YAML."`
}

// Run prints a file that "causeway apply" takes back without a change.
func (c *exportCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	format := "yaml"
	if c.JSON {
		format = "json"
	}
	response, err := client.do(cli.Ctx, ask{path: "/catalog", query: url.Values{"format": {format}}})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(cli.Stdout, response.Body)
	return err
}
