package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// attributeCmd is about the attributes of traffic types.
type attributeCmd struct {
	List attributeListCmd `cmd:"" help:"List the attributes that keys of a traffic type have."`
}

type attributeListCmd struct {
	environmentFlags
	TrafficType string `arg:"" name:"traffic-type" help:"Traffic type of the keys."`
	JSON        bool   `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each attribute.
func (c *attributeListCmd) Run(cli *cliContext) error {
	client, path, err := c.open(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: path + "/attributes", query: url.Values{"trafficType": {c.TrafficType}}}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var known struct {
		Items []struct {
			ID, DisplayName, Type, Example string
			Keys, Cut                      int64
			LastSeen                       time.Time
		}
	}
	if err := json.Unmarshal(answer, &known); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	for _, a := range known.Items {
		fmt.Fprintf(cli.Stdout, "%-32s %-10s %8d keys  %s  %s\n", a.ID, a.Type, a.Keys, a.LastSeen.Format(time.RFC3339), printable(a.Example))
	}
	return nil
}
