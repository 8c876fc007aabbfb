package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/experiment"
)

// readingsPage lists the stored results of an experiment, and sets two of them
// side by side.
type readingsPage struct {
	experimentHead
	Lines    []readingLine
	Compared *comparison
	Problem  string
}

// readingLine is one stored reading.
type readingLine struct {
	experiment.Reading
	Key     string // its time, as the address takes it
	URL     string
	Tally   []tally
	Changed bool // of another basis than the one before it
}

func (s *Server) readings(r *request) error {
	e, head, err := s.openExperiment(r, "Readings")
	if err != nil {
		return err
	}
	p := readingsPage{experimentHead: head}
	list, err := s.Experiments.Readings(r.Context(), e.Environment.Project.Name, e.ID)
	if err != nil {
		return storeFailed(err)
	}
	for _, one := range list {
		at := one.ComputedAt.UTC().Format(time.RFC3339Nano)
		p.Lines = append(p.Lines, readingLine{Reading: one, Key: at, URL: head.Link("/experiments/"+pathOf(e.ID), "at", at), Tally: tallyOf(one.States)})
	}
	for i := range p.Lines[:max(0, len(p.Lines)-1)] {
		p.Lines[i].Changed = p.Lines[i].Basis != p.Lines[i+1].Basis
	}
	if one, two := r.URL.Query().Get("before"), r.URL.Query().Get("after"); one != "" || two != "" {
		if p.Compared, err = s.compareReadings(r, e, one, two); err != nil {
			return err
		}
		if p.Compared == nil {
			p.Problem = "Choose two readings that are in the list."
			return s.showStatus(r, http.StatusUnprocessableEntity, "readings", p)
		}
	}
	return s.show(r, "readings", p)
}

// comparison sets two readings side by side.
type comparison struct {
	Before, After *experiment.Results
	Rows          []comparedRow
	Settings      []comparedValue // what differs in how they were computed
}

// comparedRow is one metric of one treatment in both readings.
type comparedRow struct {
	Group, Metric, Treatment string
	Before, After            *cardView // nil: it was not there
	Moved                    bool      // into another state
}

type comparedValue struct{ Name, Before, After string }

// compareReadings compares two readings by their times; nil: one of them is
// not there.
func (s *Server) compareReadings(r *request, e *catalog.Experiment, one, two string) (*comparison, error) {
	var both [2]*experiment.Results
	for i, text := range []string{one, two} {
		var missing *problem
		var err error
		if both[i], err = s.readingAt(r, e, text); errors.As(err, &missing) && missing.status == http.StatusNotFound {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	if both[0].ComputedAt.After(both[1].ComputedAt) {
		both[0], both[1] = both[1], both[0]
	}
	return compare(both[0], both[1]), nil
}

func compare(before, after *experiment.Results) *comparison {
	c := &comparison{Before: before, After: after}
	at := map[string]int{}
	for i, results := range []*experiment.Results{before, after} {
		for _, g := range results.Groups {
			for j := range g.Metrics {
				m := &g.Metrics[j]
				for _, card := range m.Cards {
					key := m.Metric + "\x00" + card.Treatment
					n, ok := at[key]
					if !ok {
						n = len(c.Rows)
						at[key] = n
						c.Rows = append(c.Rows, comparedRow{Group: g.Title, Metric: m.Metric, Treatment: card.Treatment})
					}
					view := newCardView(m, card, true)
					if i == 0 {
						c.Rows[n].Before = &view
					} else {
						c.Rows[n].After = &view
					}
				}
			}
		}
	}
	for i := range c.Rows {
		row := &c.Rows[i]
		row.Moved = row.Before == nil || row.After == nil || row.Before.State != row.After.State
	}
	c.settings()
	return c
}

// settings lists what differs in how the two were computed.
func (c *comparison) settings() {
	add := func(name string, before, after any) {
		if one, two := fmt.Sprint(before), fmt.Sprint(after); one != two {
			c.Settings = append(c.Settings, comparedValue{name, one, two})
		}
	}
	b, a := c.Before, c.After
	add("Flag", b.Flag, a.Flag)
	add("Rule", b.Rule, a.Rule)
	add("Baseline", b.Baseline, a.Baseline)
	add("Treatments", strings.Join(b.Treatments, ", "), strings.Join(a.Treatments, ", "))
	add("Start", b.Start.UTC().Format(time.RFC3339), a.Start.UTC().Format(time.RFC3339))
	add("Version of the flag", versionText(b.Version), versionText(a.Version))
	add("Method", b.Settings.Method, a.Settings.Method)
	add("Significance", b.Settings.Alpha, a.Settings.Alpha)
	add("Power", b.Settings.Power, a.Settings.Power)
	add("Minimum sample", b.Settings.MinSample, a.Settings.MinSample)
	add("Multiple comparison", b.Settings.Correction, a.Settings.Correction)
	add("Horizon", b.Settings.TunedFor, a.Settings.TunedFor)
	add("Causeway", b.Code, a.Code)
}

func versionText(v *int64) string {
	if v == nil {
		return "all together"
	}
	return fmt.Sprint(*v)
}
