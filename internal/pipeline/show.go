package pipeline

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/reason"
	"causeway/internal/store"
	"causeway/internal/stream"
	"causeway/internal/tail"
)

// showCalls counts the calls of a stored batch, and shows them to who watches.
func (p *Pipeline) showCalls(calls []store.Call, written store.Written) {
	watched := p.opt.Tail.Watched()
	counts := callCounts{metrics: p.metrics}
	defer counts.flush()
	for i := range calls {
		call, outcome := &calls[i], written.Calls[i]
		events := len(call.Events)
		if outcome == reason.Duplicate {
			events = 0
		}
		counts.add(callCount{call.Configuration, string(call.Environment), label(call.Type), outcome}, events)
		for _, note := range call.Reasons {
			p.metrics.reasons.WithLabelValues(call.Configuration, label(call.Type), string(note.Code)).Inc()
		}
		if outcome == reason.Duplicate {
			p.metrics.reasons.WithLabelValues(call.Configuration, label(call.Type), string(reason.RepeatedCall)).Inc()
		}
		if watched {
			p.opt.Tail.Publish(callItem(call, outcome))
		}
	}
}

// callCounts adds to the metrics in as few steps as calls alike follow each
// other: finding a counter by its labels costs more than the rest of showing.
type callCounts struct {
	*metrics
	last          callCount
	calls, events int
}

type callCount struct {
	configuration, environment, label string
	outcome                           reason.Outcome
}

func (c *callCounts) add(call callCount, events int) {
	if call != c.last {
		c.flush()
		c.last = call
	}
	c.calls++
	c.events += events
}

func (c *callCounts) flush() {
	if c.calls > 0 {
		c.metrics.calls.WithLabelValues(c.last.configuration, c.last.label, string(c.last.outcome)).Add(float64(c.calls))
		c.metrics.events.WithLabelValues(c.last.environment).Add(float64(c.events))
	}
	c.calls, c.events = 0, 0
}

// callTypes are the types that metrics tell apart. What a sender can invent
// stays out of labels, and so does the memory of its request.
var callTypes = []string{"identify", "group", "track", "page", "screen", "alias", "delete"}

func label(callType string) string {
	if i := slices.Index(callTypes, callType); i >= 0 {
		return callTypes[i]
	}
	return "other"
}

// CallDetail is the detail of a tail item about a call.
type CallDetail struct {
	MessageID  string        `json:"messageId"`
	Events     any           `json:"events"`
	Identities any           `json:"identities"`
	Reasons    []reason.Note `json:"reasons"`
}

func callItem(call *store.Call, outcome reason.Outcome) tail.Item {
	var became []string
	if outcome == reason.Stored {
		for _, e := range call.Events {
			became = append(became, fmt.Sprintf("%s of %s %s", e.EventType, e.TrafficType, e.Key))
		}
		for _, id := range call.Identities {
			became = append(became, fmt.Sprintf("%d attributes of %s %s", len(id.Attributes), id.TrafficType, id.Key))
		}
	}
	for _, note := range call.Reasons {
		became = append(became, string(note.Code))
	}
	summary := strings.TrimSpace(call.Type + " " + call.Name)
	if len(became) > 0 {
		summary += " -> " + strings.Join(became, ", ")
	}
	return tail.Item{
		Kind: tail.Call, Time: call.ReceivedAt, Environment: string(call.Environment), Configuration: call.Configuration,
		Type: call.Type, Outcome: string(outcome), Summary: summary,
		Detail: CallDetail{MessageID: call.MessageID, Events: call.Events, Identities: call.Identities, Reasons: call.Reasons},
	}
}

// showImpressions counts and shows the stream impressions.
func (p *Pipeline) showImpressions(w *impressionWork, written store.Written) {
	watched := p.opt.Tail.Watched()
	for i := range w.batch.Impressions {
		imp, outcome := &w.batch.Impressions[i], reason.Stored
		if !written.Impressions[i] {
			outcome = reason.Duplicate
		}
		p.metrics.impressions.WithLabelValues(string(imp.Environment), string(outcome)).Inc()
		if watched {
			p.opt.Tail.Publish(tail.Item{
				Kind: tail.Impression, Time: imp.ReceivedAt, Environment: string(imp.Environment), Type: imp.Flag,
				Outcome: string(outcome), Summary: fmt.Sprintf("%s %s saw %s: %s", imp.TrafficType, imp.Key, imp.Flag, imp.Treatment), Detail: *imp,
			})
		}
	}
	for i := range w.batch.Events {
		event := &w.batch.Events[i]
		p.metrics.events.WithLabelValues(string(event.Environment)).Inc()
		if watched {
			p.opt.Tail.Publish(tail.Item{
				Kind: tail.Event, Time: event.ReceivedAt, Environment: string(event.Environment), Type: event.EventType,
				Outcome: string(reason.Stored), Summary: fmt.Sprintf("%s of %s %s", event.EventType, event.TrafficType, event.Key), Detail: *event,
			})
		}
	}
	for _, skip := range w.batch.Skips {
		p.metrics.reasons.WithLabelValues(skip.Configuration, skip.Type, string(skip.Code)).Add(float64(skip.Count))
	}
}

// metrics of the pipeline. Labels never hold a key, a messageId or a name that
// a sender chooses.
type metrics struct {
	calls       *prometheus.CounterVec
	reasons     *prometheus.CounterVec
	events      *prometheus.CounterVec
	impressions *prometheus.CounterVec
	failures    *prometheus.CounterVec
	translating *prometheus.HistogramVec
	writing     *prometheus.HistogramVec
	age         *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"stream"})
	}
	m := &metrics{
		calls:       counter("causeway_calls_total", "Segment calls processed, by destination, type and outcome.", "configuration", "type", "outcome"),
		reasons:     counter("causeway_reasons_total", "How often each reason applied (docs/reasons.md).", "configuration", "type", "reason"),
		events:      counter("causeway_events_stored_total", "Events stored.", "environment"),
		impressions: counter("causeway_impressions_total", "Impressions processed, by outcome.", "environment", "outcome"),
		failures:    counter("causeway_pipeline_failures_total", "Times a consumer had to start again from its stored position.", "stream"),
		translating: histogram("causeway_translate_duration_seconds", "Time to translate one batch."),
		writing:     histogram("causeway_store_write_duration_seconds", "Time to store one batch."),
		age:         histogram("causeway_pipeline_age_seconds", "From acceptance to stored, for the oldest frame of a batch."),
	}
	if registerer != nil {
		registerer.MustRegister(m.calls, m.reasons, m.events, m.impressions, m.failures, m.translating, m.writing, m.age)
	}
	return m
}

func (m *metrics) stored(name stream.Name, translating, writing time.Duration, frames []stream.Frame) {
	m.translating.WithLabelValues(string(name)).Observe(translating.Seconds())
	m.writing.WithLabelValues(string(name)).Observe(writing.Seconds())
	m.age.WithLabelValues(string(name)).Observe(time.Since(frames[0].Time).Seconds())
}
