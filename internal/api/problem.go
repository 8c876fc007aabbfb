package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"causeway/internal/catalog"
	"causeway/internal/playground"
	"causeway/internal/store"
	"causeway/internal/stream"
)

// Problem is how every refusal reads (RFC 9457, application/problem+json).
type Problem struct {
	Type   string `json:"type"`   // "urn:causeway:problem:" and the code
	Title  string `json:"title"`  // what the status means
	Status int    `json:"status"` // as in the status line
	// Code is stable: scripts may branch on it.
	Code string `json:"code"`
	// Detail is a sentence for a person: what was wrong, and what to do.
	Detail string `json:"detail"`
	// Instance is the id of the request, as in X-Request-Id and the log.
	Instance string `json:"instance"`

	Parameter   string               `json:"parameter,omitempty"`   // the query parameter that was wrong
	Findings    []catalog.Finding    `json:"findings,omitempty"`    // of a configuration
	Differences []catalog.Difference `json:"differences,omitempty"` // between the caller's configuration and the present one
	Revision    uint64               `json:"revision,omitempty"`    // of the present configuration

	retryAfter time.Duration
	allow      string
	cause      error // logged, never shown
}

// Error lets a handler return a Problem.
func (p *Problem) Error() string {
	if p.cause != nil {
		return fmt.Sprintf("%s: %v", p.Code, p.cause)
	}
	return p.Code + ": " + p.Detail
}

func (p *Problem) Unwrap() error { return p.cause }

func refuse(status int, code, format string, args ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, args...)}
}

func badParameter(name, format string, args ...any) *Problem {
	p := refuse(http.StatusBadRequest, "parameter_invalid", format, args...)
	p.Parameter = name
	return p
}

// asProblem is the only place that turns an error into an answer.
func asProblem(err error) *Problem {
	var p *Problem
	var tooLarge *http.MaxBytesError
	var tried *playground.Error
	var fromFile *catalog.FileError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &tried):
		p = refuse(statusOf(tried), tried.Code, "%s", tried.Text)
		p.Findings = tried.Findings
		return p
	case errors.As(err, &fromFile):
		p = refuse(http.StatusConflict, "configuration_from_file", "Nothing was changed: %v.", fromFile)
	case errors.As(err, &tooLarge):
		p = refuse(http.StatusRequestEntityTooLarge, "body_too_large", "The body is over %d bytes, the limit of this route. Send less at a time.", tooLarge.Limit)
	case errors.Is(err, store.ErrCursor), errors.Is(err, stream.ErrCursor):
		p = refuse(http.StatusBadRequest, "cursor_invalid", "The cursor was not made by this list. Start again without a cursor.")
		p.Parameter = "cursor"
	case errors.Is(err, stream.ErrUnavailable), errors.Is(err, stream.ErrClosed):
		p = refuse(http.StatusServiceUnavailable, "streams_unavailable", "The streams do not answer at present. Try again in a moment; GET /readyz says more.")
		p.retryAfter = 5 * time.Second
	case errors.Is(err, context.DeadlineExceeded):
		p = refuse(http.StatusServiceUnavailable, "timed_out", "The answer took too long. Ask for a shorter time or fewer rows, or try again later.")
		p.retryAfter = 5 * time.Second
	default:
		p = refuse(http.StatusInternalServerError, "internal", "Something went wrong inside Causeway. The log holds the cause under this request's id.")
	}
	p.cause = err
	return p
}

// statusOf is the status of what the playground refuses.
func statusOf(e *playground.Error) int {
	switch {
	case strings.HasSuffix(e.Code, "_unknown"):
		return http.StatusNotFound
	case len(e.Findings) > 0:
		return http.StatusUnprocessableEntity
	}
	return http.StatusBadRequest
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter, requestID string) {
	out := *p
	out.Type, out.Title, out.Instance = "urn:causeway:problem:"+p.Code, http.StatusText(p.Status), requestID
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="causeway admin"`)
	}
	if p.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.retryAfter+time.Second-1)/time.Second)))
	}
	if p.allow != "" {
		w.Header().Set("Allow", p.allow)
	}
	writeJSON(w, p.Status, "application/problem+json", out)
}

// writeJSON encodes before it writes, so that a value that cannot be encoded
// is an error of the whole answer and never half an answer.
func writeJSON(w http.ResponseWriter, status int, contentType string, value any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a caller who left hears nothing either way
	return nil
}
