package stream

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ParcelHold is how long a parcel may be held without a sign of life
	// before another worker gets it.
	ParcelHold = 2 * time.Minute

	// deliverer is the durable consumer of each outbound stream.
	deliverer = "deliver"
	// maxHeld bounds the parcels of one source that are held at once.
	maxHeld = 20_000
	// fetchBytes and fetchParcels bound one fetch: what the client library
	// cannot buffer it would drop. fetchBytes is above the largest message.
	fetchBytes   = 16 << 20
	fetchParcels = 1000
	// ackWait bounds one acknowledgement.
	ackWait = 5 * time.Second
)

// Outbound is the queue of one source. Its methods may be called from many
// goroutines.
type Outbound struct {
	streams  *Streams
	box      *outbox
	consumer jetstream.Consumer
}

// A Parcel is some calls on their way out. Until it is acknowledged it will be
// delivered again: after a restart, or when its holder was silent for longer
// than ParcelHold.
type Parcel struct {
	Sequence    uint64 // position in the source's outbound stream
	Origin      uint64 // the frame the calls came from; 0 for replayed ones
	PublishedAt time.Time
	Deliveries  int // how often it was handed out, this time included
	Calls       []json.RawMessage

	msg jetstream.Msg
	box *outbox
}

// Outbound opens the queue of a source, and makes it when it is missing. An
// embedded server has no other workers, so whatever an earlier process held is
// delivered again at once.
func (s *Streams) Outbound(ctx context.Context, source string) (*Outbound, error) {
	box, err := s.outbox(ctx, source)
	if err != nil {
		return nil, err
	}
	o := &Outbound{streams: s, box: box}
	err = s.retry(ctx, "open the outbound queue of "+source, func(ctx context.Context) error {
		handle, err := s.js.Stream(ctx, box.stream)
		if err != nil {
			return err
		}
		o.consumer, err = handle.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
			Durable:       deliverer,
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       ParcelHold,
			MaxAckPending: maxHeld,
		})
		if err != nil {
			return err
		}
		if box.opened.Load() || s.embedded == nil || o.consumer.CachedInfo().NumAckPending == 0 {
			return nil
		}
		_, err = handle.ResetConsumer(ctx, deliverer)
		return err
	})
	if err != nil {
		return nil, err
	}
	box.opened.Store(true)
	return o, nil
}

// Next returns the parcels that follow, oldest first, at most maxParcels and
// about 16 MiB. It waits at most wait for the first and returns none when none
// came.
func (o *Outbound) Next(ctx context.Context, maxParcels int, wait time.Duration) ([]*Parcel, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	batch, err := o.consumer.Fetch(1, jetstream.FetchContext(waiting))
	if err != nil {
		return nil, o.problem(err)
	}
	parcels, more := o.collect(batch)
	if err := batch.Error(); err != nil && more < 0 && waiting.Err() == nil && !errors.Is(err, nats.ErrTimeout) {
		return nil, o.problem(err)
	}
	if more = min(more, maxParcels-1, fetchParcels); more > 0 {
		// They are there: this waits only if another worker takes some first.
		batch, err := o.consumer.Fetch(more, jetstream.FetchMaxBytes(fetchBytes), jetstream.FetchMaxWait(100*time.Millisecond))
		if err == nil {
			rest, _ := o.collect(batch)
			parcels = append(parcels, rest...)
		}
	}
	return parcels, ctx.Err()
}

// collect reads what a fetch delivers, and how many messages wait behind the
// last; -1 when it delivered none.
func (o *Outbound) collect(batch jetstream.MessageBatch) (parcels []*Parcel, behind int) {
	behind = -1
	for msg := range batch.Messages() {
		meta, err := msg.Metadata()
		var p *Parcel
		if err == nil {
			behind = int(meta.NumPending)
			p, err = o.parcel(msg, meta)
		}
		if err != nil {
			// It stays in the stream and comes again; the others must not wait for it.
			o.streams.log.Error("an outgoing parcel cannot be read; it is kept", "source", o.box.source, "err", err)
			continue
		}
		parcels = append(parcels, p)
	}
	return parcels, behind
}

func (o *Outbound) problem(err error) error {
	if passing(err) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("next parcels of %s: %w", o.box.source, o.streams.closedOr(err))
}

// parcel reads a delivered message.
func (o *Outbound) parcel(msg jetstream.Msg, meta *jetstream.MsgMetadata) (*Parcel, error) {
	calls, err := decodeCalls(msg.Data())
	if err != nil {
		return nil, fmt.Errorf("parcel %d: %w", meta.Sequence.Stream, err)
	}
	p := &Parcel{
		Sequence:    meta.Sequence.Stream,
		PublishedAt: meta.Timestamp,
		Deliveries:  int(meta.NumDelivered),
		Calls:       calls,
		msg:         msg,
		box:         o.box,
	}
	if mark, err := readMark(msg.Headers()); err == nil && !mark.replay {
		p.Origin = mark.origin
	}
	return p, nil
}

// Ack says that the parcel is done with for good, and returns when that is
// known to be recorded.
func (p *Parcel) Ack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ackWait)
	defer cancel()
	if err := p.msg.DoubleAck(ctx); err != nil && !errors.Is(err, jetstream.ErrMsgAlreadyAckd) {
		return fmt.Errorf("acknowledge parcel %d of %s: %w", p.Sequence, p.box.source, err)
	}
	return nil
}

// Working says that the parcel is still being worked on; call it more often
// than every ParcelHold.
func (p *Parcel) Working() error {
	if err := p.msg.InProgress(); err != nil {
		return fmt.Errorf("hold parcel %d of %s: %w", p.Sequence, p.box.source, err)
	}
	return nil
}

// Pending returns how many parcels are not acknowledged yet and when the
// oldest of them was published (zero: none).
func (o *Outbound) Pending(ctx context.Context) (parcels int, oldest time.Time, err error) {
	info, err := o.consumer.Info(ctx)
	if err != nil {
		return 0, time.Time{}, o.problem(err)
	}
	parcels = int(info.NumPending) + info.NumAckPending
	if parcels == 0 {
		return 0, time.Time{}, nil
	}
	page, err := o.streams.page(ctx, o.box.stream, pageRequest{Sequence: info.AckFloor.Stream + 1, Batch: 1})
	if err != nil {
		return 0, time.Time{}, o.problem(err)
	}
	if len(page) > 0 {
		oldest = page[0].time
	}
	return parcels, oldest, nil
}

// parcelVersion begins every parcel on disk.
const parcelVersion = 1

// encodeCalls joins calls: a version, then each with its length before it.
func encodeCalls(calls []json.RawMessage) []byte {
	size := 1
	for _, call := range calls {
		size += len(call) + binary.MaxVarintLen32
	}
	b := append(make([]byte, 0, size), parcelVersion)
	for _, call := range calls {
		b = binary.AppendUvarint(b, uint64(len(call)))
		b = append(b, call...)
	}
	return b
}

// decodeCalls is the reverse of encodeCalls. The calls alias b.
func decodeCalls(b []byte) ([]json.RawMessage, error) {
	if len(b) == 0 || b[0] != parcelVersion {
		return nil, fmt.Errorf("%w: no parcel of this version", ErrCorrupt)
	}
	var calls []json.RawMessage
	for b = b[1:]; len(b) > 0; {
		call, rest, err := decodeBytes(b)
		if err != nil {
			return nil, fmt.Errorf("call %d: %w", len(calls), err)
		}
		calls, b = append(calls, call), rest
	}
	return calls, nil
}
