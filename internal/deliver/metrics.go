package deliver

import (
	"fmt"
	"strconv"

	"causeway/internal/store"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counts of all sources.
type metrics struct {
	batches  *prometheus.CounterVec
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	paused   *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
	lost     prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_segment_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "causeway_segment_" + name, Help: help}, []string{"source"})
	}
	m := &metrics{
		batches: counter("batches_total", "Attempts to send a batch to Segment; code 0 is no answer.", "source", "outcome", "code"),
		calls:   counter("calls_total", "Calls that are done with: delivered, or set aside with a reason code.", "source", "outcome"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_segment_delivery_duration_seconds", Help: "From sending a batch to its answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"source"}),
		retries: counter("retries_total", "Attempts after which the same batch has to be sent again.", "source"),
		paused:  gauge("paused", "1 while a source is paused."),
		oldest:  gauge("oldest_pending_seconds", "Age of the oldest calls that wait for a source."),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "causeway_segment_attempts_lost_total", Help: "Attempts that could not be recorded because the store did not keep up.",
		}),
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.batches, m.calls, m.duration, m.retries, m.paused, m.oldest, m.lost} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of delivery: %w", err)
		}
	}
	return m, nil
}

// attempt counts one attempt.
func (m *metrics) attempt(d store.Delivery) {
	m.batches.WithLabelValues(d.Source, d.Outcome, strconv.Itoa(d.Status)).Inc()
	m.duration.WithLabelValues(d.Source).Observe(d.Duration.Seconds())
	if d.Outcome == outcomeRetry || d.Outcome == outcomePaused {
		m.retries.WithLabelValues(d.Source).Inc()
	}
}

// forget drops what is labelled with a source that is gone.
func (m *metrics) forget(source string) {
	labels := prometheus.Labels{"source": source}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.batches, m.calls, m.duration, m.retries, m.paused, m.oldest} {
		vec.DeletePartialMatch(labels)
	}
}
