package ingest

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"

	"causeway/internal/catalog"
	"causeway/internal/reason"
	"causeway/internal/segment"
	"causeway/internal/stream"
)

// tracking takes calls as Segment's client libraries send them (R30; Segment:
// HTTP Tracking API). The last part of the path decides the type of a single
// call; in a batch each call says its own.
func (s *Server) tracking(path string) func(*exchange) error {
	callType, batch, ok := segment.CallType(path)
	if !ok {
		panic("no call type for /v1/" + path)
	}
	limit := segment.MaxCallBytes
	if batch {
		limit, callType = segment.MaxBatchBytes, ""
	}
	return func(c *exchange) error {
		snapshot := s.opt.Snapshot()
		var key writeKey
		key.inHeader(snapshot, c.r)
		if key.presented && key.destination == nil {
			return unauthorized(true, "write key")
		}
		if err := s.admitTracking(c, key.destination); err != nil {
			return err
		}
		body, err := s.body(c, limit)
		if err != nil {
			return err
		}
		calls, err := segment.CheckTracking(batch, body)
		if err != nil {
			return c.unreadable(err, limit)
		}
		key.elsewhere(snapshot, c.r, calls.WriteKey)
		if key.destination == nil {
			return unauthorized(key.presented, "write key")
		}
		c.calls = calls.Calls
		if err := s.admitTracking(c, key.destination); err != nil {
			return err
		}
		mask(body, snapshot)
		record := c.record(stream.Tracking, key.scheme, body)
		record.CallType = callType
		if err := s.append(c, stream.Calls, record); err != nil {
			return err
		}
		s.answer(c, http.StatusOK, `{"success":true}`)
		return nil
	}
}

// admitTracking lets the request in as soon as its destination is known: from
// the header before its body is read, else after.
func (s *Server) admitTracking(c *exchange, destination *catalog.Destination) error {
	if destination == nil || c.configuration != "" {
		return nil
	}
	c.environment, c.configuration = destination.Environment.ID, destination.ID
	return s.admit(c, "destination/"+destination.ID, destination.Limits.Or(s.opt.Limits))
}

// unreadable makes a refusal of what segment says of a body.
func (c *exchange) unreadable(err error, limit int) error {
	switch {
	case errors.Is(err, segment.ErrTooLarge):
		return c.tooLarge(limit)
	case errors.Is(err, segment.ErrTooLong):
		refused := c.tooLarge(limit).(*refusal)
		refused.code, refused.message = reason.BatchTooLong, "the batch holds too many calls"
		return refused
	}
	return &refusal{status: http.StatusBadRequest, code: reason.BodyNotJSON, message: "malformed JSON", cause: err}
}

// settings is what the browser and mobile libraries ask for before they start.
// It names one integration alone: with more, the browser library loads the
// code of each from Segment's servers.
func (s *Server) settings(c *exchange) error {
	destination, ok := s.opt.Snapshot().DestinationByKey(c.name)
	if !ok {
		return &refusal{status: http.StatusNotFound, code: reason.CredentialsUnknown, message: "the write key is not known"}
	}
	c.environment, c.configuration = destination.Environment.ID, destination.ID
	type object = map[string]any
	enabled := object{"__default": object{"enabled": true}}
	segmentIO := object{"apiKey": c.name, "apiHost": c.r.Host + "/v1"}
	if c.r.TLS == nil && onThisMachine(c.r.Host) {
		// The library speaks https unless it is told; who tries it out on
		// their own machine has no certificate. Elsewhere a proxy may well
		// speak https for us.
		segmentIO["protocol"] = "http"
	}
	text, err := json.Marshal(object{
		"integrations": object{"Segment.io": segmentIO},
		"plan":         object{"track": enabled, "identify": enabled, "group": enabled},
		// The library's reports about itself would end unread at /v1/m.
		"metrics": object{"sampleRate": 0},
	})
	if err != nil {
		return err
	}
	c.w.Header().Set("Cache-Control", "no-cache")
	s.answer(c, http.StatusOK, string(text))
	return nil
}

// onThisMachine reports whether a Host header names the loopback.
func onThisMachine(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	return name == "localhost" || net.ParseIP(name).IsLoopback()
}
