package web

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// history remembers the server's counters of refused requests for a day, once
// a minute, so that "refused in the last 24 hours" can be said. It begins
// anew with the process.
type history struct {
	metrics prometheus.Gatherer
	now     func() time.Time
	started time.Time

	mu      sync.Mutex
	samples []sample // oldest first
}

type sample struct {
	at      time.Time
	refused map[string]float64 // by reason
}

const (
	historyStep = time.Minute
	historyKept = 24 * 60
)

func newHistory(metrics prometheus.Gatherer, now func() time.Time) *history {
	return &history{metrics: metrics, now: now, started: now()}
}

func (h *history) run(ctx context.Context) {
	ticker := time.NewTicker(historyStep)
	defer ticker.Stop()
	for {
		h.take()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// take keeps how the counters stand.
func (h *history) take() {
	now := sample{h.now(), h.read()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, now)
	if len(h.samples) > historyKept {
		h.samples = append(h.samples[:0:0], h.samples[len(h.samples)-historyKept:]...)
	}
}

// read sums the counters by reason. A registry that cannot be read gives
// nothing: the page then shows no refusals rather than none at all.
func (h *history) read() map[string]float64 {
	sums := map[string]float64{}
	families, _ := h.metrics.Gather() // what could be gathered is used
	for _, family := range families {
		if family.GetName() != "causeway_ingest_refused_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "reason" {
					sums[label.GetValue()] += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return sums
}

// since counts what was refused since a time, by reason, and says from when on
// that is known.
func (h *history) since(from time.Time) (map[string]int64, time.Time) {
	now := h.read()
	h.mu.Lock()
	defer h.mu.Unlock()
	base, known := sample{}, h.started
	for _, s := range h.samples {
		if s.at.After(from) {
			break
		}
		base, known = s, s.at
	}
	counts := map[string]int64{}
	for code, total := range now {
		if n := int64(total - base.refused[code]); n > 0 {
			counts[code] = n
		}
	}
	return counts, known
}
