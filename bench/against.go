//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// loopbackAddress reads host:port and refuses what is not this machine. A name
// must mean loopback addresses only.
func loopbackAddress(ctx context.Context, text string) (netip.AddrPort, error) {
	host, service, err := net.SplitHostPort(text)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--against: %w", err)
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--against: port %q", service)
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("--against: %w", err)
	}
	for _, address := range addresses {
		if !address.Unmap().IsLoopback() {
			return netip.AddrPort{}, fmt.Errorf("--against %s: %s is not on this machine; load goes to loopback addresses only", text, address)
		}
	}
	return netip.AddrPortFrom(addresses[0].Unmap(), uint16(port)), nil
}

// formOf is a form of load by its name.
func formOf(name, key string, items int) (form, error) {
	switch {
	case name == "segment" && items == 1:
		return segmentSingle(key), nil
	case name == "segment":
		return segmentBatch(key), nil
	case name == "split":
		return splitBulk(key), nil
	case name == "goff":
		return goffCollector(key), nil
	}
	return form{}, fmt.Errorf("--form %q: the forms are segment, split and goff", name)
}

// measureOther sends one load to a server that the bench did not start.
func (b *bench) measureOther() error {
	address, err := loopbackAddress(b.ctx, b.against)
	if err != nil {
		return err
	}
	f, err := formOf(b.form, b.key, b.options.batch)
	if err != nil {
		return err
	}
	l := load{
		address: address, request: newTemplate(b.against, f, b.options.batch), connections: b.conns, duration: b.duration,
		rate: b.rate / float64(b.options.batch),
	}
	if b.options.batch > 1 {
		l.connections = b.conns / 2
	}
	before, err := b.otherCPU()
	if err != nil {
		return err
	}
	o, err := l.run(b.ctx)
	if err != nil {
		return err
	}
	after, err := b.otherCPU()
	if err != nil {
		return err
	}
	if o.accepted == 0 {
		return fmt.Errorf("nothing was accepted; answers by status: %v", o.statuses)
	}
	name := fmt.Sprintf("%s, %d in a request", b.form, l.request.items)
	items := o.accepted * l.request.items
	b.figure(name, "accepted", perSecond(items, o.took), "/s", nil, o.trouble())
	b.figure(name, "p50", milliseconds(o.latency.quantile(0.5)), "ms", nil, "")
	b.figure(name, "p99", milliseconds(o.latency.quantile(0.99)), "ms", nil, "")
	if b.pid == 0 {
		return nil
	}
	b.figure(name, "server CPU an item", microseconds(after-before)/float64(items), "µs", nil, "while the load lasted; work put off is not in it")
	_, peak, err := residentOf(b.pid)
	if err != nil {
		return err
	}
	b.figure(name, "resident, peak since its start", megabytes(peak), "MB", nil, "")
	return nil
}

// otherCPU is the processor time of --pid; zero without one.
func (b *bench) otherCPU() (time.Duration, error) {
	if b.pid == 0 {
		return 0, nil
	}
	return cpuOf(b.pid)
}
