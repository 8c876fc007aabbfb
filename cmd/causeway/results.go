package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"causeway/internal/experiment"
	"causeway/internal/store"
)

// resultsCmd prints what an experiment has shown.
type resultsCmd struct {
	serverFlags
	Experiment  string `arg:"" help:"Name or id of the experiment, PROJECT/NAME where projects mix."`
	Format      string `help:"table, json, csv or svg." enum:"table,json,csv,svg" default:"table"`
	At          string `help:"As they were shown at this time (RFC 3339)." placeholder:"TIME"`
	Recalculate bool   `help:"Compute them now and wait for it."`
}

// Run prints the results in the format.
func (c *resultsCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	path, err := experimentPath(cli, client, c.Experiment)
	if err != nil {
		return err
	}
	if c.Recalculate {
		if c.At != "" {
			return usageError("--recalculate computes them now, and --at shows older ones: give one of the two")
		}
		if err := recalculate(cli, client, path); err != nil {
			return err
		}
	}
	query := url.Values{}
	if c.At != "" {
		query.Set("at", c.At)
	}
	switch c.Format {
	case "csv", "svg":
		response, err := client.do(cli.Ctx, ask{path: path + "/results." + c.Format, query: query})
		if err != nil {
			return err
		}
		defer response.Body.Close()
		_, err = io.Copy(cli.Stdout, response.Body)
		return err
	}
	var results experiment.Results
	if _, err := client.json(cli.Ctx, ask{path: path + "/results", query: query}, &results); err != nil {
		return err
	}
	if c.Format == "json" {
		return printJSON(cli.Stdout, results)
	}
	return printTable(cli.Stdout, &results)
}

// experimentPath is where the API has an experiment, named with or without its
// project.
func experimentPath(cli *cliContext, client *adminClient, name string) (string, error) {
	if project, rest, ok := strings.Cut(name, "/"); ok {
		return projectPath(project) + "/experiments/" + url.PathEscape(rest), nil
	}
	projects, err := projectsOf(cli, client, "")
	if err != nil {
		return "", err
	}
	if len(projects) != 1 {
		return "", usageError(fmt.Sprintf("there are %d projects: write PROJECT/%s", len(projects), name))
	}
	return projectPath(projects[0]) + "/experiments/" + url.PathEscape(name), nil
}

func projectPath(project string) string { return "/projects/" + url.PathEscape(project) }

// projectsOf lists the projects, or is the one given.
func projectsOf(cli *cliContext, client *adminClient, given string) ([]string, error) {
	if given != "" {
		return []string{given}, nil
	}
	var page struct{ Items []struct{ Name string } }
	if _, err := client.json(cli.Ctx, ask{path: "/projects"}, &page); err != nil {
		return nil, err
	}
	names := []string{}
	for _, p := range page.Items {
		names = append(names, p.Name)
	}
	return names, nil
}

// recalculate has an experiment computed and waits until it is.
func recalculate(cli *cliContext, client *adminClient, path string) error {
	type calculation struct {
		UnderWay bool
		Doing    string
		Done, Of int
		Started  time.Time
	}
	var c calculation
	if _, err := client.json(cli.Ctx, ask{method: http.MethodPost, path: path + "/recalculate"}, &c); err != nil {
		return err
	}
	began, said := c.Started, ""
	for c.UnderWay {
		if c.Doing != "" && c.Doing != said {
			said = c.Doing
			fmt.Fprintf(cli.Stderr, "%d of %d: %s\n", c.Done, c.Of, printable(c.Doing))
		}
		select {
		case <-cli.Ctx.Done():
			return cli.Ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		c = calculation{}
		if _, err := client.json(cli.Ctx, ask{path: path + "/calculation"}, &c); err != nil {
			return err
		}
	}
	var results experiment.Results
	if _, err := client.json(cli.Ctx, ask{path: path + "/results"}, &results); err != nil {
		return err
	}
	if results.ComputedAt.Before(began.Add(-time.Second)) {
		return errors.New("the calculation came to no end; the server's log says why")
	}
	return nil
}

// printTable writes results for a person at a terminal.
func printTable(w io.Writer, r *experiment.Results) error {
	fmt.Fprintf(w, "%s  %s, %s against %s\n", printable(r.Experiment), printable(r.Flag), printable(strings.Join(r.Treatments, ", ")), printable(r.Baseline))
	fmt.Fprintf(w, "%s\n", printable(r.Recommendation.Sentence))
	for _, reason := range r.Recommendation.Reasons {
		fmt.Fprintf(w, "  - %s\n", printable(reason))
	}
	table := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, g := range r.Groups {
		fmt.Fprintf(table, "\n%s\n", strings.ToUpper(g.Title))
		fmt.Fprintln(table, "metric\ttreatment\tstate\tbaseline\ttreatment\timpact\tbetween\tp\tkeys")
		for i := range g.Metrics {
			m := &g.Metrics[i]
			for _, c := range m.Cards {
				fmt.Fprintln(table, cardLine(m, c))
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, ratio := range r.Health.SampleRatios {
		fmt.Fprintf(w, "sample ratio of %s: %s\n", printable(ratio.Treatment), printable(ratio.Sentence))
	}
	fmt.Fprintf(w, "review period: %s\n", printable(r.Health.Review.Sentence))
	if r.ComputedAt.IsZero() {
		return nil
	}
	_, err := fmt.Fprintf(w, "computed %s, %s, significance %s\n", r.ComputedAt.Local().Format(time.DateTime), r.Settings.Method, percentText(r.Settings.Alpha))
	return err
}

func cardLine(m *experiment.MetricResult, c experiment.Card) string {
	value := func(v *float64) string {
		if v == nil {
			return "-"
		}
		if m.Kind == store.MetricPercent {
			return percentText(*v)
		}
		return fmt.Sprintf("%.4g", *v)
	}
	impact, between, p := "-", "-", "-"
	switch {
	case c.RelCI != nil:
		impact, between = signedPercent(*c.Rel), signedPercent(c.RelCI.Low)+" to "+signedPercent(c.RelCI.High)
	case c.CI != nil:
		impact, between = fmt.Sprintf("%+.4g", *c.Diff), fmt.Sprintf("%+.4g to %+.4g", c.CI.Low, c.CI.High)
	}
	if c.PAdjusted != nil {
		p = fmt.Sprintf("%.4f", *c.PAdjusted)
		if *c.PAdjusted < 0.0001 {
			p = "<0.0001"
		}
	}
	b, t := m.Arm(c.Baseline), m.Arm(c.Treatment)
	return strings.Join([]string{printable(m.Metric), printable(c.Treatment), c.Title, value(b.Mean), value(t.Mean), impact, between, p, fmt.Sprintf("%d/%d", b.N, t.N)}, "\t")
}

func percentText(x float64) string   { return fmt.Sprintf("%.4g%%", 100*x) }
func signedPercent(x float64) string { return fmt.Sprintf("%+.3g%%", 100*x) }

// metricsCmd is about metrics.
type metricsCmd struct {
	Ls metricsListCmd `cmd:"" aliases:"list" help:"List the metrics."`
}

type metricsListCmd struct {
	serverFlags
	Project string `help:"Only of this project." placeholder:"NAME"`
	JSON    bool   `name:"json" help:"Print one metric as JSON a line."`
}

// Run lists the metrics of each project.
func (c *metricsListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	projects, err := projectsOf(cli, client, c.Project)
	if err != nil {
		return err
	}
	for _, project := range projects {
		var page struct {
			Items []struct {
				Name     string
				Settings struct {
					Type, TrafficType, Desired string
					Event                      struct{ EventType string }
				}
			}
		}
		if c.JSON {
			if err := printItems(cli, client, projectPath(project)+"/metrics"); err != nil {
				return err
			}
			continue
		}
		if _, err := client.json(cli.Ctx, ask{path: projectPath(project) + "/metrics"}, &page); err != nil {
			return err
		}
		table := tabwriter.NewWriter(cli.Stdout, 0, 4, 2, ' ', 0)
		for _, m := range page.Items {
			fmt.Fprintf(table, "%s/%s\t%s of %s\tper %s\t%s is better\n", printable(project), printable(m.Name), m.Settings.Type, printable(m.Settings.Event.EventType), printable(m.Settings.TrafficType), m.Settings.Desired)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// printItems prints the items of a list as JSON, one a line.
func printItems(cli *cliContext, client *adminClient, path string) error {
	var page struct{ Items []any }
	if _, err := client.json(cli.Ctx, ask{path: path}, &page); err != nil {
		return err
	}
	for _, item := range page.Items {
		if err := printJSON(cli.Stdout, item); err != nil {
			return err
		}
	}
	return nil
}

// experimentsCmd is about experiments.
type experimentsCmd struct {
	Ls experimentsListCmd `cmd:"" aliases:"list" help:"List the experiments and what each has shown."`
}

type experimentsListCmd struct {
	serverFlags
	Project string `help:"Only of this project." placeholder:"NAME"`
	JSON    bool   `name:"json" help:"Print one experiment as JSON a line."`
}

// Run lists the experiments of each project.
func (c *experimentsListCmd) Run(cli *cliContext) error {
	client, err := c.client(cli)
	if err != nil {
		return err
	}
	projects, err := projectsOf(cli, client, c.Project)
	if err != nil {
		return err
	}
	for _, project := range projects {
		if c.JSON {
			if err := printItems(cli, client, projectPath(project)+"/experiments"); err != nil {
				return err
			}
			continue
		}
		var page struct {
			Items []struct {
				Name     string
				Settings struct{ Flag, Environment string }
				Results  struct {
					Keys           int64
					Recommendation experiment.Recommendation
				}
			}
		}
		if _, err := client.json(cli.Ctx, ask{path: projectPath(project) + "/experiments"}, &page); err != nil {
			return err
		}
		table := tabwriter.NewWriter(cli.Stdout, 0, 4, 2, ' ', 0)
		for _, e := range page.Items {
			fmt.Fprintf(table, "%s/%s\t%s in %s\t%d keys\t%s\n", printable(project), printable(e.Name), printable(e.Settings.Flag), printable(e.Settings.Environment), e.Results.Keys, printable(e.Results.Recommendation.Sentence))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	return nil
}
