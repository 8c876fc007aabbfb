package web

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/experiment"
	"causeway/internal/plot"
	"causeway/internal/store"
)

// metricDetailPage is one metric of an experiment, with everything behind it.
type metricDetailPage struct {
	experimentHead
	Metric    *experiment.MetricResult
	MetricURL string // of its definition; empty: it is gone
	Group     string
	Cards     []cardView
	Relative  bool
	ShowAs    []rangeChoice
	Axis      template.HTML
	Percent   bool // of unique keys: no spread to show
	// Impact and Values are drawings over time; empty with fewer than two
	// points.
	Impact, Values template.HTML
}

func (s *Server) metricDetail(r *request) error {
	e, head, err := s.openExperiment(r, "Results")
	if err != nil {
		return err
	}
	p := metricDetailPage{experimentHead: head, Relative: r.URL.Query().Get("show") != "absolute"}
	if head.Nothing != nil {
		return s.show(r, "metricdetail", p)
	}
	id := r.PathValue("metric")
	p.Group, p.Metric = findMetric(head.Results, id)
	if p.Metric == nil {
		return notFound("The results of %s have no metric %q. It may have been added later: recalculate, or look at a newer reading.", e.Spec.Name, id)
	}
	p.Title = p.Metric.Metric + " · " + e.Spec.Name
	if m, ok := r.env.Project.Metric(id); ok {
		p.MetricURL = p.layout.Metric(m.ID)
	}
	p.Percent = p.Metric.Kind == store.MetricPercent
	here := "/experiments/" + pathOf(e.ID, "metrics", id)
	for _, one := range []string{"Relative", "Absolute"} {
		p.ShowAs = append(p.ShowAs, rangeChoice{one, p.Link(here, "show", strings.ToLower(one), "at", head.At), (one == "Relative") == p.Relative})
	}
	var cards []*cardView
	for _, card := range p.Metric.Cards {
		p.Cards = append(p.Cards, newCardView(p.Metric, card, p.Relative))
	}
	for i := range p.Cards {
		cards = append(cards, &p.Cards[i])
	}
	p.Axis = drawCards(cards, p.Relative)
	p.Impact = impactChart(p.Metric, p.Relative)
	p.Values = valuesChart(p.Metric)
	return s.show(r, "metricdetail", p)
}

// findMetric finds a metric of the results by the id made from its name.
func findMetric(results *experiment.Results, id string) (group string, m *experiment.MetricResult) {
	for _, g := range results.Groups {
		for i := range g.Metrics {
			if catalog.Slug(g.Metrics[i].Metric) == id {
				return g.Title, &g.Metrics[i]
			}
		}
	}
	return "", nil
}

// impactChart draws how the effect of each treatment developed.
func impactChart(m *experiment.MetricResult, relative bool) template.HTML {
	chart := plot.OverTime{Zero: true, Format: plot.Signed(plot.Percent), Frame: plot.Frame{Title: m.Metric + ": impact over time",
		About: "The effect as it stood after each day, with its interval. The table below has the numbers."}}
	if !relative {
		chart.Format = changeFormat(m.Kind)
	}
	for i, card := range m.Cards {
		line := plot.Line{Name: card.Treatment, Class: "t-" + string(card.State.Mark()), Band: true}
		if len(m.Cards) > 1 {
			line.Class = armClass(i + 1)
		}
		for _, point := range card.Series {
			value, ci := point.Diff, point.CI
			if relative {
				value, ci = point.Rel, point.RelCI
			}
			line.Moments = append(line.Moments, momentOf(point.At, value, ci))
		}
		chart.Lines = append(chart.Lines, line)
	}
	return drawn(chart.Both())
}

// valuesChart draws how each arm's value developed.
func valuesChart(m *experiment.MetricResult) template.HTML {
	chart := plot.OverTime{Format: valueFormat(m.Kind), Frame: plot.Frame{Title: m.Metric + ": values over time",
		About: "The value of each treatment as it stood after each day. The table below has the numbers."}}
	for i, arm := range m.Arms {
		line := plot.Line{Name: arm.Treatment, Class: armClass(i), Band: true}
		for _, point := range m.Values {
			for _, value := range point.Arms {
				if value.Treatment == arm.Treatment {
					line.Moments = append(line.Moments, momentOf(point.At, value.Mean, value.CI))
				}
			}
		}
		chart.Lines = append(chart.Lines, line)
	}
	return drawn(chart.Both())
}

func momentOf(at time.Time, value *float64, ci *experiment.Interval) plot.Moment {
	m := plot.Moment{At: at, Value: math.NaN(), Low: math.NaN(), High: math.NaN()}
	if value != nil {
		m.Value = *value
	}
	if ci != nil {
		m.Low, m.High = ci.Low, ci.High
	}
	return m
}

// armClass is the class of an arm's marks, by its place.
func armClass(i int) string { return fmt.Sprintf("a-%d", i%6) }

// Value writes a value of the metric in its unit; "–" when it is not known.
func (p metricDetailPage) Value(v *float64) string {
	if v == nil {
		return "–"
	}
	return valueFormat(p.Metric.Kind)(*v)
}

// Number writes a number without a unit.
func (p metricDetailPage) Number(v *float64) string {
	if v == nil {
		return "–"
	}
	return plot.Number(*v)
}

// Effect writes an effect as the page shows them.
func (p metricDetailPage) Effect(relative, absolute *float64) string {
	switch {
	case p.Relative && relative != nil:
		return plot.Signed(plot.Percent)(*relative)
	case !p.Relative && absolute != nil:
		return changeFormat(p.Metric.Kind)(*absolute)
	}
	return "–"
}

// Between writes an interval as the page shows them.
func (p metricDetailPage) Between(relative, absolute *experiment.Interval) string {
	switch {
	case p.Relative && relative != nil:
		return betweenText(*relative, plot.Signed(plot.Percent))
	case !p.Relative && absolute != nil:
		return betweenText(*absolute, changeFormat(p.Metric.Kind))
	}
	return "–"
}

// Range writes the interval of a value.
func (p metricDetailPage) Range(ci *experiment.Interval) string {
	if ci == nil {
		return "–"
	}
	return betweenText(*ci, valueFormat(p.Metric.Kind))
}

// Margin is half the width of an effect's interval.
func (p metricDetailPage) Margin(c cardView) string {
	ci, format := c.CI, changeFormat(p.Metric.Kind)
	if p.Relative {
		ci, format = c.RelCI, plot.Percent
	}
	if ci == nil {
		return "–"
	}
	text := format((ci.High - ci.Low) / 2)
	if text[0] == '+' {
		text = text[1:]
	}
	return "±" + text
}

// Detectable is the smallest effect that would likely have been found.
func (p metricDetailPage) Detectable(c cardView) string {
	relative, absolute := c.MLDERel, c.MLDEAbs
	if p.Relative && relative != nil {
		return "±" + plot.Percent(*relative)
	}
	if absolute == nil {
		return "–"
	}
	if p.Percent {
		return "±" + plot.Number(*absolute*100) + " pp"
	}
	return "±" + plot.Number(*absolute)
}

// ArmClass is the class of an arm's marks in the drawings, by its place.
func (p metricDetailPage) ArmClass(i int) string { return armClass(i) }

// ArmTone is the class of a treatment's line in the drawing of its impact.
func (p metricDetailPage) ArmTone(i int) string {
	if len(p.Cards) > 1 {
		return armClass(i + 1)
	}
	return "t-" + string(p.Cards[i].State.Mark())
}
