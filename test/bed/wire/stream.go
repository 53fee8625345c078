package wire

import (
	"bufio"
	"context"
	"errors"
	"net"
	"time"
)

// codec is a protocol in which a connection carries one request at a time.
type codec interface {
	writeRequest(*bufio.Writer, Request) error
	readReply(*bufio.Reader) (size int, err error) // a RemoteError if the callee failed

	readRequest(*bufio.Reader) (Request, error)
	writeReply(*bufio.Writer, Request, Reply) error
}

// bufferBytes is small because a testbed has thousands of connections.
const bufferBytes = 2048

// streamConn is the client's end of such a connection.
type streamConn struct {
	conn  net.Conn
	br    *bufio.Reader
	bw    *bufio.Writer
	codec codec
}

func dialStream(ctx context.Context, dial Dialer, addr string, c codec) (Conn, error) {
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &streamConn{
		conn:  conn,
		br:    bufio.NewReaderSize(conn, bufferBytes),
		bw:    bufio.NewWriterSize(conn, bufferBytes),
		codec: c,
	}, nil
}

func (c *streamConn) Call(ctx context.Context, r Request) (int, error) {
	// The zero time of a context without one means no deadline here too.
	deadline, _ := ctx.Deadline()
	if err := c.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if ctx.Done() != nil && deadline.IsZero() {
		// Cancelled, not timed out: only a deadline wakes a blocked read.
		defer context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })()
	}
	err := c.codec.writeRequest(c.bw, r)
	if err == nil {
		err = c.bw.Flush()
	}
	if err != nil {
		return 0, timedOut(err)
	}
	size, err := c.codec.readReply(c.br)
	return size, timedOut(err)
}

func (c *streamConn) Close() error { return c.conn.Close() }

// timedOut makes a connection's timeout the context's error, which is what
// gRPC's is too.
func timedOut(err error) error {
	var n net.Error
	if errors.As(err, &n) && n.Timeout() {
		return context.DeadlineExceeded
	}
	return err
}
