package web

import (
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"causeway/internal/auth"
	"causeway/internal/catalog"
	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// attention lists what somebody should look at, the gravest first.
func (s *Server) attention(r *request, l layout, reasons []store.ReasonCount, out *outgoing, experiments []experimentLine) []attention {
	var list []attention
	for _, c := range s.Ready(r.Context()) {
		if !c.OK {
			list = append(list, attention{Class: "bad", Text: c.Name + ": " + c.Detail, Fix: "While this lasts, requests may be refused; senders try again.", URL: l.Link("/system"), Action: "System"})
		}
	}
	for _, state := range out.states {
		if state.State != stream.DeliveryPaused && state.State != stream.DeliveryRetrying {
			continue
		}
		info, _ := reason.Lookup(state.Reason)
		a := attention{Class: "warn", URL: l.Link("/delivery"), Action: "Delivery", Fix: info.Fix,
			Text: fmt.Sprintf("The source %s is %s since %s.", state.Source, state.State, state.Since.UTC().Format("15:04"))}
		if state.State == stream.DeliveryPaused {
			a.Class = "bad"
		}
		if info.Meaning != "" {
			a.Text += " " + info.Meaning
		}
		if a.Fix == "" {
			a.Fix = "Nothing is lost: it is tried again by itself."
		}
		list = append(list, a)
	}
	if out.dead > 0 {
		list = append(list, attention{Class: "bad", Text: plural(out.dead, "item") + " set aside as dead letters.", Fix: "Mend the cause, then replay them.", URL: l.Link("/dead-letters"), Action: "See them"})
	}
	list = append(list, untrusted(experiments)...)
	for _, c := range reasons {
		info, ok := reason.Lookup(c.Code)
		if !ok || c.Code == reason.RepeatedCall || len(list) >= 8 {
			continue
		}
		mistake := info.Stage == reason.Ends && !c.Code.Ignores() || info.Stage == reason.Notes
		if !mistake {
			continue
		}
		a := attention{Class: "warn", Fix: info.Fix, Text: fmt.Sprintf("%s in %s: %s", plural(c.Count, strings.ReplaceAll(c.Type, "_", " ")+called(c.Type)), c.Configuration, info.Meaning)}
		if c.Sample != "" && l.May(auth.SeePeople) && c.Type != "impression" && c.Type != "sdk_event" {
			a.URL, a.Action = "/trace/"+template.URLQueryEscaper(c.Sample), "See a sample"
		}
		list = append(list, a)
	}
	return list
}

// untrusted are the experiments whose sample ratio is off.
func untrusted(experiments []experimentLine) []attention {
	var list []attention
	for _, e := range experiments {
		if e.Distrust {
			list = append(list, attention{Class: "bad", Text: fmt.Sprintf("The sample ratio of the experiment %s is off.", e.Name),
				Fix: "Its results cannot be trusted. The health page lists likely causes.", URL: e.URL, Action: "See it"})
		}
	}
	return list
}

// called is what a thing of that type is: calls are named by their type.
func called(kind string) string {
	if kind == "impression" || kind == "sdk_event" {
		return ""
	}
	return " call"
}

// checklistSpan is how far back a first step is looked for. Older ones were so
// long ago that they are worth another look.
const checklistSpan = 90 * 24 * time.Hour

// checklist is what has to be seen once before everything works. Nothing is
// ticked by hand. traffic and out are what the page shows already; only when
// something is missing there is more of the past looked at.
func (s *Server) checklist(r *request, traffic []store.TrafficStep, out *outgoing) ([]check, error) {
	link := func(path string) string { return layout{Env: string(r.env.ID)}.Link(path) }
	list := []check{{Text: "A project, an environment and a traffic type exist", Help: "They are the places that data belongs to.", URL: link("/projects"), Link: "Projects", Done: len(r.env.Project.TrafficTypes) > 0}}
	_, all, events, attributes, impressions := sums(traffic)
	if min(all, events, attributes, impressions) == 0 {
		to := r.now.Truncate(24 * time.Hour).Add(24 * time.Hour)
		traffic, err := s.Store.Traffic(r.Context(), r.env.ID, to.Add(-checklistSpan), to, 24*time.Hour)
		if err != nil {
			return nil, err
		}
		_, all, events, attributes, impressions = sums(traffic)
	}
	delivered := out.delivered > 0
	if !delivered {
		totals, err := s.Store.DeliveryTotals(r.Context(), r.now.Add(-checklistSpan))
		if err != nil {
			return nil, err
		}
		mine := r.snapshot.Sources(r.env.ID)
		delivered = slices.ContainsFunc(totals, func(t store.DeliveryTotal) bool {
			return t.Outcome == "delivered" && slices.ContainsFunc(mine, func(source *catalog.Source) bool { return source.ID == t.Source })
		})
	}
	list = append(list,
		check{Text: "A destination takes Segment calls in", Help: "Configure Causeway as a destination in Segment.", URL: link("/integrations"), Link: "Integrations", Done: len(r.snapshot.Destinations(r.env.ID)) > 0},
		check{Text: "The first call arrived", Help: "Send one with curl, or switch the destination on in Segment.", URL: link("/integrations"), Link: "How to send one", Done: all > 0},
		check{Text: "The first event was stored", Help: "Calls arrive but make no events? Live tail says why.", URL: link("/live"), Link: "Live tail", Done: events > 0},
		check{Text: "The first attribute was seen", Help: "Identify calls set attributes of customers.", URL: link("/customers"), Link: "Customers", Done: attributes > 0},
		check{Text: "An impression arrived", Help: "Point a Split SDK at this server, or add a listener.", URL: link("/impressions"), Link: "Impressions", Done: impressions > 0},
		check{Text: "A metric was made", Help: "A metric says what is measured of each key, so that treatments can be compared.", URL: link("/metric-definitions"), Link: "Metrics", Done: len(r.env.Project.Metrics) > 0},
		check{Text: "An impression was delivered to Segment", Help: "Configure Causeway as a source in Segment.", URL: link("/integrations"), Link: "Integrations", Done: delivered},
	)
	if s.Backups != nil {
		_, made, err := s.Backups.Last(r.Context())
		if err != nil {
			return nil, err
		}
		list = append(list, check{Text: "A backup was made", Help: "causeway backup writes everything into one file; let a timer do it every night.", URL: link("/system"), Link: "System", Done: made})
	}
	return list, nil
}
