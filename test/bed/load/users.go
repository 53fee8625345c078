package load

import (
	"context"
	"errors"
	"sync"
	"time"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// users are the connections to one entry.
type users struct {
	entry Entry
	keep  int // connections kept open
	dial  wire.Dialer

	mu     sync.Mutex
	idle   []wire.Conn // used longest ago first, so that all are used
	next   int         // replica of the next new connection
	opened int64
}

func newUsers(e Entry, keep int, dial wire.Dialer) *users {
	return &users{entry: e, keep: keep, dial: dial}
}

// open opens the connections to keep.
func (u *users) open(ctx context.Context) error {
	for range u.keep {
		conn, err := u.connect(ctx)
		if err != nil {
			return err
		}
		u.put(conn)
	}
	return nil
}

func (u *users) connect(ctx context.Context) (wire.Conn, error) {
	u.mu.Lock()
	addr := u.entry.Addrs[u.next%len(u.entry.Addrs)]
	u.next++
	u.opened++
	u.mu.Unlock()
	return wire.Dial(ctx, u.entry.Protocol, addr, u.dial)
}

// call sends a request and waits for the answer. It returns when it was sent, the
// zero time if it never was.
func (u *users) call(ctx context.Context, r wire.Request) (sent time.Time, err error) {
	conn := u.take()
	if conn == nil {
		if conn, err = u.connect(ctx); err != nil {
			return time.Time{}, err
		}
	}
	sent = time.Now()
	_, err = conn.Call(ctx, r)
	var remote *wire.RemoteError
	if err != nil && !errors.As(err, &remote) && u.entry.Protocol != topology.ProtocolGRPC {
		conn.Close()
		return sent, err
	}
	if u.entry.Protocol != topology.ProtocolGRPC {
		u.put(conn)
	}
	return sent, err
}

// take returns an idle connection, nil if there is none. Those of gRPC are never
// busy.
func (u *users) take() wire.Conn {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.idle) == 0 {
		return nil
	}
	conn := u.idle[0]
	u.idle = u.idle[1:]
	if u.entry.Protocol == topology.ProtocolGRPC {
		u.idle = append(u.idle, conn)
	}
	return conn
}

// put gives a connection back. Those beyond the number to keep were for a rush.
func (u *users) put(conn wire.Conn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.idle) >= u.keep {
		conn.Close()
		return
	}
	u.idle = append(u.idle, conn)
}

func (u *users) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, conn := range u.idle {
		conn.Close()
	}
	u.idle = nil
}
