package stream

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
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
	// ackWait bounds the silence between the answers to acknowledgements.
	ackWait = 5 * time.Second
)

// Outbound is the queue of one source. Its methods may be called from many
// goroutines.
type Outbound struct {
	streams  *Streams
	box      *outbox
	consumer jetstream.Consumer

	mu       sync.Mutex
	inbox    string // requests are answered at inbox.1, inbox.2 ...
	requests int
	// answers hears all of them for as long as the queue is open. In a cluster
	// the word that a request is over may overtake messages; what comes late is
	// returned by the next call. If nobody listened any more it would count as
	// held and come again only after ParcelHold.
	answers *nats.Subscription
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

	queue *Outbound
	reply string // where the server hears of it
}

// delivererConfig is the one consumer of each outbound stream.
var delivererConfig = jetstream.ConsumerConfig{
	Durable:       deliverer,
	AckPolicy:     jetstream.AckExplicitPolicy,
	AckWait:       ParcelHold,
	MaxAckPending: maxHeld,
}

// Outbound opens the queue of a source, and makes it when it is missing. An
// embedded server has no other workers, so whatever an earlier process held is
// delivered again at once.
func (s *Streams) Outbound(ctx context.Context, source string) (*Outbound, error) {
	box, err := s.outbox(ctx, source)
	if err != nil {
		return nil, err
	}
	box.opening.Lock()
	defer box.opening.Unlock()
	if box.queue != nil {
		return box.queue, nil
	}
	o := &Outbound{streams: s, box: box, inbox: s.nc.NewInbox()}
	err = s.retry(ctx, "open the outbound queue of "+source, func(ctx context.Context) error {
		handle, err := s.js.Stream(ctx, box.stream)
		if err != nil {
			return err
		}
		o.consumer, err = handle.CreateOrUpdateConsumer(ctx, delivererConfig)
		if err != nil || s.embedded == nil || o.consumer.CachedInfo().NumAckPending == 0 {
			return err
		}
		_, err = handle.ResetConsumer(ctx, deliverer)
		return err
	})
	if err != nil {
		return nil, err
	}
	if o.answers, err = s.nc.SubscribeSync(o.inbox + ".*"); err != nil {
		return nil, s.closedOr(err)
	}
	if err := o.answers.SetPendingLimits(-1, -1); err != nil { // requests are the limit
		return nil, s.closedOr(err)
	}
	box.queue = o
	return o, nil
}

// pullRequest asks a consumer for messages. With NoWait and Expires the server
// waits for the first message only, and then says that there are no more.
//
// It is written out here because the client library's fetch either waits until
// the whole batch is there or is not bounded by bytes.
type pullRequest struct {
	Batch    int           `json:"batch"`
	MaxBytes int           `json:"max_bytes"`
	NoWait   bool          `json:"no_wait"`
	Expires  time.Duration `json:"expires"`
}

// Next returns the parcels that follow, oldest first, at most maxParcels and
// about 16 MiB. It waits at most wait for the first and returns none when none
// came.
func (o *Outbound) Next(ctx context.Context, maxParcels int, wait time.Duration) ([]*Parcel, error) {
	wait = max(wait, 10*time.Millisecond)
	maxParcels = min(maxParcels, fetchParcels)
	messages, err := o.pull(ctx, pullRequest{Batch: maxParcels, MaxBytes: fetchBytes, NoWait: true, Expires: wait})
	if err != nil && len(messages) == 0 && ctx.Err() == nil {
		return nil, fmt.Errorf("next parcels of %s: %w", o.box.source, o.streams.closedOr(err))
	}
	var parcels []*Parcel
	for _, msg := range messages {
		p, err := o.parcel(msg)
		if err != nil {
			// It stays in the stream and comes again; the others must not wait for it.
			o.streams.log.Error("an outgoing parcel cannot be read; it is kept", "source", o.box.source, "err", err)
			continue
		}
		parcels = append(parcels, p)
	}
	return parcels, ctx.Err()
}

// pull sends one request and collects what the server delivers for it. With an
// error it returns what came before.
func (o *Outbound) pull(ctx context.Context, request pullRequest) (messages []*nats.Msg, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if late, err := o.late(ctx, request.Batch); len(late) > 0 || err != nil {
		return late, err
	}
	o.requests++
	reply := o.inbox + "." + strconv.Itoa(o.requests)
	if err := o.streams.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+o.box.stream+"."+deliverer, reply, body); err != nil {
		return nil, err
	}
	for len(messages) < request.Batch {
		msg, err := nextMessage(ctx, o.answers, request.Expires+pageWait)
		if err != nil {
			return messages, err
		}
		switch status, text := msg.Header.Get("Status"), msg.Header.Get("Description"); {
		case status == "":
			messages = append(messages, msg)
		case msg.Subject != reply, status == "100": // of an older request; a sign of life
		case status == "404", status == "408", strings.Contains(text, "MaxBytes"), strings.Contains(text, "Batch Completed"):
			return messages, nil
		default: // the consumer or its leader went away
			return messages, fmt.Errorf("%w: the server answered %s %s", ErrUnavailable, status, text)
		}
	}
	return messages, nil
}

// late returns what came after the request that it was for.
func (o *Outbound) late(ctx context.Context, most int) (messages []*nats.Msg, err error) {
	waiting, _, err := o.answers.Pending()
	if err != nil {
		return nil, err
	}
	for ; waiting > 0 && len(messages) < most; waiting-- {
		msg, err := nextMessage(ctx, o.answers, pageWait)
		if err != nil {
			return messages, err
		}
		if msg.Header.Get("Status") == "" {
			messages = append(messages, msg)
		}
	}
	return messages, nil
}

func (o *Outbound) problem(err error) error {
	if passing(err) {
		err = fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return fmt.Errorf("pending parcels of %s: %w", o.box.source, o.streams.closedOr(err))
}

// parcel reads a delivered message.
func (o *Outbound) parcel(msg *nats.Msg) (*Parcel, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, err
	}
	calls, err := decodeCalls(msg.Data)
	if err != nil {
		return nil, fmt.Errorf("parcel %d: %w", meta.Sequence.Stream, err)
	}
	p := &Parcel{
		Sequence:    meta.Sequence.Stream,
		PublishedAt: meta.Timestamp,
		Deliveries:  int(meta.NumDelivered),
		Calls:       calls,
		queue:       o,
		reply:       msg.Reply,
	}
	if mark, err := readMark(msg.Header); err == nil && !mark.replay {
		p.Origin = mark.origin
	}
	return p, nil
}

// Ack says that the parcel is done with for good, and returns when that is
// known to be recorded. For many parcels Outbound.Ack is faster.
func (p *Parcel) Ack(ctx context.Context) error { return p.queue.Ack(ctx, p) }

// Ack says that the parcels are done with for good, and returns when that is
// known to be recorded. After an error some of them may come again.
func (o *Outbound) Ack(ctx context.Context, parcels ...*Parcel) error {
	err := o.ack(ctx, parcels)
	if err != nil {
		if passing(err) {
			err = fmt.Errorf("%w: %v", ErrUnavailable, err)
		}
		return fmt.Errorf("acknowledge %d parcels of %s: %w", len(parcels), o.box.source, o.streams.closedOr(err))
	}
	return nil
}

// ack sends every acknowledgement at once and then counts the answers.
func (o *Outbound) ack(ctx context.Context, parcels []*Parcel) error {
	nc := o.streams.nc
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for _, p := range parcels {
		if err := nc.PublishRequest(p.reply, inbox, []byte("+ACK")); err != nil {
			return err
		}
	}
	for range parcels {
		answer, err := nextMessage(ctx, sub, ackWait)
		if err != nil {
			return err
		}
		if status := answer.Header.Get("Status"); status != "" {
			return fmt.Errorf("%w: the server answered %s", ErrUnavailable, status)
		}
	}
	return nil
}

// Working says that the parcel is still being worked on; call it more often
// than every ParcelHold.
func (p *Parcel) Working() error {
	if err := p.queue.streams.nc.Publish(p.reply, []byte("+WPI")); err != nil {
		return fmt.Errorf("hold parcel %d of %s: %w", p.Sequence, p.queue.box.source, p.queue.streams.closedOr(err))
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
