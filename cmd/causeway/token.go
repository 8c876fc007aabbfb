package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"causeway/internal/auth"
)

// tokenCmd is about what scripts prove themselves with to the admin API.
type tokenCmd struct {
	Add    tokenAddCmd    `cmd:"" help:"Make a key with a role of its own, or with --user a token that acts for a user, and print it this once."`
	List   tokenListCmd   `cmd:"" help:"List them, without their values."`
	Remove tokenRemoveCmd `cmd:"" help:"Remove one; it works no longer."`
}

type tokenAddCmd struct {
	serverFlags
	Name    string        `arg:"" help:"What it is for."`
	Role    string        `help:"Role of a key: viewer, analyst, editor or admin." enum:"viewer,analyst,editor,admin" default:"viewer"`
	Project []string      `help:"Project the role is in; may be given several times. Without, it is on the whole server." placeholder:"NAME"`
	User    string        `help:"User that a personal token acts for, with the user's roles." placeholder:"EMAIL"`
	Expires time.Duration `help:"How long it works, for example 2160h; never ends when left out." placeholder:"DURATION"`
	JSON    bool          `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints the token, and nothing else, on standard output.
func (c *tokenAddCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	want := map[string]any{"name": c.Name}
	if c.User != "" {
		want["user"] = c.User
	} else {
		want["grants"] = grantsOf(c.Role, c.Project)
	}
	if c.Expires != 0 {
		want["expiresAt"] = time.Now().Add(c.Expires).UTC()
	}
	body, err := json.Marshal(want)
	if err != nil {
		return err
	}
	var made struct {
		Secret string     `json:"secret"`
		Token  auth.Token `json:"token"`
	}
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: "/tokens", body: body}, &made); err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "%s is shown this once; remove it with: causeway token remove %s\n", made.Token.Name, made.Token.ID)
	if c.JSON {
		return printJSON(cli.Stdout, made)
	}
	_, err = fmt.Fprintln(cli.Stdout, made.Secret)
	return err
}

type tokenListCmd struct {
	serverFlags
	JSON bool `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each.
func (c *tokenListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: "/tokens"}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var tokens struct{ Items []auth.Token }
	if err := json.Unmarshal(answer, &tokens); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, t := range tokens.Items {
		of, used := t.Grants.String(), "never used"
		if t.User != "" {
			of = "acts for " + t.User
		}
		if !t.LastUsed.IsZero() {
			used = "last used " + t.LastUsed.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(cli.Stdout, "%-14s %-28s %-36s %s\n", t.ID, t.Name, of, used)
	}
	return nil
}

type tokenRemoveCmd struct {
	serverFlags
	ID string `arg:"" help:"As \"causeway token list\" shows it."`
}

// Run removes one.
func (c *tokenRemoveCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer struct{ Removed string }
	if _, err := client.json(cli.Ctx, ask{method: http.MethodDelete, path: "/tokens/" + url.PathEscape(c.ID)}, &answer); err != nil {
		return err
	}
	fmt.Fprintf(cli.Stderr, "%s is removed\n", answer.Removed)
	return nil
}
