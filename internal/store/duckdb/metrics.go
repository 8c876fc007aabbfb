package duckdb

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the store. Without a registry they count for nobody.
type metrics struct {
	registry   prometheus.Registerer
	writes     prometheus.Histogram
	failures   prometheus.Counter
	rows       *prometheus.CounterVec
	duplicates *prometheus.CounterVec
	retention  prometheus.Histogram
	analyses   prometheus.Histogram
	all        []prometheus.Collector
}

func newMetrics(registry prometheus.Registerer, s *Store) (*metrics, error) {
	m := &metrics{
		registry: registry,
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "causeway_store_write_seconds",
			Help:    "Time to write one batch, commit included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "causeway_store_write_failures_total",
			Help: "Batches that were not written.",
		}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_store_rows_total",
			Help: "Rows written, by table.",
		}, []string{"table"}),
		duplicates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_store_duplicates_total",
			Help: "What was there already and was not written again, by kind (call, impression, sdk_event).",
		}, []string{"kind"}),
		retention: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "causeway_store_retain_seconds",
			Help:    "Time to delete what is older than the retention.",
			Buckets: prometheus.ExponentialBuckets(0.01, 3, 10),
		}),
		analyses: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "causeway_store_analysis_seconds",
			Help:    "Time to measure an experiment, once it was its turn.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 14),
		}),
	}
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "causeway_store_bytes",
		Help: "Bytes of the database file and its write-ahead log.",
	}, func() float64 {
		size, err := s.Size()
		if err != nil {
			return 0
		}
		return float64(size)
	})
	m.all = []prometheus.Collector{m.writes, m.failures, m.rows, m.duplicates, m.retention, m.analyses, size}
	if registry == nil {
		return m, nil
	}
	for i, c := range m.all {
		if err := registry.Register(c); err != nil {
			m.all = m.all[:i]
			m.unregister()
			return nil, err
		}
	}
	return m, nil
}

// unregister lets a store on the same registry be opened after this one.
func (m *metrics) unregister() {
	if m.registry == nil {
		return
	}
	for _, c := range m.all {
		m.registry.Unregister(c)
	}
}
