package ingest

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"causeway/internal/catalog"
	"causeway/internal/fme"
	"causeway/internal/reason"
	"causeway/internal/stream"
)

// Limits of bodies from Split SDKs, decompressed. The JavaScript SDK posts its
// whole queue at once: 30,000 impressions, about 10 MiB.
const (
	maxSDKBytes    = 16 << 20
	maxBeaconBytes = 1 << 20 // browsers send at most 64 KiB
)

// form is one of the SDKs' bodies.
type form struct {
	kind   stream.Kind
	check  func([]byte) error // nil error: the reader of the record can open it
	list   lists              // how to take a large one apart
	status int                // of the answer
	one    bool               // the body is one item of the list
}

func (f form) ofOne() form {
	f.one = true
	return f
}

func hasList(name string) func([]byte) error {
	return func(body []byte) error { return fme.HasList(body, name) }
}

// sdk takes a body from a Split SDK that proves itself in its headers (R33).
func (s *Server) sdk(f form) func(*exchange) error {
	return func(c *exchange) error {
		scheme, token, _ := strings.Cut(strings.TrimSpace(c.r.Header.Get("Authorization")), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		if err := s.sdkKey(c, strings.TrimSpace(token)); err != nil {
			return err
		}
		body, err := s.body(c, maxSDKBytes)
		if err != nil {
			return err
		}
		if f.one {
			if err := fme.IsObject(body); err != nil {
				return notThisForm(err)
			}
			body = append(append([]byte{'['}, body...), ']')
		}
		record := c.record(f.kind, "bearer", body)
		record.SDK = headerText(c.r, "SplitSDKVersion")
		record.Mode = headerText(c.r, "SplitSDKImpressionsMode")
		record.MachineName = fme.Machine(headerText(c.r, "SplitSDKMachineName"))
		record.MachineIP = fme.Machine(headerText(c.r, "SplitSDKMachineIP"))
		if err := s.keep(c, f, record); err != nil {
			return err
		}
		s.answer(c, f.status, `{}`)
		return nil
	}
}

// beacon takes what a browser sends while its page goes away: the SDK key is in
// the body, because beacons carry no headers of their own.
func (s *Server) beacon(f form) func(*exchange) error {
	return func(c *exchange) error {
		body, err := s.body(c, maxBeaconBytes)
		if err != nil {
			return err
		}
		beacon, err := fme.DecodeBeacon(body)
		if err != nil {
			return notThisForm(err)
		}
		if err := s.sdkKey(c, beacon.Token); err != nil {
			return err
		}
		record := c.record(f.kind, "token", beacon.Entries)
		record.SDK, record.Mode = cut(beacon.SDK), cut(beacon.Mode)
		if err := s.keep(c, f, record); err != nil {
			return err
		}
		s.answer(c, http.StatusNoContent, "")
		return nil
	}
}

// sdkKey finds the environment of an SDK key, and lets the request in.
func (s *Server) sdkKey(c *exchange, key string) error {
	if key == "" {
		return unauthorized(false, "SDK key")
	}
	known, ok := s.opt.Snapshot().SDKKey(key)
	if !ok {
		return unauthorized(true, "SDK key")
	}
	c.environment = known.Environment.ID
	return s.admit(c, "sdk/"+string(known.Environment.ID)+"/"+known.Name, catalog.Limits{RequestLimits: known.Limits})
}

// keep checks a record's body and makes it durable, in several records when it
// is large. If only some of them are stored the sender is told to try again:
// impressions that are then stored twice are one (R48).
func (s *Server) keep(c *exchange, f form, record stream.Record) error {
	if err := f.check(record.Body); err != nil {
		return notThisForm(err)
	}
	bodies, dropped := f.list.apart(record.Body, maxRecordBytes)
	if dropped > 0 {
		if len(bodies) == 0 {
			return c.tooLarge(maxRecordBytes)
		}
		s.dropped(c, dropped)
	}
	for _, body := range bodies {
		part := record
		part.Body, part.Seed = body, seed()
		if err := s.append(c, stream.Impressions, part); err != nil {
			return err
		}
	}
	return nil
}

// dropped counts items that are too large to keep; their neighbours are kept (R21).
func (s *Server) dropped(c *exchange, n int) {
	s.metrics.refused.WithLabelValues(c.route.name, string(reason.TooLarge)).Add(float64(n))
	s.show(c, &refusal{status: http.StatusOK, code: reason.TooLarge, message: "items too large to keep were dropped"})
}

func notThisForm(err error) error {
	return &refusal{status: http.StatusBadRequest, code: reason.BodyNotJSON, message: err.Error(), cause: err}
}

// headerText is a header as text that can be stored.
func headerText(r *http.Request, name string) string { return cut(r.Header.Get(name)) }

// cut bounds what an SDK says of itself, and makes it valid UTF-8.
func cut(text string) string {
	const limit = 200
	if len(text) > limit {
		text = text[:limit]
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "")
	}
	return text
}
