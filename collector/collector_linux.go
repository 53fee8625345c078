package collector

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"seer/bpf"
	"seer/collector/container"
)

// Collector traces every queue of every container on this host. New attaches,
// Run samples until its context ends, Close detaches.
type Collector struct {
	cfg          Config
	log          *slog.Logger
	resolver     *container.Resolver
	programs     *programs
	memory       *memory
	slots        *slots
	epolls       *epollTable   // nil where discovery does not work
	tracked      *trackedTable // nil where the kernel's list of sockets serves
	backlog      *backlog
	choice       choice // whose requests are to be counted
	countEntries atomic.Bool
	exact        *exactMode // nil where no flavour works
	counted      *counted   // nil with exact
	exactErr     error
	streams      *streams
	dumpErr      error
	dumping      sync.Mutex
	edges        *edges // nil where sockets cannot be listed

	// rowsMu is held while rows are read into a tick and while they are freed.
	rowsMu    sync.Mutex
	assembler *assembler
	health    []Probe // of the sampler's families, as of the last tick

	socket, epoll, task, discover *family
	block                         Probe
	nic                           Probe

	ledger  ledger
	rested  uint32 // visits since one began a pass
	due     due
	pace    atomic.Pointer[pace]
	passive pace // wanted, but for exact mode

	// status is what other goroutines may ask, renewed by housekeeping.
	statusMu sync.Mutex
	probes   []Probe
	cost     Cost
	losses   []Loss
	graph    []LiveEdge // never modified
	lossSum  atomic.Uint64

	late      atomic.Uint64 // ticks that began late because the last took too long
	closeOnce sync.Once
}

// New loads and attaches what the kernel allows. A queue whose program is
// refused is turned off, logged, and reported by Probes; without sockets there
// is nothing to do and New returns an error that wraps [ErrUnsupported] if the
// kernel is the reason. No goroutine is started.
func New(cfg Config) (_ *Collector, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Collector{cfg: cfg, log: cfg.Logger, resolver: cfg.Resolver}
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	if c.resolver == nil {
		if c.resolver, err = container.New(container.Config{GroupBy: cfg.GroupBy}); err != nil {
			return nil, err
		}
	}
	if c.programs, err = newPrograms(cfg); err != nil {
		return nil, err
	}
	if err = c.programs.loadSockets(); err != nil {
		return nil, err
	}
	if c.memory, err = mapMemory(c.programs.shared); err != nil {
		return nil, err
	}
	if c.programs.inTable {
		if c.tracked, err = newTrackedTable(c.memory, c.programs.shared); err != nil {
			return nil, err
		}
	}
	c.slots = newSlots(c.memory, c.programs.shared)
	c.streams = newStreams(c.programs, c.resolver, cfg.NameSamples)
	c.assembler = newAssembler(c.slots, c.resolver, cfg.GroupBy)
	c.assembler.streams = c.streams
	if cfg.Exact {
		c.choice.set("everybody", func(*container.Container) bool { return true })
	}
	c.passive = pace{PassHz: cfg.PassHz, QuietEvery: 1, SubsetCount: 1}
	first := c.wanted()
	if cfg.CPUBudget < 1 {
		first.PassHz = min(first.PassHz, firstHz)
	}
	c.setPace(first)
	c.follow(c.resolver.Choice())

	c.loadFamilies()
	// The kernel's types are some 20 MB once parsed, and only loading needs them.
	c.programs.types = nil
	debug.FreeOSMemory()
	return c, nil
}

// A visit to sockets lasts no longer than longestVisit or a quarter of a tick;
// what is left of the pass waits for the next visit. It bounds each read(2), too,
// which an ordinary kernel does not preempt and which holds back RCU's grace
// periods; where another task waits for the CPU it ends sooner (read_ends,
// bpf/rotation.bpf.h).
const longestVisit = 25 * time.Millisecond

// How often a family runs, in socket passes: what changes slowly, or costs
// much, is looked at less often. All run once per tick at least.
const (
	epollEvery = 6
	taskEvery  = 20
	nicEvery   = 10
)

// loadFamilies loads everything but sockets; each may fail by itself.
func (c *Collector) loadFamilies() {
	c.socket = &family{
		id: bpf.SocketFamilyIdFAMILY_SOCKET, name: "socket", run: c.programs.socketPass, state: ProbeOn,
		longest: min(longestVisit, c.cfg.Tick/4),
		queues:  []Queue{QueueSYN, QueueAcceptBacklog, QueueReceive, QueueOutstanding, QueueDownstream, QueueSend, QueueNICTx, QueueUnreadRequests},
		flavour: "iter, tp_btf",
	}
	c.socket.programs = []string{"socket_pass", "tcp_state"}
	if c.programs.inTable {
		c.socket.flavour = "syscall, tp_btf"
		c.socket.programs[0] = "socket_pass_table"
		c.log.Info("sockets are kept in a table", "reason", c.programs.inTableReason)
	}
	c.discover = &family{id: bpf.SocketFamilyIdFAMILY_DISCOVER, name: "discover", flavour: "iter", programs: []string{"discover"}}
	c.epoll = &family{id: bpf.SocketFamilyIdFAMILY_EPOLL, name: "epoll", flavour: "iter", programs: []string{"epoll_ready"}, queues: []Queue{QueueEpollReady}}
	c.task = &family{id: bpf.SocketFamilyIdFAMILY_TASK, name: "sched", flavour: "iter", programs: []string{"run_queue"}, queues: []Queue{QueueRun}}
	c.block = Probe{Name: "block", Queues: []Queue{QueueBlockIO}, Flavour: "tp_btf", Programs: []string{"block_io_submit", "block_io_issue", "block_io_complete", "block_io_requeue"}}
	c.nic = Probe{Name: "nic", Queues: []Queue{QueueNICRx}, Flavour: "procfs"}

	c.start(c.discover, c.programs.loadDiscover, func() *iterator { return c.programs.discover })
	if c.discover.state == ProbeOn {
		var err error
		if c.epolls, err = newEpollTable(c.memory, c.programs.shared); err != nil {
			c.log.Warn("queue off", "probe", "epoll", "err", err)
		}
	}
	c.start(c.epoll, c.programs.loadEpoll, func() *iterator { return c.programs.epoll })
	if c.epoll.run != nil && c.epoll.run.link == nil {
		c.epoll.flavour, c.epoll.programs = "syscall", []string{"epoll_ready_run"}
	}
	if c.epoll.state == ProbeOn && c.epolls == nil {
		// Passes would find none, and an empty queue is not an unread one.
		c.epoll.state, c.epoll.reason = ProbeFailed, "epoll instances cannot be found without discovery: "+c.discover.reason
	}
	c.start(c.task, c.programs.loadSched, func() *iterator { return c.programs.runQueue })
	c.block.State, c.block.Reason = c.verdict("block", c.programs.loadBlock())
	if c.dumpErr = c.programs.loadDump(); c.dumpErr != nil {
		c.log.Warn("sockets cannot be listed, nor who calls whom", "err", c.dumpErr)
	} else {
		c.edges = newEdges(c.programs.objects["socket"].Maps)
	}
	var err error
	c.backlog, err = openBacklog("/proc/net/softnet_stat")
	if err == nil {
		_, err = c.backlog.read()
	}
	c.nic.State, c.nic.Reason = c.verdict("nic", err)
	if c.exactErr = c.loadExact(""); c.exactErr != nil {
		c.log.Warn("requests cannot be counted exactly", "err", c.exactErr)
	} else {
		c.log.Debug("request hooks", "flavour", c.exact.flavour, "receive_stamped", c.programs.stamps.receive, "send_stamped", c.programs.stamps.send, "err", c.programs.stampsErr)
	}
}

// loadExact makes exact mode ready; only restricts it to one flavour of hooks.
func (c *Collector) loadExact(only string) (err error) {
	exact, err := c.programs.loadExact(only)
	if err != nil {
		return err
	}
	if err := c.memory.mapLatencies(c.programs.shared["latency_rows"]); err != nil {
		return err
	}
	if c.counted, err = newCounted(c.memory, c.programs.shared["exact_rows"]); err != nil {
		return err
	}
	c.exact = exact
	return nil
}

// wanted is the pace without a budget.
func (c *Collector) wanted() pace {
	p := c.passive
	picks, _ := c.choice.now()
	p.Exact = len(picks) > 0
	return p
}

// CountExactly has the requests of every container counted that pick says yes to,
// until the purpose is given another pick; nil ends it. It takes effect within a tick
// or two, if the budget allows hooks on receive and send at all: Probes says whether,
// Tick.Requests has what they timed.
func (c *Collector) CountExactly(purpose string, pick Pick) {
	first := !c.wanted().Exact
	c.choice.set(purpose, pick)
	if now := c.pace.Load(); first && pick != nil {
		next := *now
		next.Exact = true // what it costs shows in a second
		c.pace.CompareAndSwap(now, &next)
	}
}

func (c *Collector) start(f *family, load func() error, program func() *iterator) {
	f.state, f.reason = c.verdict(f.name, load())
	f.run = program()
}

func (c *Collector) verdict(name string, err error) (ProbeState, string) {
	if err == nil {
		return ProbeOn, ""
	}
	c.log.Warn("queue off", "probe", name, "err", err)
	return ProbeFailed, err.Error()
}

// follow configures the programs with the hierarchies that name containers.
func (c *Collector) follow(choice container.Choice) {
	c.memory.control.PrimaryHierarchy, c.memory.control.SecondaryHierarchy = c.programs.hierarchies(choice)
	c.log.Info("containers are identified", "by", choice.Primary.String(), "reason", choice.Reason)
}

func (c *Collector) setPace(p pace) {
	c.pace.Store(&p)
	c.memory.control.QuietEvery = p.QuietEvery
}

// Resolver returns what names the containers.
func (c *Collector) Resolver() *container.Resolver { return c.resolver }

// Tick returns the tick in force.
func (c *Collector) Tick() time.Duration { return c.cfg.Tick }

// Run samples until ctx ends, and then returns nil. The sinks get every tick,
// in order, on one goroutine. It may be called once.
func (c *Collector) Run(ctx context.Context, sinks ...Sink) error {
	if err := c.adopt(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var keeping sync.WaitGroup
	keeping.Go(func() { c.keepHouse(ctx) })
	defer keeping.Wait()
	defer cancel()
	return c.sample(ctx, sinks)
}

// adopt finds what was there before Seer. The first scan learns what an epoll
// instance looks like and which ports are listened on; the second can tell
// servers from clients.
func (c *Collector) adopt() error {
	for range 2 {
		if err := c.discover.visit(c.memory); err != nil {
			return fmt.Errorf("discover: %w", err)
		}
	}
	return nil
}

// Close detaches all programs. Run must have returned.
func (c *Collector) Close() error {
	c.closeOnce.Do(func() {
		if c.exact.active() {
			c.exact.switchOff(c.memory)
		}
		if c.streams != nil {
			c.streams.close()
		}
		c.exact = nil // refers to programs, whose variables stay mapped while anyone does
		if c.backlog != nil {
			c.backlog.Close()
		}
		if c.memory != nil {
			c.memory.close()
		}
		if c.programs != nil {
			c.programs.close()
		}
	})
	return nil
}

// Probes returns the health of every family of programs.
func (c *Collector) Probes() []Probe {
	c.statusMu.Lock()
	defer c.statusMu.Unlock()
	return append([]Probe(nil), c.probes...)
}

// Cost returns what Seer uses and what it gave up, renewed every second.
func (c *Collector) Cost() Cost {
	c.statusMu.Lock()
	defer c.statusMu.Unlock()
	return c.cost
}

// Losses returns the facts dropped since start, every reason listed.
func (c *Collector) Losses() []Loss {
	c.statusMu.Lock()
	defer c.statusMu.Unlock()
	return append([]Loss(nil), c.losses...)
}
