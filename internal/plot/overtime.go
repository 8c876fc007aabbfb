package plot

import (
	"math"
	"slices"
	"strings"
	"time"
)

// Moment is one point of a line over time. NaN: not known there.
type Moment struct {
	At        time.Time
	Value     float64
	Low, High float64 // the band around it; used when the line has one
}

// Line is one line over time.
type Line struct {
	Name    string
	Class   string // of the style sheet: t-main, t-good …, or a-0 … for arms, which are dashed differently
	Moments []Moment
	Band    bool // draw Low to High behind it
	Area    bool // fill down to the bottom
}

// OverTime draws lines over time. Where a value is not known a line is broken.
type OverTime struct {
	Frame
	Lines  []Line
	Format func(float64) string // of the values; nil: Number
	// Zero keeps zero in sight, FromZero has the scale begin there, for counts.
	Zero, FromZero bool
	// CutPeaks cuts at most two values that would flatten all others, and
	// writes them out.
	CutPeaks bool
	// Narrow draws for a phone.
	Narrow bool
}

// Both draws it twice, for wide and for narrow screens; the style sheet shows
// one. What is scaled down cannot be read.
func (p OverTime) Both() SVG {
	p.Narrow = false
	wide := p
	wide.Class = strings.TrimSpace(p.Class + " wide")
	narrow := p
	narrow.Class, narrow.Narrow = strings.TrimSpace(p.Class+" narrow"), true
	return wide.SVG() + narrow.SVG()
}

// SVG draws it, or nothing when there are fewer than two points in time.
func (p OverTime) SVG() SVG {
	width, height, labels := 960.0, 220.0, 8
	if p.Narrow {
		width, height, labels = 400, 200, 4
	}
	const left, right, bottom, top = 60.0, 14.0, 26.0, 14.0
	first, last, points := p.span()
	if points < 2 || !last.After(first) {
		return ""
	}
	scale := p.scale()
	format := p.Format
	if format == nil {
		format = Number
	}
	seconds := last.Sub(first).Seconds()
	x := func(t time.Time) float64 { return left + (width-left-right)*t.Sub(first).Seconds()/seconds }
	y := func(v float64) float64 {
		at, _ := scale.clamped(v)
		return top + (height-top-bottom)*(1-at)
	}
	d := p.begin("chart", width, height)
	for _, tick := range scale.Ticks {
		class := "grid"
		if tick == 0 && scale.Low < 0 {
			class = "zero"
		}
		d.element("line", "class", class, "x1", left, "x2", width-right, "y1", y(tick), "y2", y(tick))
		d.text(9, format(tick), "class", "axis", "x", left-8, "y", y(tick)+4, "text-anchor", "end")
	}
	p.timeLabels(d, first, last, labels, x, height-8)
	for _, line := range p.Lines {
		line.draw(d, x, y, scale)
	}
	return d.end()
}

// span is the time from the first to the last moment, and how many different
// ones the longest line has.
func (p OverTime) span() (first, last time.Time, points int) {
	for _, line := range p.Lines {
		points = max(points, len(line.Moments))
		for _, m := range line.Moments {
			if first.IsZero() || m.At.Before(first) {
				first = m.At
			}
			if last.IsZero() || m.At.After(last) {
				last = m.At
			}
		}
	}
	return first, last, points
}

func (p OverTime) scale() Scale {
	var values []float64
	for _, line := range p.Lines {
		for _, m := range line.Moments {
			values = append(values, m.Value)
			if line.Band {
				values = append(values, m.Low, m.High)
			}
		}
	}
	if p.CutPeaks {
		highest := shownPeak(p.Lines)
		for i, v := range values {
			values[i] = math.Min(v, highest)
		}
	}
	if p.FromZero {
		return scaleOf(5, append(values, 0, 4)...)
	}
	if p.Zero {
		values = append(values, 0)
	}
	// The band of the first points is often wide beyond all others.
	return scaleOf(5, withoutExtremes(values)...)
}

// withoutExtremes cuts values that are far out of the range in which nine of
// ten lie: they reach the edge of the drawing and are in the table beside it.
func withoutExtremes(values []float64) []float64 {
	values = slices.DeleteFunc(values, func(v float64) bool { return !known(v) })
	if len(values) < 10 {
		return values
	}
	sorted := slices.Sorted(slices.Values(values))
	low, high := bounded(sorted[len(sorted)/20]), bounded(sorted[len(sorted)-1-len(sorted)/20])
	room := bounded(2 * (high - low))
	for i, v := range values {
		values[i] = math.Max(bounded(low-room), math.Min(bounded(high+room), bounded(v)))
	}
	return values
}

// shownPeak is the highest value that the scale has to reach: the highest of
// all, unless at most two values of filled lines stand far above all others.
func shownPeak(lines []Line) float64 {
	var some []float64
	highest := 0.0
	for _, line := range lines {
		for _, m := range line.Moments {
			if known(m.Value) {
				highest = math.Max(highest, m.Value)
				if m.Value > 0 && line.Area {
					some = append(some, m.Value)
				}
			}
		}
	}
	slices.Sort(some)
	if len(some) < 4 {
		return highest
	}
	for peaks := 2; peaks >= 1; peaks-- {
		if rest := some[len(some)-1-peaks]; some[len(some)-peaks]/6 > rest {
			return rest * 1.25
		}
	}
	return highest
}

// timeLabels writes some of the times below, in as few letters as tell them
// apart.
func (p OverTime) timeLabels(d *drawing, first, last time.Time, labels int, x func(time.Time) float64, y float64) {
	format := "Jan 2"
	if last.Sub(first) <= 48*time.Hour {
		format = "15:04"
	}
	var times []time.Time
	for _, line := range p.Lines {
		if len(line.Moments) > len(times) {
			times = times[:0]
			for _, m := range line.Moments {
				times = append(times, m.At)
			}
		}
	}
	step, before := max(1, (len(times)+labels-1)/labels), math.Inf(-1)
	for i := 0; i < len(times); i += step {
		at := x(times[i])
		if at-before < 45 { // looks that were taken in short succession
			continue
		}
		before = at
		anchor := "middle"
		if at > d.width-30 {
			anchor = "end"
		}
		d.text(12, times[i].UTC().Format(format), "class", "axis", "x", at, "y", y, "text-anchor", anchor)
	}
}

// draw draws one line, broken where a value is not known.
func (l Line) draw(d *drawing, x func(time.Time) float64, y func(float64) float64, scale Scale) {
	for _, run := range l.runs(func(m Moment) bool { return l.Band && !math.IsNaN(m.Low) && !math.IsNaN(m.High) }) {
		var above, below []string
		for _, m := range run {
			above = append(above, point(x(m.At), y(m.High)))
			below = append(below, point(x(m.At), y(m.Low)))
		}
		slices.Reverse(below)
		d.element("polygon", "class", l.Class+" band", "points", strings.Join(append(above, below...), " "))
	}
	for _, run := range l.runs(func(m Moment) bool { return known(m.Value) }) {
		points := make([]string, len(run))
		for i, m := range run {
			points[i] = point(x(m.At), y(m.Value))
		}
		if l.Area {
			base := y(scale.Low)
			d.element("polygon", "class", l.Class+" area", "points",
				point(x(run[0].At), base)+" "+strings.Join(points, " ")+" "+point(x(run[len(run)-1].At), base))
		}
		if len(run) == 1 {
			d.element("circle", "class", l.Class+" dotted", "cx", x(run[0].At), "cy", y(run[0].Value), "r", 2.5)
			continue
		}
		d.element("polyline", "class", l.Class+" line", "points", strings.Join(points, " "))
	}
	l.writeCut(d, x, scale)
}

// writeCut writes out the values that the scale does not reach, when they are
// few.
func (l Line) writeCut(d *drawing, x func(time.Time) float64, scale Scale) {
	if !l.Area {
		return
	}
	for _, m := range l.Moments {
		if !known(m.Value) || m.Value <= scale.High {
			continue
		}
		anchor := "start"
		if x(m.At) > d.width/2 {
			anchor = "end"
		}
		d.text(14, "▲ "+Number(m.Value), "class", "cut", "x", x(m.At), "y", 11.0, "text-anchor", anchor)
	}
}

// runs are the parts of the line in which a thing is known.
func (l Line) runs(has func(Moment) bool) [][]Moment {
	var runs [][]Moment
	from := -1
	for i, m := range l.Moments {
		switch {
		case has(m) && from < 0:
			from = i
		case !has(m) && from >= 0:
			runs, from = append(runs, l.Moments[from:i]), -1
		}
	}
	if from >= 0 {
		runs = append(runs, l.Moments[from:])
	}
	return runs
}

// Spark draws a few values without axes. It says nothing that the number
// beside it does not, so it is hidden from who cannot see it. No values, or
// none above zero, draw nothing.
func Spark(class string, values []float64) SVG {
	const width, height = 120.0, 28.0
	highest := 0.0
	for _, v := range values {
		if known(v) {
			highest = math.Max(highest, v)
		}
	}
	if len(values) < 2 || highest == 0 {
		return ""
	}
	points := make([]string, len(values))
	for i, v := range values {
		share := 0.0
		if known(v) {
			share = math.Max(0, v) / highest
		}
		points[i] = point(float64(i)*width/float64(len(values)-1), height-2-(height-4)*share)
	}
	d := &drawing{}
	d.WriteString(`<svg` + attributes("class", "spark", "viewBox", "0 0 120 28", "aria-hidden", "true", "preserveAspectRatio", "none") + `>`)
	d.element("polyline", "class", class+" line", "points", strings.Join(points, " "))
	return d.end()
}
