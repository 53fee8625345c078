//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// This file holds the pair of processes for measuring accuracy: a server that
// knows its own queue, and its load.

// requestBytes is the size of every request and every reply.
const requestBytes = 64

// ServiceConfig describes a Service.
type ServiceConfig struct {
	Network string        `json:"network"` // tcp4, tcp6
	Addr    string        `json:"addr"`
	Time    time.Duration `json:"time"` // mean time that a request is held
	Exp     bool          `json:"exp"`  // exponentially distributed, else constant
	Seed    uint64        `json:"seed"` // of the distribution
}

// Service is a server that answers each request after a time, and logs what
// is outstanding inside.
type Service struct {
	*Process
	Addr string
}

// Service starts a server in the container.
func (c *Container) Service(cfg ServiceConfig) *Service {
	c.t.Helper()
	s := &Service{Process: c.Start("service", cfg)}
	s.Call("addr", nil, &s.Addr)
	return s
}

// Truth returns the requests outstanding in the server (read, not answered)
// between each two consecutive times.
func (s *Service) Truth(bounds []time.Time) []Interval {
	s.t.Helper()
	var out []Interval
	s.Call("truth", bounds, &out)
	return out
}

// LoadConfig describes a Load.
type LoadConfig struct {
	Network string `json:"network"`
	Addr    string `json:"addr"`
	Conns   int    `json:"conns"`

	// Rate > 0 is an open loop: requests begin at that many per second, Poisson,
	// on whichever connection is free. Else each connection sends its next
	// request a mean of Think after the last reply (exponential; 0: at once).
	Rate  float64       `json:"rate"`
	Swing float64       `json:"swing"` // the rate swings by this share of it, up and down in 2 s
	Think time.Duration `json:"think"`
	Seed  uint64        `json:"seed"`
}

// Load is a client of a Service.
type Load struct {
	*Process
}

// Load starts a client and its load.
func (c *Container) Load(cfg LoadConfig) *Load {
	c.t.Helper()
	return &Load{c.Start("load", cfg)}
}

// Truth returns the requests outstanding at the client (sent, not answered).
func (l *Load) Truth(bounds []time.Time) []Interval {
	l.t.Helper()
	var out []Interval
	l.Call("truth", bounds, &out)
	return out
}

func serviceWorkload(w *Worker) error {
	var cfg ServiceConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	l, err := net.Listen(cfg.Network, cfg.Addr)
	if err != nil {
		return err
	}
	book := newLedger()
	go func() {
		for n := uint64(0); ; n++ {
			conn, err := l.Accept()
			if err != nil {
				fail(err)
			}
			go serve(conn, cfg, book, rand.New(rand.NewPCG(cfg.Seed, n)))
		}
	}()
	return w.Serve(map[string]Handler{
		"addr":  Handle(func(any) (string, error) { return l.Addr().String(), nil }),
		"truth": Handle(book.intervals),
	})
}

func serve(conn net.Conn, cfg ServiceConfig, book *ledger, rng *rand.Rand) {
	defer conn.Close()
	buf := make([]byte, requestBytes)
	for {
		if _, err := io.ReadFull(conn, buf); err != nil {
			return
		}
		book.begin()
		d := cfg.Time
		if cfg.Exp {
			d = time.Duration(float64(d) * rng.ExpFloat64())
		}
		hold(d)
		book.end()
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

// hold lets a request be for d. Go's timers are a millisecond late when the
// process is idle, too coarse for the short ones; those block a thread.
func hold(d time.Duration) {
	if d >= 4*time.Millisecond {
		time.Sleep(d)
		return
	}
	ts := unix.NsecToTimespec(int64(d))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, &ts) == unix.EINTR {
	}
}

func loadWorkload(w *Worker) error {
	var cfg LoadConfig
	if err := w.Begin(&cfg); err != nil {
		return err
	}
	book := newLedger()
	conns := make([]net.Conn, cfg.Conns)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial(cfg.Network, cfg.Addr); err != nil {
			return err
		}
	}
	var due chan struct{}
	if cfg.Rate > 0 {
		due = make(chan struct{}, 1<<16)
		go arrive(due, cfg)
	}
	var begun sync.WaitGroup
	for i, conn := range conns {
		begun.Add(1)
		go func() {
			begun.Done()
			request(conn, cfg, due, book, rand.New(rand.NewPCG(cfg.Seed, uint64(i))))
		}()
	}
	begun.Wait()
	return w.Serve(map[string]Handler{"truth": Handle(book.intervals)})
}

// arrive makes requests due at the configured rate. It catches up after
// having slept too long, so the rate holds whatever the timer's grain.
func arrive(due chan<- struct{}, cfg LoadConfig) {
	rng := rand.New(rand.NewPCG(cfg.Seed, 1<<63))
	start := time.Now()
	next := start
	for {
		rate := cfg.Rate * (1 + cfg.Swing*math.Sin(math.Pi*next.Sub(start).Seconds()))
		next = next.Add(time.Duration(rng.ExpFloat64() / rate * 1e9))
		if d := time.Until(next); d > 0 {
			hold(d)
		}
		due <- struct{}{}
	}
}

func request(conn net.Conn, cfg LoadConfig, due <-chan struct{}, book *ledger, rng *rand.Rand) {
	buf := make([]byte, requestBytes)
	for {
		if due != nil {
			<-due
		} else if cfg.Think > 0 {
			hold(time.Duration(float64(cfg.Think) * rng.ExpFloat64()))
		}
		book.begin()
		if _, err := conn.Write(buf); err != nil {
			fail(err)
		}
		if _, err := io.ReadFull(conn, buf); err != nil {
			fail(err)
		}
		book.end()
	}
}

// fail ends a workload from one of its goroutines.
func fail(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("peer closed the connection")
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
