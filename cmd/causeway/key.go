package main

import (
	"encoding/json"
	"fmt"
	"net/http"

	"causeway/internal/catalog"
)

// keyCmd is about the credentials that Causeway gives out.
type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List them, without their values."`
	Rotate keyRotateCmd `cmd:"" help:"Replace one by a new one and print that."`
}

type keyListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each key. The hint is the beginning of its SHA-256.
func (c *keyListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: "/keys"}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var keys struct{ Items []catalog.Key }
	if err := json.Unmarshal(answer, &keys); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, key := range keys.Items {
		where := key.Project
		if key.Environment != "" {
			where += "/" + key.Environment
		}
		fmt.Fprintf(cli.Stdout, "%-12s %-24s %-28s %s %s\n", key.Kind, key.Name, where, key.Hint, key.Type)
	}
	return nil
}

type keyRotateCmd struct {
	serverFlags
	Kind        string `arg:"" enum:"sdk,destination,webhook,listener" help:"sdk, destination (its API key), webhook (a destination's secret) or listener."`
	Name        string `arg:"" help:"Name of the SDK key, destination or listener."`
	Project     string `help:"Project of an SDK key." placeholder:"NAME"`
	Environment string `help:"Environment of an SDK key." placeholder:"NAME"`
	JSON        bool   `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints the new credential, and nothing else, on standard output.
func (c *keyRotateCmd) Run(cli *cliContext) error {
	if (c.Kind == "sdk") != (c.Project != "" && c.Environment != "") {
		return usageError("--project and --environment belong to sdk keys, and sdk keys need both")
	}
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	body, err := json.Marshal(catalog.KeyRef{Kind: c.Kind, Name: c.Name, Project: c.Project, Environment: c.Environment})
	if err != nil {
		return err
	}
	var made catalog.GeneratedSecret
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: "/keys/rotate", body: body}, &made); err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "the old %s key of %s no longer works; this is the new one, shown this once\n", c.Kind, c.Name)
	if c.JSON {
		return printJSON(cli.Stdout, made)
	}
	_, err = fmt.Fprintln(cli.Stdout, made.Value)
	return err
}
