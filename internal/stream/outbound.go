package stream

import (
	"context"
	"encoding/json"
	"time"
)

// PublishOutbound makes the calls that frame origin gave rise to durable in
// the source's outbound stream, in order. Publishing the same origin again
// does nothing; one that was cut short is completed. Origins must not go back:
// one that is older than LastOrigin counts as published. No calls: no-op.
//
// Errors: ErrFull, ErrUnavailable, ErrTooLarge (a single call), ctx's own.
func (s *Streams) PublishOutbound(ctx context.Context, source string, origin uint64, calls []json.RawMessage) error {
	return errNotYet
}

// LastOrigin returns the newest origin that was published whole; 0: none yet.
func (s *Streams) LastOrigin(ctx context.Context, source string) (uint64, error) {
	return 0, errNotYet
}

// Outbound is the queue of one source.
type Outbound struct{}

// A Parcel is some calls on their way out. Until it is acknowledged it will be
// delivered again: after a restart, or when its holder was silent for longer
// than ParcelHold.
type Parcel struct {
	Sequence    uint64 // position in the source's outbound stream
	Origin      uint64 // the frame the calls came from; 0 for replayed ones
	PublishedAt time.Time
	Deliveries  int // how often it was handed out, this time included
	Calls       []json.RawMessage
}

// ParcelHold is how long a parcel may be held without a sign of life.
const ParcelHold = 2 * time.Minute

// Outbound opens the queue of a source, and makes it when it is missing.
func (s *Streams) Outbound(ctx context.Context, source string) (*Outbound, error) {
	return nil, errNotYet
}

// Next returns the parcels that follow, oldest first, at most maxParcels. It
// waits at most wait for the first and returns none when none came.
func (o *Outbound) Next(ctx context.Context, maxParcels int, wait time.Duration) ([]*Parcel, error) {
	return nil, errNotYet
}

// Ack says that the parcel is done with for good, and returns when that is
// known to be recorded.
func (p *Parcel) Ack(ctx context.Context) error { return errNotYet }

// Working says that the parcel is still being worked on; call it more often
// than every ParcelHold.
func (p *Parcel) Working() error { return errNotYet }

// Pending returns how many parcels are not acknowledged yet and when the
// oldest of them was published (zero: none).
func (o *Outbound) Pending(ctx context.Context) (parcels int, oldest time.Time, err error) {
	return 0, time.Time{}, errNotYet
}

// OutboundSources lists the sources that have an outbound stream.
func (s *Streams) OutboundSources(ctx context.Context) ([]string, error) { return nil, errNotYet }

// DropOutbound removes a source's outbound stream with everything in it, and
// its delivery state. Dropping one that does not exist is no error.
func (s *Streams) DropOutbound(ctx context.Context, source string) error { return errNotYet }
