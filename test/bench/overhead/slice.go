//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"seer/test/lab"
)

// slice is what a server did in an interval.
type slice struct {
	requests int64
	cpu      time.Duration
	took     time.Duration
}

func (s slice) plus(o slice) slice {
	return slice{s.requests + o.requests, s.cpu + o.cpu, s.took + o.took}
}

// cpuPerRequest is in seconds.
func (s slice) cpuPerRequest() float64 { return s.cpu.Seconds() / float64(s.requests) }

// rate is in requests per second.
func (s slice) rate() float64 { return float64(s.requests) / s.took.Seconds() }

// slice measures the server for a while.
func (s *target) slice(t lab.TB, length time.Duration) slice {
	read := func() slice {
		n, err := s.count()
		if err != nil {
			t.Fatalf("%v", err)
		}
		cpu, err := cpuTime(s.server)
		if err != nil {
			t.Fatalf("CPU time of %s: %v", s.name, err)
		}
		return slice{requests: n, cpu: cpu}
	}
	start := time.Now()
	a := read()
	select {
	case <-time.After(length):
	case <-t.Context().Done():
		t.Fatalf("interrupted")
	}
	b := read()
	return slice{b.requests - a.requests, b.cpu - a.cpu, time.Since(start)}
}

// threads returns /proc/PID/task/TID of all threads of a container.
func threads(c *lab.Container) ([]string, error) {
	var out []string
	for _, pid := range c.PIDs() {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return nil, err
		}
		out = append(out, tasks...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no threads: its program has ended", c.Name)
	}
	return out, nil
}

// cpuTime sums the time that the container's threads have run.
func cpuTime(c *lab.Container) (time.Duration, error) {
	tasks, err := threads(c)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			return 0, err
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// bind restricts a container's threads, and those they start, to one CPU.
func bind(c *lab.Container, cpu int) error {
	tasks, err := threads(c)
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(cpu)
	for _, task := range tasks {
		tid, err := strconv.Atoi(filepath.Base(task))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil {
			return fmt.Errorf("bind thread %d: %w", tid, err)
		}
	}
	return nil
}
