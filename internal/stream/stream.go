// Package stream keeps Causeway's durable, ordered streams and its key-value
// buckets, on NATS JetStream: a server embedded in the process, or an external
// cluster behind the same client code.
//
// Contract:
//   - Append returns nil only when the record survives a power cut of this
//     machine (embedded: the frame was written and synced) or is held by a
//     majority of the replicas (external cluster).
//   - Concurrent appends share one frame, one write and one sync; a lone append
//     does not wait for company.
//   - An append that returns an error may still have happened; the sender
//     sends again and the ids of R18 and R48 make it one.
//   - A reader delivers every frame once, in order, without holes, from the
//     position its caller names. A hole is an explicit error, never a skip.
//   - A record that was not reported Processed is never discarded. A stream at
//     its budget first drops processed frames, then refuses with ErrFull. Close
//     to the end of the disk everything refuses with ErrFull.
//   - Nobody waits for ever: without a leader or an answer an append fails with
//     ErrUnavailable after Options.AppendWait.
//   - Outbound parcels are published once per (source, frame they came from),
//     whatever crashes between; they are delivered at least once.
package stream

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Name names one of the streams that records are appended to.
type Name string

// The streams of accepted requests.
const (
	Calls       Name = "calls"       // Segment calls as received
	Impressions Name = "impressions" // what feature-flag SDKs and listeners sent, as received
)

// What the streams answer when they cannot do what was asked.
var (
	// ErrFull means that the budget or the disk is used up by what nobody has
	// processed yet. Callers answer "try later"; they must not drop the record.
	ErrFull = errors.New("no room left")
	// ErrUnavailable means that the record could not be made durable in time.
	// It may have happened all the same.
	ErrUnavailable = errors.New("not available")
	// ErrTooLarge means that one record or call alone is larger than a message
	// may be. Sending it again cannot help.
	ErrTooLarge = errors.New("larger than a message may be")
	// ErrGone means that the frame was trimmed, or never existed.
	ErrGone = errors.New("no longer there")
	// ErrAhead means that a reader's position lies behind the end of the
	// stream: it belongs to another stream, or the stream's folder was lost.
	ErrAhead = errors.New("position is beyond the end of the stream")
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("closed")
)

// Options says where the streams live and how much they may hold. The zero
// value of a field means its default.
type Options struct {
	// Dir is where the embedded server keeps its files; required unless URL is
	// set. One process at a time may hold it.
	Dir string
	// URL names an external NATS cluster (comma separated, JetStream on,
	// version 2.11 or later); empty: embedded.
	URL string
	// CredentialsFile is a NATS credentials file for URL.
	CredentialsFile string
	// Listen makes the embedded server reachable for tools on a loopback
	// address, "127.0.0.1:4222"; empty: in process only.
	Listen string
	// Replicas of each stream. Default: 1 embedded; external 3, or 1 when the
	// cluster has fewer than three servers.
	Replicas int
	// AppendWait bounds how long an append may take. Default 4 s: senders get
	// their answer within 5 s (R31).
	AppendWait time.Duration
	// KeepProcessed is how long processed frames stay readable, budget
	// permitting. Default 72 h.
	KeepProcessed time.Duration
	// Budget bounds the bytes of each stream.
	Budget Budget
	// ReserveDisk is how many bytes of the disk stay free: below it nothing is
	// accepted. Embedded only. Default 256 MiB.
	ReserveDisk int64
	// Log receives what an operator should know. Default slog.Default().
	Log *slog.Logger
	// Metrics registers the package's metrics; nil: none.
	Metrics prometheus.Registerer
}

// Budget bounds streams, in bytes. Embedded, the sum is also bounded by the
// free disk when the streams are opened.
type Budget struct {
	Calls       int64 // default 8 GiB
	Impressions int64 // default 8 GiB
	Outbound    int64 // of each source; default 2 GiB
	Dead        int64 // default 1 GiB
	Audit       int64 // default 256 MiB; the oldest entries make room
}

// Streams is the open set of streams.
type Streams struct{}

var errNotYet = errors.New("not built yet")

// Open starts the embedded server or connects to the external one, and makes
// the streams that are missing.
func Open(ctx context.Context, o Options) (*Streams, error) { return nil, errors.New("not yet") }

// Close waits for the frames under way, then releases everything. It is safe
// to call twice.
func (s *Streams) Close() error { return nil }
