//go:build linux

package lab

import (
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// after returns when wait has passed.
func after(t *testing.T, wait time.Duration) {
	t.Helper()
	start := time.Now()
	Wait(t, wait.String(), func() (bool, string) { return time.Since(start) >= wait, "" })
}

func TestSpinOnOneCPU(t *testing.T) {
	const n = 5
	s := NewContainer(t, "spin", Options{}).Spin(n, 0)
	// Every thread has had a turn, so every one's delay is under way.
	a := s.Usage()
	after(t, 500*time.Millisecond)
	b := s.Usage()
	took := b.At.Sub(a.At)
	running := float64(b.CPU-a.CPU) / float64(took)
	if running > 1.05 || running < .2 {
		t.Errorf("%d threads on one CPU ran %.2f at once, want at most 1 and not starved", n, running)
	}
	// A waiting thread's delay is added when it gets the CPU, so up to one
	// turn of each thread is not in yet.
	waiting := float64(b.Delay-a.Delay) / float64(took)
	if waiting < .5*(n-1) || waiting > n {
		t.Errorf("%d threads on one CPU: %.2f waited, want about %d", n, waiting, n-1)
	}
}

func TestSpinUnderLimit(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("not supported: a limit of one CPU is none on a machine with one")
	}
	s := NewContainer(t, "limit", Options{CPUs: 1}).Spin(6, AnyCPU)
	a := s.Usage()
	after(t, time.Second)
	b := s.Usage()
	running := float64(b.CPU-a.CPU) / float64(b.At.Sub(a.At))
	if running > 1.25 || running < .2 {
		t.Errorf("6 threads under a limit of one CPU ran %.2f at once, want at most 1", running)
	}
}

func TestWriteDirect(t *testing.T) {
	const threads = 4
	w := NewContainer(t, "disk", Options{}).WriteDirect(t.TempDir(), threads, 64<<10)
	before := w.Device.Usage(t)
	w.Go()
	Wait(t, "200 writes", func() (bool, string) {
		u := w.Usage()
		return u.Writes >= 200, fmt.Sprint(u.Writes)
	})
	u, now := w.Usage(), w.Device.Usage(t)
	if got := now.Writes - before.Writes; got < u.Writes-threads {
		t.Errorf("the disk counted %d writes, want at least the process's %d", got, u.Writes)
	}
	if now.Weighted == before.Weighted {
		t.Error("the disk was never busy")
	}
}

func TestServiceTruth(t *testing.T) {
	server := NewContainer(t, "server", Options{})
	client := NewContainer(t, "client", Options{})
	const conns, hold, think = 20, 20 * time.Millisecond, 20 * time.Millisecond
	s := server.Service(ServiceConfig{Network: "tcp4", Addr: "127.0.0.1:0", Time: hold, Seed: 1})
	l := client.Load(LoadConfig{Network: "tcp4", Addr: s.Addr, Conns: conns, Think: think, Seed: 2})
	after(t, 200*time.Millisecond)
	start := time.Now()
	after(t, time.Second)
	end := time.Now()
	at, from := s.Truth([]time.Time{start, end})[0], l.Truth([]time.Time{start, end})[0]
	seconds := end.Sub(start).Seconds()
	// However slow the machine, a request is held for its time at least. Those
	// that were there at the start may have had all of it before.
	if least := float64(at.Ended-conns) * hold.Seconds() / seconds; at.Depth < least || at.Ended < 2*conns {
		t.Errorf("%d requests ended at a depth of %.2f, want more than %d and a depth of at least %.2f", at.Ended, at.Depth, 2*conns, least)
	}
	// A server's request is its client's, too, which is as long in thought as
	// was drawn, at least: what is left bounds the depth. Exponential times add
	// up with a deviation of their mean times the root of their number.
	thought := (float64(from.Begun) - 4*math.Sqrt(float64(from.Begun)) - conns) * think.Seconds() / seconds
	if from.Depth < at.Depth || from.Depth > conns-thought {
		t.Errorf("client's depth = %.2f, want between the server's %.2f and %.2f, what %d thoughts leave of %d", from.Depth, at.Depth, conns-thought, from.Begun, conns)
	}
	if d := from.Ended - at.Ended; d < -conns || d > conns {
		t.Errorf("client ended %d requests, server %d", from.Ended, at.Ended)
	}
}

func TestOpenLoop(t *testing.T) {
	c := NewContainer(t, "open", Options{})
	s := c.Service(ServiceConfig{Network: "tcp4", Addr: "127.0.0.1:0", Time: 5 * time.Millisecond, Exp: true, Seed: 1})
	const rate = 100 // which an emulated processor can keep
	l := c.Load(LoadConfig{Network: "tcp4", Addr: s.Addr, Conns: 64, Rate: rate, Seed: 3})
	start := time.Now()
	after(t, 3*time.Second)
	end := time.Now()
	got := float64(l.Truth([]time.Time{start, end})[0].Begun) / end.Sub(start).Seconds()
	// 300 Poisson arrivals scatter by 6 % (one deviation).
	if got < .7*rate || got > 1.3*rate {
		t.Errorf("open loop began %.0f requests a second, want %d", got, rate)
	}
}

func TestLedgerIntervals(t *testing.T) {
	base := time.Unix(1_700_000_000, 0)
	ms := func(n int) time.Time { return base.Add(time.Duration(n) * time.Millisecond) }
	l := &ledger{base: base}
	for _, e := range []struct {
		ms    int
		ended int64
	}{{5, 0}, {15, 0}, {20, 1}, {40, 1}, {45, 0}} {
		l.log = append(l.log, int64(e.ms)*1e6<<1|e.ended)
	}
	got, err := l.intervals([]time.Time{ms(10), ms(20), ms(40), ms(50), ms(60)})
	if err != nil {
		t.Fatal(err)
	}
	want := []Interval{
		{Depth: 1.5, Begun: 1},          // 1 from the start, 2 for half
		{Depth: 1, Ended: 1},            // one ends at its first instant
		{Depth: .5, Begun: 1, Ended: 1}, // one ends at its first instant, one begins in the middle
		{Depth: 1},                      // nothing happens
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("intervals()[%d] = %+v, want %+v", i, got[i], want[i])
		}
	}
}

// The children's runtime adds no epoll instance of its own.
func TestSocketsOwnNoEpoll(t *testing.T) {
	p := NewContainer(t, "bare", Options{}).Sockets()
	p.Listen("tcp4", "127.0.0.1:0", 1)
	for fd := 0; fd < 64; fd++ {
		buf := make([]byte, 256)
		n, err := unix.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p.PID, fd), buf)
		if err == nil && string(buf[:n]) == "anon_inode:[eventpoll]" {
			t.Errorf("descriptor %d of a Sockets process is an epoll instance", fd)
		}
	}
}
