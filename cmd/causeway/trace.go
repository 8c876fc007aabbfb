package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"time"
)

// traceCmd shows what became of one messageId.
type traceCmd struct {
	serverFlags
	MessageID string `arg:"" name:"message-id" help:"messageId as it was sent or made."`
	JSON      bool   `name:"json" help:"Print the server's answer as JSON."`
}

// traced is what the verb prints of GET /admin/v1/trace/{messageId}.
type traced struct {
	Copies []struct {
		Environment, Configuration, Type, Name, Outcome string
		ReceivedAt                                      time.Time
		Steps                                           []struct{ Step, Text string }
		Reasons                                         []struct{ Code, Detail, Fix string }
		Raw                                             json.RawMessage
		RawState                                        string
	}
	Events []struct {
		Environment, TrafficType, Key, EventType string
		Value                                    *float64
		Time                                     time.Time
	}
	Attributes []struct {
		Environment, TrafficType, Key, ID, Value string
	}
	DeadLetters []struct {
		Sequence             uint64
		Source, Reason, Kind string
		Status               int
		Answer, Fix          string
		At                   time.Time
	}
}

// Run prints the way of the message; the answer is "no" when nothing is known
// of it.
func (c *traceCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: "/trace/" + url.PathEscape(c.MessageID)}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var t traced
	if err := json.Unmarshal(answer, &t); err != nil {
		return fmt.Errorf("the trace cannot be read: %w", err)
	}
	t.print(cli.Stdout)
	return nil
}

func (t *traced) print(w io.Writer) {
	for i, copied := range t.Copies {
		fmt.Fprintf(w, "copy %d of %d: %s %s, %s\n", i+1, len(t.Copies), copied.Type, printable(copied.Name), copied.Outcome)
		for _, step := range copied.Steps {
			fmt.Fprintf(w, "  %-13s %s\n", step.Step, printable(step.Text))
		}
		for _, reason := range copied.Reasons {
			fmt.Fprintf(w, "  %-13s %s: %s\n", "fix", reason.Code, reason.Fix)
		}
		if copied.RawState == "kept" {
			fmt.Fprintf(w, "  %-13s %s\n", "raw", printable(string(copied.Raw)))
		} else {
			fmt.Fprintf(w, "  %-13s the stream has let go of it\n", "raw")
		}
	}
	for _, event := range t.Events {
		value := "no value"
		if event.Value != nil {
			value = fmt.Sprintf("value %v", *event.Value)
		}
		fmt.Fprintf(w, "event      %s of %s %s in %s, %s, %s\n", event.EventType, event.TrafficType, printable(event.Key), event.Environment, value, event.Time.Format(time.RFC3339Nano))
	}
	for _, a := range t.Attributes {
		fmt.Fprintf(w, "attribute  %s of %s %s in %s: %s\n", a.ID, a.TrafficType, printable(a.Key), a.Environment, printable(a.Value))
	}
	for _, letter := range t.DeadLetters {
		fmt.Fprintf(w, "set aside  %s for %s at %s: %s (dead letter %d)\n", letter.Kind, letter.Source, letter.At.Format(time.RFC3339), letter.Reason, letter.Sequence)
		if letter.Answer != "" {
			fmt.Fprintf(w, "           answered %d: %s\n", letter.Status, printable(letter.Answer))
		}
		fmt.Fprintf(w, "           %s\n", letter.Fix)
	}
}
