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
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
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
	// ErrDiskLow is the ErrFull of a disk that is nearly full, which concerns
	// every stream.
	ErrDiskLow = fmt.Errorf("%w: the disk is nearly full", ErrFull)
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

// Streams is the open set of streams. Its methods may be called from many
// goroutines.
type Streams struct {
	options  Options
	log      *slog.Logger
	metrics  *metrics
	embedded *embedded // nil: external
	nc       *nats.Conn
	js       jetstream.JetStream

	journals map[Name]*journal
	diskLow  atomic.Bool // below Options.ReserveDisk: refuse
	stuck    atomic.Bool // a publish got no answer
	reviving sync.Mutex
	revived  time.Time // when the embedded server was last restarted; under reviving
	revivals int       // restarts in a row after which a stream was missing; likewise

	// replaying is held while dead letters move, so that a backup sees each in
	// the one place or the other.
	replaying sync.Mutex

	mu       sync.Mutex
	outboxes map[string]*outbox
	buckets  map[string]jetstream.KeyValue

	closing   context.Context // ends when Close begins
	beginStop context.CancelFunc
	tasks     sync.WaitGroup
	closed    sync.Once
}

// Open starts the embedded server or connects to the external one, and makes
// the streams that are missing. Without a deadline in ctx it tries for 30 s.
func Open(ctx context.Context, o Options) (_ *Streams, err error) {
	if (o.Dir == "") == (o.URL == "") {
		return nil, errors.New("streams: one of Dir and URL is required")
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
	}
	o = o.withDefaults()
	s := &Streams{
		options: o, log: o.Log,
		journals: make(map[Name]*journal),
		outboxes: make(map[string]*outbox),
		buckets:  make(map[string]jetstream.KeyValue),
	}
	s.closing, s.beginStop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.fitBudgets(ctx); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	for name, budget := range map[Name]int64{Calls: s.options.Budget.Calls, Impressions: s.options.Budget.Impressions} {
		if err := s.openJournal(ctx, name, budget); err != nil {
			return nil, err
		}
	}
	if err := s.openDead(ctx); err != nil {
		return nil, err
	}
	if err := s.openAudit(ctx); err != nil {
		return nil, err
	}
	s.keepHouse()
	return s, nil
}

// connect reaches the server, embedded or external, and waits for JetStream.
func (s *Streams) connect(ctx context.Context) (err error) {
	options := []nats.Option{
		nats.Name("causeway"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// What could not be sent is tried again by whoever waits for it, not
		// from a buffer that nobody watches.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Error("stream connection", "err", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				s.log.Warn("stream connection lost", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			s.log.Info("stream connection is back", "server", nc.ConnectedServerName())
		}),
	}
	if s.options.URL == "" {
		if s.embedded, err = startEmbedded(s.options); err != nil {
			return err
		}
		s.nc, err = nats.Connect("", append(options, nats.InProcessServer(s.embedded))...)
	} else {
		if s.options.CredentialsFile != "" {
			options = append(options, nats.UserCredentials(s.options.CredentialsFile))
		}
		s.nc, err = nats.Connect(s.options.URL, options...)
	}
	if err != nil {
		return fmt.Errorf("connect to the stream server: %w", err)
	}
	if s.nc.MaxPayload() < embeddedMaxPayload {
		s.log.Warn("the NATS server takes smaller messages than Causeway's routes do: set its max_payload to 8MB", "max_payload", s.nc.MaxPayload())
	}
	if s.js, err = jetstream.New(s.nc); err != nil {
		return fmt.Errorf("use JetStream: %w", err)
	}
	return s.retry(ctx, "reach JetStream", func(ctx context.Context) error {
		_, err := s.js.AccountInfo(ctx)
		return err
	})
}

// retry repeats an operation that a cluster without a leader, or one that is
// only starting, refuses for a while, until it succeeds, fails for good, or
// ctx ends.
func (s *Streams) retry(ctx context.Context, what string, operation func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := operation(attempt)
		cancel()
		if err == nil {
			return nil
		}
		if !passing(err) {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %v", what, ErrUnavailable, err)
		case <-s.closing.Done():
			return fmt.Errorf("%s: %w", what, ErrClosed)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// passing reports whether an error of the server is one that time may mend.
func passing(err error) bool {
	var answer *jetstream.APIError
	if errors.As(err, &answer) {
		return answer.Code == 503
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse) ||
		errors.Is(err, nats.ErrDisconnected) || errors.Is(err, nats.ErrConnectionReconnecting) ||
		errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, jetstream.ErrJetStreamNotEnabled)
}

// ensureStream makes a stream that is missing, or brings the limits of an
// existing one up to date. Lowering a budget below what a stream holds
// discards nothing when cfg.Discard is DiscardNew: it refuses until there is
// room.
func (s *Streams) ensureStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	cfg.Storage = jetstream.FileStorage
	cfg.AllowDirect = true
	return s.retry(ctx, "open stream "+cfg.Name, func(ctx context.Context) error {
		existing, err := s.js.Stream(ctx, cfg.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return s.createStream(ctx, cfg)
		case err != nil:
			return err
		}
		now := existing.CachedInfo().Config
		cfg.Replicas = s.options.Replicas
		if cfg.Replicas == 0 {
			cfg.Replicas = now.Replicas // as somebody decided
		}
		if now.MaxBytes == cfg.MaxBytes && now.Replicas == cfg.Replicas && now.Duplicates == cfg.Duplicates {
			return nil
		}
		now.MaxBytes, now.Replicas, now.Duplicates = cfg.MaxBytes, cfg.Replicas, cfg.Duplicates
		_, err = s.js.UpdateStream(ctx, now)
		return err
	})
}

// createStream makes a stream with the replicas asked for. Without a number,
// an external cluster holds three copies and a single server one; a cluster
// that has servers missing is an error and not a reason for fewer copies.
func (s *Streams) createStream(ctx context.Context, cfg jetstream.StreamConfig) error {
	const notClustered, noPeers = 10074, 10005
	cfg.Replicas = s.options.Replicas
	if cfg.Replicas == 0 {
		cfg.Replicas = 1
		if s.embedded == nil {
			cfg.Replicas = 3
		}
	}
	_, err := s.js.CreateStream(ctx, cfg)
	var answer *jetstream.APIError
	if errors.As(err, &answer) && s.options.Replicas == 0 {
		switch answer.ErrorCode {
		case notClustered:
			s.log.Warn("the NATS server is no cluster: one copy of each stream", "stream", cfg.Name)
			cfg.Replicas = 1
			_, err = s.js.CreateStream(ctx, cfg)
		case noPeers:
			return fmt.Errorf("the NATS cluster cannot hold three copies now; start its servers, or set Replicas: %w", err)
		}
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		return nil // another node made it at the same time
	}
	return err
}

// Close lets the frames under way end, then releases everything. It is safe to
// call twice.
func (s *Streams) Close() error {
	s.closed.Do(func() {
		s.beginStop()
		for _, j := range s.journals {
			j.close()
		}
		s.tasks.Wait()
		if s.nc != nil {
			s.nc.Close()
		}
		if s.embedded != nil {
			s.embedded.stop()
		}
		if s.metrics != nil {
			s.metrics.unregister()
		}
	})
	return nil
}
