//go:build linux

package known

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"seer/test/lab"
)

// streamPeer is a workload that serves HTTP/2 without TLS, by net/http and by
// gRPC, or asks such a server; it logs how long each request took.
const streamPeer = "stream-peer"

// askingStreams is what a peer is to ask another.
type askingStreams struct {
	URL        string // of net/http; or
	GRPC       string // address and
	Streaming  bool
	N          int
	Concurrent int
	Body       int // bytes sent with the i-th request: up to this, all sizes between
}

type peer struct {
	client  http.Client
	release chan struct{}
	held    atomic.Int64

	mu   sync.Mutex
	took []time.Duration
	dial map[string]*grpc.ClientConn
}

func (p *peer) log(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, d)
}

func streamWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	p := &peer{release: make(chan struct{}), dial: map[string]*grpc.ClientConn{}}
	p.client.Transport = &http.Transport{Protocols: protocols}
	return w.Serve(map[string]lab.Handler{
		"serve": lab.Handle(func(int) (any, error) { return p.serveHTTP() }),
		"grpc":  lab.Handle(func(int) (any, error) { return p.serveGRPC() }),
		"ask":   lab.Handle(func(a askingStreams) (any, error) { return nil, p.ask(a) }),
		"hold": lab.Handle(func(a askingStreams) (any, error) { // asks, and does not wait for the answers
			go p.ask(a)
			return nil, nil
		}),
		"held": lab.Handle(func(int) (any, error) { return p.held.Load(), nil }),
		"release": lab.Handle(func(int) (any, error) {
			close(p.release)
			p.release = make(chan struct{})
			return nil, nil
		}),
		"took": lab.Handle(func(int) (any, error) { // of the requests since it was last asked
			p.mu.Lock()
			defer p.mu.Unlock()
			took := p.took
			p.took = nil
			slices.Sort(took)
			return took, nil
		}),
	})
}

func (p *peer) serveHTTP() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true)
	server := &http.Server{Protocols: protocols, Handler: p}
	go server.Serve(l)
	return "http://" + l.Addr().String(), nil
}

// ServeHTTP serves /hold until it is released, /sleep/MICROSECONDS, and /echo.
func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	io.Copy(io.Discard, r.Body)
	switch path, rest, _ := strings.Cut(r.URL.Path[1:], "/"); path {
	case "hold":
		release := p.release
		p.held.Add(1)
		defer p.held.Add(-1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	case "sleep":
		us, _ := strconv.Atoi(rest)
		time.Sleep(time.Duration(us) * time.Microsecond)
		defer func() { p.log(time.Since(began)) }()
	case "echo":
		n, _ := strconv.Atoi(rest)
		w.Write(make([]byte, n))
	}
}

func (p *peer) ask(a askingStreams) error {
	var next atomic.Int64
	errs := make(chan error, a.Concurrent)
	for range a.Concurrent {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= a.N {
					errs <- nil
					return
				}
				began := time.Now()
				if err := p.one(a, i); err != nil {
					errs <- err
					return
				}
				p.log(time.Since(began))
			}
		}()
	}
	var failed error
	for range a.Concurrent {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}

func (p *peer) one(a askingStreams, i int) error {
	if a.GRPC != "" {
		return p.call(a, i)
	}
	var body io.Reader
	url := a.URL
	if a.Body > 0 {
		n := i * 7919 % a.Body
		body = strings.NewReader(strings.Repeat("x", n))
		url += "/" + strconv.Itoa(a.Body-n)
	}
	request, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		return err
	}
	r, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.ProtoMajor != 2 {
		return fmt.Errorf("%s answers in %s", a.URL, r.Proto)
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err
}

// The gRPC service has two methods, of which the second streams both ways.
var peerService = grpc.ServiceDesc{
	ServiceName: "lab.Peer",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Ask",
		Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &wrapperspb.BytesValue{}
			return in, decode(in)
		},
	}},
	Streams: []grpc.StreamDesc{{
		StreamName: "Talk", ServerStreams: true, ClientStreams: true,
		Handler: func(_ any, s grpc.ServerStream) error {
			for {
				in := &wrapperspb.BytesValue{}
				if err := s.RecvMsg(in); errors.Is(err, io.EOF) {
					return nil
				} else if err != nil {
					return err
				}
				if err := s.SendMsg(in); err != nil {
					return err
				}
			}
		},
	}},
}

func (p *peer) serveGRPC() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := grpc.NewServer()
	server.RegisterService(&peerService, p)
	go server.Serve(l)
	return l.Addr().String(), nil
}

func (p *peer) conn(address string) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.dial[address]; c != nil {
		return c, nil
	}
	c, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		p.dial[address] = c
	}
	return c, err
}

const talkMessages = 20

func (p *peer) call(a askingStreams, i int) error {
	c, err := p.conn(a.GRPC)
	if err != nil {
		return err
	}
	message := wrapperspb.Bytes(make([]byte, i*7919%max(a.Body, 1)))
	if !a.Streaming {
		return c.Invoke(context.Background(), "/lab.Peer/Ask", message, &wrapperspb.BytesValue{})
	}
	s, err := c.NewStream(context.Background(), &peerService.Streams[0], "/lab.Peer/Talk")
	if err != nil {
		return err
	}
	for range talkMessages {
		if err := s.SendMsg(message); err != nil {
			return err
		}
		if err := s.RecvMsg(&wrapperspb.BytesValue{}); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if err := s.RecvMsg(&wrapperspb.BytesValue{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the last message: %w", err)
	}
	return nil
}
