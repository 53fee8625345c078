package wire

import (
	"context"
	"net"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rawCodec carries bytes as they are. It calls itself proto, as what every
// client and server of gRPC sends.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*int) = data.Len()
	return nil
}

// traceKey is the name of the trace context in the metadata.
const traceKey = "traceparent"

// window lets no answer of the usual size wait for an update of it.
const window = 1 << 20

// grpcConn is a client's connection.
type grpcConn struct {
	cc *grpc.ClientConn
}

func dialGRPC(dial Dialer, addr string) (Conn, error) {
	cc, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(maxReply+1024)),
		grpc.WithReadBufferSize(bufferBytes), grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return dial(ctx, "tcp", addr) }),
		grpc.WithDisableServiceConfig(), grpc.WithNoProxy(), grpc.WithIdleTimeout(0),
		// A replica that was away is found again within a second.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}))
	if err != nil {
		return nil, err
	}
	return &grpcConn{cc}, nil
}

func (c *grpcConn) Call(ctx context.Context, r Request) (int, error) {
	if r.Trace != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, traceKey, r.Trace)
	}
	var size int
	err := c.cc.Invoke(ctx, "/"+r.Service+"/"+r.Endpoint, []byte(nil), &size)
	switch s := status.Convert(err); {
	case err == nil:
		return size, nil
	case s.Code() == codes.DeadlineExceeded:
		return 0, context.DeadlineExceeded
	case s.Code() == codes.Unknown: // what a handler's own error becomes
		return 0, &RemoteError{s.Message()}
	default:
		return 0, err
	}
}

func (c *grpcConn) Close() error { return c.cc.Close() }

func (s *Server) serveGRPC(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.ReadBufferSize(bufferBytes), grpc.WriteBufferSize(bufferBytes),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return s.handleGRPC(stream) }))
	defer context.AfterFunc(ctx, server.Stop)()
	return server.Serve(&gatedListener{l, s, ctx})
}

func (s *Server) handleGRPC(stream grpc.ServerStream) error {
	var size int
	if err := stream.RecvMsg(&size); err != nil {
		return err
	}
	ctx := stream.Context()
	if err := s.Workers.Acquire(ctx); err != nil {
		return err
	}
	defer s.Workers.Release()
	method, _ := grpc.MethodFromServerStream(stream)
	service, endpoint, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	r := Request{Service: service, Endpoint: endpoint}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if v := md.Get(traceKey); len(v) > 0 {
			r.Trace = v[0]
		}
	}
	reply := s.Handle(ctx, r)
	if reply.Err != nil {
		return status.Error(codes.Unknown, reply.Err.Error())
	}
	return stream.SendMsg(padding[:min(reply.Size, maxReply)])
}

// gatedListener makes gRPC's server read only while a worker is free.
type gatedListener struct {
	net.Listener
	s   *Server
	ctx context.Context
}

func (l *gatedListener) Accept() (net.Conn, error) {
	conn, err := l.s.accept(l.ctx, l.Listener)
	if err != nil || l.s.Workers == nil {
		return conn, err
	}
	readable, err := newReadable(conn.(syscall.Conn))
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &gatedConn{conn, l, readable}, nil
}

// gatedConn hands its bytes out a few at a time: one request has about a hundred,
// and those that are read in one go with it wait in the program.
type gatedConn struct {
	net.Conn
	l        *gatedListener
	readable func() error
}

const gatedRead = 128 // bytes

func (c *gatedConn) Read(p []byte) (int, error) {
	if err := c.readable(); err != nil {
		return 0, err
	}
	c.l.s.Unread.Add(1)
	err := c.l.s.Workers.Wait(c.l.ctx)
	c.l.s.Unread.Add(-1)
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(p[:min(len(p), gatedRead)])
}
