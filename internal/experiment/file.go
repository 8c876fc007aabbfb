package experiment

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"causeway/internal/plot"
)

// CSV is a line for each metric and treatment, with the numbers in full.
func (r *Results) CSV() []byte {
	var b bytes.Buffer
	out := csv.NewWriter(&b) // writing to a buffer does not fail
	_ = out.Write([]string{"group", "metric", "kind", "desired", "treatment", "baseline", "state", "reason",
		"baseline_in_treatment", "baseline_excluded", "baseline_n", "baseline_mean", "baseline_stdev",
		"treatment_in_treatment", "treatment_excluded", "treatment_n", "treatment_mean", "treatment_stdev",
		"diff", "se", "ci_low", "ci_high", "rel", "rel_ci_low", "rel_ci_high", "df", "p", "p_adjusted", "alpha", "alpha_ci",
		"mlde_abs", "mlde_rel", "method", "significant_since", "computed_at", "code"})
	for _, g := range r.Groups {
		for i := range g.Metrics {
			for _, c := range g.Metrics[i].Cards {
				_ = out.Write(r.line(g.Name, &g.Metrics[i], c))
			}
		}
	}
	out.Flush()
	return b.Bytes()
}

func (r *Results) line(group string, m *MetricResult, c Card) []string {
	line := []string{group, cell(m.Metric), m.Kind, m.Desired, cell(c.Treatment), cell(c.Baseline), string(c.State), string(c.Reason)}
	for _, treatment := range []string{c.Baseline, c.Treatment} {
		a := m.Arm(treatment)
		line = append(line, strconv.FormatInt(a.InTreatment, 10), strconv.FormatInt(a.Excluded, 10), strconv.FormatInt(a.N, 10), number(a.Mean), number(a.Stdev))
	}
	line = append(line, number(c.Diff), number(c.SE))
	line = append(line, ends(c.CI)...)
	line = append(line, number(c.Rel))
	line = append(line, ends(c.RelCI)...)
	since := ""
	if c.SignificantSince != nil {
		since = c.SignificantSince.UTC().Format(time.RFC3339)
	}
	return append(line, number(c.DF), number(c.P), number(c.PAdjusted), number(&c.Alpha), number(&c.AlphaCI), number(c.MLDEAbs), number(c.MLDERel),
		c.Method, since, r.ComputedAt.UTC().Format(time.RFC3339), r.Code)
}

// Arm is the arm of a treatment; one that nobody saw is empty.
func (m *MetricResult) Arm(treatment string) Arm {
	for _, a := range m.Arms {
		if a.Treatment == treatment {
			return a
		}
	}
	return Arm{Treatment: treatment}
}

func number(v *float64) string {
	if v == nil {
		return ""
	}
	return full(*v)
}

func ends(ci *Interval) []string {
	if ci == nil {
		return []string{"", ""}
	}
	return []string{full(ci.Low), full(ci.High)}
}

// cell keeps a name from being run as a formula by the spreadsheet that opens
// the file.
func cell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "\t" + text
	}
	return text
}

// Drawing is every card's relative effect on one axis.
func (r *Results) Drawing() plot.Intervals {
	p := plot.Intervals{Format: plot.Signed(plot.Percent), Frame: plot.Frame{
		Title: fmt.Sprintf("%s: impact on each metric, relative to %s", r.Experiment, r.Baseline), About: r.Recommendation.Sentence,
	}}
	for _, g := range r.Groups {
		for _, m := range g.Metrics {
			for _, c := range m.Cards {
				row := c.Row()
				row.Group, row.Label, row.Text = g.Title, m.Metric, c.State.Symbol()+" "+c.Title
				if len(r.Treatments) > 1 {
					row.Label += ": " + c.Treatment
				}
				if c.Rel != nil && c.State != NeedsMoreData {
					row.Text += ": " + signed(percent(*c.Rel), *c.Rel)
				}
				if c.RelCI != nil {
					row.Text += fmt.Sprintf(", between %s and %s", signed(percent(c.RelCI.Low), c.RelCI.Low), signed(percent(c.RelCI.High), c.RelCI.High))
				}
				p.Rows = append(p.Rows, row)
			}
		}
	}
	return p
}

// Row is the card's relative effect as a row of a drawing.
func (c *Card) Row() plot.Row {
	row := plot.Row{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Tone: c.State.Mark()}
	if c.Rel == nil {
		return row
	}
	row.Value = *c.Rel
	switch {
	case c.RelCI != nil:
		row.Low, row.High = c.RelCI.Low, c.RelCI.High
	case c.RelUnbounded:
		row.Low, row.High = math.Inf(-1), math.Inf(1)
	}
	return row
}

// Mark is how a drawing marks the state.
func (s State) Mark() plot.Tone {
	switch s {
	case Desired:
		return plot.Good
	case Undesired:
		return plot.Bad
	case Inconclusive:
		return plot.Unsure
	}
	return plot.Dim
}
