package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"causeway/internal/customer"
)

// customerCmd is about one key of a traffic type.
type customerCmd struct {
	Find   customerFindCmd   `cmd:"" help:"List keys that begin with a text."`
	Show   customerShowCmd   `cmd:"" help:"Show attributes, linked keys and treatments seen, and the newest events and impressions."`
	Export customerExportCmd `cmd:"" help:"Print everything that is kept of a key as one JSON object."`
	Erase  customerEraseCmd  `cmd:"" help:"Remove what is kept of a key, for good."`
}

// environmentFlags say which environment a verb is about.
type environmentFlags struct {
	serverFlags
	Environment string `short:"e" required:"" help:"Environment the data is of." env:"CAUSEWAY_ENVIRONMENT" placeholder:"PROJECT/ENVIRONMENT"`
}

// path is the environment's path in the admin API.
func (f *environmentFlags) path() (string, error) {
	project, environment, ok := strings.Cut(f.Environment, "/")
	if !ok || project == "" || environment == "" {
		return "", usageError(fmt.Sprintf("--environment is PROJECT/ENVIRONMENT, not %q", f.Environment))
	}
	return "/projects/" + url.PathEscape(project) + "/environments/" + url.PathEscape(environment), nil
}

// open checks the flags.
func (f *environmentFlags) open(cli *cliContext) (*adminClient, string, error) {
	path, err := f.path()
	if err != nil {
		return nil, "", err
	}
	client, err := f.client(cli)
	return client, path, err
}

// customerArgs name a customer.
type customerArgs struct {
	environmentFlags
	TrafficType string `arg:"" name:"traffic-type" help:"Traffic type of the key."`
	Key         string `arg:"" help:"The key, as it came."`
}

func (a *customerArgs) open(cli *cliContext) (*adminClient, string, error) {
	client, path, err := a.environmentFlags.open(cli)
	return client, path + "/customers/" + url.PathEscape(a.TrafficType) + "/" + url.PathEscape(a.Key), err
}

type customerFindCmd struct {
	environmentFlags
	Prefix      string `arg:"" help:"Beginning of the key."`
	TrafficType string `help:"Only of this traffic type." placeholder:"NAME"`
	JSON        bool   `name:"json" help:"Print the server's answer as JSON."`
}

// Run prints a line for each key; the answer is "no" when there is none.
func (c *customerFindCmd) Run(cli *cliContext) error {
	client, path, err := c.open(cli)
	if err != nil {
		return err
	}
	query := url.Values{"prefix": {c.Prefix}}
	if c.TrafficType != "" {
		query.Set("trafficType", c.TrafficType)
	}
	var found struct {
		Items []struct {
			TrafficType string `json:"trafficType"`
			Key         string `json:"key"`
		} `json:"items"`
	}
	if _, err := client.json(cli.Ctx, ask{path: path + "/customers", query: query}, &found); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, found)
	}
	for _, k := range found.Items {
		fmt.Fprintf(cli.Stdout, "%-16s %s\n", printable(k.TrafficType), printable(k.Key))
	}
	if len(found.Items) == 0 {
		return noError("no key begins so")
	}
	return nil
}

type customerShowCmd struct {
	customerArgs
	JSON bool `name:"json" help:"Print the server's answer about the customer as JSON."`
}

// Run prints what is known of a key.
func (c *customerShowCmd) Run(cli *cliContext) error {
	client, path, err := c.open(cli)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if _, err := client.json(cli.Ctx, ask{path: path}, &answer); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, answer)
	}
	var known customer.Profile
	if err := json.Unmarshal(answer, &known); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	var timeline struct{ Items []customer.Moment }
	if _, err := client.json(cli.Ctx, ask{path: path + "/timeline"}, &timeline); err != nil {
		return err
	}
	printCustomer(cli.Stdout, known, timeline.Items)
	return nil
}

func printCustomer(w io.Writer, known customer.Profile, timeline []customer.Moment) {
	for _, id := range slices.Sorted(maps.Keys(known.Attributes)) {
		a := known.Attributes[id]
		cut := ""
		if a.Cut {
			cut = " (cut at 255)"
		}
		fmt.Fprintf(w, "attribute   %s = %s%s, %s, call %s\n", id, printable(a.Value), cut, a.UpdatedAt.Format(time.RFC3339), printable(a.MessageID))
	}
	for _, l := range known.Links {
		fmt.Fprintf(w, "linked      %s %s, in calls with both: %d, newest %s\n", printable(l.TrafficType), printable(l.Key), l.Calls, l.LastSeen.Format(time.RFC3339))
	}
	for _, f := range known.Treatments {
		for _, t := range f.Treatments {
			fmt.Fprintf(w, "saw         %s %s, %d times, newest %s\n", printable(f.Flag), printable(t.Treatment), t.Count, t.Last.Format(time.RFC3339))
		}
	}
	for _, m := range timeline {
		switch {
		case m.Event != nil:
			value := ""
			if m.Event.Value != nil {
				value = fmt.Sprintf(", value %v", *m.Event.Value)
			}
			fmt.Fprintf(w, "%s  event %s%s\n", m.Time.Format(time.RFC3339), printable(m.Event.EventType), value)
		case m.Impression != nil:
			fmt.Fprintf(w, "%s  impression %s %s\n", m.Time.Format(time.RFC3339), printable(m.Impression.Flag), printable(m.Impression.Treatment))
		}
	}
}

type customerExportCmd struct {
	customerArgs
	Output string `short:"o" help:"File to write; - is standard output." default:"-" placeholder:"FILE"`
}

// Run copies the server's object. One that was cut off on its way is an error
// and leaves no file.
func (c *customerExportCmd) Run(cli *cliContext) error {
	client, path, err := c.open(cli)
	if err != nil {
		return err
	}
	response, err := client.do(cli.Ctx, ask{path: path + "/export"})
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if c.Output == "-" {
		if _, err := io.Copy(cli.Stdout, response.Body); err != nil {
			return fmt.Errorf("the export was cut off: %w", err)
		}
		return nil
	}
	file, err := os.OpenFile(c.Output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	_, err = io.Copy(file, response.Body)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(c.Output) // half an export is none
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

type customerEraseCmd struct {
	customerArgs
	Confirm string `required:"" help:"The key once more, to confirm." placeholder:"KEY"`
	JSON    bool   `name:"json" help:"Print the server's answer as JSON."`
}

// Run erases a key.
func (c *customerEraseCmd) Run(cli *cliContext) error {
	if c.Confirm != c.Key {
		return usageError("--confirm is not the key; nothing was erased")
	}
	client, path, err := c.open(cli)
	if err != nil {
		return err
	}
	var erased customer.Erasure
	if _, err := client.json(cli.Ctx, ask{method: http.MethodDelete, path: path}, &erased); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(cli.Stdout, erased)
	}
	_, err = fmt.Fprintf(cli.Stdout, "erased: %s\n", erased)
	return err
}
