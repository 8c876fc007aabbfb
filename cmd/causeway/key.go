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

	EndRotation keyEndRotationCmd `cmd:"" help:"End a rotation with overlap: the old one stops working."`
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
	Overlap     bool   `help:"Keep the old one good beside the new one until \"key end-rotation\"."`
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
	if c.Overlap && c.Kind == "sdk" {
		return usageError("--overlap is not for sdk keys: add a second one to the environment, and remove the first later")
	}
	body, err := json.Marshal(struct {
		catalog.KeyRef
		Overlap bool `json:"overlap"`
	}{catalog.KeyRef{Kind: c.Kind, Name: c.Name, Project: c.Project, Environment: c.Environment}, c.Overlap})
	if err != nil {
		return err
	}
	var made catalog.GeneratedSecret
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: "/keys/rotate", body: body}, &made); err != nil {
		return err
	}
	old := "no longer works"
	if c.Overlap {
		old = fmt.Sprintf(`works until "causeway key end-rotation %s %s"`, c.Kind, c.Name)
	}
	fmt.Fprintf(cli.Stderr, "the old %s key of %s %s; this is the new one, shown this once\n", c.Kind, c.Name, old)
	if c.JSON {
		return printJSON(cli.Stdout, made)
	}
	_, err = fmt.Fprintln(cli.Stdout, made.Value)
	return err
}

// keyEndRotationCmd ends a rotation with overlap.
type keyEndRotationCmd struct {
	serverFlags
	Kind string `arg:"" enum:"destination,webhook,listener" help:"destination (its API key), webhook (a destination's secret) or listener."`
	Name string `arg:"" help:"Name of the destination or listener."`
}

// Run says that it is done.
func (c *keyEndRotationCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	body, err := json.Marshal(catalog.KeyRef{Kind: c.Kind, Name: c.Name})
	if err != nil {
		return err
	}
	response, err := client.do(cli.Ctx, ask{method: http.MethodPost, path: "/keys/end-rotation", body: body})
	if err != nil {
		return err
	}
	_ = response.Body.Close() // it has none
	fmt.Fprintf(cli.Stderr, "only the present %s key of %s works now\n", c.Kind, c.Name)
	return nil
}
