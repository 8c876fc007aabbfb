//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
)

// figure is one line of the table.
type figure struct {
	Row    string  `json:"row"`
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	Target *target `json:"target,omitempty"` // nil: told for what it explains
	Note   string  `json:"note,omitempty"`
}

// target is what a figure is to reach (design, section 9).
type target struct {
	Bound   string  `json:"bound"` // "at least", "at most" or "under"
	Value   float64 `json:"value"`
	Reached bool    `json:"reached"`
}

func atLeast(v float64) *target { return &target{Bound: "at least", Value: v} }
func atMost(v float64) *target  { return &target{Bound: "at most", Value: v} }
func under(v float64) *target   { return &target{Bound: "under", Value: v} }

// judge decides whether a figure reaches its target.
func (f *figure) judge() {
	t := f.Target
	if t == nil {
		return
	}
	switch t.Bound {
	case "at least":
		t.Reached = f.Value >= t.Value
	case "at most":
		t.Reached = f.Value <= t.Value
	case "under":
		t.Reached = f.Value < t.Value
	}
}

func (f *figure) verdict() string {
	switch {
	case f.Target == nil:
		return ""
	case f.Target.Reached:
		return "reached"
	}
	return "not reached"
}

// report is the whole result.
type report struct {
	Machine machine  `json:"machine"`
	Figures []figure `json:"figures"`
}

// add judges a figure and takes it into the report.
func (r *report) add(f figure) {
	f.judge()
	r.Figures = append(r.Figures, f)
}

// write prints the report as text or, with asJSON, for machines.
func (r *report) write(w io.Writer, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	m := r.Machine
	fmt.Fprintf(w, "%d processors (%s), shared with the load generator; %s; Linux %s; load average at the start %s\n\n", m.Processors, m.Model, m.Go, m.Kernel, m.Load)
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "row\twhat\tfigure\ttarget\tverdict\tnote")
	for i := range r.Figures {
		f := &r.Figures[i]
		goal := ""
		if f.Target != nil {
			goal = f.Target.Bound + " " + amount(f.Target.Value, f.Unit)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", f.Row, f.What, amount(f.Value, f.Unit), goal, f.verdict(), f.Note)
	}
	return out.Flush()
}

// amount writes a number the way a person reads it: three digits that mean
// something, thousands apart.
func amount(v float64, unit string) string {
	digits := 0
	switch {
	case v == float64(int64(v)), v >= 100, v <= -100:
	case v >= 10:
		digits = 1
	default:
		digits = 2
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if unit != "" {
		whole += " " + unit
	}
	return whole
}
