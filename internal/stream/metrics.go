package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what the streams do. Its methods work on nil: not measured.
type metrics struct {
	registry prometheus.Registerer
	all      []prometheus.Collector

	frames      *prometheus.CounterVec
	records     *prometheus.CounterVec
	bytes       *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	refused     *prometheus.CounterVec
	unprocessed *prometheus.GaugeVec
	stored      *prometheus.GaugeVec
	budget      *prometheus.GaugeVec
}

// newMetrics registers the metrics; nil registry: none.
func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	if registry == nil {
		return nil, nil
	}
	label := []string{"stream"}
	m := &metrics{
		registry: registry,
		frames:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_stream_frames_total", Help: "Frames made durable."}, label),
		records:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_stream_records_total", Help: "Records (accepted requests, outgoing calls, dead letters) made durable."}, label),
		bytes:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_stream_written_bytes_total", Help: "Bytes made durable."}, label),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "causeway_stream_append_seconds", Help: "How long an append took, until durable.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5}}, label),
		refused:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "causeway_stream_refused_total", Help: "Appends refused, by cause: full, unavailable, too_large, given_up."}, []string{"stream", "cause"}),
		unprocessed: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "causeway_stream_unprocessed", Help: "Frames not processed, or outgoing parcels not acknowledged, yet."}, label),
		stored:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "causeway_stream_stored_bytes", Help: "Bytes held."}, label),
		budget:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "causeway_stream_budget_bytes", Help: "Bytes that may be held."}, label),
	}
	m.all = []prometheus.Collector{m.frames, m.records, m.bytes, m.seconds, m.refused, m.unprocessed, m.stored, m.budget}
	for i, c := range m.all {
		if err := registry.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, fmt.Errorf("register the stream metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) unregister() {
	for _, c := range m.all {
		m.registry.Unregister(c)
	}
}

func (m *metrics) frame(stream string, records, bytes int) {
	if m != nil {
		m.frames.WithLabelValues(stream).Inc()
		m.records.WithLabelValues(stream).Add(float64(records))
		m.bytes.WithLabelValues(stream).Add(float64(bytes))
	}
}

func (m *metrics) appended(stream string, took time.Duration) {
	if m != nil {
		m.seconds.WithLabelValues(stream).Observe(took.Seconds())
	}
}

func (m *metrics) refuse(stream string, err error) {
	if m == nil {
		return
	}
	cause := "unavailable"
	switch {
	case errors.Is(err, ErrFull):
		cause = "full"
	case errors.Is(err, ErrTooLarge):
		cause = "too_large"
	case errors.Is(err, ErrUnavailable):
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		cause = "given_up"
	}
	m.refused.WithLabelValues(stream, cause).Inc()
}

// holds sets what one stream holds, of how much it may, and how much of it is
// still to be done.
func (m *metrics) holds(stream string, bytes uint64, budget int64, unprocessed uint64) {
	if m != nil {
		m.stored.WithLabelValues(stream).Set(float64(bytes))
		m.budget.WithLabelValues(stream).Set(float64(budget))
		m.unprocessed.WithLabelValues(stream).Set(float64(unprocessed))
	}
}

// forget drops the gauges of a stream that is no more.
func (m *metrics) forget(stream string) {
	if m != nil {
		m.stored.DeleteLabelValues(stream)
		m.budget.DeleteLabelValues(stream)
		m.unprocessed.DeleteLabelValues(stream)
	}
}
