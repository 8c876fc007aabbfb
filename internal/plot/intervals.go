package plot

import (
	"math"
	"slices"
)

// Row is one interval of an interval plot.
type Row struct {
	Group string // a heading stands where it changes
	Label string // what was measured
	Text  string // the result in words and numbers: nobody has to hover
	// Value is the estimate. Low and High are the ends of its interval; an
	// infinite one means that there is none on that side. NaN: not known.
	Value, Low, High float64
	Tone             Tone
}

// Intervals draws rows on one shared axis with a line at zero (a forest plot).
type Intervals struct {
	Frame
	Rows   []Row
	Format func(float64) string // of the axis; nil: Number
}

// Axis is the scale that all rows share. It shows zero, every estimate and,
// unless few intervals are far wider than all others, every end. What lies
// beyond it is drawn as an arrow.
func Axis(rows []Row) Scale {
	var reach []float64 // how far each row goes from zero
	values := []float64{0}
	for _, r := range rows {
		far := 0.0
		for _, v := range []float64{r.Low, r.High} {
			if known(v) {
				far = math.Max(far, math.Abs(bounded(v)))
			}
		}
		if known(r.Value) {
			values = append(values, r.Value)
			far = math.Max(far, math.Abs(bounded(r.Value)))
		}
		if far > 0 {
			reach = append(reach, far)
		}
	}
	limit := most
	if len(reach) > 0 {
		slices.Sort(reach)
		limit = bounded(6 * reach[(len(reach)-1)/2])
	}
	for _, r := range rows {
		for _, v := range []float64{r.Low, r.High} {
			if known(v) {
				values = append(values, math.Max(-limit, math.Min(limit, bounded(v))))
			}
		}
	}
	// An estimate far out is cut too, or the others could not be told apart.
	for i, v := range values {
		values[i] = math.Max(-limit, math.Min(limit, bounded(v)))
	}
	return scaleOf(4, values...)
}

// The size of one row alone, for a cell of a table.
const (
	rowWidth, rowHeight = 260.0, 30.0
	rowMargin           = 14.0
)

// Row draws one row of the plot alone, for a table whose every row has one.
// The cell beside it says the same in words, so it is hidden from who cannot
// see it.
func (s Scale) Row(r Row) SVG {
	d := Frame{}.begin("plot row", rowWidth, rowHeight)
	s.grid(d, rowMargin, rowWidth-2*rowMargin, 0, rowHeight)
	s.interval(d, r, rowMargin, rowWidth-2*rowMargin, rowHeight/2)
	return d.end()
}

// Head draws the axis alone, for the head of that table.
func (s Scale) Head(format func(float64) string) SVG {
	d := Frame{}.begin("plot row", rowWidth, 18)
	s.labels(d, format, rowMargin, rowWidth-2*rowMargin, 13)
	return d.end()
}

// grid draws the lines of the axis and, stronger, that of zero.
func (s Scale) grid(d *drawing, left, width, top, bottom float64) {
	for _, tick := range s.Ticks {
		class := "grid"
		if tick == 0 {
			class = "zero"
		}
		x := left + s.at(tick)*width
		d.element("line", "class", class, "x1", x, "x2", x, "y1", top, "y2", bottom)
	}
}

func (s Scale) labels(d *drawing, format func(float64) string, left, width, y float64) {
	if format == nil {
		format = Number
	}
	for i, tick := range s.Ticks {
		anchor := "middle"
		if i == 0 && left < 30 {
			anchor = "start"
		} else if i == len(s.Ticks)-1 {
			anchor = "end"
		}
		x := left + s.at(tick)*width
		if anchor != "middle" {
			x = math.Max(1, math.Min(x+edge(anchor), d.width-1))
		}
		d.text(14, format(tick), "class", "axis", "x", x, "y", y, "text-anchor", anchor)
	}
}

// edge moves the first and last label out as far as the margin lets it.
func edge(anchor string) float64 {
	if anchor == "start" {
		return -rowMargin
	}
	return rowMargin
}

// interval draws the interval as a line with ends, or arrows where it goes on,
// and the estimate as a shape of its tone.
func (s Scale) interval(d *drawing, r Row, left, width, y float64) {
	tone := "t-" + string(toneOf(r.Tone))
	if !math.IsNaN(r.Low) && !math.IsNaN(r.High) && r.Low <= r.High {
		from, fromShown := s.clamped(r.Low)
		to, toShown := s.clamped(r.High)
		x1, x2 := left+from*width, left+to*width
		d.element("line", "class", "whisker "+tone, "x1", x1, "x2", x2, "y1", y, "y2", y)
		if fromShown || from == 0 {
			d.tip(tone, x1, y, -1, fromShown)
		}
		if toShown || to == 1 {
			d.tip(tone, x2, y, +1, toShown)
		}
	}
	if known(r.Value) {
		if at, shown := s.clamped(r.Value); shown {
			d.shape(toneOf(r.Tone), left+at*width, y)
		}
	}
}

func toneOf(t Tone) Tone {
	switch t {
	case Good, Bad, Unsure, Dim:
		return t
	}
	return Main
}

// tip is the end of an interval: a stroke, or an arrow when it goes on beyond
// what is shown.
func (d *drawing) tip(tone string, x, y, direction float64, shown bool) {
	if shown {
		d.element("line", "class", "whisker "+tone, "x1", x, "x2", x, "y1", y-4, "y2", y+4)
		return
	}
	back := x - direction*7
	d.element("polyline", "class", "whisker arrow "+tone, "points", point(back, y-5)+" "+point(x, y)+" "+point(back, y+5))
}

// shape is the mark of an estimate. Each tone has its own, so that nobody has
// to tell colours apart.
func (d *drawing) shape(t Tone, x, y float64) {
	class := "mark t-" + string(t)
	switch t {
	case Good:
		d.element("polygon", "class", class, "points", point(x, y-6)+" "+point(x+6, y+5)+" "+point(x-6, y+5))
	case Bad:
		d.element("polygon", "class", class, "points", point(x, y+6)+" "+point(x+6, y-5)+" "+point(x-6, y-5))
	case Unsure:
		d.element("polygon", "class", class, "points", point(x, y-6)+" "+point(x+6, y)+" "+point(x, y+6)+" "+point(x-6, y))
	case Dim:
		d.element("circle", "class", class, "cx", x, "cy", y, "r", 4.5)
	default:
		d.element("rect", "class", class, "x", x-4.5, "y", y-4.5, "width", 9, "height", 9)
	}
}

func point(x, y float64) string { return number(x) + "," + number(y) }

// SVG draws the whole plot: labels, axis, rows, results in words.
func (p Intervals) SVG() SVG {
	const label, axis, text, line, head, gap = 200.0, 340.0, 260.0, 30.0, 24.0, 12.0
	scale := Axis(p.Rows)
	height := head + 16
	for i, r := range p.Rows {
		height += line
		if r.Group != "" && (i == 0 || p.Rows[i-1].Group != r.Group) {
			height += head
		}
	}
	d := p.begin("plot intervals", label+axis+text+2*gap, height)
	left := label + gap
	scale.grid(d, left, axis, head, height-16)
	scale.labels(d, p.Format, left, axis, head-10)
	y := head
	for i, r := range p.Rows {
		if r.Group != "" && (i == 0 || p.Rows[i-1].Group != r.Group) {
			d.text(40, r.Group, "class", "head", "x", 6, "y", y+16)
			y += head
		}
		middle := y + line/2
		d.text(34, r.Label, "class", "label", "x", 6, "y", middle+4)
		scale.interval(d, r, left, axis, middle)
		d.text(52, r.Text, "class", "value", "x", left+axis+gap, "y", middle+4)
		y += line
	}
	return d.end()
}
