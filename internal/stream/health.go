package stream

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// healthWait bounds Health: whoever asks for readiness does not wait long.
const healthWait = 2 * time.Second

// Health returns nil, or why new records would be refused: whole sentences for
// an operator, joined.
func (s *Streams) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthWait)
	defer cancel()
	if s.closing.Err() != nil {
		return errors.New("the streams are closed")
	}
	if s.nc.IsReconnecting() {
		return fmt.Errorf("no connection to the NATS servers %s", s.options.URL)
	}
	var problems []error
	if s.diskLow.Load() {
		problems = append(problems, fmt.Errorf("the disk of %s has less than %d bytes free", s.options.Dir, s.options.ReserveDisk))
	}
	if s.broken() {
		problems = append(problems, errors.New("the embedded stream server met an error and takes nothing until it is restarted, which happens as soon as the disk allows; the log says more"))
	}
	for _, name := range []Name{Calls, Impressions} {
		problems = append(problems, s.journals[name].full(ctx))
	}
	return errors.Join(problems...)
}
