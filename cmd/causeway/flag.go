package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"causeway/internal/catalog"
)

// flagCmd is about feature flags. What a flag is served with is changed by
// "causeway apply", the admin API or the console.
type flagCmd struct {
	List    flagListCmd    `cmd:"" help:"List the flags of a project."`
	Kill    flagKillCmd    `cmd:"" help:"Give every key the default treatment."`
	Restore flagRestoreCmd `cmd:"" help:"Take a kill back."`
}

func flagsPath(project string) string { return "/projects/" + url.PathEscape(project) + "/flags" }

type flagListCmd struct {
	serverFlags
	Project string `arg:"" help:"Project."`
	JSON    bool   `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each flag.
func (c *flagListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: flagsPath(c.Project)}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var flags struct {
		Items []struct {
			Name     string
			Settings struct {
				TrafficType  string
				Killed       bool
				Environments map[string]struct{ Killed *bool }
			}
		}
	}
	if err := json.Unmarshal(answer, &flags); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, flag := range flags.Items {
		note := ""
		if flag.Settings.Killed {
			note = "killed"
		}
		for name, here := range flag.Settings.Environments {
			if here.Killed != nil && *here.Killed {
				note += " killed in " + name
			}
		}
		fmt.Fprintf(cli.Stdout, "%-32s %-16s %s\n", flag.Name, flag.Settings.TrafficType, note)
	}
	return nil
}

type flagKillCmd struct{ oneFlag }

// Run kills.
func (c *flagKillCmd) Run(cli *cliContext) error { return c.set(cli, true) }

type flagRestoreCmd struct{ oneFlag }

// Run takes it back.
func (c *flagRestoreCmd) Run(cli *cliContext) error { return c.set(cli, false) }

// oneFlag names a flag, everywhere or in one environment.
type oneFlag struct {
	serverFlags
	Project     string `arg:"" help:"Project."`
	Flag        string `arg:"" help:"Flag."`
	Environment string `help:"Only in this environment; without it everywhere." placeholder:"NAME"`
}

// set reads the flag, changes the one setting, and writes it back if nobody
// else was faster.
func (c *oneFlag) set(cli *cliContext, killed bool) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	path := flagsPath(c.Project) + "/" + url.PathEscape(c.Flag)
	settings := map[string]json.RawMessage{} // what is not changed goes back as it came
	header, err := client.json(cli.Ctx, ask{path: path}, &settings)
	if err != nil {
		return err
	}
	value := json.RawMessage(strconv.FormatBool(killed))
	if c.Environment == "" {
		settings["killed"] = value
	} else if err := killIn(settings, c.Environment, value); err != nil {
		return err
	}
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	var change struct {
		Revision    uint64
		Differences []catalog.Difference
	}
	_, err = client.json(cli.Ctx, ask{
		method: http.MethodPut, path: path, body: body,
		header: http.Header{"If-Match": {header.Get("ETag")}, "Content-Type": {"application/json"}},
	}, &change)
	if err != nil {
		return err
	}
	for _, difference := range change.Differences {
		fmt.Fprintln(cli.Stdout, differenceLine(difference))
	}
	fmt.Fprintf(cli.Stderr, "SDKs get it at their next poll; the configuration is at revision %d\n", change.Revision)
	return nil
}

// killIn sets the one setting of an environment.
func killIn(settings map[string]json.RawMessage, environment string, killed json.RawMessage) error {
	environments := map[string]map[string]json.RawMessage{}
	if text := settings["environments"]; text != nil {
		if err := json.Unmarshal(text, &environments); err != nil {
			return fmt.Errorf("the answer cannot be read: %w", err)
		}
	}
	if environments[environment] == nil {
		environments[environment] = map[string]json.RawMessage{}
	}
	environments[environment]["killed"] = killed
	text, err := json.Marshal(environments)
	settings["environments"] = text
	return err
}
