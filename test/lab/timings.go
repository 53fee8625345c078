//go:build linux

package lab

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Timings are a process's own record of the requests on its connections: the truth
// that counted requests and their latencies are compared with. On a server's
// connection the first receive after a send begins a request and the first send
// after it is the beginning of the answer, on a client's the other way round; what
// follows in the same direction is more of the same.
//
// A send counts from when it is called, a receive when it has returned.
type Timings struct {
	mu  sync.Mutex
	log []Timing
}

// Timing is one request. What has no answer has zero times to it.
type Timing struct {
	First time.Duration `json:"first"` // from the first byte of the request to the first of the answer
	Last  time.Duration `json:"last"`  // ... to the last of the answer
	Send  time.Duration `json:"send"`  // that the last call to send for it took
}

// All returns the requests so far, in the order in which they began.
func (t *Timings) All() []Timing {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Timing(nil), t.log...)
}

// Server records the requests that come on a connection.
func (t *Timings) Server(c net.Conn) net.Conn {
	return &timedConn{Conn: c, timings: t, opens: received}
}

// Client records the requests that are made on a connection.
func (t *Timings) Client(c net.Conn) net.Conn { return &timedConn{Conn: c, timings: t, opens: sent} }

// Listener records the requests that come on the connections it accepts.
func (t *Timings) Listener(l net.Listener) net.Listener { return &timedListener{l, t} }

type timedListener struct {
	net.Listener
	timings *Timings
}

func (l *timedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.timings.Server(c), nil
}

// turn is in which direction bytes went last.
type turn int

const (
	neither turn = iota
	received
	sent
)

// timedConn is only a net.Conn, with what wire needs: what else a *net.TCPConn can
// do, such as sendfile, would go past it.
type timedConn struct {
	net.Conn
	timings *Timings
	opens   turn // in which direction requests go

	// Guarded by timings.mu: one may read while another writes.
	last  turn
	begun time.Time // the request that is open or was last
	at    int       // in timings.log
}

func (c *timedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.moves(received, time.Now())
	}
	return n, err
}

func (c *timedConn) Write(b []byte) (int, error) {
	begun := time.Now()
	at := c.moves(sent, begun)
	n, err := c.Conn.Write(b)
	if at >= 0 {
		c.timings.mu.Lock()
		c.timings.log[at].Send = time.Since(begun)
		c.timings.mu.Unlock()
	}
	return n, err
}

// moves notes that bytes go in a direction, and returns which request they are of;
// -1 for what a server says unasked.
func (c *timedConn) moves(direction turn, when time.Time) int {
	t := c.timings
	t.mu.Lock()
	defer t.mu.Unlock()
	another := c.last != direction
	if direction == c.opens {
		if another {
			c.begun, c.at = when, len(t.log)
			t.log = append(t.log, Timing{})
		}
		c.last = direction
		return c.at
	}
	if c.last == neither {
		return -1
	}
	c.last = direction
	took := when.Sub(c.begun)
	if another {
		t.log[c.at].First = took
	}
	t.log[c.at].Last = took
	return c.at
}

// SyscallConn implements syscall.Conn.
func (c *timedConn) SyscallConn() (syscall.RawConn, error) {
	raw, ok := c.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return raw.SyscallConn()
}
