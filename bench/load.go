//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"
)

// load is what the generator does to one server. One thread drives all
// connections, because the generator shares the processors with the server:
// whatever it uses up, the server does not get.
type load struct {
	address     netip.AddrPort // loopback only
	request     template
	connections int
	// rate is how many requests are due each second, evenly spread; latency
	// then counts from the moment a request is due, whether or not a
	// connection is free. 0: each connection sends as soon as it was answered.
	rate     float64
	duration time.Duration
	first    uint64 // number of the first item
	// endWithServer ends the load, without an error, when connections break.
	endWithServer bool
	// answered is told of each request that was answered (may be nil).
	answered func(first uint64, status int, at time.Time)
}

// outcome is what came of a load.
type outcome struct {
	sent     int // requests
	accepted int // answered 2xx
	statuses map[int]int
	broken   int // connections that broke under way
	took     time.Duration
	latency  histogram // of accepted requests
	next     uint64    // number of the first item that was not used
}

// client is one keep-alive connection.
type client struct {
	fd      int
	text    []byte // the request, with its numbers
	pending []byte // what of it is not written yet
	writing bool   // waits for room to write
	due     time.Time
	first   uint64 // number of its first item
	answer  answer
}

// generator runs one load.
type generator struct {
	load
	epoll   int
	clients []*client // by file descriptor; nil where there is none
	idle    []*client
	open    int
	buffer  [64 << 10]byte
	outcome
}

// grace is how long answers may take after the last request was sent.
const grace = 15 * time.Second

// run sends until the time is over, the context ends or, with endWithServer,
// the server goes away; then it waits for the answers that are due.
func (l load) run(ctx context.Context) (outcome, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := &generator{load: l}
	g.statuses, g.next = map[int]int{}, l.first
	if err := g.connect(); err != nil {
		g.close()
		return outcome{}, err
	}
	defer g.close()
	err := g.drive(ctx)
	return g.outcome, err
}

func (g *generator) connect() (err error) {
	if !g.address.Addr().IsLoopback() {
		return fmt.Errorf("%s is no loopback address: load goes nowhere else", g.address)
	}
	if g.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("make an epoll: %w", err)
	}
	for range g.connections {
		c := &client{text: append([]byte(nil), g.request.text...)}
		if c.fd, err = dial(g.address); err != nil {
			return fmt.Errorf("connect to %s: %w", g.address, err)
		}
		for len(g.clients) <= c.fd {
			g.clients = append(g.clients, nil)
		}
		g.clients[c.fd] = c
		g.open++
		g.idle = append(g.idle, c)
		event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
		if err := syscall.EpollCtl(g.epoll, syscall.EPOLL_CTL_ADD, c.fd, &event); err != nil {
			return fmt.Errorf("watch a connection: %w", err)
		}
	}
	return nil
}

// dial returns a connected socket that does not block.
func dial(to netip.AddrPort) (int, error) {
	family, address := syscall.AF_INET, syscall.Sockaddr(&syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()})
	if to.Addr().Unmap().Is6() {
		family, address = syscall.AF_INET6, &syscall.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = errors.Join(syscall.Connect(fd, address), syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1), syscall.SetNonblock(fd, true))
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (g *generator) close() {
	for _, c := range g.clients {
		if c != nil {
			g.drop(c)
		}
	}
	if g.epoll > 0 {
		syscall.Close(g.epoll)
	}
}

// drop ends a connection.
func (g *generator) drop(c *client) {
	syscall.Close(c.fd)
	g.clients[c.fd] = nil
	g.open--
}

func (g *generator) drive(ctx context.Context) error {
	start := time.Now()
	events := make([]syscall.EpollEvent, 256)
	for {
		now := time.Now()
		sending := now.Sub(start) < g.duration && ctx.Err() == nil
		if sending {
			now = g.sendDue(start, now)
			g.took = now.Sub(start)
		}
		switch under := g.open - len(g.idle); {
		case g.open == 0 && g.endWithServer:
			return nil
		case g.open == 0:
			return errors.New("every connection broke")
		case !sending && under == 0:
			return ctx.Err()
		case now.Sub(start) > g.duration+grace:
			return fmt.Errorf("%d requests were not answered within %s", under, grace)
		}
		n, err := wait(g.epoll, events, g.pause(start, now, sending))
		if err != nil {
			return fmt.Errorf("wait for answers: %w", err)
		}
		for _, event := range events[:n] {
			g.ready(g.clients[event.Fd], event.Events)
		}
	}
}

// pause is how long to wait for answers at most.
func (g *generator) pause(start, now time.Time, sending bool) time.Duration {
	if !sending || g.rate == 0 || len(g.idle) == 0 {
		return 50 * time.Millisecond
	}
	return max(g.dueAt(start).Sub(now), 0)
}

// dueAt is when the next request is due.
func (g *generator) dueAt(start time.Time) time.Time {
	return start.Add(time.Duration(float64(g.sent) / g.rate * float64(time.Second)))
}

// sendDue sends what is due on connections that are free, and returns the time.
func (g *generator) sendDue(start, now time.Time) time.Time {
	for len(g.idle) > 0 {
		due := now
		if g.rate > 0 {
			if due = g.dueAt(start); due.After(now) {
				break
			}
		}
		// The one that waited longest: so all of them are used.
		c := g.idle[0]
		g.idle = g.idle[1:]
		c.due, c.first = due, g.next
		g.request.fill(c.text, g.next)
		g.next += uint64(g.request.items)
		g.sent++
		c.pending = c.text
		c.answer.reset()
		g.write(c)
		now = time.Now()
	}
	return now
}

// write sends as much as the socket takes.
func (g *generator) write(c *client) {
	for len(c.pending) > 0 {
		n, err := syscall.Write(c.fd, c.pending)
		switch {
		case err == syscall.EAGAIN:
			g.watch(c, true)
			return
		case err == syscall.EINTR:
		case err != nil:
			g.broke(c)
			return
		default:
			c.pending = c.pending[n:]
		}
	}
	if c.writing {
		g.watch(c, false)
	}
}

// watch says whether the connection waits for room to write.
func (g *generator) watch(c *client, writing bool) {
	if c.writing == writing {
		return
	}
	c.writing = writing
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.fd)}
	if writing {
		event.Events |= syscall.EPOLLOUT
	}
	if err := syscall.EpollCtl(g.epoll, syscall.EPOLL_CTL_MOD, c.fd, &event); err != nil {
		g.broke(c)
	}
}

// ready goes on with a connection that can be read or written.
func (g *generator) ready(c *client, events uint32) {
	if c == nil {
		return // it broke earlier in this round
	}
	if events&syscall.EPOLLOUT != 0 {
		g.write(c)
	}
	if g.clients[c.fd] == nil || events&^syscall.EPOLLOUT == 0 {
		return
	}
	n, err := syscall.Read(c.fd, g.buffer[:])
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if err != nil || n == 0 {
		g.broke(c)
		return
	}
	complete, err := c.answer.take(g.buffer[:n])
	if err != nil {
		g.broke(c)
		return
	}
	if complete {
		g.complete(c)
	}
}

// complete counts an answer and frees its connection.
func (g *generator) complete(c *client) {
	now := time.Now()
	g.statuses[c.answer.status]++
	if c.answer.status/100 == 2 {
		g.accepted++
		g.latency.add(now.Sub(c.due))
	}
	if g.answered != nil {
		g.answered(c.first, c.answer.status, now)
	}
	if c.answer.closing || len(c.pending) > 0 { // answered before it was sent
		g.replace(c)
		return
	}
	g.idle = append(g.idle, c)
}

// broke counts a connection that ended under way.
func (g *generator) broke(c *client) {
	g.broken++
	g.replace(c)
}

// replace makes a new connection for one that is of no more use, unless the
// load ends with its server.
func (g *generator) replace(c *client) {
	g.drop(c)
	if i := slices.Index(g.idle, c); i >= 0 {
		g.idle = slices.Delete(g.idle, i, i+1)
	}
	if g.endWithServer {
		return
	}
	fd, err := dial(g.address)
	if err != nil {
		return // one connection less; none at all ends the load
	}
	for len(g.clients) <= fd {
		g.clients = append(g.clients, nil)
	}
	event := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
	if err := syscall.EpollCtl(g.epoll, syscall.EPOLL_CTL_ADD, fd, &event); err != nil {
		syscall.Close(fd)
		return
	}
	fresh := &client{fd: fd, text: c.text}
	g.clients[fd] = fresh
	g.open++
	g.idle = append(g.idle, fresh)
}

// wait waits for events, for a time that epoll_wait, which counts in
// milliseconds, could not be given. An interruption is no event.
func wait(epoll int, events []syscall.EpollEvent, most time.Duration) (int, error) {
	const epollPwait2 = 441 // on every architecture
	timeout := syscall.NsecToTimespec(int64(most))
	n, _, code := syscall.Syscall6(epollPwait2, uintptr(epoll), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if code == syscall.EINTR {
		return 0, nil
	}
	if code != 0 {
		return 0, code
	}
	return int(n), nil
}
