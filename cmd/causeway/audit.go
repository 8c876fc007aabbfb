package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
)

// auditCmd prints the audit log.
type auditCmd struct {
	serverFlags
	Actor  string `help:"Only what was done by whom this is a part of." placeholder:"TEXT"`
	Object string `help:"Only what was done to what this is a part of." placeholder:"TEXT"`
	Limit  int    `short:"n" help:"How many entries, the newest first." default:"50"`
	JSON   bool   `name:"json" help:"Print one entry as JSON a line."`
}

// auditEntry is an entry as the server answers it.
type auditEntry struct {
	Sequence uint64          `json:"sequence"`
	Time     time.Time       `json:"time"`
	Entry    json.RawMessage `json:"entry"`
}

// Run goes through as many pages as are needed.
func (c *auditCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	query := url.Values{"actor": {c.Actor}, "object": {c.Object}}
	for left := c.Limit; left > 0; {
		query.Set("limit", strconv.Itoa(min(left, 500)))
		var page struct {
			Items      []auditEntry
			NextCursor string
		}
		if _, err := client.json(cli.Ctx, ask{path: "/audit", query: query}, &page); err != nil {
			return err
		}
		for _, e := range page.Items {
			if err := c.print(cli, e); err != nil {
				return err
			}
		}
		if left -= len(page.Items); page.NextCursor == "" {
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
	return nil
}

func (c *auditCmd) print(cli *cliContext, e auditEntry) error {
	if c.JSON {
		return printJSON(cli.Stdout, e)
	}
	var entry struct {
		auth.AuditEntry
		Differences []catalog.Difference
	}
	if err := json.Unmarshal(e.Entry, &entry); err != nil {
		_, err := fmt.Fprintf(cli.Stdout, "%s %s\n", e.Time.UTC().Format(time.RFC3339), oneLine(e.Entry))
		return err
	}
	if len(entry.Differences) > 0 {
		entry.Action = "configuration.changed"
	}
	if _, err := fmt.Fprintf(cli.Stdout, "%s  %s  %s %s %s\n", e.Time.UTC().Format(time.RFC3339), entry.Actor, entry.Action, entry.Subject, entry.Detail); err != nil {
		return err
	}
	for _, d := range entry.Differences {
		if _, err := fmt.Fprintln(cli.Stdout, "    "+differenceLine(d)); err != nil {
			return err
		}
	}
	return nil
}
