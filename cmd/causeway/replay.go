package main

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// replayCmd sends what was set aside on its way again.
type replayCmd struct {
	serverFlags
	DeadLetters bool     `required:"" help:"Replay dead letters. It must be said, for what is selected leaves the list."`
	Source      string   `help:"Only of this source." placeholder:"NAME"`
	Reason      string   `help:"Only for this reason." placeholder:"CODE"`
	Sequence    []uint64 `help:"Only these letters." placeholder:"N"`
	DryRun      bool     `help:"Only count."`
	JSON        bool     `name:"json" help:"Print the server's answer as JSON."`
}

// Run replays; the answer is "no" when a letter could not be.
func (c *replayCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	body, err := json.Marshal(struct {
		Source    string   `json:"source,omitempty"`
		Reason    string   `json:"reason,omitempty"`
		Sequences []uint64 `json:"sequences,omitempty"`
		DryRun    bool     `json:"dryRun"`
	}{c.Source, c.Reason, c.Sequence, c.DryRun})
	if err != nil {
		return err
	}
	var answer json.RawMessage
	_, err = client.json(cli.Ctx, ask{method: http.MethodPost, path: "/dead-letters/replay", body: body}, &answer)
	if err != nil {
		return err
	}
	var result struct {
		Matched, Calls, Impressions, Replayed, Failed int
		Problem                                       string
	}
	if err := json.Unmarshal(answer, &result); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	switch {
	case c.JSON:
		err = printJSON(cli.Stdout, answer)
	case c.DryRun:
		_, err = fmt.Fprintf(cli.Stdout, "%d would be replayed: %d calls, %d impressions\n", result.Matched, result.Calls, result.Impressions)
	default:
		_, err = fmt.Fprintf(cli.Stdout, "%d of %d replayed: %d calls, %d impressions\n", result.Replayed, result.Matched, result.Calls, result.Impressions)
	}
	if err != nil {
		return err
	}
	if result.Failed > 0 {
		return noError(fmt.Sprintf("%d could not be replayed and are still dead letters: %s", result.Failed, result.Problem))
	}
	return nil
}
