package tier

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// tier is one replica of a service.
type tier struct {
	cfg    Config
	worker *worker
	server *wire.Server
	peers  map[string]*peer
	spans  *spanLog

	// The seed of what is random in a request is that of the tier and its number.
	seed   uint64
	number atomic.Uint64

	served level
	counts counts
	fault  atomic.Pointer[activeFault]

	async        atomic.Int64
	asyncRefused atomic.Int64
	background   sync.WaitGroup

	lockMu sync.Mutex
	locks  map[string]*wire.Slots
}

// Many of these run on few CPUs: two threads of Go each are enough, and with a
// heap of a few megabytes a collection now and then costs less than the memory.
const (
	maxProcs  = 2
	gcPercent = 100
)

// drainTime is how long requests under way have to end once Main is to stop.
const drainTime = time.Second

// Main is the program: it serves until the context is done.
func Main(ctx context.Context, cfg Config) error {
	runtime.GOMAXPROCS(maxProcs)
	debug.SetGCPercent(gcPercent)
	t, err := newTier(cfg)
	if err != nil {
		return fmt.Errorf("tier %s: %w", cfg.Name, err)
	}
	err = t.run(ctx)
	if err := errors.Join(err, t.close()); err != nil {
		return fmt.Errorf("tier %s: %w", cfg.Name, err)
	}
	return nil
}

func newTier(cfg Config) (*tier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t := &tier{
		cfg:    cfg,
		seed:   cfg.seed(),
		worker: newWorker(&cfg),
		peers:  map[string]*peer{},
		locks:  map[string]*wire.Slots{},
	}
	t.server = &wire.Server{Protocol: cfg.Service.Protocol, Workers: wire.NewSlots(cfg.Service.Workers), Handle: t.handle}
	var err error
	if t.spans, err = openSpanLog(cfg.Spans, cfg.SpansBytes); err != nil {
		return nil, err
	}
	for name, p := range cfg.Peers {
		if t.peers[name], err = newPeer(name, p, cfg.Service.Pool); err != nil {
			delete(t.peers, name)
			return nil, errors.Join(err, t.close())
		}
	}
	return t, nil
}

func (t *tier) run(ctx context.Context) error {
	l, err := wire.Listen(t.cfg.Listen, t.cfg.Service.Backlog)
	if err != nil {
		return err
	}
	// The server stops a little later than all else.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return t.server.Serve(serving, l) })
	g.Go(func() error {
		<-ctx.Done()
		t.drain()
		stop()
		return nil
	})
	g.Go(func() error {
		if err := t.prepare(ctx); err != nil || ctx.Err() != nil || t.cfg.Control == "" {
			return err
		}
		return t.serveControl(ctx, t.cfg.Control)
	})
	return g.Wait()
}

// prepare makes the peers ready, and what its own work needs.
func (t *tier) prepare(ctx context.Context) error {
	memory, disk := t.cfg.works()
	if memory {
		if _, err := t.worker.memory(); err != nil {
			return err
		}
	}
	if disk {
		if _, err := t.worker.diskFile(); err != nil {
			return err
		}
	}
	for _, p := range t.peers {
		if err := p.prepare(ctx); err != nil {
			if ctx.Err() != nil {
				return nil // stopped before it could
			}
			return err
		}
	}
	return nil
}

// drain waits until nothing is under way, for a while.
func (t *tier) drain() {
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	end := time.After(drainTime)
	for t.served.read().Now > 0 {
		select {
		case <-poll.C:
		case <-end:
			return
		}
	}
}

func (t *tier) close() error {
	t.setFault(nil)
	for _, p := range t.peers {
		p.close()
	}
	t.background.Wait() // their calls have timeouts
	return t.spans.close()
}

// lock returns the lock of that name.
func (t *tier) lock(name string) *wire.Slots {
	t.lockMu.Lock()
	defer t.lockMu.Unlock()
	mu := t.locks[name]
	if mu == nil {
		mu = wire.NewSlots(1)
		t.locks[name] = mu
	}
	return mu
}

// walk visits every step of a service.
func walk(s *topology.Service, visit func(*topology.Step)) {
	var all func([]topology.Step)
	all = func(steps []topology.Step) {
		for i := range steps {
			step := &steps[i]
			visit(step)
			all(step.Parallel)
			if step.Cache != nil {
				all(step.Cache.Miss)
			}
			if step.Lock != nil {
				all(step.Lock.Steps)
			}
		}
	}
	for _, steps := range s.Endpoints {
		all(steps)
	}
}

// works says whether the service does memory work and disk work.
func (c *Config) works() (memory, disk bool) {
	walk(c.Service, func(step *topology.Step) {
		if w := step.Work; w != nil {
			memory = memory || w.Memory > 0
			disk = disk || w.Disk > 0
		}
	})
	return memory, disk
}
