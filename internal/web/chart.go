package web

import (
	"html/template"
	"time"

	"causeway/internal/plot"
)

// series is one line of a chart of counts, one value for each step.
type series struct {
	Name   string
	Class  string // t-main, t-warn, t-bad, t-good
	Values []float64
	Area   bool // filled below
}

// timeChart draws counts over time. title says in words what there is to see.
// A single peak that would flatten everything else is cut and written out.
func timeChart(title string, from time.Time, step time.Duration, all ...series) template.HTML {
	chart := plot.OverTime{Frame: plot.Frame{Title: title}, FromZero: true, CutPeaks: true}
	for _, s := range all {
		line := plot.Line{Name: s.Name, Class: s.Class, Area: s.Area}
		for i, v := range s.Values {
			line.Moments = append(line.Moments, plot.Moment{At: from.Add(time.Duration(i) * step), Value: v})
		}
		chart.Lines = append(chart.Lines, line)
	}
	return drawn(chart.Both())
}

func sparkline(class string, values []float64) template.HTML { return drawn(plot.Spark(class, values)) }

// drawn puts a drawing into a page; plot has escaped what is in it.
func drawn(svg plot.SVG) template.HTML { return template.HTML(svg) }
