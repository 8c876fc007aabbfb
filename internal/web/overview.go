package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"slices"
	"time"

	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// overviewPage is how everything stands, at a glance.
type overviewPage struct {
	layout
	Ranges    []rangeChoice
	Since     string // of the range, in words
	Incoming  []stage
	Outgoing  []stage
	Chart     template.HTML
	Attention []attention
	// Experiments are those of the environment that run.
	Experiments []experimentLine
	Checklist   []check
	Done        int // of the checklist
	Refresh     string
}

type rangeChoice struct {
	Name, URL string
	Current   bool
}

// stage is one box of the funnel.
type stage struct {
	Name, Class, URL string
	Count            int64
	Share            string // of what came before it
	Why              string // its most frequent reasons
	Spark            template.HTML
}

// attention is one thing that somebody should look at.
type attention struct {
	Class, Text, Fix string
	URL, Action      string
}

// check is one line of the checklist. It turns done by observation.
type check struct {
	Done      bool
	Text      string
	Help      string
	URL, Link string
}

// ranges are the spans that the overview offers, and the steps of its chart.
var ranges = []struct {
	name       string
	span, step time.Duration
	words      string
}{
	{"1 h", time.Hour, time.Minute, "Last hour"},
	{"24 h", 24 * time.Hour, 10 * time.Minute, "Last 24 hours"},
	{"7 d", 7 * 24 * time.Hour, time.Hour, "Last 7 days"},
	{"30 d", 30 * 24 * time.Hour, 6 * time.Hour, "Last 30 days"},
}

func (s *Server) overview(r *request) error {
	page := overviewPage{layout: s.layout(r, "Overview")}
	chosen := ranges[1]
	for _, one := range ranges {
		if one.name == r.URL.Query().Get("span") {
			chosen = one
		}
	}
	if r.env != nil && r.URL.Query().Get("span") == "" {
		young, err := s.isYoung(r)
		if err != nil {
			return storeFailed(err)
		}
		if young {
			chosen = ranges[0] // a day would be a flat line and a corner
		}
	}
	for _, one := range ranges {
		page.Ranges = append(page.Ranges, rangeChoice{one.name, page.Link("/", "span", one.name), one.name == chosen.name})
	}
	page.Since, page.Refresh = chosen.words, page.Link("/", "span", chosen.name)
	if r.env == nil {
		return s.show(r, "overview", page)
	}
	ctx := r.Context()
	// Steps begin at whole steps, so that the picture moves and does not flicker.
	to := r.now.Truncate(chosen.step).Add(chosen.step)
	from := to.Add(-chosen.span)
	traffic, err := s.Store.Traffic(ctx, r.env.ID, from, to, chosen.step)
	if err != nil {
		return storeFailed(err)
	}
	reasons, err := s.Store.Reasons(ctx, r.env.ID, from)
	if err != nil {
		return storeFailed(err)
	}
	out, err := s.outgoing(ctx, r, from)
	if err != nil {
		return storeFailed(err)
	}
	page.Incoming = s.incomingStages(page.layout, traffic, reasons, from)
	page.Outgoing = out.stages(page.layout, traffic)
	page.Chart = trafficChart(chosen.words, from, chosen.step, traffic)
	if page.Experiments, err = s.runningExperiments(r, page.layout); err != nil {
		return storeFailed(err)
	}
	page.Attention = s.attention(r, page.layout, reasons, out, page.Experiments)
	if page.Checklist, err = s.checklist(r, traffic, out); err != nil {
		return storeFailed(err)
	}
	for _, c := range page.Checklist {
		if c.Done {
			page.Done++
		}
	}
	return s.show(r, "overview", page)
}

// isYoung reports whether nothing came in the last day before the last hour.
func (s *Server) isYoung(r *request) (bool, error) {
	from, to := r.now.Add(-24*time.Hour), r.now.Add(-time.Hour)
	old, err := s.Store.Calls(r.Context(), store.CallQuery{Environment: r.env.ID, Span: store.Span{From: from, To: to, Limit: 1}})
	if err != nil || len(old.Items) > 0 {
		return false, err
	}
	steps, err := s.Store.Traffic(r.Context(), r.env.ID, from, to, to.Sub(from))
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(steps, func(step store.TrafficStep) bool { return received(step)+step.Impressions > 0 }), nil
}

// sums adds the steps up.
func sums(traffic []store.TrafficStep) (calls map[reason.Outcome]int64, all, events, attributes, impressions int64) {
	calls = map[reason.Outcome]int64{}
	for _, step := range traffic {
		for outcome, n := range step.Calls {
			calls[outcome] += n
			all += n
		}
		events, attributes, impressions = events+step.Events, attributes+step.Attributes, impressions+step.Impressions
	}
	return calls, all, events, attributes, impressions
}

func values(traffic []store.TrafficStep, value func(store.TrafficStep) int64) []float64 {
	list := make([]float64, len(traffic))
	for i, step := range traffic {
		list[i] = float64(value(step))
	}
	return list
}

func received(step store.TrafficStep) (n int64) {
	for _, calls := range step.Calls {
		n += calls
	}
	return n
}

func outcome(o reason.Outcome) func(store.TrafficStep) int64 {
	return func(step store.TrafficStep) int64 { return step.Calls[o] }
}

func (s *Server) incomingStages(l layout, traffic []store.TrafficStep, reasons []store.ReasonCount, from time.Time) []stage {
	calls, all, events, attributes, _ := sums(traffic)
	refused, known := s.refused.since(from)
	failed := stage{Name: "Failed at the door", URL: l.Link("/live", "q", "kind:refused"), Why: "the whole server"}
	var counts []store.ReasonCount
	for code, n := range refused {
		failed.Count += n
		counts = append(counts, store.ReasonCount{Code: reason.Code(code), Count: n})
	}
	if failed.Count > 0 {
		failed.Class, failed.Why = "bad", topReasons(counts, nil)
	}
	if known.After(from.Add(5 * time.Minute)) {
		failed.Why += ", since " + known.UTC().Format("15:04")
	}
	of := func(o reason.Outcome) func(reason.Code) bool {
		return func(code reason.Code) bool {
			info, _ := reason.Lookup(code)
			if info.Stage != reason.Ends || code == reason.RepeatedCall {
				return false
			}
			return (o == reason.Ignored) == code.Ignores()
		}
	}
	stages := []stage{
		{Name: "Received", URL: l.Link("/live"), Count: all, Spark: sparkline("t-main", values(traffic, received))},
		failed,
		{Name: "Ignored", URL: l.Link("/live", "outcome", "ignored"), Count: calls[reason.Ignored], Why: topReasons(reasons, of(reason.Ignored))},
		{Name: "Dropped", URL: l.Link("/live", "outcome", "dropped"), Count: calls[reason.Dropped], Why: topReasons(reasons, of(reason.Dropped))},
		{Name: "Events stored", URL: l.Link("/events"), Count: events, Class: "good", Spark: sparkline("t-good", values(traffic, func(t store.TrafficStep) int64 { return t.Events }))},
		{Name: "Attributes set", URL: l.Link("/customers"), Count: attributes, Class: "good", Spark: sparkline("t-good", values(traffic, func(t store.TrafficStep) int64 { return t.Attributes }))},
	}
	if stages[2].Count > 0 {
		stages[2].Share = percent(stages[2].Count, all)
	}
	if stages[3].Count > 0 {
		stages[3].Class, stages[3].Share = "bad", percent(stages[3].Count, all)
	}
	if n := calls[reason.Duplicate]; n > 0 {
		stages[0].Why = plural(n, "repeat")
	}
	return stages
}

// topReasons names the two most frequent.
func topReasons(counts []store.ReasonCount, wanted func(reason.Code) bool) string {
	totals := map[reason.Code]int64{}
	for _, c := range counts {
		if c.Code != "" && (wanted == nil || wanted(c.Code)) {
			totals[c.Code] += c.Count
		}
	}
	var codes []reason.Code
	for code := range totals {
		codes = append(codes, code)
	}
	slices.SortFunc(codes, func(a, b reason.Code) int {
		return cmp.Or(cmp.Compare(totals[b], totals[a]), cmp.Compare(a, b))
	})
	text := ""
	for i, code := range codes[:min(2, len(codes))] {
		if i > 0 {
			text += " · "
		}
		text += string(code) + " " + count(totals[code])
	}
	return text
}

func trafficChart(words string, from time.Time, step time.Duration, traffic []store.TrafficStep) template.HTML {
	calls, all, events, _, _ := sums(traffic)
	title := fmt.Sprintf("%s: %s received, %s ignored, %s dropped, %s stored", words, plural(all, "call"),
		count(calls[reason.Ignored]), count(calls[reason.Dropped]), plural(events, "event"))
	return timeChart(title, from, step,
		series{Name: "received", Class: "t-main", Area: true, Values: values(traffic, received)},
		series{Name: "ignored", Class: "t-warn", Values: values(traffic, outcome(reason.Ignored))},
		series{Name: "dropped", Class: "t-bad", Values: values(traffic, outcome(reason.Dropped))},
	)
}

// outgoing is how the delivery to Segment stands, for the sources of one
// environment.
type outgoing struct {
	configured                  int
	delivered, attempts, failed int64
	p95                         time.Duration
	waiting                     int
	oldest                      time.Time
	dead                        int
	deadBy                      map[reason.Code]int
	states                      []stream.DeliveryState
}

func (s *Server) outgoing(ctx context.Context, r *request, since time.Time) (*outgoing, error) {
	out := &outgoing{deadBy: map[reason.Code]int{}}
	mine := map[string]bool{}
	for _, source := range r.snapshot.Sources(r.env.ID) {
		mine[source.ID] = true
		out.configured++
	}
	totals, err := s.Store.DeliveryTotals(ctx, since)
	if err != nil {
		return nil, err
	}
	for _, t := range totals {
		if !mine[t.Source] {
			continue
		}
		out.attempts += t.Attempts
		if t.Outcome == "delivered" {
			out.delivered += t.Calls
			out.p95 = max(out.p95, t.P95)
		} else {
			out.failed += t.Attempts
		}
	}
	queues, err := s.Streams.OutboundSources(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the outbound streams: %w", err)
	}
	for _, id := range queues {
		if !mine[id] {
			continue
		}
		queue, err := s.Streams.Outbound(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("open the outbound stream of %s: %w", id, err)
		}
		pending, oldest, err := queue.Pending(ctx)
		if err != nil {
			return nil, fmt.Errorf("count what waits for %s: %w", id, err)
		}
		out.waiting += pending
		if !oldest.IsZero() && (out.oldest.IsZero() || oldest.Before(out.oldest)) {
			out.oldest = oldest
		}
	}
	counts, err := s.Streams.CountDeadLetters(ctx)
	if err != nil {
		return nil, fmt.Errorf("count dead letters: %w", err)
	}
	for _, c := range counts {
		if mine[c.Source] {
			out.dead += c.Count
			out.deadBy[c.Reason] += c.Count
		}
	}
	states, err := s.Streams.DeliveryStates(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the delivery states: %w", err)
	}
	for id, state := range states {
		if mine[id] {
			out.states = append(out.states, state)
		}
	}
	slices.SortFunc(out.states, func(a, b stream.DeliveryState) int { return cmp.Compare(a.Source, b.Source) })
	return out, nil
}

func (o *outgoing) stages(l layout, traffic []store.TrafficStep) []stage {
	_, _, _, _, impressions := sums(traffic)
	stages := []stage{
		{Name: "Impressions", URL: l.Link("/impressions"), Count: impressions, Spark: sparkline("t-main", values(traffic, func(t store.TrafficStep) int64 { return t.Impressions }))},
		{Name: "Delivered to Segment", URL: l.Link("/delivery"), Count: o.delivered, Class: "good"},
		{Name: "Waiting or retrying", URL: l.Link("/delivery"), Count: int64(o.waiting), Why: "parcels"},
		{Name: "Dead letters", URL: l.Link("/dead-letters"), Count: int64(o.dead)},
	}
	if o.delivered > 0 {
		stages[1].Why = "p95 " + shortDuration(o.p95)
	}
	if o.configured == 0 {
		stages[1].Why = "no source is configured"
	}
	for _, state := range o.states {
		if state.State == stream.DeliveryRetrying || state.State == stream.DeliveryPaused {
			stages[2].Class = "warn"
		}
	}
	if o.dead > 0 {
		stages[3].Class = "bad"
		var counts []store.ReasonCount
		for code, n := range o.deadBy {
			counts = append(counts, store.ReasonCount{Code: code, Count: int64(n)})
		}
		stages[3].Why = topReasons(counts, nil)
	}
	return stages
}
