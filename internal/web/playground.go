package web

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"causeway/internal/auth"
	"causeway/internal/fme"
	"causeway/internal/playground"
	"causeway/internal/trace"
	"causeway/internal/translate"
)

// playgroundPage shows what pasted calls would become. Nothing is stored.
type playgroundPage struct {
	layout
	Form         form
	Destinations []destinationChoice
	Tried        bool
	Wrong        string // what cannot be read
	Results      []triedCall
	More         bool // there were more calls than are shown
	Changed      bool // settings differ from the destination's
	Totals       map[string]int
}

type destinationChoice struct {
	Name, Environment string
	Selected          bool
}

// triedCall is one call and what it would become.
type triedCall struct {
	N      int
	Result translate.Result
	Steps  []playground.Step
	Became []fme.Event
	Set    []fme.Attribute
}

// maxTried is how many calls the page explains; the shell takes any number.
const maxTried = 20

const sampleCall = `{
  "type": "track",
  "event": "Order Completed",
  "userId": "41e51150-6825",
  "messageId": "ajs-f8ca1e4d",
  "properties": { "revenue": 49.9, "currency": "USD" }
}`

// playgroundPage begins with an example, or with a call that the URL names.
func (s *Server) playgroundPage(r *request) error {
	f := form{Values: url.Values{"calls": {sampleCall}}}
	query := r.URL.Query()
	f.Values.Set("destination", query.Get("destination"))
	if id := query.Get("message"); id != "" && r.who.MayAnywhere(auth.SeePeople) {
		rooms := trace.Rooms{Snapshot: r.snapshot, Streams: s.Streams, Store: s.Store, Visible: func(project string) bool {
			return r.who.May(auth.SeePeople, project)
		}}
		found, err := rooms.Find(r.Context(), id)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(found.Copies, func(c trace.Copy) bool { return c.Raw != nil }); i >= 0 {
			f.Values.Set("calls", prettyJSON(found.Copies[i].Raw))
			f.Values.Set("destination", found.Copies[i].Configuration)
			return s.showPlayground(r, f, true)
		}
	}
	return s.showPlayground(r, f, false)
}

func (s *Server) tryOut(r *request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	// A fix is a button: its value is "setting=value".
	if setting, value, ok := strings.Cut(f.Value("fix"), "="); ok && slices.Contains([]string{"eventType", "value", "repairNames"}, setting) {
		f.Values.Set(setting, value)
	}
	return s.showPlayground(r, f, true)
}

func (s *Server) showPlayground(r *request, f form, tried bool) error {
	page := playgroundPage{layout: s.layout(r, "Playground"), Form: f, Tried: tried, Totals: map[string]int{}}
	var chosen *translate.Destination
	for _, d := range r.snapshot.AllDestinations() {
		if !r.who.May(auth.See, d.Environment.Project.Name) {
			continue
		}
		wanted := f.Value("destination")
		mine := d.Name == wanted || d.ID == wanted || wanted == "" && chosen == nil && r.env != nil && d.Environment.ID == r.env.ID
		page.Destinations = append(page.Destinations, destinationChoice{d.Name, string(d.Environment.ID), mine && chosen == nil})
		if mine && chosen == nil {
			copied := *d.Translate
			chosen = &copied
		}
	}
	if chosen == nil && len(page.Destinations) > 0 {
		for _, d := range r.snapshot.AllDestinations() {
			if d.Name == page.Destinations[0].Name {
				copied := *d.Translate
				chosen, page.Destinations[0].Selected = &copied, true
			}
		}
	}
	if chosen == nil {
		return s.show(r, "playground", page)
	}
	page.settle(chosen)
	if !tried {
		return s.show(r, "playground", page)
	}
	page.try(chosen, r)
	status := http.StatusOK
	if page.Wrong != "" {
		status = http.StatusUnprocessableEntity
	}
	return s.showStatus(r, status, "playground", page)
}

// settle takes the settings that were entered over the destination's. Those
// of another destination that was chosen before are forgotten.
func (p *playgroundPage) settle(d *translate.Destination) {
	v := p.Form.Values
	if v.Get("settingsOf") == d.ID {
		if _, given := v["eventType"]; given {
			p.Changed = p.Changed || strings.TrimSpace(v.Get("eventType")) != cmp.Or(d.EventType, translate.DefaultEventTypePath)
			d.EventType = strings.TrimSpace(v.Get("eventType"))
		}
		if _, given := v["value"]; given {
			p.Changed = p.Changed || strings.TrimSpace(v.Get("value")) != d.Value
			d.Value = strings.TrimSpace(v.Get("value"))
		}
		p.Changed = p.Changed || (v.Get("repairNames") == "true") != d.RepairNames
		d.RepairNames = v.Get("repairNames") == "true"
	}
	v.Set("settingsOf", d.ID)
	v.Set("eventType", cmp.Or(d.EventType, translate.DefaultEventTypePath))
	v.Set("value", d.Value)
	v.Set("repairNames", "")
	if d.RepairNames {
		v.Set("repairNames", "true")
	}
}

// try translates what was pasted.
func (p *playgroundPage) try(d *translate.Destination, r *request) {
	text := strings.TrimSpace(p.Form.Value("calls"))
	if body, ok := playground.Curl(text); ok {
		text = body
	}
	if text == "" {
		p.Wrong = "Paste a call first."
		return
	}
	for item, err := range playground.Calls(strings.NewReader(text)) {
		if err != nil {
			p.Wrong = "This cannot be read: " + err.Error() + "."
			return
		}
		if len(p.Results) == maxTried {
			p.More = true
			return
		}
		result := d.Call(translate.Call{Item: item, Route: translate.Direct, ReceivedAt: r.now})
		one := triedCall{N: len(p.Results) + 1, Result: result, Steps: playground.Explain(d, item, result), Became: result.Events}
		for _, identity := range result.Identities {
			one.Set = append(one.Set, identity.Attributes...)
		}
		p.Totals[string(result.Outcome)]++
		p.Results = append(p.Results, one)
	}
	if len(p.Results) == 0 {
		p.Wrong = "There is no call in it."
	}
}

// ticked is a text whose parts between backticks are set as code.
func ticked(text string) template.HTML {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
		} else {
			b.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(b.String())
}
