package web

import (
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"causeway/internal/experiment"
	"causeway/internal/plot"
	"causeway/internal/store"
)

// resultsView is the results of an experiment as the pages show them: the
// experiment's own and the one that a link shares.
type resultsView struct {
	*experiment.Results
	// Relative says that effects are shown as a fraction of the baseline.
	Relative bool
	ShowAs   []rangeChoice
	// Treatment chooses the treatments that are shown; empty: there is one.
	Treatment []rangeChoice
	Tally     []tally
	Groups    []groupView
	Axis      template.HTML // of the table's plots, where all share one
}

// tally is how many cards are in a state.
type tally struct {
	experiment.State
	Count int
}

type groupView struct {
	experiment.Group
	Cards []cardView
}

// cardView is one metric of one treatment.
type cardView struct {
	experiment.Card
	Metric *experiment.MetricResult
	URL    string // of the metric's details; empty: there are none to go to
	// The effect as it is shown, and its interval as a sentence.
	Impact, Between string
	Before, After   string // what the baseline and the treatment gave
	PText           string
	Plot            template.HTML
	Scale           template.HTML // the plot's axis
	Shared          bool          // the axis stands in the head of the table too
}

// shown is how somebody wants to see results.
type shown struct {
	As        string // relative or absolute; "": relative
	Treatment string // only this one; "": all
}

// viewOf makes the view. link is the address of the same page shown otherwise,
// details that of a metric's; nil: there is none.
func viewOf(results *experiment.Results, as shown, link func(shown) string, details func(metric string) string) resultsView {
	v := resultsView{Results: results, Relative: as.As != "absolute"}
	for _, one := range []string{"relative", "absolute"} {
		v.ShowAs = append(v.ShowAs, rangeChoice{strings.ToUpper(one[:1]) + one[1:], link(shown{one, as.Treatment}), (one == "relative") == v.Relative})
	}
	if !slices.Contains(results.Treatments, as.Treatment) {
		as.Treatment = ""
	}
	if len(results.Treatments) > 1 {
		v.Treatment = []rangeChoice{{"All treatments", link(shown{As: as.As}), as.Treatment == ""}}
		for _, one := range results.Treatments {
			v.Treatment = append(v.Treatment, rangeChoice{one, link(shown{as.As, one}), as.Treatment == one})
		}
	}
	var all []*cardView
	counts := map[experiment.State]int{}
	for _, group := range results.Groups {
		g := groupView{Group: group}
		for i := range group.Metrics {
			m := &group.Metrics[i]
			for _, card := range m.Cards {
				if as.Treatment != "" && card.Treatment != as.Treatment {
					continue
				}
				c := newCardView(m, card, v.Relative)
				if details != nil {
					c.URL = details(m.Metric)
				}
				counts[card.State]++
				g.Cards = append(g.Cards, c)
			}
		}
		v.Groups = append(v.Groups, g)
		for i := range g.Cards {
			all = append(all, &g.Cards[i])
		}
	}
	v.Tally = tallyOf(counts)
	v.Axis = drawCards(all, v.Relative)
	return v
}

// tallyOf lists the states with their counts, the findings first and always.
func tallyOf(counts map[experiment.State]int) []tally {
	var list []tally
	for _, state := range []experiment.State{experiment.Desired, experiment.Undesired, experiment.Inconclusive, experiment.NeedsMoreData,
		experiment.NotAvailable, experiment.NotPossible, experiment.NoBaseline, experiment.ZeroVariance} {
		if counts[state] > 0 || state.Significant() || state == experiment.Inconclusive {
			list = append(list, tally{state, counts[state]})
		}
	}
	return list
}

// drawCards draws each card's interval. Relative effects share one axis, which
// is given. Absolute ones have the unit of their metric, so only the
// treatments of one metric do.
func drawCards(cards []*cardView, relative bool) template.HTML {
	if relative {
		rows := make([]plot.Row, len(cards))
		for i, c := range cards {
			rows[i] = rowOf(c.Card, true)
		}
		axis := plot.Axis(rows)
		head := drawn(axis.Head(plot.Signed(plot.Percent)))
		for i, c := range cards {
			c.Plot, c.Scale, c.Shared = drawn(axis.Row(rows[i])), head, true
		}
		return head
	}
	for i := 0; i < len(cards); {
		to := i
		var rows []plot.Row
		for to < len(cards) && cards[to].Metric == cards[i].Metric {
			rows = append(rows, rowOf(cards[to].Card, false))
			to++
		}
		axis := plot.Axis(rows)
		for at := i; at < to; at++ {
			if known := rows[at-i]; !math.IsNaN(known.Value) {
				cards[at].Plot = drawn(axis.Row(known))
				cards[at].Scale = drawn(axis.Head(changeFormat(cards[at].Metric.Kind)))
			}
		}
		i = to
	}
	return ""
}

// rowOf is a card's effect as a row of an interval plot.
func rowOf(card experiment.Card, relative bool) plot.Row {
	if relative {
		return card.Row()
	}
	row := plot.Row{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Tone: card.State.Mark()}
	if card.Diff != nil {
		row.Value = *card.Diff
	}
	if card.CI != nil {
		row.Low, row.High = card.CI.Low, card.CI.High
	}
	return row
}

func newCardView(m *experiment.MetricResult, card experiment.Card, relative bool) cardView {
	c := cardView{Card: card, Metric: m, Impact: "–", PText: "–", Before: armValue(m, card.Baseline), After: armValue(m, card.Treatment)}
	if p := card.PAdjusted; p != nil {
		c.PText = pText(*p)
	} else if card.P != nil {
		c.PText = pText(*card.P)
	}
	diff := changeFormat(m.Kind)
	switch {
	case relative && card.Rel != nil:
		c.Impact = plot.Signed(plot.Percent)(*card.Rel)
	case card.Diff != nil:
		c.Impact = diff(*card.Diff)
	}
	switch {
	case relative && card.RelCI != nil:
		c.Between = betweenText(*card.RelCI, plot.Signed(plot.Percent))
	case card.CI != nil:
		c.Between = betweenText(*card.CI, diff)
		if relative {
			c.Between += " (absolute)"
		}
	}
	return c
}

func betweenText(ci experiment.Interval, format func(float64) string) string {
	return "between " + format(ci.Low) + " and " + format(ci.High)
}

// Steady reports whether the numbers say all that the sentence does: they do
// unless a significance of before holds on.
func (c cardView) Steady() bool { return c.SignificantSince == nil || c.SignificantNow }

// Symbol is the state's sign.
func (c cardView) Symbol() string { return c.State.Symbol() }

// Class is the state's class in the style sheet.
func (c cardView) Class() string { return string(c.State.Mark()) }

// Class is the state's class in the style sheet.
func (t tally) Class() string { return string(t.State.Mark()) }

// armValue is what the keys of a treatment gave on average.
func armValue(m *experiment.MetricResult, treatment string) string {
	for _, a := range m.Arms {
		if a.Treatment == treatment && a.Mean != nil {
			return valueFormat(m.Kind)(*a.Mean)
		}
	}
	return "–"
}

// valueFormat writes a metric's value in its unit.
func valueFormat(kind string) func(float64) string {
	if kind == store.MetricPercent {
		return plot.Percent
	}
	return plot.Number
}

// changeFormat writes a difference of two values of a metric. That of two
// percentages is in percentage points.
func changeFormat(kind string) func(float64) string {
	if kind == store.MetricPercent {
		return func(v float64) string { return plot.Signed(plot.Number)(v*100) + " pp" }
	}
	return plot.Signed(plot.Number)
}

// pText writes a p-value.
func pText(p float64) string {
	if p < 0.0001 {
		return "<0.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}

// toneClass is the class of a tone in the style sheet.
func toneClass(t experiment.Tone) string {
	if t == experiment.Neutral {
		return "dim"
	}
	return string(t)
}

// toneIcon is the picture of a tone.
func toneIcon(t experiment.Tone) template.HTML {
	switch t {
	case experiment.Good:
		return icon("ok")
	case experiment.Bad:
		return icon("bad")
	case experiment.Warn:
		return icon("warn")
	}
	return icon("info")
}
