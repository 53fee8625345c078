//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"seer/test/bed/wire"
	"seer/test/lab"
)

type clientConfig struct {
	Protocol string        `json:"protocol"`
	Addr     string        `json:"addr"`
	Conns    int           `json:"conns"`
	Service  time.Duration `json:"service"` // where the client asks for it
	Exp      bool          `json:"exp"`
}

// leastRequests are made whatever time they take.
const leastRequests = 200

// clientWorkload makes requests, one after another on each connection, and keeps a
// record of them.
func clientWorkload(w *lab.Worker) error {
	var cfg clientConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	return w.Serve(map[string]lab.Handler{
		"run": lab.Handle(func(length time.Duration) ([]lab.Timing, error) {
			timings := &lab.Timings{}
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return timings.Client(c), nil
			}
			var made atomic.Int64
			end := time.Now().Add(length)
			g, ctx := errgroup.WithContext(context.Background())
			for i := range cfg.Conns {
				g.Go(func() error {
					u, err := protocols[cfg.Protocol].dial(ctx, dial, cfg, newPauses(cfg.Service, cfg.Exp, uint64(i)))
					if err != nil {
						return fmt.Errorf("%s: connect: %w", cfg.Protocol, err)
					}
					for time.Now().Before(end) || made.Load() < leastRequests {
						if err := u.call(ctx); err != nil {
							return fmt.Errorf("%s: %w", cfg.Protocol, err)
						}
						made.Add(1)
					}
					return u.close()
				})
			}
			err := g.Wait()
			return timings.All(), err
		}),
	})
}

// user is one connection, or one after another.
type user struct {
	call  func(context.Context) error
	close func() error
}

// protocol is how requests are made.
type protocol struct {
	// start starts the server in a container, and returns its address; nil is this
	// program's own.
	start func(lab.TB, *lab.Container) string
	conns func(service time.Duration) int
	dial  func(context.Context, wire.Dialer, clientConfig, *pauses) (user, error)
}

// protocolNames are in the order of the table.
var protocolNames = []string{"http", "http-connect", netHTTP, streamed, "thrift", "redis", "redis-pipelined", "postgresql"}

// By Go's own server and client, which read while they write; and with an answer in
// parts.
const (
	netHTTP  = "net-http"
	streamed = "net-http-parts"
)

var protocols = map[string]protocol{
	"http":            {conns: some, dial: dialWire},
	"http-connect":    {conns: some, dial: dialEachTime},
	"thrift":          {conns: some, dial: dialWire},
	netHTTP:           {conns: some, dial: dialHTTP},
	streamed:          {conns: some, dial: dialHTTP},
	"redis":           {start: startRedis, conns: two, dial: dialRedis},
	"redis-pipelined": {start: startRedis, conns: two, dial: dialRedisPipelined},
	"postgresql":      {start: startPostgreSQL, conns: some, dial: dialPostgreSQL},
}

// some keep two CPUs busy, but not for long: 1,000 requests a second.
func some(service time.Duration) int { return max(1, min(100, int(service/time.Millisecond))) }

// two wait for a server that sleeps with all of its threads: one is served, one waits.
func two(time.Duration) int { return 2 }

func dialWire(ctx context.Context, dial wire.Dialer, cfg clientConfig, _ *pauses) (user, error) {
	c, err := wire.Dial(ctx, wireProtocol(cfg.Protocol), cfg.Addr, dial)
	if err != nil {
		return user{}, err
	}
	return user{call: func(ctx context.Context) error { return ask(ctx, c) }, close: c.Close}, nil
}

func ask(ctx context.Context, c wire.Conn) error {
	_, err := c.Call(ctx, wire.Request{Service: "bench", Endpoint: "answer"})
	return err
}

// dialEachTime has a connection for each request.
func dialEachTime(_ context.Context, dial wire.Dialer, cfg clientConfig, _ *pauses) (user, error) {
	call := func(ctx context.Context) error {
		c, err := wire.Dial(ctx, wireProtocol(cfg.Protocol), cfg.Addr, dial)
		if err != nil {
			return err
		}
		if err := ask(ctx, c); err != nil {
			c.Close()
			return err
		}
		return c.Close()
	}
	return user{call: call, close: func() error { return nil }}, nil
}
