package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"causeway/internal/reason"
	"causeway/internal/stream"
	"causeway/internal/tail"
)

// refusal is a request that was not accepted: what its sender is told, and the
// reason it is counted under.
type refusal struct {
	status     int
	code       reason.Code // empty: not counted as a reason
	message    string      // for the sender: no secret, no payload, no inner error
	retryAfter int         // seconds; 0: no such header
	cause      error       // for the log only
}

func (r *refusal) Error() string { return r.message }

// notDurable is the refusal of a request whose record could not be made
// durable. Senders are asked to try again: 503 is retried by all of them that
// retry at all.
func (s *Server) notDurable(c *exchange, name stream.Name, err error) error {
	r := &refusal{status: http.StatusServiceUnavailable, code: reason.NotDurable, message: "the request could not be stored, try again", retryAfter: 5, cause: err}
	switch {
	case errors.Is(err, stream.ErrTooLarge):
		// Trying again would not help.
		return c.tooLarge(maxRecordBytes)
	case errors.Is(err, stream.ErrFull):
		r.retryAfter = 30
	case errors.Is(err, context.DeadlineExceeded):
		r.message = "the request was not stored in time, try again"
	}
	// Under load every request fails alike; one line a second says it all.
	s.warn.Do(func() {
		s.opt.Log.Warn("requests are refused: a record could not be made durable", "stream", name, "route", c.route.name, "err", err)
	})
	return r
}

// refuse is the only place that answers with an error.
func (s *Server) refuse(c *exchange, err error) {
	r := &refusal{status: http.StatusInternalServerError, message: "internal error", cause: err}
	if !errors.As(err, &r) {
		s.opt.Log.Error("a request failed", "route", c.route.name, "err", err)
	}
	if r.code != "" {
		s.metrics.refused.WithLabelValues(c.route.name, string(r.code)).Inc()
		s.show(c, r)
	}
	if r.retryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	s.answer(c, r.status, errorBody(c.route.family, r))
}

// show tells who watches that a request was refused, and why. It never shows
// the path: a path may hold a key.
func (s *Server) show(c *exchange, r *refusal) {
	if !s.opt.Tail.Watched() {
		return
	}
	s.opt.Tail.Publish(tail.Item{
		Kind: tail.Refused, Time: c.received,
		Environment: string(c.environment), Configuration: c.configuration,
		Type: c.route.name, Outcome: string(r.code),
		Summary: c.route.name + ": " + strconv.Itoa(r.status) + ", " + r.message,
	})
}

// errorBody is what each kind of caller can read: Segment's libraries parse
// success, message and code; Segment itself and the SDKs show message.
func errorBody(f family, r *refusal) string {
	var body any = struct {
		Message string `json:"message"`
	}{r.message}
	if f == segmentClients {
		body = struct {
			Success bool   `json:"success"`
			Message string `json:"message"`
			Code    string `json:"code"`
		}{false, r.message, errorCode(r.status)}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // two strings and a bool
	}
	return string(text)
}

// errorCode is the code of the tracking API's error bodies. Segment documents
// none; its libraries were seen to expect invalid_request on 400.
func errorCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "invalid_request"
	case http.StatusUnauthorized:
		return "unauthorized"
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusRequestTimeout:
		return "timeout"
	case http.StatusTooManyRequests:
		return "too_many_requests"
	case http.StatusServiceUnavailable:
		return "unavailable"
	}
	return "internal_error"
}

// answer writes the response. An empty body is for statuses without one.
func (s *Server) answer(c *exchange, status int, body string) {
	c.status = status
	h := c.w.Header()
	h["X-Content-Type-Options"] = noSniff // shared values: this is done for every request
	if body != "" {
		h["Content-Type"] = jsonType
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	c.w.WriteHeader(status)
	if body != "" {
		// Who hung up does not read it, and there is nobody else to tell.
		_, _ = c.w.Write([]byte(body))
	}
}

var noSniff, jsonType = []string{"nosniff"}, []string{"application/json"}

// metrics is what /metrics says of the doors.
type metrics struct {
	requests *prometheus.CounterVec
	refused  *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer, held func() int64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_ingest_requests_total", Help: "Requests on the data routes, by route and status.",
		}, []string{"route", "code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_ingest_refused_total", Help: "Requests, or items of large bodies, that were not accepted, by route and reason.",
		}, []string{"route", "reason"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "causeway_ingest_body_bytes_total", Help: "Bytes of accepted bodies, decompressed.",
		}, []string{"route"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "causeway_ingest_request_duration_seconds", Help: "From a request's headers to its answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
	}
	underway := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "causeway_ingest_held_bytes", Help: "Memory of the bodies under way.",
	}, func() float64 { return float64(held()) })
	for _, c := range []prometheus.Collector{m.requests, m.refused, m.bytes, m.seconds, underway} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) done(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}
