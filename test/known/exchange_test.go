//go:build linux

package known

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// The workloads whose requests are counted: a server in Go that keeps a record, one
// that moves bytes in a given way (ways_test.go), and their client.
const (
	timedServer = "timed-server"
	waysServer  = "ways-server"
	waysChild   = "ways-child"
	asking      = "asking"
)

// Sizes of what they exchange.
const (
	requestBytes = 100
	replyBytes   = 5000
)

// timedWorkload answers each request after a time.
func timedWorkload(w *lab.Worker) error {
	var service time.Duration
	if err := w.Begin(&service); err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	timings := &lab.Timings{}
	go func() {
		for timed := timings.Listener(l); ; {
			c, err := timed.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, replyBytes)
				for {
					if _, err := io.ReadFull(c, buf[:requestBytes]); err != nil {
						return
					}
					// Go's timers are a millisecond late when the process is idle.
					ts := unix.NsecToTimespec(int64(service))
					for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, &ts) == unix.EINTR {
					}
					if _, err := c.Write(buf); err != nil {
						return
					}
				}
			}()
		}
	}()
	return w.Serve(map[string]lab.Handler{
		"addr":     lab.Handle(func(any) (string, error) { return l.Addr().String(), nil }),
		"requests": lab.Handle(func(any) ([]lab.Timing, error) { return timings.All(), nil }),
	})
}

// askArgs say what a client is to do: n requests on each connection, one after
// another.
type askArgs struct {
	Protocol string `json:"protocol"`
	Addr     string `json:"addr"`
	Conns    int    `json:"conns"`
	N        int    `json:"n"`
}

// askingWorkload makes requests and returns its record of them.
func askingWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	return w.Serve(map[string]lab.Handler{"ask": lab.Handle(func(a askArgs) ([]lab.Timing, error) {
		timings := &lab.Timings{}
		var g errgroup.Group
		for range a.Conns {
			g.Go(func() error {
				call, end, err := clients[a.Protocol](a.Addr, func(ctx context.Context, network, addr string) (net.Conn, error) {
					c, err := new(net.Dialer).DialContext(ctx, network, addr)
					if err != nil {
						return nil, err
					}
					return timings.Client(c), nil
				})
				if err != nil {
					return err
				}
				defer end()
				for range a.N {
					if err := call(); err != nil {
						return err
					}
				}
				return nil
			})
		}
		err := g.Wait()
		return timings.All(), err
	})})
}

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// clients make one request at a time on one connection.
var clients = map[string]func(addr string, dial dialer) (call func() error, end func(), err error){
	"plain": func(addr string, dial dialer) (func() error, func(), error) {
		c, err := dial(context.Background(), "tcp4", addr)
		if err != nil {
			return nil, nil, err
		}
		buf := make([]byte, replyBytes)
		call := func() error {
			if _, err := c.Write(buf[:requestBytes]); err != nil {
				return err
			}
			_, err := io.ReadFull(c, buf)
			return err
		}
		return call, func() { c.Close() }, nil
	},
	"nginx": func(addr string, dial dialer) (func() error, func(), error) {
		t := &http.Transport{DialContext: dial, MaxConnsPerHost: 1}
		client := &http.Client{Transport: t}
		call := func() error {
			r, err := client.Get("http://" + addr + "/file")
			if err != nil {
				return err
			}
			defer r.Body.Close()
			if n, err := io.Copy(io.Discard, r.Body); err != nil || n != fileBytes {
				return fmt.Errorf("an answer of %d bytes, status %s, want %d: %w", n, r.Status, fileBytes, err)
			}
			return nil
		}
		return call, t.CloseIdleConnections, nil
	},
	"redis": func(addr string, dial dialer) (func() error, func(), error) {
		c := redis.NewClient(&redis.Options{Addr: addr, PoolSize: 1, MaxRetries: -1, Dialer: dial})
		return func() error { return c.Set(context.Background(), "key", "value", 0).Err() }, func() { c.Close() }, nil
	},
	"memcached": func(addr string, dial dialer) (func() error, func(), error) {
		c := memcache.New(addr)
		c.DialContext = dial
		c.MaxIdleConns = 1
		return func() error { return c.Set(&memcache.Item{Key: "key", Value: []byte("value")}) }, func() { c.Close() }, nil
	},
}

// fileBytes is the size of what nginx serves: more than a socket takes at once.
const fileBytes = 300_000

// startReal starts a real server in a container, and returns where it listens.
func startReal(c *lab.Container, dir, name string) (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	l.Close()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	var cmd *exec.Cmd
	switch name {
	case "redis":
		cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no")
		cmd.Dir = dir
	case "memcached":
		cmd = exec.Command("memcached", "-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "2")
	case "nginx":
		cmd = exec.Command("nginx", "-c", filepath.Join(dir, "nginx.conf"), "-p", dir)
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(strings.NewReplacer("DIR", dir, "ADDR", addr).Replace(nginxConfig)), 0o600),
			os.WriteFile(filepath.Join(dir, "file"), make([]byte, fileBytes), 0o600))
	}
	if err != nil {
		return "", err
	}
	return addr, c.Run(cmd)
}

const nginxConfig = `
user root;
daemon off;
worker_processes 2;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 256; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
	server { listen ADDR; root DIR; }
}
`
