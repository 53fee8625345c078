//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"seer/test/lab"
)

// workloads are the programs in the containers that last.
var workloads = map[string]lab.Workload{
	"soak-server": serverWorkload,
	"soak-client": clientWorkload,
	"soak-forker": forkerWorkload,
}

// messageBytes is the size of a request and of its answer.
const messageBytes = 64

// serverWorkload answers one request per connection.
func serverWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				fail(err)
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, messageBytes)
				if _, err := io.ReadFull(conn, buf); err != nil {
					return
				}
				if _, err := conn.Write(buf); err != nil {
					return
				}
				io.Copy(io.Discard, conn) // until the client has closed
			}()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	return w.Serve(map[string]lab.Handler{
		"port": func(json.RawMessage) (any, error) { return port, nil },
	})
}

// clientConfig says where to connect: a port on the addresses 127.0.0.1 and up,
// so that connections in TIME_WAIT do not use up the local ports.
type clientConfig struct {
	Port string `json:"port"`
	Rate int    `json:"rate"` // per second
}

const (
	clientThreads   = 4
	clientAddresses = 8
)

// clientWorkload connects at a steady rate and catches up after a pause.
func clientWorkload(w *lab.Worker) error {
	var cfg clientConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	var done atomic.Int64
	for i := range clientThreads {
		go func() {
			next := time.Now()
			for n := i; ; n++ {
				next = next.Add(clientThreads * time.Second / time.Duration(cfg.Rate))
				time.Sleep(time.Until(next))
				addr := fmt.Sprintf("127.0.0.%d:%s", 1+n%clientAddresses, cfg.Port)
				if err := exchange(addr); err != nil {
					fail(err)
				}
				done.Add(1)
			}
		}()
	}
	return w.Serve(map[string]lab.Handler{
		"done": func(json.RawMessage) (any, error) { return done.Load(), nil },
	})
}

// exchange is one short connection.
func exchange(addr string) error {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	buf := make([]byte, messageBytes)
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	_, err = io.ReadFull(conn, buf)
	return err
}

// forkerWorkload starts processes that end at once.
func forkerWorkload(w *lab.Worker) error {
	var rate int
	if err := w.Begin(&rate); err != nil {
		return err
	}
	var done atomic.Int64
	go func() {
		for next := time.Now(); rate > 0; done.Add(1) {
			next = next.Add(time.Second / time.Duration(rate))
			time.Sleep(time.Until(next))
			if err := exec.Command("true").Run(); err != nil {
				fail(err)
			}
		}
	}()
	return w.Serve(map[string]lab.Handler{
		"done": func(json.RawMessage) (any, error) { return done.Load(), nil },
	})
}

// fail ends a workload from one of its goroutines; the parent's next call
// shows why.
func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
