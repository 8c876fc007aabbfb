package stream

import "context"

// Append makes the record durable in the stream (Calls or Impressions) and
// then returns. Callers that wait at the same time share a frame.
//
// Errors: ErrFull, ErrUnavailable, ErrTooLarge, ErrClosed, or ctx's own. After
// any of them but ErrTooLarge and ErrFull the record may exist all the same.
func (s *Streams) Append(ctx context.Context, name Name, r Record) error { return errNotYet }
