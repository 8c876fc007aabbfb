package deliver

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"causeway/internal/segment"
)

// target is where and as whom a source sends.
type target struct {
	endpoint string // without a slash at the end
	writeKey string
}

// answer is what came of one attempt.
type answer struct {
	outcome outcome
	status  int           // 0: none
	text    string        // first kilobyte of the body
	err     error         // why there was no answer
	asked   time.Duration // Retry-After; 0: nothing asked
	bytes   int           // of the body that was sent, before compression
}

// problem is what an operator reads of an answer that was not good.
func (a answer) problem() string {
	if a.err != nil {
		return a.err.Error()
	}
	return a.text
}

// maxAnswer is how much of an answer's body is kept.
const maxAnswer = 1024

// poster sends the batches of one source. Use it from one goroutine.
type poster struct {
	client    *http.Client
	userAgent string
	timeout   time.Duration // of one request with its answer
	drain     time.Duration // what a request in flight still gets when ctx ends

	zip *gzip.Writer // kept, because making one costs more than using it
}

// post sends one batch (Segment: HTTP Tracking API, batch). sentAt is the
// moment of this attempt and not of the first: Segment corrects the sender's
// clock with it.
func (p *poster) post(ctx context.Context, to target, items []item) answer {
	body := segment.BatchBody(calls(items), time.Now().UTC())
	a := answer{bytes: len(body)}
	ctx, cancel := p.deadline(ctx)
	defer cancel()
	response, err := p.send(ctx, to, body)
	if err != nil {
		a.err = withCause(ctx, err)
		a.outcome = classify(0, err)
		return a
	}
	defer response.Body.Close()
	text := readAnswer(response.Body, to.writeKey)
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 256*1024)) // so that the connection can be used again
	a.status, a.text = response.StatusCode, strings.ToValidUTF8(text, "\uFFFD")
	a.asked = retryAfter(response.Header, time.Now())
	a.outcome = classify(a.status, nil)
	return a
}

// readAnswer is the first kilobyte of an answer, for people to read. What
// answers is not always Segment, and may tell the key it was asked with.
func readAnswer(body io.Reader, writeKey string) string {
	encoded := base64.StdEncoding.EncodeToString([]byte(writeKey + ":"))
	text, _ := io.ReadAll(io.LimitReader(body, maxAnswer+int64(len(encoded)))) // the status alone decides
	shown := string(text)
	if len(writeKey) >= 8 { // a shorter one may be a word of the answer, and is none of Segment's
		shown = strings.NewReplacer(writeKey, "[secret]", encoded, "[secret]").Replace(shown)
	}
	return shown[:min(len(shown), maxAnswer)]
}

func (p *poster) send(ctx context.Context, to target, body []byte) (*http.Response, error) {
	// A buffer of its own, because the transport may read it after Do returned.
	var zipped bytes.Buffer
	if p.zip == nil {
		p.zip, _ = gzip.NewWriterLevel(&zipped, gzip.BestSpeed) // the level is valid
	} else {
		p.zip.Reset(&zipped)
	}
	if _, err := p.zip.Write(body); err != nil {
		return nil, fmt.Errorf("compress the batch: %w", err)
	}
	if err := p.zip.Close(); err != nil {
		return nil, fmt.Errorf("compress the batch: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.endpoint+"/v1/batch", &zipped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEndpointNotAllowed, err)
	}
	if request.URL.Scheme != "https" && request.URL.Scheme != "http" || request.URL.Host == "" {
		return nil, fmt.Errorf("%w: %q is no http address", ErrEndpointNotAllowed, to.endpoint)
	}
	request.SetBasicAuth(to.writeKey, "")
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Content-Encoding", "gzip")
	request.Header.Set("User-Agent", p.userAgent)
	return p.client.Do(request)
}

var (
	errTimeout = errors.New("no answer in time")
	errStopped = errors.New("stopped before the answer came")
)

// deadline bounds a request: by the timeout, and once ctx ends by the drain
// time, so that an answer under way is not lost to a restart.
func (p *poster) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timer := time.AfterFunc(p.timeout, func() { cancel(errTimeout) })
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(p.drain, func() { cancel(errStopped) })
	})
	return bounded, func() {
		stop()
		timer.Stop()
		cancel(nil)
	}
}

// withCause says why our own clock ended a request, instead of "canceled".
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}
