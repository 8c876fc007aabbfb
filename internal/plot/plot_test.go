package plot

import (
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// inf and nan make the tables below readable.
var inf, nan = math.Inf(1), math.NaN()

var rows = []Row{
	{Group: "Key metrics", Label: "conversion", Text: "+5.1%, between +2% and +8.3%", Value: .051, Low: .02, High: .083, Tone: Good},
	{Group: "Key metrics", Label: "revenue", Text: "-1%, between -6% and +4%", Value: -.01, Low: -.06, High: .04, Tone: Unsure},
	{Group: "Guardrails", Label: "errors", Text: "+9%, at least +3%", Value: .09, Low: .03, High: inf, Tone: Bad},
	{Group: "Guardrails", Label: "refunds <b> & \"more\"", Text: "far wider than the others", Value: .1, Low: -4, High: 4.2, Tone: Dim},
	{Group: "Supporting", Label: "a name that is much longer than there is room for it", Text: "needs more data", Value: nan, Low: nan, High: nan, Tone: Dim},
}

func moments(n int) []Moment {
	var list []Moment
	for i := range n {
		v := .05 + .2*math.Cos(float64(i))/float64(i+1)
		m := Moment{At: day.AddDate(0, 0, i), Value: v, Low: v - .3/float64(i+1), High: v + .3/float64(i+1)}
		if i == 5 {
			m.Value, m.Low, m.High = nan, nan, nan
		}
		list = append(list, m)
	}
	return list
}

// drawings are one of each kind.
func drawings() map[string]SVG {
	bars := Bars{Frame: Frame{Title: "Exposures per day"}, Arms: []string{"off", "on"}, Stacked: true}
	for i := range 20 {
		bars.Groups = append(bars.Groups, day.AddDate(0, 0, i).Format("Jan 2"))
		bars.Values = append(bars.Values, []float64{float64(100 + 7*i), float64(90 + 9*i)})
	}
	beside := bars
	beside.Stacked, beside.Groups, beside.Values = false, bars.Groups[:4], bars.Values[:4]
	peaks := OverTime{Frame: Frame{Title: "Calls"}, FromZero: true, CutPeaks: true}
	calls := Line{Name: "received", Class: "t-main", Area: true}
	for i, v := range []float64{10, 12, 11, 900, 13, 9, 12} {
		calls.Moments = append(calls.Moments, Moment{At: day.Add(time.Duration(i) * 10 * time.Minute), Value: v})
	}
	peaks.Lines = []Line{calls}
	scale := Axis(rows)
	return map[string]SVG{
		"intervals":       Intervals{Frame: Frame{Title: "Results", About: "Five metrics."}, Rows: rows, Format: Signed(Percent)}.SVG(),
		"intervals-alone": Intervals{Frame: Frame{Title: "Results", Alone: true}, Rows: rows, Format: Signed(Percent)}.SVG(),
		"row":             scale.Row(rows[2]),
		"head":            scale.Head(Signed(Percent)),
		"over-time": OverTime{Frame: Frame{Title: "Impact over time"}, Zero: true, Format: Percent,
			Lines: []Line{{Name: "on", Class: "t-good", Band: true, Moments: moments(15)}, {Name: "blue", Class: "a-2", Moments: moments(8)}}}.Both(),
		"peaks":        peaks.SVG(),
		"bars-stacked": bars.Both(),
		"bars-beside":  beside.SVG(),
		"spark":        Spark("t-main", []float64{1, 5, nan, 3, inf}),
	}
}

func TestDrawingsAreAsTheyWere(t *testing.T) {
	for name, got := range drawings() {
		wellFormed(t, name, got)
		path := filepath.Join("testdata", name+".svg")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(got) {
			t.Errorf("%s differs from %s; see it and run go test ./internal/plot -update", name, path)
		}
	}
}

var notANumber = regexp.MustCompile(`="[^"]*(NaN|Inf|e[+-]\d)`)

// wellFormed fails the test unless the drawing is XML without scripts and
// without what is no number.
func wellFormed(t *testing.T, name string, svg SVG) {
	t.Helper()
	if bad := notANumber.FindString(string(svg)); bad != "" {
		t.Errorf("%s: %q stands in it", name, bad)
	}
	in := xml.NewDecoder(strings.NewReader("<all>" + string(svg) + "</all>"))
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v in %.300s", name, err, svg)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "all", "svg", "title", "desc", "style", "g", "rect", "line", "polyline", "polygon", "circle", "text":
		default:
			t.Errorf("%s: an element <%s>", name, start.Name.Local)
		}
		for _, a := range start.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("%s: an attribute %s", name, a.Name.Local)
			}
		}
	}
}

func TestAnIntervalWithoutAnEndIsAnArrow(t *testing.T) {
	scale := Axis(rows)
	if scale.High > 1 || scale.Low < -1 {
		t.Errorf("one wide interval flattens the others: %v to %v", scale.Low, scale.High)
	}
	for i, arrows := range []int{0, 0, 1, 2, 0} {
		if got := strings.Count(string(scale.Row(rows[i])), "arrow"); got != arrows {
			t.Errorf("%s: %d arrows, want %d", rows[i].Label, got, arrows)
		}
	}
	beyond := scale.Row(Row{Value: 900, Low: 899, High: 901})
	if strings.Count(string(beyond), "arrow") != 1 || strings.Contains(string(beyond), "mark") {
		t.Errorf("an interval out of sight is not one arrow: %s", beyond)
	}
}

func TestEveryToneHasAShapeOfItsOwn(t *testing.T) {
	shapes := map[string]Tone{}
	mark := regexp.MustCompile(`<(\w+) class="mark t-\w+"([^>]*)`)
	for _, tone := range []Tone{Main, Good, Bad, Unsure, Dim, "no such"} {
		found := mark.FindStringSubmatch(string(Axis(nil).Row(Row{Value: .5, Low: .4, High: .6, Tone: tone})))
		if found == nil {
			t.Fatalf("%s: no mark", tone)
		}
		if before, ok := shapes[found[1]+found[2]]; ok && tone != "no such" {
			t.Errorf("%s looks like %s", tone, before)
		}
		shapes[found[1]+found[2]] = tone
	}
}

func TestWhatIsNotKnownBreaksALine(t *testing.T) {
	svg := string(OverTime{Lines: []Line{{Class: "t-main", Band: true, Moments: moments(10)}}}.SVG())
	if lines, bands := strings.Count(svg, "<polyline"), strings.Count(svg, "band"); lines != 2 || bands != 2 {
		t.Errorf("%d lines and %d bands, want 2 and 2", lines, bands)
	}
	alone := []Moment{{At: day, Value: nan}, {At: day.AddDate(0, 0, 1), Value: 3}, {At: day.AddDate(0, 0, 2), Value: nan}}
	if svg := string((OverTime{Lines: []Line{{Class: "t-main", Moments: alone}}}).SVG()); !strings.Contains(svg, "<circle") {
		t.Error("a value alone is not drawn")
	}
}

func TestWithNothingToDrawThereIsNoDrawing(t *testing.T) {
	for name, svg := range map[string]SVG{
		"no line":  OverTime{}.SVG(),
		"one time": OverTime{Lines: []Line{{Moments: []Moment{{At: day, Value: 1}}}}}.Both(),
		"same":     OverTime{Lines: []Line{{Moments: []Moment{{At: day, Value: 1}, {At: day, Value: 2}}}}}.SVG(),
		"no bars":  Bars{Groups: []string{"x"}, Arms: []string{"a"}, Values: [][]float64{{0}}}.Both(),
		"no arms":  Bars{Groups: []string{"x"}, Values: [][]float64{{4}}}.SVG(),
		"spark":    Spark("t-main", []float64{0, 0, nan}),
	} {
		if svg != "" {
			t.Errorf("%s: %s", name, svg)
		}
	}
}

func TestScalesAreRoundAndHoldWhatTheyShow(t *testing.T) {
	for _, values := range [][]float64{{0, 7}, {-.03, .083}, {5, 5}, {0, 0}, {1e300, -1e300}, {inf, -inf, nan}, {math.MaxFloat64, -math.MaxFloat64},
		{5e-324}, {1e15, 1e15 + 1}, {1e-320, 2e-320}, {-1e-9, 1e9}, {.1, .3}, {123456789, 123456790}} {
		s := scaleOf(4, values...)
		if !known(s.Low) || !known(s.High) || s.Low >= s.High || len(s.Ticks) < 2 || len(s.Ticks) > 12 {
			t.Errorf("%v: %+v", values, s)
		}
		for _, v := range values {
			if at := s.at(v); known(v) && math.Abs(v) <= most && (at < -1e-6 || at > 1+1e-6) {
				t.Errorf("%v is not on %+v: %v", v, s, at)
			}
		}
	}
	if got := fmt.Sprint(scaleOf(4, -.03, .083).Ticks); got != "[-0.05 0 0.05 0.1]" {
		t.Error(got)
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for v, want := range map[float64][2]string{
		0: {"0", "0%"}, .05: {"0.05", "5%"}, .051234: {"0.0512", "5.12%"}, -.2: {"-0.2", "-20%"}, 1234.5: {"1,234", "123,450%"}, 2.5e6: {"2.5M", "250M%"},
		1e-7: {"1e-07", "1e-05%"}, 49.951: {"50", "4,995%"}, 1e300: {"1e+300", "1e+302%"}, inf: {"∞", "∞"}, -inf: {"-∞", "-∞"}, .1: {"0.1", "10%"}, -12.345: {"-12.3", "-1,234%"},
	} {
		if got := [2]string{Number(v), Percent(v)}; got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	if got := Number(nan); got != "–" {
		t.Error(got)
	}
	if got := Signed(Percent)(.05) + " " + Signed(Percent)(-.05) + " " + Signed(Percent)(0); got != "+5% -5% 0%" {
		t.Error(got)
	}
}

// FuzzDrawings draws every kind from any numbers and labels.
func FuzzDrawings(f *testing.F) {
	f.Add("label", 0.1, -0.1, 0.3, 5.0, int64(86400))
	f.Add("<script>alert(1)</script>", nan, -inf, inf, -1.0, int64(0))
	f.Add("\x00\xff]]>&\"'", 1e308, -1e308, 5e-324, math.MaxFloat64, int64(math.MaxInt64))
	f.Add("", math.Copysign(0, -1), 1e300, -1e300, 1e-310, int64(-1))
	f.Fuzz(func(t *testing.T, label string, a, b, c, d float64, seconds int64) {
		step := time.Duration(seconds)
		frame := Frame{Title: label, About: label, Alone: a > b}
		rows := []Row{{label, label, label, a, b, c, Tone(label)}, {label, label, label, b, a, d, Good}, {"", "", "", d, c, a, Bad}}
		line := Line{Name: label, Class: "a-1", Band: a > c, Area: b > c}
		for i, v := range []float64{a, b, c, d, a, b, c, d, a, b, c, d} {
			line.Moments = append(line.Moments, Moment{At: day.Add(time.Duration(i) * step), Value: v, Low: b, High: c})
		}
		scale := Axis(rows)
		for name, svg := range map[string]SVG{
			"intervals": Intervals{Frame: frame, Rows: rows}.SVG(),
			"row":       scale.Row(rows[0]) + scale.Head(Percent),
			"over time": OverTime{Frame: frame, Lines: []Line{line, line}, Zero: a > 0, FromZero: b > 0, CutPeaks: c > 0}.Both(),
			"bars":      Bars{Frame: frame, Groups: []string{label, "", label}, Arms: []string{label, label}, Values: [][]float64{{a, b}, {c}}, Stacked: d > 0}.Both(),
			"spark":     Spark("t-main", []float64{a, b, c, d}),
		} {
			wellFormed(t, name, svg)
		}
	})
}
