package wire

import (
	"context"
	"fmt"
	"net"

	"seer/infer/topology"
)

// Request is one call as it travels.
type Request struct {
	Service  string // callee
	Endpoint string
	Trace    string // W3C traceparent, may be ""
}

// Reply is the answer to a Request. An error travels as its text.
type Reply struct {
	Size int // bytes
	Err  error
}

// RemoteError is an answer that says that the callee failed. The connection it
// came on is as good as before.
type RemoteError struct {
	Text string
}

func (e *RemoteError) Error() string { return e.Text }

// Conn is a connection to one replica. Only gRPC's takes a second Call before
// the first has returned.
type Conn interface {
	// Call returns the size of the answer in bytes. After any error but a
	// RemoteError the connection is of no more use, except with gRPC, which
	// connects again by itself.
	Call(ctx context.Context, r Request) (int, error)
	Close() error
}

// Dialer makes the connections of a Conn, as net.Dialer.DialContext does.
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial connects to a replica, by net.Dialer if dial is nil. With gRPC it returns
// at once and the first Call connects.
func Dial(ctx context.Context, p topology.Protocol, addr string, dial Dialer) (Conn, error) {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	switch p {
	case topology.ProtocolHTTP:
		return dialStream(ctx, dial, addr, httpCodec{})
	case topology.ProtocolThrift:
		return dialStream(ctx, dial, addr, thriftCodec{})
	case topology.ProtocolGRPC:
		return dialGRPC(dial, addr)
	}
	return nil, fmt.Errorf("dial %s: no client for protocol %q: it is one of http, grpc, thrift", addr, p)
}

// padding is what answers are filled with.
var padding [maxReply]byte

// maxReply bounds an answer, so that a wrong size in a message cannot ask for
// all memory.
const maxReply = 16 << 20
