package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"causeway/internal/catalog"
)

// diffMappingCmd shows what a file would change of the calls that came.
type diffMappingCmd struct {
	serverFlags
	Config      string `required:"" help:"Configuration file, or -. Nothing of it is applied." placeholder:"FILE"`
	Last        int    `help:"How many of each destination's newest calls to run; at most 1000." default:"100" placeholder:"N"`
	Destination string `help:"Only this destination." placeholder:"NAME"`
	JSON        bool   `name:"json" help:"Print one line of JSON for each destination."`
}

// comparison is the server's answer about one destination.
type comparison struct {
	Destination  string `json:"destination"`
	Calls        int    `json:"calls"`
	Same         int    `json:"same"`
	Changed      int    `json:"changed"`
	NewlyKept    int    `json:"newlyKept"`
	NewlyDropped int    `json:"newlyDropped"`
	Examples     []struct {
		MessageID string `json:"messageId"`
		Type      string `json:"type"`
		Name      string `json:"name,omitempty"`
		Fate      string `json:"fate"`
		Before    fate   `json:"before"`
		After     fate   `json:"after"`
	} `json:"examples"`
}

// fate is what became, or would become, of a call.
type fate struct {
	Outcome string `json:"outcome"`
	Events  []struct {
		TrafficType string          `json:"trafficType"`
		EventType   string          `json:"eventType"`
		Value       json.RawMessage `json:"value"`
	} `json:"events"`
	Attributes []json.RawMessage `json:"attributes"`
	Reasons    []struct {
		Code   string `json:"code"`
		Detail string `json:"detail,omitempty"`
	} `json:"reasons"`
}

func (f fate) String() string {
	text := f.Outcome
	for _, event := range f.Events {
		text += fmt.Sprintf(" %s/%s=%s", event.TrafficType, event.EventType, event.Value)
	}
	if len(f.Attributes) > 0 {
		text += fmt.Sprintf(" %d attributes", len(f.Attributes))
	}
	for _, reason := range f.Reasons {
		text += " " + reason.Code
	}
	return text
}

// Run prints how the newest calls would fare. The answer is "no" when some that
// are kept now would be dropped.
func (c *diffMappingCmd) Run(cli *cliContext) error {
	if c.Last < 1 || c.Last > 1000 {
		return usageError("--last is a number from 1 to 1000")
	}
	doc, findings, err := readConfiguration(cli, c.Config, cli.Environ)
	if err != nil {
		return err
	}
	if len(findings) > 0 {
		for _, finding := range findings {
			fmt.Fprintln(cli.Stderr, finding)
		}
		return noError(fmt.Sprintf("%s: %d to correct", c.Config, len(findings)))
	}
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	compared, lost := 0, 0
	for i := range doc.Projects {
		project := &doc.Projects[i]
		for _, destination := range project.Segment.Destinations {
			if c.Destination != "" && destination.Name != c.Destination {
				continue
			}
			one, err := c.compare(cli, client, project.Name, destination)
			if err != nil {
				return fmt.Errorf("%s: %w", destination.Name, err)
			}
			if one == nil {
				fmt.Fprintf(cli.Stderr, "%s is not on the server yet, so no call of it came\n", destination.Name)
				continue
			}
			compared, lost = compared+1, lost+one.NewlyDropped
			if err := c.print(cli.Stdout, one); err != nil {
				return err
			}
		}
	}
	switch {
	case compared == 0 && c.Destination != "":
		return noError(fmt.Sprintf("%s and the server have no destination %s in common", c.Config, c.Destination))
	case lost > 0:
		return noError(fmt.Sprintf("%d calls that are kept now would be dropped", lost))
	}
	return nil
}

// compare asks the server; nil: it has no such destination.
func (c *diffMappingCmd) compare(cli *cliContext, client *adminClient, project string, destination catalog.DestinationSpec) (*comparison, error) {
	settings, err := catalog.EncodeObject(catalog.WithoutSecrets(destination))
	if err != nil {
		return nil, err
	}
	path := "/projects/" + url.PathEscape(project) + "/segment/destinations/" + url.PathEscape(catalog.Slug(destination.Name)) + "/preview"
	one := &comparison{Destination: destination.Name}
	_, err = client.json(cli.Ctx, ask{
		method: http.MethodPost, path: path, query: url.Values{"last": {strconv.Itoa(c.Last)}}, body: settings,
		header: http.Header{"Content-Type": {"application/json"}},
	}, one)
	if refused, ok := err.(*refusedError); ok && (refused.Code == "destination_unknown" || refused.Code == "project_unknown") {
		return nil, nil
	}
	return one, err
}

func (c *diffMappingCmd) print(w io.Writer, one *comparison) error {
	if c.JSON {
		return printJSON(w, one)
	}
	fmt.Fprintf(w, "%s: of the last %d calls %d same, %d changed, %d newly kept, %d newly dropped\n",
		one.Destination, one.Calls, one.Same, one.Changed, one.NewlyKept, one.NewlyDropped)
	for _, example := range one.Examples {
		fmt.Fprintf(w, "  %-13s %s %s %s\n    now:   %s\n    after: %s\n", example.Fate, example.Type, example.Name, example.MessageID, example.Before, example.After)
	}
	return nil
}
