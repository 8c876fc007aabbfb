package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Copied begins one stream of a backup.
type Copied struct {
	Config jetstream.StreamConfig `json:"config"`
	// First is the sequence that the first message has after a restore.
	First uint64 `json:"first"`
	// Exact says that the messages keep their sequences; the others are
	// numbered anew from First.
	Exact bool `json:"exact,omitempty"`
	// Delivered says of an outbound stream that its one message, kept for what
	// its headers say, is acknowledged.
	Delivered bool `json:"delivered,omitempty"`
}

// Message is one message of a backup.
type Message struct {
	Sequence uint64      `json:"sequence"`
	Subject  string      `json:"subject"`
	Header   nats.Header `json:"header,omitempty"`
	Data     []byte      `json:"data"`
}

// External reports whether the streams are on a cluster of their own.
func (s *Streams) External() bool { return s.embedded == nil }

// Taker takes a backup in: the beginning of a stream, its messages in order,
// the next stream.
type Taker interface {
	Stream(context.Context, Copied) error
	Messages(context.Context, []Message) error
}

// ErrExternal means that the streams are on a NATS cluster, which has its own
// means of backing them up.
var ErrExternal = errors.New("the streams are on an external NATS cluster")

// Backup gives every stream to the taker while they are in use. positions are
// those of a copy of the store that was made before: of calls and impressions
// the backup holds what that copy lacks, and with processed also what is still
// there of what it has.
//
// The order keeps what crosses from one stream to the next from being lost:
// what is on its way out, then dead letters, to which it goes when it is
// refused, then impressions, whose outgoing calls must not be ahead of them,
// then calls, then the rest. Seen twice it may be; each has its messageId.
func (s *Streams) Backup(ctx context.Context, positions map[Name]uint64, processed bool, to Taker) error {
	if s.embedded == nil {
		return ErrExternal
	}
	sources, err := s.OutboundSources(ctx)
	if err != nil {
		return err
	}
	slices.Sort(sources)
	if err := s.backupOutgoing(ctx, sources, to); err != nil {
		return err
	}
	for _, name := range []Name{Impressions, Calls} {
		if err := s.backupJournal(ctx, name, positions[name], processed, to); err != nil {
			return err
		}
	}
	var rest []string
	names := s.js.StreamNames(ctx)
	for name := range names.Name() {
		if name != deadStream && name != string(Calls) && name != string(Impressions) && !strings.HasPrefix(name, outboundPrefix) {
			rest = append(rest, name)
		}
	}
	if err := names.Err(); err != nil {
		return fmt.Errorf("list the streams: %w", s.closedOr(err))
	}
	slices.Sort(rest)
	for _, name := range rest {
		if err := s.backupWhole(ctx, name, to); err != nil {
			return err
		}
	}
	return nil
}

// backupOutgoing keeps replays out meanwhile, which take letters the other way.
func (s *Streams) backupOutgoing(ctx context.Context, sources []string, to Taker) error {
	s.replaying.Lock()
	defer s.replaying.Unlock()
	for _, source := range sources {
		if err := s.backupOutbound(ctx, source, to); err != nil {
			return err
		}
	}
	return s.backupWhole(ctx, deadStream, to)
}

// begin describes a stream to the taker, whose numbers go on behind the
// present ones.
func (s *Streams) begin(ctx context.Context, name string) (Copied, jetstream.StreamState, error) {
	info, err := s.info(ctx, name)
	if err != nil {
		return Copied{}, jetstream.StreamState{}, err
	}
	cfg := info.Config
	cfg.Replicas, cfg.MaxBytes = 1, -1 // whoever opens them sets both
	maps.DeleteFunc(cfg.Metadata, func(key, _ string) bool { return strings.HasPrefix(key, "_nats.") })
	return Copied{Config: cfg, First: info.State.LastSeq + 1}, info.State, nil
}

// backupOutbound copies what is not acknowledged, and the newest message in any
// case: it says which frames were published.
func (s *Streams) backupOutbound(ctx context.Context, source string, to Taker) error {
	name := outboundPrefix + source
	var begun Copied
	var state jetstream.StreamState
	var newest []stored
	for len(newest) == 0 { // it is trimmed only when there is a newer one
		var err error
		if begun, state, err = s.begin(ctx, name); err != nil {
			return err
		}
		if state.Msgs == 0 {
			return to.Stream(ctx, begun)
		}
		if newest, err = s.page(ctx, name, pageRequest{Sequence: state.LastSeq, Batch: 1}); err != nil {
			return err
		}
	}
	last := newest[0].sequence
	floor, err := s.acknowledged(ctx, name)
	if err != nil {
		return err
	}
	begun.Delivered = floor >= last
	if err := to.Stream(ctx, begun); err != nil {
		return err
	}
	if err := s.copyPages(ctx, name, floor+1, last-1, to); err != nil {
		return err
	}
	return to.Messages(ctx, messagesOf(newest[:1]))
}

// acknowledged is the sequence up to which every parcel of an outbound stream
// was acknowledged.
func (s *Streams) acknowledged(ctx context.Context, stream string) (uint64, error) {
	consumer, err := s.js.Consumer(ctx, stream, deliverer)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("consumer of %s: %w", stream, s.closedOr(err))
	}
	info := consumer.CachedInfo()
	if info.NumPending == 0 && info.NumAckPending == 0 {
		return max(info.AckFloor.Stream, info.Delivered.Stream), nil
	}
	return info.AckFloor.Stream, nil
}

// backupJournal copies frames with their sequences, without holes.
func (s *Streams) backupJournal(ctx context.Context, name Name, position uint64, processed bool, to Taker) error {
	begun, state, err := s.begin(ctx, string(name))
	if err != nil {
		return err
	}
	begun.Exact, begun.First = true, position+1
	if processed && state.Msgs > 0 {
		begun.First = min(begun.First, state.FirstSeq)
	}
	if err := to.Stream(ctx, begun); err != nil {
		return err
	}
	next := begun.First
	err = s.eachPage(ctx, string(name), next, state.LastSeq, func(page []stored) error {
		for _, m := range page {
			if m.sequence != next {
				return fmt.Errorf("frame %d of %s was trimmed before it was backed up; back up when there is less traffic, or raise the stream's budget: %w", next, name, ErrGone)
			}
			next++
		}
		return to.Messages(ctx, messagesOf(page))
	})
	if err == nil && next <= state.LastSeq {
		err = fmt.Errorf("frames %d to %d of %s cannot be read: %w", next, state.LastSeq, name, ErrGone)
	}
	return err
}

// backupWhole copies all that is there, to the end: of a key that is changed
// meanwhile the newer value comes later.
func (s *Streams) backupWhole(ctx context.Context, name string, to Taker) error {
	begun, state, err := s.begin(ctx, name)
	if err == nil {
		err = to.Stream(ctx, begun)
	}
	if err != nil || state.LastSeq == 0 {
		return err
	}
	return s.copyPages(ctx, name, max(state.FirstSeq, 1), ^uint64(0), to)
}

func (s *Streams) copyPages(ctx context.Context, name string, from, to uint64, taker Taker) error {
	return s.eachPage(ctx, name, from, to, func(page []stored) error { return taker.Messages(ctx, messagesOf(page)) })
}

// eachPage reads what is there of the sequences from..to, oldest first.
func (s *Streams) eachPage(ctx context.Context, name string, from, to uint64, visit func([]stored) error) error {
	for from = max(from, 1); from <= to; {
		page, err := s.page(ctx, name, pageRequest{Sequence: from, Batch: 256})
		if err != nil {
			return fmt.Errorf("read %s from %d: %w", name, from, err)
		}
		if end := slices.IndexFunc(page, func(m stored) bool { return m.sequence > to }); end >= 0 {
			page = page[:end]
		}
		if len(page) == 0 {
			return nil
		}
		from = page[len(page)-1].sequence + 1
		if err := visit(page); err != nil {
			return err
		}
	}
	return nil
}

// keptHeaders are those that mean something after a restore. The others are of
// the publish that was, or of the answer that the message was read from.
var keptHeaders = []string{originHeader, completeHeader, coveredHeader, sumHeader, replayHeader, "KV-Operation", jetstream.MsgRollup}

func messagesOf(page []stored) []Message {
	list := make([]Message, len(page))
	for i, m := range page {
		list[i] = Message{Sequence: m.sequence, Subject: m.subject, Data: m.data}
		for _, name := range keptHeaders {
			if value := m.header.Get(name); value != "" {
				if list[i].Header == nil {
					list[i].Header = nats.Header{}
				}
				list[i].Header.Set(name, value)
			}
		}
	}
	return list
}

// Restoring fills an empty folder with the streams of a backup. It is the
// Taker to give them to, in the order in which they were taken.
type Restoring struct {
	streams *Streams
	into    Copied
}

// Restore begins to fill a folder that no server uses.
func Restore(ctx context.Context, o Options) (*Restoring, error) {
	o = o.withDefaults()
	s := &Streams{options: o, log: o.Log}
	s.closing, s.beginStop = context.WithCancel(context.Background())
	if err := s.connect(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &Restoring{streams: s}, nil
}

// Stream makes the next stream.
func (r *Restoring) Stream(ctx context.Context, begun Copied) error {
	cfg := begun.Config
	cfg.FirstSeq = begun.First
	r.into = begun
	if _, err := r.streams.js.CreateStream(ctx, cfg); err != nil {
		return fmt.Errorf("make stream %s: %w", cfg.Name, err)
	}
	return nil
}

// Messages fills it.
func (r *Restoring) Messages(ctx context.Context, messages []Message) error {
	js, name := r.streams.js, r.into.Config.Name
	acks := make([]jetstream.PubAckFuture, len(messages))
	for i, m := range messages {
		ack, err := js.PublishMsgAsync(&nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}, jetstream.WithExpectStream(name))
		if err != nil {
			return fmt.Errorf("fill stream %s: %w", name, err)
		}
		acks[i] = ack
	}
	for i, ack := range acks {
		select {
		case at := <-ack.Ok():
			if r.into.Exact && at.Sequence != messages[i].Sequence {
				return fmt.Errorf("fill stream %s: message %d became %d; the backup has a hole", name, messages[i].Sequence, at.Sequence)
			}
		case err := <-ack.Err():
			return fmt.Errorf("fill stream %s: %w", name, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.into.Delivered {
		return r.acknowledge(ctx)
	}
	return nil
}

// acknowledge makes the message of an outbound stream one that was delivered.
func (r *Restoring) acknowledge(ctx context.Context) error {
	name := r.into.Config.Name
	consumer, err := r.streams.js.CreateConsumer(ctx, name, delivererConfig)
	if err != nil {
		return fmt.Errorf("make the consumer of %s: %w", name, err)
	}
	m, err := consumer.Next(jetstream.FetchContext(ctx))
	if err == nil {
		err = m.DoubleAck(ctx)
	}
	if err != nil {
		return fmt.Errorf("acknowledge the parcel of %s: %w", name, err)
	}
	return nil
}

// Close ends the restore; the folder is then one that Open takes.
func (r *Restoring) Close() error { return r.streams.Close() }
