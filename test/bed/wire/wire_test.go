package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
)

var protocols = []topology.Protocol{topology.ProtocolHTTP, topology.ProtocolThrift, topology.ProtocolGRPC}

// serve starts a server that stops at the end of the test.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := Listen("127.0.0.1:0", 64)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve(%s) = %v, want nil", s.Protocol, err)
		}
	})
	return l.Addr().String()
}

func dial(t *testing.T, p topology.Protocol, addr string) Conn {
	t.Helper()
	conn, err := Dial(t.Context(), p, addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// within is a context that ends long after any test.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// wait polls cond until it holds.
func wait(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 20 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCall(t *testing.T) {
	const trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	for _, p := range protocols {
		for _, workers := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s/%d", p, workers), func(t *testing.T) {
				var mu sync.Mutex
				var got []Request
				addr := serve(t, &Server{Protocol: p, Workers: NewSlots(workers), Handle: func(_ context.Context, r Request) Reply {
					mu.Lock()
					defer mu.Unlock()
					got = append(got, r)
					if r.Endpoint == "broken" {
						return Reply{Err: errors.New("it is broken")}
					}
					return Reply{Size: len(got) * 1000}
				}})
				conn := dial(t, p, addr)
				for i := 1; i <= 100; i++ {
					size, err := conn.Call(within(t), Request{Service: "shop", Endpoint: "list-all", Trace: trace})
					if err != nil || size != i*1000 {
						t.Fatalf("call %d = %d, %v, want %d bytes", i, size, err, i*1000)
					}
				}
				// The connection survives an error of the callee's.
				var remote *RemoteError
				if _, err := conn.Call(within(t), Request{Service: "shop", Endpoint: "broken"}); !errors.As(err, &remote) {
					t.Errorf("call of a broken endpoint: %v, want a RemoteError", err)
				}
				if _, err := conn.Call(within(t), Request{Service: "shop", Endpoint: "list-all"}); err != nil {
					t.Errorf("call after an error: %v", err)
				}
				if len(got) != 102 {
					t.Errorf("server handled %d requests, want 102", len(got))
				}
				want := Request{Service: "shop", Endpoint: "list-all", Trace: trace}
				if p == topology.ProtocolThrift {
					want.Service = "" // does not travel
				}
				if got[0] != want {
					t.Errorf("server got %+v, want %+v", got[0], want)
				}
			})
		}
	}
}

func TestCallDeadline(t *testing.T) {
	for _, p := range protocols {
		t.Run(string(p), func(t *testing.T) {
			release := make(chan struct{})
			addr := serve(t, &Server{Protocol: p, Handle: func(context.Context, Request) Reply {
				<-release
				return Reply{}
			}})
			defer close(release)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := dial(t, p, addr).Call(ctx, Request{Service: "s", Endpoint: "e"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("call of a server that does not answer: %v, want %v", err, context.DeadlineExceeded)
			}
		})
	}
}

// TestWorkersLeaveTheRestInTheKernel has more callers than workers. What has no
// worker must be unread bytes of a socket.
func TestWorkersLeaveTheRestInTheKernel(t *testing.T) {
	const workers, callers = 2, 10
	for _, p := range protocols {
		t.Run(string(p), func(t *testing.T) {
			release := make(chan struct{})
			var inside, most atomic.Int64
			s := &Server{Protocol: p, Workers: NewSlots(workers), Handle: func(_ context.Context, r Request) Reply {
				if r.Endpoint == "connect" {
					return Reply{}
				}
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				<-release
				inside.Add(-1)
				return Reply{Size: 10}
			}}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			spy := &spyListener{Listener: l}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- s.Serve(ctx, spy) }()
			defer func() {
				cancel()
				<-done
			}()
			conns := make([]Conn, callers)
			for i := range conns {
				// One call first, so that connections are made and accepted.
				conns[i] = dial(t, p, l.Addr().String())
				if _, err := conns[i].Call(within(t), Request{Service: "s", Endpoint: "connect"}); err != nil {
					t.Fatal(err)
				}
			}
			var wg sync.WaitGroup
			for i, conn := range conns {
				if i == workers {
					// gRPC's server would read a little ahead of workers that
					// are about to become busy.
					wait(t, "all workers to be busy", func() bool { return inside.Load() == workers })
				}
				wg.Go(func() {
					if _, err := conn.Call(within(t), Request{Service: "s", Endpoint: "e"}); err != nil {
						t.Error(err)
					}
				})
			}
			want := callers - workers
			wait(t, fmt.Sprintf("%d connections with unread bytes", want), func() bool {
				return inside.Load() == workers && spy.unread(t) == want && s.Unread.Load() == int64(want)
			})
			// Without a worker, one connection more is accepted and the rest is not.
			for range 4 {
				late, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer late.Close()
			}
			wait(t, "3 connections in the backlog", func() bool { return backlog(t, l) == 3 })
			close(release)
			wg.Wait()
			wait(t, "the backlog to be accepted", func() bool { return backlog(t, l) == 0 })
			if most.Load() != workers {
				t.Errorf("at most %d requests were worked on at once, want %d", most.Load(), workers)
			}
		})
	}
}

// spyListener remembers what it accepted.
type spyListener struct {
	net.Listener
	mu    sync.Mutex
	conns []*net.TCPConn
}

func (l *spyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, conn.(*net.TCPConn))
		l.mu.Unlock()
	}
	return conn, err
}

// unread counts the connections with bytes that nobody has read (SIOCINQ).
func (l *spyListener) unread(t *testing.T) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, conn := range l.conns {
		raw, err := conn.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			if bytes, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err != nil {
				t.Error(err)
			} else if bytes > 0 {
				n++
			}
		})
	}
	return n
}

// backlog returns how many connections wait to be accepted: tcpi_unacked of a
// listener (tcp_get_info, net/ipv4/tcp.c).
func backlog(t *testing.T, l net.Listener) int {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	n := -1
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Error(err)
			return
		}
		n = int(info.Unacked)
	})
	return n
}

func TestListenBacklog(t *testing.T) {
	l, err := Listen("127.0.0.1:0", 7)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil || info.Sacked != 7 { // sk_max_ack_backlog
			t.Errorf("Listen(backlog 7): the kernel's is %d, %v, want 7", info.Sacked, err)
		}
	})
}

func TestSlots(t *testing.T) {
	s := NewSlots(2)
	for range 2 {
		if err := s.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	order := make(chan int)
	for i := range 3 {
		go func() {
			if s.Acquire(t.Context()) == nil {
				order <- i
			}
		}()
		wait(t, "a waiter", func() bool { return s.Waiting() == i+1 })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire(cancelled) = %v, want %v", err, context.Canceled)
	}
	for i := range 3 {
		s.Release()
		if got := <-order; got != i {
			t.Errorf("place %d went to waiter %d, want the one that came first", i, got)
		}
	}
	if n := s.Waiting(); n != 0 {
		t.Errorf("Waiting() = %d, want 0", n)
	}
}
