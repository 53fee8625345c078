//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"seer/test/lab"
)

// seer is the process under test.
type seer struct {
	socket  string
	metrics string // URL
	cmd     *exec.Cmd
	log     logTail
	exited  chan struct{} // closed once reaped; err is valid then
	err     error
}

// keepBytes bounds the database; a run of 20 minutes stays far below.
const keepBytes = 256 << 20

func startSeer(t lab.TB, program string) *seer {
	dir, err := os.MkdirTemp("", "seer-soak-")
	if err != nil {
		t.Fatalf("soak: %v", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &seer{socket: filepath.Join(dir, "seer.sock"), exited: make(chan struct{})}
	s.cmd = exec.Command(program, "run", "--db", filepath.Join(dir, "db"), "--socket", s.socket,
		"--listen", "127.0.0.1:0", "--keep-bytes", strconv.Itoa(keepBytes))
	s.cmd.Stderr = &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("soak: %v: build it with `make build`", err)
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.exited
	})
	lab.Wait(t, "the first tick", func() (bool, string) {
		s.metrics = s.log.after("serving metrics", "address=")
		if s.metrics == "" {
			return false, s.log.String()
		}
		s.metrics = "http://" + s.metrics
		resp, err := http.Get(s.metrics + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK, resp.Status
	})
	s.metrics += "/metrics"
	return s
}

// stop asks it to end and says how it did.
func (s *seer) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(lab.Deadline):
		return fmt.Errorf("still runs %s after SIGTERM", lab.Deadline)
	}
	if s.err != nil {
		return fmt.Errorf("%w: %s", s.err, s.log.String())
	}
	return nil
}

// sample is one scrape: series as the exposition format names them.
type sample struct {
	at     time.Duration
	values map[string]float64
}

// scrape reads all metrics without a queue's or container's label.
func (s *seer) scrape(t lab.TB, at time.Duration) sample {
	out := sample{at: at, values: map[string]float64{}}
	resp, err := http.Get(s.metrics)
	if err != nil {
		t.Fatalf("scrape: %v: seer wrote: %s", err, s.log.String())
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		series, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(series, "#") || strings.Contains(series, "container=") {
			continue
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			out.values[series] = v
		}
	}
	if err := lines.Err(); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scrape: %s: %v", resp.Status, err)
	}
	return out
}

// logTail keeps what Seer logged last, and is searched for its address.
type logTail struct {
	mu  sync.Mutex
	buf []byte
}

func (l *logTail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, p...)
	if over := len(l.buf) - 64<<10; over > 0 {
		l.buf = l.buf[over:]
	}
	return len(p), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.TrimSpace(l.buf))
}

// after returns the value that follows key in the line with that message.
func (l *logTail) after(message, key string) string {
	for line := range strings.Lines(l.String()) {
		if _, rest, ok := strings.Cut(line, key); ok && strings.Contains(line, message) {
			value, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			return value
		}
	}
	return ""
}
