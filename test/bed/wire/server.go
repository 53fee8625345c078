package wire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
)

// Server answers requests of one protocol.
type Server struct {
	Protocol topology.Protocol

	// Workers bounds the requests worked on; nil does not. What is beyond waits
	// in the sockets. Only gRPC's server, which reads from a connection while it
	// works, may have read a little more per connection: what was there at once
	// when the last worker became busy, one request or two.
	Workers *Slots

	// Unread is how many connections have something to read, and no worker to
	// read it.
	Unread atomic.Int64

	// Handle answers a request. With gRPC, the context ends with the caller's.
	Handle func(ctx context.Context, r Request) Reply
}

// Listen listens with a backlog of its own, which package net does not offer.
// The kernel holds it to net.core.somaxconn.
func Listen(addr string, backlog int) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		// A second listen(2) only changes the backlog (inet_listen, net/ipv4/af_inet.c).
		err = errors.Join(raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), backlog) }), err)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("listen on %s: set the backlog to %d: %w", addr, backlog, err)
	}
	return l, nil
}

// Serve accepts connections and answers what comes on them until the context is
// done; it then closes all of them. The listener is closed when it returns.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer l.Close()
	var err error
	switch s.Protocol {
	case topology.ProtocolHTTP:
		err = s.serveStreams(ctx, l, httpCodec{})
	case topology.ProtocolThrift:
		err = s.serveStreams(ctx, l, thriftCodec{})
	case topology.ProtocolGRPC:
		err = s.serveGRPC(ctx, l)
	default:
		return fmt.Errorf("serve on %s: no server for protocol %q: it is one of http, grpc, thrift", l.Addr(), s.Protocol)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveStreams has a goroutine per connection, as Thrift's threaded servers have
// a thread.
func (s *Server) serveStreams(ctx context.Context, l net.Listener, c codec) error {
	var (
		mu    sync.Mutex
		conns = map[net.Conn]struct{}{}
		wg    sync.WaitGroup
	)
	defer func() {
		mu.Lock()
		for conn := range conns {
			conn.Close()
		}
		mu.Unlock()
		wg.Wait()
	}()
	for {
		conn, err := s.accept(ctx, l)
		if err != nil {
			return err
		}
		mu.Lock()
		conns[conn] = struct{}{}
		mu.Unlock()
		wg.Go(func() {
			s.serveStream(ctx, conn, c)
			mu.Lock()
			delete(conns, conn)
			mu.Unlock()
			conn.Close()
		})
	}
}

// accept waits for a worker and takes a connection from the backlog. One that
// arrives after all workers have become busy is taken too, the next is not.
func (s *Server) accept(ctx context.Context, l net.Listener) (net.Conn, error) {
	if s.Workers != nil {
		if err := s.Workers.Wait(ctx); err != nil {
			return nil, err
		}
	}
	return l.Accept()
}

func (s *Server) serveStream(ctx context.Context, conn net.Conn, c codec) {
	readable, err := newReadable(conn.(syscall.Conn))
	if err != nil {
		return
	}
	br := bufio.NewReaderSize(conn, bufferBytes)
	bw := bufio.NewWriterSize(conn, bufferBytes)
	one := func() bool {
		if s.Workers != nil && br.Buffered() == 0 && readable() != nil {
			return false
		}
		s.Unread.Add(1)
		err := s.Workers.Acquire(ctx)
		s.Unread.Add(-1)
		if err != nil {
			return false
		}
		defer s.Workers.Release()
		r, err := c.readRequest(br)
		if err != nil {
			return false
		}
		return c.writeReply(bw, r, s.Handle(ctx, r)) == nil && bw.Flush() == nil
	}
	for one() {
	}
}

// newReadable returns a function that waits until there is something to read, or
// an end, and leaves it where it is.
func newReadable(conn syscall.Conn) (func() error, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	return func() error {
		return raw.Read(func(fd uintptr) bool {
			// Not a peek: that would be a receive to whoever traces receives.
			fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(fds, 0)
			return n != 0 || (err != nil && err != unix.EINTR)
		})
	}, nil
}
