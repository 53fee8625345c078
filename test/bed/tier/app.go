package tier

import (
	"context"
	"errors"
	"sync"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// appClient speaks to a replica of another tier, or to nginx.
type appClient struct {
	protocol topology.Protocol
	addr     string

	mu     sync.Mutex
	idle   []wire.Conn // last used last; of gRPC, the only one
	closed bool
}

func newAppClient(p topology.Protocol, addr string) *appClient {
	return &appClient{protocol: p, addr: addr}
}

// prepare has nothing to do: a tier needs no data. Whether it is there shows
// with the first call.
func (c *appClient) prepare(context.Context) error { return nil }

func (c *appClient) call(ctx context.Context, k call) error {
	r := wire.Request{Service: k.service, Endpoint: k.endpoint, Trace: k.trace}
	if c.protocol == topology.ProtocolGRPC {
		conn, err := c.shared(ctx)
		if err != nil {
			return err
		}
		_, err = conn.Call(ctx, r)
		return err
	}
	for {
		conn, used, err := c.get(ctx)
		if err != nil {
			return err
		}
		_, err = conn.Call(ctx, r)
		var remote *wire.RemoteError
		if err == nil || errors.As(err, &remote) {
			c.put(conn)
			return err
		}
		conn.Close()
		// The peer may have closed it while it was idle, as after a restart.
		if !used || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}

// get takes an idle connection or makes one.
func (c *appClient) get(ctx context.Context) (conn wire.Conn, used bool, err error) {
	c.mu.Lock()
	if n := len(c.idle); n > 0 {
		conn, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	conn, err = wire.Dial(ctx, c.protocol, c.addr, nil)
	return conn, false, err
}

func (c *appClient) put(conn wire.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}

// shared returns the connection that all calls share.
func (c *appClient) shared(ctx context.Context) (wire.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		conn, err := wire.Dial(ctx, c.protocol, c.addr, nil)
		if err != nil {
			return nil, err
		}
		c.idle = append(c.idle, conn)
	}
	return c.idle[0], nil
}

func (c *appClient) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, conn := range c.idle {
		conn.Close()
	}
	c.idle = nil
}
