package stream

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	// Replicas of each stream, when it is made. Default: 1 embedded and on a
	// single external server, 3 on a cluster; a cluster of two must say.
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

	free func(dir string) (int64, error) // freeDisk, or a test's
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

// withDefaults fills in what the caller left out.
func (o Options) withDefaults() Options {
	setDefault := func(field *int64, value int64) {
		if *field == 0 {
			*field = value
		}
	}
	setDefault(&o.Budget.Calls, 8<<30)
	setDefault(&o.Budget.Impressions, 8<<30)
	setDefault(&o.Budget.Outbound, 2<<30)
	setDefault(&o.Budget.Dead, 1<<30)
	setDefault(&o.Budget.Audit, 256<<20)
	setDefault(&o.ReserveDisk, 256<<20)
	setDefault((*int64)(&o.AppendWait), int64(4*time.Second))
	setDefault((*int64)(&o.KeepProcessed), int64(72*time.Hour))
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.free == nil {
		o.free = freeDisk
	}
	return o
}

// fitBudgets lowers the budgets to what the disk can hold beside what it holds
// already.
func (s *Streams) fitBudgets(ctx context.Context) error {
	if s.embedded == nil {
		return nil
	}
	free, err := s.options.free(s.options.Dir)
	if err != nil {
		return err
	}
	room := free - s.options.ReserveDisk
	infos := s.js.ListStreams(ctx)
	for info := range infos.Info() {
		room += int64(info.State.Bytes)
	}
	if err := infos.Err(); err != nil {
		return fmt.Errorf("list the streams: %w", err)
	}
	b := &s.options.Budget
	for _, share := range []struct {
		what    string
		budget  *int64
		percent int64
	}{
		{"calls", &b.Calls, 30},
		{"impressions", &b.Impressions, 30},
		{"outbound, each source", &b.Outbound, 15},
		{"dead", &b.Dead, 10},
		{"audit", &b.Audit, 5},
	} {
		if most := max(room/100*share.percent, 1<<20); *share.budget > most {
			s.log.Info("a stream's budget is lowered to fit the disk", "stream", share.what, "configured", *share.budget, "bytes", most)
			*share.budget = most
		}
	}
	return nil
}
