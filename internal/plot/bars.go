package plot

import (
	"math"
	"strconv"
	"strings"
)

// Bars draws groups of bars, such as exposures per day and treatment.
type Bars struct {
	Frame
	Groups  []string    // what stands below each group
	Arms    []string    // the bars of a group, in order
	Values  [][]float64 // by group, by arm; below zero and NaN count as zero
	Stacked bool        // one upon the other; otherwise side by side
	Narrow  bool        // for a phone
}

// Both draws it twice, for wide and for narrow screens.
func (p Bars) Both() SVG {
	wide, narrow := p, p
	wide.Class, wide.Narrow = strings.TrimSpace(p.Class+" wide"), false
	narrow.Class, narrow.Narrow = strings.TrimSpace(p.Class+" narrow"), true
	return wide.SVG() + narrow.SVG()
}

// class is that of an arm's bars. One alone has no arm to be told from.
func (p Bars) class(arm int) string {
	if len(p.Arms) == 1 {
		return "bar t-main"
	}
	return "bar a-" + strconv.Itoa(arm%6)
}

// value is what can be drawn of one bar.
func (p Bars) value(group, arm int) float64 {
	if group >= len(p.Values) || arm >= len(p.Values[group]) || !known(p.Values[group][arm]) {
		return 0
	}
	return bounded(math.Max(0, p.Values[group][arm]))
}

// SVG draws it, or nothing when there is nothing above zero.
func (p Bars) SVG() SVG {
	width, height, labels := 960.0, 200.0, 12
	if p.Narrow {
		width, height, labels = 400, 190, 5
	}
	const left, right, bottom, top = 60.0, 10.0, 26.0, 10.0
	highest := 0.0
	for g := range p.Groups {
		sum := 0.0
		for a := range p.Arms {
			if p.Stacked {
				sum = bounded(sum + p.value(g, a))
			} else {
				sum = math.Max(sum, p.value(g, a))
			}
		}
		highest = math.Max(highest, sum)
	}
	if highest == 0 || len(p.Arms) == 0 {
		return ""
	}
	scale := scaleOf(4, 0, math.Max(highest, 4))
	d := p.begin("chart bars", width, height)
	y := func(v float64) float64 { return top + (height-top-bottom)*(1-math.Min(1, scale.at(v))) }
	for _, tick := range scale.Ticks {
		d.element("line", "class", "grid", "x1", left, "x2", width-right, "y1", y(tick), "y2", y(tick))
		d.text(9, Number(tick), "class", "axis", "x", left-8, "y", y(tick)+4, "text-anchor", "end")
	}
	room := (width - left - right) / float64(len(p.Groups))
	bar := math.Min(60, room*0.8)
	if !p.Stacked {
		bar /= float64(len(p.Arms))
	}
	used := bar
	if !p.Stacked {
		used *= float64(len(p.Arms))
	}
	step := max(1, (len(p.Groups)+labels-1)/labels)
	for g, name := range p.Groups {
		x := left + room*float64(g) + (room-used)/2
		if g%step == 0 {
			d.text(12, name, "class", "axis", "x", left+room*(float64(g)+.5), "y", height-8, "text-anchor", "middle")
		}
		base := 0.0
		for a := range p.Arms {
			v := p.value(g, a)
			from, to := x, y(bounded(base+v))
			if !p.Stacked {
				from, to = x+bar*float64(a), y(v)
			}
			if v > 0 {
				d.element("rect", "class", p.class(a), "x", from, "y", to, "width", math.Max(bar-0.5, 0.5), "height", math.Max(y(base)-to, 0.5))
			}
			if p.Stacked {
				base = bounded(base + v)
			}
		}
	}
	return d.end()
}
