package web

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"
)

// Charts are SVG made here: they work without scripts, print, and are text in
// tests. Colours come from the style sheet by class, so both themes fit.

// series is one line of a chart.
type series struct {
	Name   string
	Class  string // line-main, line-warn, line-bad, line-good
	Values []float64
	Area   bool // filled below
}

// timeChart draws values over time, one for each step. title says in words
// what there is to see. A single peak that would flatten everything else is
// cut and written out. Phones get a drawing of their own, since what is scaled
// down cannot be read.
func timeChart(title string, from time.Time, step time.Duration, all ...series) template.HTML {
	return drawTime("chart wide", 960, 220, 8, title, from, step, all) + drawTime("chart narrow", 400, 200, 4, title, from, step, all)
}

func drawTime(class string, width, height float64, labels int, title string, from time.Time, step time.Duration, all []series) template.HTML {
	const left, right, bottom, top = 52.0, 12.0, 26.0, 14.0
	n, highest := 0, 0.0
	for _, s := range all {
		n = max(n, len(s.Values))
		for _, v := range s.Values {
			highest = max(highest, v)
		}
	}
	if n < 2 {
		return ""
	}
	shown := shownPeak(all, highest)
	ceiling, lines := niceCeiling(shown)
	x := func(i int) float64 { return left + float64(i)*(width-left-right)/float64(n-1) }
	y := func(v float64) float64 { return top + (height-top-bottom)*(1-min(v, ceiling)/ceiling) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="%s" viewBox="0 0 %g %g" role="img" aria-label="%s">`, class, width, height, template.HTMLEscapeString(title))
	for i := range lines + 1 {
		v := ceiling * float64(i) / float64(lines)
		fmt.Fprintf(&b, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text class="axis" x="%g" y="%.1f" text-anchor="end">%s</text>`,
			left, width-right, y(v), y(v), left-8, y(v)+4, shortNumber(v))
	}
	format := "15:04"
	if step >= time.Hour {
		format = "Jan 2"
	}
	for i := 0; i < n; i += max(1, (n+labels-1)/labels) {
		fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%g" text-anchor="middle">%s</text>`, x(i), height-8, from.Add(time.Duration(i)*step).UTC().Format(format))
	}
	for _, s := range all {
		var points strings.Builder
		for i, v := range s.Values {
			fmt.Fprintf(&points, "%.1f,%.1f ", x(i), y(v))
		}
		if s.Area {
			fmt.Fprintf(&b, `<polygon class="%s area" points="%.1f,%.1f %s%.1f,%.1f"/>`, s.Class, x(0), y(0), points.String(), x(len(s.Values)-1), y(0))
		}
		fmt.Fprintf(&b, `<polyline class="%s line" points="%s"/>`, s.Class, strings.TrimSpace(points.String()))
		for i, v := range s.Values {
			if v <= ceiling {
				continue
			}
			anchor := "start"
			if i > n/2 {
				anchor = "end"
			}
			fmt.Fprintf(&b, `<text class="cut" x="%.1f" y="%g" text-anchor="%s">▲ %s</text>`, x(i), top-3, anchor, count(int64(v)))
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// shownPeak is the highest value that the scale has to reach: the highest of
// all, unless at most two values stand far above all others.
func shownPeak(all []series, highest float64) float64 {
	var some []float64
	for _, s := range all {
		for _, v := range s.Values {
			if v > 0 && s.Area {
				some = append(some, v)
			}
		}
	}
	slices.Sort(some)
	if len(some) < 4 {
		return highest
	}
	for cut := 2; cut >= 1; cut-- {
		if rest := some[len(some)-1-cut]; some[len(some)-cut] > 6*rest {
			return rest * 1.25
		}
	}
	return highest
}

// sparkline draws a few values without axes; it says nothing that the number
// beside it does not, so it is hidden from who cannot see it.
func sparkline(class string, values []float64) template.HTML {
	const width, height = 120.0, 28.0
	highest := 0.0
	for _, v := range values {
		highest = max(highest, v)
	}
	if len(values) < 2 || highest == 0 {
		return ""
	}
	var points strings.Builder
	for i, v := range values {
		fmt.Fprintf(&points, "%.1f,%.1f ", float64(i)*width/float64(len(values)-1), height-2-(height-4)*v/highest)
	}
	return template.HTML(fmt.Sprintf(`<svg class="spark" viewBox="0 0 %g %g" aria-hidden="true" preserveAspectRatio="none"><polyline class="%s line" points="%s"/></svg>`,
		width, height, class, strings.TrimSpace(points.String())))
}

// niceCeiling is a round number at or above the highest value, and into how
// many round parts it divides.
func niceCeiling(highest float64) (ceiling float64, parts int) {
	if highest <= 4 {
		return 4, 4
	}
	unit := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, nice := range []struct {
		factor float64
		parts  int
	}{{1, 5}, {1.5, 3}, {2, 4}, {3, 3}, {4, 4}, {5, 5}, {6, 3}, {8, 4}, {10, 5}} {
		if highest <= nice.factor*unit {
			return nice.factor * unit, nice.parts
		}
	}
	return 10 * unit, 5
}

// shortNumber is a number for an axis: 1,500 or 2.5M.
func shortNumber(v float64) string {
	switch {
	case v >= 1e9:
		return trimZero(v/1e9) + "G"
	case v >= 1e6:
		return trimZero(v/1e6) + "M"
	case v == math.Trunc(v):
		return count(int64(v))
	}
	return trimZero(v)
}

func trimZero(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// icon is a small picture of the console's own, drawn with lines.
func icon(name string) template.HTML {
	path, ok := icons[name]
	if !ok {
		panic("web: there is no icon " + name)
	}
	return template.HTML(`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true">` + path + `</svg>`)
}

var icons = map[string]string{
	"logo":   `<path d="M1 13h18M3 13V9.5a7 7 0 0 1 14 0V13M7.5 13V7.8M12.5 13V7.8M10 13V6"/>`,
	"ok":     `<path d="m4 10.5 4 4 8-9"/>`,
	"bad":    `<path d="m5 5 10 10M15 5 5 15"/>`,
	"warn":   `<path d="M10 3 2 17h16L10 3Zm0 5v4m0 2.2v.3"/>`,
	"wait":   `<circle cx="10" cy="10" r="7" stroke-dasharray="3 3"/>`,
	"pause":  `<path d="M7 4v12M13 4v12"/>`,
	"play":   `<path d="m6 4 10 6-10 6V4Z"/>`,
	"copy":   `<rect x="7" y="7" width="9" height="9" rx="1.5"/><path d="M13 7V4.5H4.5V13H7"/>`,
	"sun":    `<circle cx="10" cy="10" r="3.5"/><path d="M10 2v2m0 12v2M2 10h2m12 0h2M4.3 4.3l1.4 1.4m8.6 8.6 1.4 1.4m0-11.4-1.4 1.4M5.7 14.3l-1.4 1.4"/>`,
	"moon":   `<path d="M16 12.5A7 7 0 0 1 7.5 4a7 7 0 1 0 8.5 8.5Z"/>`,
	"auto":   `<circle cx="10" cy="10" r="7"/><path d="M10 3v14M10 6h4.5M10 10h7M10 14h4.5"/>`,
	"menu":   `<path d="M3 5h14M3 10h14M3 15h14"/>`,
	"close":  `<path d="m5 5 10 10M15 5 5 15"/>`,
	"search": `<circle cx="9" cy="9" r="5"/><path d="m13 13 4 4"/>`,
	"right":  `<path d="m8 5 5 5-5 5"/>`,
}
