//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// target is a server under load that keeps the count of its own requests.
type target struct {
	name    string
	server  *lab.Container
	load    *lab.Container
	counter net.Conn
	ask     string // what to send for the count
	parse   func(*bufio.Reader) (int64, error)
	replies *bufio.Reader
}

// connections of the load: enough that the server is never idle for long.
const connections = 50

// maxRequests bounds a load that is otherwise ended by this program.
const maxRequests = 200_000_000

// startTarget starts a server on the first CPU and its load on the last.
func startTarget(t lab.TB, name string) (*target, error) {
	s := &target{name: name, server: lab.NewContainer(t, name, lab.Options{}), load: lab.NewContainer(t, name+"-load", lab.Options{})}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + port
	var server, load *exec.Cmd
	switch name {
	case "redis":
		server = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--daemonize", "no")
		load = exec.Command("redis-benchmark", "-p", port, "-t", "get", "-P", "1", "-c", strconv.Itoa(connections), "-n", strconv.Itoa(maxRequests), "-q")
		s.ask, s.parse = "INFO stats\r\n", redisCount
	case "nginx":
		dir, err := os.MkdirTemp("", "seer-bench-nginx")
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		config := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(config, []byte(strings.NewReplacer("DIR", dir, "ADDR", addr).Replace(nginxConfig)), 0o600); err != nil {
			return nil, err
		}
		server = exec.Command("nginx", "-c", config, "-p", dir)
		load = exec.Command("wrk", "-t", "1", "-c", strconv.Itoa(connections), "-d", "2h", "http://"+addr+"/")
		s.ask, s.parse = "GET /status HTTP/1.1\r\nHost: bench\r\n\r\n", nginxCount
	case "memcached":
		server = exec.Command("memcached", "-u", "root", "-l", "127.0.0.1", "-p", port, "-U", "0", "-t", "1")
		s.ask, s.parse = "stats\r\n", memcachedCount
	default:
		return nil, fmt.Errorf("no such server, give redis, nginx or memcached")
	}
	if err := s.server.Run(server); err != nil {
		return nil, err
	}
	lab.Wait(t, name+" to listen", func() (bool, string) {
		var err error
		s.counter, err = net.Dial("tcp4", addr)
		return err == nil, fmt.Sprint(err)
	})
	t.Cleanup(func() { s.counter.Close() })
	s.replies = bufio.NewReader(s.counter)
	if load == nil {
		s.load.Start("memcached-load", memcachedLoad{Addr: addr, Conns: connections})
	} else if err := s.load.Run(load); err != nil {
		return nil, err
	}
	first, err := s.count()
	if err != nil {
		return nil, err
	}
	lab.Wait(t, name+" to be under load", func() (bool, string) {
		n, err := s.count()
		return err == nil && n > first+10_000, fmt.Sprintf("%d requests, %v", n-first, err)
	})
	last := runtime.NumCPU() - 1
	if err := errors.Join(bind(s.server, 0), bind(s.load, last)); err != nil {
		return nil, err
	}
	return s, nil
}

const nginxConfig = `
daemon off;
worker_processes 1;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	client_body_temp_path DIR; proxy_temp_path DIR; fastcgi_temp_path DIR; uwsgi_temp_path DIR; scgi_temp_path DIR;
	server {
		listen ADDR;
		location = /status { stub_status; }
		location / { return 204; }
	}
}
`

func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// stop ends the load and the server, so that the next ones have the CPUs.
func (s *target) stop() {
	for _, c := range []*lab.Container{s.load, s.server} {
		for _, pid := range c.PIDs() {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// count returns the requests that the server has answered so far.
func (s *target) count() (int64, error) {
	s.counter.SetDeadline(time.Now().Add(lab.Deadline))
	if _, err := s.counter.Write([]byte(s.ask)); err != nil {
		return 0, fmt.Errorf("count requests of %s: %w", s.name, err)
	}
	n, err := s.parse(s.replies)
	if err != nil {
		return 0, fmt.Errorf("count requests of %s: %w", s.name, err)
	}
	return n, nil
}

// lineWith reads lines up to one that begins with prefix and returns what
// follows it on that line.
func lineWith(r *bufio.Reader, prefix string) (string, error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(line, prefix); ok {
			return strings.TrimSpace(rest), nil
		}
	}
}

// redisCount reads a RESP bulk string.
func redisCount(r *bufio.Reader) (int64, error) {
	length, err := lineWith(r, "$")
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(length)
	if err != nil {
		return 0, err
	}
	text := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(r, text); err != nil {
		return 0, err
	}
	value, err := lineWith(bufio.NewReader(strings.NewReader(string(text))), "total_commands_processed:")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(value, 10, 64)
}

// nginxCount reads stub_status: " accepts handled requests", three numbers,
// then a line that begins with "Reading".
func nginxCount(r *bufio.Reader) (int64, error) {
	if _, err := lineWith(r, "server accepts handled requests"); err != nil {
		return 0, err
	}
	numbers, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	f := strings.Fields(numbers)
	if len(f) != 3 {
		return 0, fmt.Errorf("status %q: want three numbers", numbers)
	}
	if _, err := lineWith(r, "Reading:"); err != nil {
		return 0, err
	}
	return strconv.ParseInt(f[2], 10, 64)
}

func memcachedCount(r *bufio.Reader) (int64, error) {
	value, err := lineWith(r, "STAT cmd_get ")
	if err != nil {
		return 0, err
	}
	if _, err := lineWith(r, "END"); err != nil {
		return 0, err
	}
	return strconv.ParseInt(value, 10, 64)
}
