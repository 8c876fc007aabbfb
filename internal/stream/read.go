package stream

import (
	"context"
	"fmt"
	"time"
)

// Frame is what one append wrote: one or more records, in order of arrival.
type Frame struct {
	Sequence uint64    // position in its stream; counts from 1 without holes
	Time     time.Time // when it became durable
	Records  []Record
}

// A GapError says that frames are missing where a reader wants to go on: they
// were trimmed before the reader came to them, or the storage lost them. It
// wraps ErrGone.
type GapError struct {
	Stream Name
	After  uint64 // the last frame that was delivered
	Next   uint64 // the first that is there again; Read after Next-1 to accept the loss
}

func (e *GapError) Error() string {
	return fmt.Sprintf("stream %s: frames %d to %d are %v", e.Stream, e.After+1, e.Next-1, ErrGone)
}

func (e *GapError) Unwrap() error { return ErrGone }

// A Reader follows one stream from a position. It is for one goroutine.
type Reader struct{}

// Read starts reading after the frame with the given sequence; 0 is the
// beginning. The position is the caller's: nothing of the reader is kept by
// the stream. ErrAhead when the stream ends before that position.
func (s *Streams) Read(ctx context.Context, name Name, after uint64) (*Reader, error) {
	return nil, errNotYet
}

// Next returns the frames that follow, oldest first: at least one when any is
// there, then as many as fit in maxBytes. Without any it waits at most wait
// and returns none. A *GapError means frames are missing; ErrCorrupt that the
// next frame cannot be decoded (it is the one after the last delivered).
func (r *Reader) Next(ctx context.Context, maxBytes int, wait time.Duration) ([]Frame, error) {
	return nil, errNotYet
}

// Close releases the reader. It is safe to call twice.
func (r *Reader) Close() {}

// Frame returns one frame; ErrGone when it was trimmed or never existed.
func (s *Streams) Frame(ctx context.Context, name Name, sequence uint64) (Frame, error) {
	return Frame{}, errNotYet
}

// Bounds returns the first and the last sequence that are there and the bytes
// they take. An empty stream has first = last+1.
func (s *Streams) Bounds(ctx context.Context, name Name) (first, last, bytes uint64, err error) {
	return 0, 0, 0, errNotYet
}
