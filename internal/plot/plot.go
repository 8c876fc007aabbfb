// Package plot draws SVG: intervals on one shared axis, values over time with
// a band, bars, sparklines. Numbers in, text out: no I/O, no clock, and the
// same input gives the same text.
//
// Contract:
//   - The text is well-formed XML whatever the numbers and labels are: labels
//     are escaped, and NaN or an infinity never stands in it. NaN means "not
//     known" and draws nothing; an infinite end of an interval is an arrow.
//   - Nothing needs a script or a style attribute: marks carry classes, and
//     the page's style sheet has the colours. What a colour says, a shape or a
//     text says too.
//   - A drawing for a file of its own (Alone) brings its style sheet with it.
package plot

import (
	"encoding/xml"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SVG is a drawing: markup that may stand in a page as it is.
type SVG string

// Tone is what a mark means. It decides class and shape.
type Tone string

// The tones.
const (
	Main   Tone = "main"   // neither good nor bad
	Good   Tone = "good"   // as wished: ▲
	Bad    Tone = "bad"    // against the wish: ▼
	Unsure Tone = "unsure" // could be either: ◆
	Dim    Tone = "dim"    // not judged: ○
)

// Frame is what every drawing has.
type Frame struct {
	// Title says in a few words what is drawn, About in a sentence what there
	// is to see. Both are for who cannot see it.
	Title, About string
	// Alone makes a file that needs no page around it.
	Alone bool
	// Class is added to the drawing's class.
	Class string
}

// drawing is an SVG in the making.
type drawing struct {
	strings.Builder
	width, height float64
}

// begin opens a drawing of that size, in units that are pixels at full size.
func (f Frame) begin(class string, width, height float64) *drawing {
	d := &drawing{width: width, height: height}
	if f.Class != "" {
		class += " " + f.Class
	}
	d.WriteString(`<svg`)
	if f.Alone {
		d.WriteString(` xmlns="http://www.w3.org/2000/svg"` + attributes("width", width, "height", height))
	}
	d.WriteString(attributes("class", class, "viewBox", "0 0 "+number(width)+" "+number(height)))
	if f.Title == "" {
		d.WriteString(` aria-hidden="true">`)
	} else {
		d.WriteString(` role="img"><title>` + escape(f.Title) + `</title>`)
		if f.About != "" {
			d.WriteString(`<desc>` + escape(f.About) + `</desc>`)
		}
	}
	if f.Alone {
		d.WriteString(`<style>` + styleAlone + `</style>`)
		d.element("rect", "class", "back", "width", width, "height", height)
	}
	return d
}

func (d *drawing) end() SVG {
	d.WriteString("</svg>")
	return SVG(d.String())
}

// element draws an empty element with attributes in pairs.
func (d *drawing) element(name string, pairs ...any) {
	d.WriteString("<" + name + attributes(pairs...) + "/>")
}

// text writes a label of at most most characters; the whole is its tooltip.
func (d *drawing) text(most int, label string, pairs ...any) {
	short := cut(label, most)
	d.WriteString("<text" + attributes(pairs...) + ">" + escape(short))
	if short != label {
		d.WriteString("<title>" + escape(label) + "</title>")
	}
	d.WriteString("</text>")
}

func attributes(pairs ...any) string {
	var b strings.Builder
	for i := 0; i+1 < len(pairs); i += 2 {
		b.WriteString(" " + pairs[i].(string) + `="`)
		switch v := pairs[i+1].(type) {
		case float64:
			b.WriteString(number(v))
		case int:
			b.WriteString(strconv.Itoa(v))
		default:
			b.WriteString(escape(fmt.Sprint(v)))
		}
		b.WriteString(`"`)
	}
	return b.String()
}

// number is a coordinate: two decimals are less than anybody sees.
func number(v float64) string {
	if math.IsNaN(v) {
		return "0"
	}
	text := strconv.FormatFloat(math.Max(-1e6, math.Min(1e6, v)), 'f', 2, 64)
	text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	if text == "-0" {
		return "0"
	}
	return text
}

// escape makes any text safe between tags and in attributes, and valid XML.
func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

func cut(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// styleAlone is what the console's style sheet says of the classes, for files.
const styleAlone = `text{font:11px system-ui,sans-serif;fill:#17202b}.back{fill:#fff}.axis{fill:#566270}.head{font-weight:700}.value{font-size:11px}.grid{stroke:#d9dfe6}.zero{stroke:#566270;stroke-dasharray:3 3}` +
	`.line{fill:none;stroke-width:2}.area,.band{stroke:none;opacity:.15}.mark{stroke-width:1.5}` +
	`.t-main.line,.t-main.mark,.t-main.whisker{stroke:#0b5cad}.t-main.area,.t-main.band,.t-main.mark,.t-main.bar{fill:#0b5cad}` +
	`.t-good.line,.t-good.mark,.t-good.whisker{stroke:#0b7541}.t-good.area,.t-good.band,.t-good.mark{fill:#0b7541}` +
	`.t-bad.line,.t-bad.mark,.t-bad.whisker{stroke:#b42318}.t-bad.area,.t-bad.band,.t-bad.mark{fill:#b42318}` +
	`.t-unsure.line,.t-unsure.mark,.t-unsure.whisker{stroke:#855a00}.t-unsure.area,.t-unsure.band,.t-unsure.mark{fill:#855a00}` +
	`.t-dim.line,.t-dim.mark,.t-dim.whisker{stroke:#566270}.t-dim.area,.t-dim.band{fill:#566270}.t-dim.mark{fill:#fff}` +
	`.a-0.line,.a-0.key{stroke:#566270}.a-0.band,.a-0.bar{fill:#8792a0}.a-1.line,.a-1.key{stroke:#0b5cad}.a-1.band,.a-1.bar{fill:#0b5cad}.a-2.line,.a-2.key{stroke:#9a3fa0}.a-2.band,.a-2.bar{fill:#9a3fa0}` +
	`.a-3.line,.a-3.key{stroke:#0b7541}.a-3.band,.a-3.bar{fill:#0b7541}.a-4.line,.a-4.key{stroke:#855a00}.a-4.band,.a-4.bar{fill:#855a00}.a-5.line,.a-5.key{stroke:#b42318}.a-5.band,.a-5.bar{fill:#b42318}` +
	`.whisker{fill:none;stroke-width:2}.a-0.line{stroke-dasharray:6 4}.a-2.line{stroke-dasharray:10 3 2 3}.a-3.line{stroke-dasharray:2 3}.a-4.line{stroke-dasharray:12 4}.a-5.line{stroke-dasharray:4 2 1 2}`
