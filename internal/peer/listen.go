package peer

import (
	"net"
	"sync"
	"sync/atomic"
)

// Caps says how many connections a listener may have open. Zero: no cap.
type Caps struct {
	// Total is over all addresses. Beyond it new connections wait in the
	// system's queue until one is closed.
	Total int
	// PerAddress is for each address. Beyond it a new connection is closed at
	// once, so that one address cannot take the places of all others.
	PerAddress int
	// Refused is told of each connection that PerAddress closed.
	Refused func(address string)
	// Full is told when Total is reached and a connection has to wait.
	Full func()
}

// A Listener is a net.Listener whose open connections are counted and capped.
type Listener struct {
	net.Listener
	caps   Caps
	slots  chan struct{} // one in it for each connection; nil: no cap
	closed chan struct{}
	once   sync.Once
	open   atomic.Int64

	mu sync.Mutex
	of map[string]int // connections by address
}

// Listen caps the connections that l accepts.
func Listen(l net.Listener, caps Caps) *Listener {
	c := &Listener{Listener: l, caps: caps, closed: make(chan struct{}), of: make(map[string]int)}
	if caps.Total > 0 {
		c.slots = make(chan struct{}, caps.Total)
	}
	return c
}

// Open is how many connections are open.
func (l *Listener) Open() int { return int(l.open.Load()) }

// Close stops accepting; connections that are open stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept waits for a connection that may be opened.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		if !l.acquire() {
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err != nil {
			l.release()
			return nil, err
		}
		address := Address(conn.RemoteAddr().String())
		if l.count(address) {
			l.open.Add(1)
			return &connection{Conn: conn, listener: l, address: address}, nil
		}
		_ = conn.Close() // nothing was said on it
		l.release()
		if l.caps.Refused != nil {
			l.caps.Refused(address)
		}
	}
}

// acquire waits for a free place; false: the listener was closed meanwhile.
func (l *Listener) acquire() bool {
	if l.slots == nil {
		return true
	}
	select {
	case l.slots <- struct{}{}:
		return true
	default:
	}
	if l.caps.Full != nil {
		l.caps.Full()
	}
	select {
	case l.slots <- struct{}{}:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) release() {
	if l.slots != nil {
		<-l.slots
	}
}

// count takes a place of the address, if it has one left.
func (l *Listener) count(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.caps.PerAddress > 0 && l.of[address] >= l.caps.PerAddress {
		return false
	}
	l.of[address]++
	return true
}

// connection gives its place back when it is closed.
type connection struct {
	net.Conn
	listener *Listener
	address  string
	once     sync.Once
}

func (c *connection) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		l := c.listener
		l.mu.Lock()
		if l.of[c.address]--; l.of[c.address] == 0 {
			delete(l.of, c.address)
		}
		l.mu.Unlock()
		l.open.Add(-1)
		l.release()
	})
	return err
}
