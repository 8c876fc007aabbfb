package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"causeway/internal/reason"
)

// What can be wrong with a body that is being read.
var (
	errTooLarge = errors.New("the body is over the limit")
	errBusy     = errors.New("too many bodies are under way")
)

// gzipOverhead is by how much a compressed body may be larger than what is in it.
const gzipOverhead = 64 << 10

// body reads the request's body and decompresses it. limit is in bytes, after
// decompression. The result is the caller's; it is never used again.
//
// The content type is not looked at: browsers send JSON as text/plain so that
// they need not ask first. A body that begins as gzip does is taken for gzip,
// whether or not a header says so: JSON cannot begin like that.
func (s *Server) body(c *exchange, limit int) ([]byte, error) {
	zipped, err := saysGzip(c.r.Header)
	if err != nil {
		return nil, err
	}
	if c.r.ContentLength > int64(limit+gzipOverhead) {
		return nil, c.tooLarge(limit)
	}
	until := c.until
	if until.IsZero() {
		until = time.Now().Add(s.opt.BodyWait)
	}
	control := http.NewResponseController(c.w)
	// A connection that knows no deadlines is one of a test.
	_ = control.SetReadDeadline(until)
	raw, err := s.gather(c, c.r.Body, int(c.r.ContentLength), limit+gzipOverhead)
	if err != nil {
		return nil, c.bodyError(err, limit)
	}
	// The server goes on reading, to notice a caller that hangs up; that must
	// not run into the deadline.
	_ = control.SetReadDeadline(time.Time{})
	if zipped || bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		if raw, err = s.gunzip(c, raw, limit); err != nil {
			return nil, c.bodyError(err, limit)
		}
	}
	if len(raw) > limit {
		return nil, c.tooLarge(limit)
	}
	c.size = len(raw)
	return raw, nil
}

// saysGzip reads Content-Encoding.
func saysGzip(h http.Header) (bool, error) {
	switch encoding := strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding"))); encoding {
	case "", "identity":
		return false, nil
	case "gzip", "x-gzip":
		return true, nil
	}
	return false, &refusal{status: http.StatusBadRequest, code: reason.BodyNotJSON, message: "the body may be compressed with gzip only"}
}

func (s *Server) gunzip(c *exchange, raw []byte, limit int) ([]byte, error) {
	reader, _ := s.gzips.Get().(*gzip.Reader)
	if reader == nil {
		reader = new(gzip.Reader)
	}
	defer s.gzips.Put(reader)
	if err := reader.Reset(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("%w: %w", gzip.ErrHeader, err)
	}
	plain, err := s.gather(c, reader, 4*len(raw), limit)
	if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, errBusy) {
		err = fmt.Errorf("%w: %w", gzip.ErrHeader, err)
	}
	return plain, err
}

// gather reads to the end into memory that is counted against the budget of
// all bodies. expected is the likely size, or less than 0. What a header claims
// is taken only as bytes arrive: a sixteenth must be there already.
func (s *Server) gather(c *exchange, r io.Reader, expected, limit int) ([]byte, error) {
	var buf []byte
	for {
		if len(buf) == cap(buf) {
			size := max(2*cap(buf), 512)
			if expected >= cap(buf) {
				size = min(expected+1, max(16*cap(buf), 8<<10))
			}
			size = min(size, limit+1)
			more := int64(size - cap(buf))
			c.held += more
			if s.held.Add(more) > s.opt.MaxHeldBytes {
				return nil, errBusy
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > limit:
			return nil, errTooLarge
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// bodyError makes a refusal of what went wrong while reading.
func (c *exchange) bodyError(err error, limit int) error {
	switch {
	case errors.Is(err, errTooLarge):
		return c.tooLarge(limit)
	case errors.Is(err, errBusy):
		return &refusal{status: http.StatusServiceUnavailable, code: reason.NotDurable, message: "too many requests at once, try again", retryAfter: 1, cause: err}
	case errors.Is(err, gzip.ErrHeader):
		return &refusal{status: http.StatusBadRequest, code: reason.BodyNotJSON, message: "the body is not the gzip it claims to be", cause: err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{status: http.StatusRequestTimeout, code: reason.BodyIncomplete, message: "the body did not arrive in time", cause: err}
	}
	return &refusal{status: http.StatusBadRequest, code: reason.BodyIncomplete, message: "the body did not arrive in full", cause: err}
}

// tooLarge is 400 on the tracking API, as Segment answers (R30), else 413.
func (c *exchange) tooLarge(limit int) error {
	status := http.StatusRequestEntityTooLarge
	if c.route.family == segmentClients {
		status = http.StatusBadRequest
	}
	return &refusal{status: status, code: reason.BodyTooLarge, message: fmt.Sprintf("the body is larger than %d bytes", limit)}
}

// unread takes a body that is not kept: what browser libraries and old SDKs
// report about themselves. It is counted and answered, so that they go on.
func (s *Server) unread(answer string) func(*exchange) error {
	const limit = 1 << 20
	return func(c *exchange) error {
		control := http.NewResponseController(c.w)
		_ = control.SetReadDeadline(time.Now().Add(s.opt.BodyWait))
		_, err := io.Copy(io.Discard, io.LimitReader(c.r.Body, limit))
		if err != nil {
			return c.bodyError(err, limit)
		}
		s.answer(c, http.StatusOK, answer)
		return nil
	}
}
