package main

import (
	"encoding/json"
	"fmt"
	"time"

	"causeway/internal/web"
)

// statusCmd says how a running server is.
type statusCmd struct {
	serverFlags
	Settings bool `help:"Print the server's own settings instead, each with where it comes from."`
	JSON     bool `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints what an operator looks at first.
func (c *statusCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	path := "/status"
	if c.Settings {
		path = "/settings"
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: path}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	if c.Settings {
		return printSettings(cli, answer)
	}
	var s struct {
		Version         string
		StartedAt       time.Time
		CatalogRevision uint64
		StoreBytes      int64
		DeadLetters     int
		LastBackupAt    time.Time
		Streams         []struct {
			Name           string
			Bytes, Waiting uint64
		}
		Checks []struct {
			Name, Detail string
			OK           bool
		}
	}
	if err := json.Unmarshal(answer, &s); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	backup := "never"
	if !s.LastBackupAt.IsZero() {
		backup = s.LastBackupAt.UTC().Format(time.RFC3339)
	}
	out := cli.Stdout
	fmt.Fprintf(out, "version      %s, since %s\nrevision     %d\nstore        %.1f MiB\nlast backup  %s\ndead letters %d\n",
		s.Version, s.StartedAt.UTC().Format(time.RFC3339), s.CatalogRevision, float64(s.StoreBytes)/(1<<20), backup, s.DeadLetters)
	for _, one := range s.Streams {
		fmt.Fprintf(out, "stream       %s: %.1f MiB, %d frames not stored yet\n", one.Name, float64(one.Bytes)/(1<<20), one.Waiting)
	}
	for _, check := range s.Checks {
		state := "ok"
		if !check.OK {
			state = check.Detail
		}
		fmt.Fprintf(out, "check        %s: %s\n", check.Name, state)
	}
	return nil
}

func printSettings(cli *cliContext, answer json.RawMessage) error {
	var list struct{ Items []web.Setting }
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, s := range list.Items {
		if _, err := fmt.Fprintf(cli.Stdout, "%-32s %-28s %s\n", s.Name, s.Value, s.From); err != nil {
			return err
		}
	}
	return nil
}
