package stream

import "context"

// Health returns nil, or why new records would be refused: whole sentences for
// an operator, joined.
func (s *Streams) Health(ctx context.Context) error { return errNotYet }
