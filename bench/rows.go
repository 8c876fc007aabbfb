//go:build linux

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// callsInBatch is the size of a batch in the rows and targets.
const callsInBatch = 100

// drainMost is how long a backlog may take until the bench stops waiting.
const drainMost = 60 * time.Second

// milliseconds and its like are the units of the table.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func perSecond(n int, d time.Duration) float64 { return float64(n) / d.Seconds() }

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// measured is a load and what it cost the server.
type measured struct {
	outcome
	calls int           // accepted
	cpu   time.Duration // of the server, until the last answer
	own   time.Duration // of the generator
}

// measure sends a load to a server and reads its processor time.
func (b *bench) measure(s *server, name string, l load) (measured, error) {
	l.address = s.address
	if l.duration == 0 {
		l.duration = b.duration
	}
	finish := s.profileTo(b.profileFile(name), l.duration)
	before, err := cpuOf(s.pid())
	if err != nil {
		return measured{}, err
	}
	m := measured{own: -ownCPU()}
	if m.outcome, err = l.run(b.ctx); err != nil {
		return m, err
	}
	m.own += ownCPU()
	after, err := cpuOf(s.pid())
	if err != nil {
		return m, err
	}
	m.cpu, m.calls = after-before, m.accepted*l.request.items
	if m.calls == 0 {
		return m, fmt.Errorf("nothing was accepted; answers by status: %v", m.statuses)
	}
	return m, finish()
}

// trouble notes answers that were not 2xx.
func (o *outcome) trouble() string {
	if o.accepted == o.sent {
		return ""
	}
	return fmt.Sprintf("of %d requests %d were not accepted (%v), %d connections broke", o.sent, o.sent-o.accepted, o.statuses, o.broken)
}

// single sends calls one by one as fast as they are answered: first to the
// door alone, then to the whole product.
func (b *bench) single() (err error) {
	const name = "single"
	door, err := b.serveDoorAlone()
	if err != nil {
		return err
	}
	m, err := b.measure(door, "door", b.singles(door.address, 0))
	if err = errors.Join(err, door.stop()); err != nil {
		return err
	}
	b.figure(name, "door alone: accepted", perSecond(m.calls, m.took), "/s", nil, m.trouble())
	b.figure(name, "door alone: server CPU a call", microseconds(m.cpu)/float64(m.calls), "µs", atMost(45),
		fmt.Sprintf("the generator's: %s", amount(microseconds(m.own)/float64(m.calls), "µs")))

	s, err := b.serve("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if m, err = b.measure(s, name, b.singles(s.address, 0)); err != nil {
		return err
	}
	b.figure(name, "durable calls accepted", perSecond(m.calls, m.took), "/s", atLeast(30_000), m.trouble())
	b.figure(name, "p50 / p99 then", milliseconds(m.latency.quantile(0.5)), "ms", nil, fmt.Sprintf("p99 %s", amount(milliseconds(m.latency.quantile(0.99)), "ms")))
	return b.throughToStore(s, name, m, nil)
}

func (b *bench) singles(address netip.AddrPort, rate float64) load {
	return load{request: newTemplate(address.String(), segmentSingle(destinationKey), 1), connections: b.conns, rate: rate}
}

// latency sends single calls at half the rate of the target.
func (b *bench) latency() (err error) {
	s, err := b.serve("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	m, err := b.measure(s, "latency", b.singles(s.address, 15_000))
	if err != nil {
		return err
	}
	b.figure("latency", "accepted at 15,000/s offered", perSecond(m.calls, m.took), "/s", nil, m.trouble())
	b.figure("latency", "p50", milliseconds(m.latency.quantile(0.5)), "ms", nil, "")
	b.figure("latency", "p99", milliseconds(m.latency.quantile(0.99)), "ms", under(10), "from the moment the call was due")
	return nil
}

// batch sends batches at the rate of the target and follows them into the
// store; it measures memory, too.
func (b *bench) batch() (err error) {
	s, err := b.serve("")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	time.Sleep(2 * time.Second) // what the start used is given back
	idle, _, err := residentOf(s.pid())
	if err != nil {
		return err
	}
	request := newTemplate(s.address.String(), segmentBatch(destinationKey), callsInBatch)
	m, err := b.measure(s, "batch", load{request: request, connections: b.conns / 2, rate: b.rate / callsInBatch})
	if err != nil {
		return err
	}
	if b.wants("batch") {
		b.figure("batch", "durable calls accepted", perSecond(m.calls, m.took), "/s", atLeast(100_000), m.trouble())
		b.figure("batch", "p50 / p99 of a batch", milliseconds(m.latency.quantile(0.5)), "ms", nil, fmt.Sprintf("p99 %s", amount(milliseconds(m.latency.quantile(0.99)), "ms")))
		if err := b.throughToStore(s, "batch", m, atMost(10)); err != nil {
			return err
		}
	} else if _, _, _, err := s.drained(b.ctx, m.calls, drainMost); err != nil {
		return err
	}
	if b.wants("memory") {
		_, peak, err := residentOf(s.pid())
		if err != nil {
			return err
		}
		b.figure("memory", "resident, idle", megabytes(idle), "MB", under(150), "")
		b.figure("memory", "resident, peak of the batch load", megabytes(peak), "MB", under(800), "")
	}
	return nil
}

// throughToStore waits until what was accepted is in the store, counts it, and
// says what it cost from the first byte on.
func (b *bench) throughToStore(s *server, name string, m measured, cpu *target) error {
	begun, err := cpuOf(s.pid())
	if err != nil {
		return err
	}
	drain, stored, repeated, err := s.drained(b.ctx, m.calls, drainMost)
	if err != nil {
		return err
	}
	ended, err := cpuOf(s.pid())
	if err != nil {
		return err
	}
	types, err := s.eventTypes(b.ctx)
	if err != nil {
		return err
	}
	events := 0
	for _, n := range types {
		events += n
	}
	total := m.cpu + ended - begun
	var backlog *target
	if cpu != nil {
		backlog = atMost(2)
	}
	b.figure(name, "backlog empty after", drain.Seconds(), "s", backlog, "")
	b.figure(name, "through to the store", perSecond(stored, m.took+drain), "/s", nil, "calls over load and drain together")
	b.figure(name, "server CPU a call, end to end", microseconds(total)/float64(m.calls), "µs", cpu, "")
	b.figure(name, "acknowledged but not in the store", float64(max(m.calls-events, 0)), "", atMost(0), fmt.Sprintf("of %s", amount(float64(m.calls), "")))
	b.figure(name, "in the store twice", float64(max(events-m.calls, 0)+repeated), "", atMost(0), "")
	return nil
}
