//go:build linux

package main

import (
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"seer/infer/topology"
	"seer/test/bed/wire"
	"seer/test/lab"
)

type serverConfig struct {
	Protocol string        `json:"protocol"`
	Service  time.Duration `json:"service"`
	Exp      bool          `json:"exp"`
}

// An answer in parts has so many, so far apart.
const (
	answerParts = 5
	partPause   = time.Millisecond
	partBytes   = 512
)

// serverWorkload answers requests after a time and keeps a record of them.
func serverWorkload(w *lab.Worker) error {
	var cfg serverConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	plain, err := wire.Listen("127.0.0.1:0", 511)
	if err != nil {
		return err
	}
	timings := &lab.Timings{}
	l := timings.Listener(plain)
	pauses := newPauses(cfg.Service, cfg.Exp, 1)
	failed := make(chan error, 1)
	go func() { failed <- serve(l, cfg.Protocol, pauses) }()
	return w.Serve(map[string]lab.Handler{
		"addr": lab.Handle(func(any) (string, error) { return l.Addr().String(), nil }),
		"requests": lab.Handle(func(any) ([]lab.Timing, error) {
			select {
			case err := <-failed:
				return nil, err
			default:
				return timings.All(), nil
			}
		}),
	})
}

func serve(l net.Listener, protocol string, pauses *pauses) error {
	switch protocol {
	case netHTTP:
		return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			hold(pauses.next())
			w.Write(make([]byte, answerParts*partBytes))
		}))
	case streamed:
		return http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			hold(pauses.next())
			part := make([]byte, partBytes)
			for i := range answerParts {
				if i > 0 {
					hold(partPause)
				}
				w.Write(part)
				w.(http.Flusher).Flush()
			}
		}))
	}
	s := wire.Server{
		Protocol: wireProtocol(protocol),
		Handle: func(context.Context, wire.Request) wire.Reply {
			hold(pauses.next())
			return wire.Reply{Size: partBytes}
		},
	}
	return s.Serve(context.Background(), l)
}

func wireProtocol(name string) topology.Protocol {
	if name == "thrift" {
		return topology.ProtocolThrift
	}
	return topology.ProtocolHTTP
}

// pauses are service times.
type pauses struct {
	mean time.Duration
	exp  bool
	mu   sync.Mutex
	rng  *rand.Rand
}

func newPauses(mean time.Duration, exp bool, seed uint64) *pauses {
	return &pauses{mean: mean, exp: exp, rng: rand.New(rand.NewPCG(seed, 0))}
}

func (p *pauses) next() time.Duration {
	if !p.exp {
		return p.mean
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(float64(p.mean) * p.rng.ExpFloat64())
}

// hold lets a request be. Go's timers are a millisecond late when the process is
// idle, so it blocks a thread.
func hold(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, &ts) == unix.EINTR {
	}
}
