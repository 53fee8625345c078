//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/test/lab"
)

// tracerConfig is what the tracer child is to be.
type tracerConfig struct {
	Exact  bool    `json:"exact"`
	Budget float64 `json:"budget"`
}

// tracerReport is what it says of itself.
type tracerReport struct {
	Probes   []collector.Probe `json:"probes"`
	Cost     collector.Cost    `json:"cost"`
	Passes   int64             `json:"passes"`
	Sockets  int64             `json:"sockets"`   // tracked, in the last tick
	RSSBytes int64             `json:"rss_bytes"` // now
	HWMBytes int64             `json:"hwm_bytes"` // highest so far, start-up included
}

// tracerWorkload runs the collector in a process of its own, as seer run does.
func tracerWorkload(w *lab.Worker) error {
	if err := w.Begin(nil); err != nil {
		return err
	}
	debug.SetGCPercent(100) // the lab turns it off
	var running *running
	return w.Serve(map[string]lab.Handler{
		"on": lab.Handle(func(cfg tracerConfig) (any, error) {
			var err error
			running, err = begin(cfg)
			return nil, err
		}),
		"off":   lab.Handle(func(any) (any, error) { return nil, running.end() }),
		"count": lab.Handle(func(all bool) (any, error) { return nil, running.count(all) }),
		"report": lab.Handle(func(any) (tracerReport, error) {
			r := tracerReport{
				Probes: running.c.Probes(), Cost: running.c.Cost(),
				Passes: running.passes.Load(), Sockets: running.sockets.Load(),
			}
			var err error
			r.RSSBytes, r.HWMBytes, err = memory(os.Getpid())
			return r, err
		}),
	})
}

// running is a collector at work.
type running struct {
	c       *collector.Collector
	cancel  context.CancelFunc
	done    chan error
	first   chan struct{} // closed by the first tick
	once    sync.Once
	passes  atomic.Int64
	sockets atomic.Int64
	counted atomic.Int64 // containers whose requests are counted, in the last tick
}

func begin(cfg tracerConfig) (*running, error) {
	c, err := collector.New(collector.Config{
		Exact: cfg.Exact, CPUBudget: cfg.Budget,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{c: c, cancel: cancel, done: make(chan error, 1), first: make(chan struct{})}
	go func() { r.done <- c.Run(ctx, r) }()
	select {
	case <-r.first:
		return r, nil
	case err := <-r.done:
		return nil, fmt.Errorf("collector ended before its first tick: %w", err)
	}
}

// Consume implements collector.Sink.
func (r *running) Consume(tk *collector.Tick) {
	sockets := 0
	for i := range tk.Rows {
		sockets += tk.Rows[i].Sockets
	}
	r.sockets.Store(int64(sockets))
	r.passes.Add(int64(tk.Passes))
	r.counted.Store(int64(len(tk.Requests)))
	r.once.Do(func() { close(r.first) })
}

// count has the requests of all containers counted, or of none, and returns when
// they are.
func (r *running) count(all bool) error {
	var pick collector.Pick
	if all {
		pick = func(*container.Container) bool { return true }
	}
	r.c.CountExactly("bench", pick)
	for end := time.Now().Add(lab.Deadline); (r.counted.Load() > 0) != all; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("%d containers are counted after %v: %+v", r.counted.Load(), lab.Deadline, r.c.Probes())
		}
	}
	return nil
}

func (r *running) end() error {
	r.cancel()
	err := <-r.done
	if cerr := r.c.Close(); err == nil {
		err = cerr
	}
	return err
}

// memory reads a process's resident set, now and at its highest.
func memory(pid int) (now, highest int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			now, err = strconv.ParseInt(f[1], 10, 64)
		case "VmHWM:":
			highest, err = strconv.ParseInt(f[1], 10, 64)
		}
		if err != nil {
			return 0, 0, err
		}
	}
	return now << 10, highest << 10, nil
}
