package collector

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"seer/bpf"
)

// How often housekeeping does what.
const (
	houseEvery    = time.Second      // names, rows, losses, cost, pace
	rechooseEvery = 30 * time.Second // which hierarchy names containers
	sweepScans    = 10               // epoll instances that are gone leave the table
	statsEvery    = 10               // one second in ten, the kernel times programs
	discoverShare = 0.1              // discovery may use this much of the budget
)

// ledger is what the sampler spent, in nanoseconds of CPU time; housekeeping
// takes the differences.
type ledger struct {
	passes  atomic.Uint64
	sockets atomic.Int64
	others  atomic.Int64
}

// keeper is housekeeping's own state.
type keeper struct {
	last     time.Time
	process  time.Duration // CPU time of the process, then
	passes   uint64
	sockets  int64
	others   int64
	stats    io.Closer // while the kernel times programs
	hooks    map[string]hookRate
	statsErr error
	exact    exactRetry
}

// hookRate is what one event-driven program costs.
type hookRate struct {
	runs, runtime       uint64 // at the beginning of the measurement
	began               time.Time
	perSecond, nsPerRun float64
}

// keepHouse does everything that is not a pass, once a second.
func (c *Collector) keepHouse(ctx context.Context) {
	k := keeper{last: time.Now(), process: processCPU(), hooks: map[string]hookRate{}}
	defer func() {
		if k.stats != nil {
			k.stats.Close()
		}
	}()
	ticker := time.NewTicker(houseEvery)
	defer ticker.Stop()
	discovered, rechosen := time.Now(), time.Now()
	for second := 1; ; second++ {
		c.refresh(ctx)
		if now := time.Now(); now.Sub(discovered) >= c.discoverEvery() {
			discovered = now
			c.visitDiscovery()
		}
		c.rowsMu.Lock()
		if err := c.slots.collect(c.resolver, time.Now()); err != nil {
			c.log.Error("rows of gone containers", "err", err)
		}
		health := append([]Probe(nil), c.health...)
		exactErr := c.exactErr
		c.rowsMu.Unlock()
		if time.Since(rechosen) > rechooseEvery {
			rechosen = time.Now()
			if choice, changed := c.resolver.Rechoose(); changed {
				c.follow(choice)
			}
		}
		losses := c.readLosses()
		c.timeHooks(&k, second)
		s := c.spend(&k)
		c.adjust(&k, s)
		c.publish(&k, s, health, losses, exactErr)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (c *Collector) refresh(ctx context.Context) {
	if err := c.resolver.Refresh(ctx); err != nil && ctx.Err() == nil {
		c.log.Warn("container names", "err", err)
	}
}

// discoverEvery spreads discovery so that it keeps to its part of the budget.
func (c *Collector) discoverEvery() time.Duration {
	cpus := float64(runtime.NumCPU())
	share := discoverShare * c.cfg.budgetShare(runtime.NumCPU()) * cpus
	return max(houseEvery-100*time.Millisecond, time.Duration(float64(c.discover.took)/share))
}

func (c *Collector) visitDiscovery() {
	before := c.discover.cpu
	if err := c.discover.visit(c.memory); err != nil {
		c.log.Warn("discovery", "err", err)
	}
	c.ledger.others.Add(int64(c.discover.cpu - before))
	c.discover.last = time.Now()
	if c.epolls != nil && c.discover.pass%sweepScans == 0 {
		if err := c.epolls.sweep(uint32(c.discover.pass)); err != nil {
			c.log.Warn("epoll instances that are gone", "err", err)
		}
	}
}

// readLosses returns every reason with its count.
func (c *Collector) readLosses() []Loss {
	losses := make([]Loss, 0, len(lossNames)+1)
	var sum uint64
	for reason, name := range lossNames {
		var perCPU []uint64
		if err := c.programs.shared["losses"].Lookup(uint32(reason), &perCPU); err != nil {
			c.log.Error("read losses", "reason", name, "err", err)
			continue
		}
		loss := Loss{Reason: name}
		for _, n := range perCPU {
			loss.Count += n
		}
		sum += loss.Count
		losses = append(losses, loss)
	}
	late := Loss{Reason: "late_ticks", Count: c.late.Load()}
	c.lossSum.Store(sum + late.Count)
	return append(losses, late)
}

// timeHooks has the kernel time the event-driven programs for one second in
// ten: that itself costs some 20 ns per run of any program on the host.
func (c *Collector) timeHooks(k *keeper, second int) {
	switch {
	case k.statsErr != nil:
	case second%statsEvery == 0:
		k.stats, k.statsErr = ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
		if k.statsErr != nil {
			c.log.Info("the cost of event-driven programs cannot be measured", "err", k.statsErr)
			return
		}
		c.eachHook(func(name string, p *ebpf.Program) {
			if s, err := p.Stats(); err == nil {
				r := k.hooks[name]
				r.runs, r.runtime, r.began = s.RunCount, uint64(s.Runtime), time.Now()
				k.hooks[name] = r
			}
		})
	case k.stats != nil:
		c.eachHook(func(name string, p *ebpf.Program) {
			r, known := k.hooks[name]
			s, err := p.Stats()
			if err != nil || !known || r.began.IsZero() {
				return
			}
			runs := float64(s.RunCount - r.runs)
			r.perSecond = runs / time.Since(r.began).Seconds()
			r.nsPerRun = 0
			if runs > 0 {
				r.nsPerRun = float64(uint64(s.Runtime)-r.runtime) / runs
			}
			k.hooks[name] = r
		})
		k.stats.Close()
		k.stats = nil
	}
}

func (c *Collector) eachHook(do func(name string, p *ebpf.Program)) {
	for object, collection := range c.programs.objects {
		for name, program := range collection.Programs {
			if program != nil && !iterators[name] {
				do(object+"/"+name, program)
			}
		}
	}
}

// iterators run inside passes, whose time is measured as a whole.
var iterators = map[string]bool{
	"socket_pass": true, "dump_sockets": true, "discover": true, "epoll_ready": true, "run_queue": true,
}

// spend takes what was spent since the last call.
func (c *Collector) spend(k *keeper) spending {
	now, process := time.Now(), processCPU()
	passes, sockets, others := c.ledger.passes.Load(), c.ledger.sockets.Load(), c.ledger.others.Load()
	s := spending{
		Wall:    now.Sub(k.last),
		CPUs:    runtime.NumCPU(),
		Passes:  int(passes - k.passes),
		Sockets: time.Duration(sockets - k.sockets),
		Others:  time.Duration(others - k.others),
	}
	s.Process = max(0, process-k.process-s.Sockets-s.Others)
	for name, r := range k.hooks {
		spent := time.Duration(r.perSecond * r.nsPerRun * s.Wall.Seconds())
		if c.exact.active() && isRequestHook(name) {
			s.Exact += spent
		} else if !isRequestHook(name) {
			s.Hooks += spent
		}
	}
	k.last, k.process, k.passes, k.sockets, k.others = now, process, passes, sockets, others
	return s
}

func isRequestHook(name string) bool { return len(name) > 8 && name[:8] == "request_" }

// adjust decides the pace of the next second.
func (c *Collector) adjust(k *keeper, s spending) {
	now, wanted := *c.pace.Load(), c.wanted
	if k.exact.waiting(time.Now()) {
		wanted.Exact = false
	}
	budget := c.cfg.budgetShare(s.CPUs)
	floor := max(MinPassHz, 1/c.cfg.Tick.Seconds())
	next := nextPace(now, wanted, s, budget, floor)
	if next == now {
		return
	}
	if now.Exact && !next.Exact {
		k.exact.dropped(time.Now())
	}
	c.log.Debug("pace", "pass_hz", next.PassHz, "quiet_every", next.QuietEvery, "subset_count", next.SubsetCount, "exact", next.Exact, "used", s.total(), "budget", budget)
	c.setPace(next)
}

// publishHealth copies the families' health for housekeeping. The sampler
// calls it with rowsMu held.
func (c *Collector) publishHealth() {
	if c.health == nil {
		c.health = make([]Probe, 4)
	}
	c.health[0] = c.socket.probe(c.memory, "iter, tp_btf", socketPrograms, c.cfg.Tick)
	c.health[1] = c.epoll.probe(c.memory, "iter", epollPrograms, c.cfg.Tick)
	c.health[2] = c.task.probe(c.memory, "iter", schedPrograms, c.cfg.Tick)
	c.health[3] = c.nic
}

var (
	socketPrograms   = []string{"socket_pass", "tcp_state"}
	epollPrograms    = []string{"epoll_ready"}
	schedPrograms    = []string{"run_queue"}
	discoverPrograms = []string{"discover"}
)

func (f *family) probe(m *memory, flavour string, programs []string, tick time.Duration) Probe {
	p := Probe{
		Name: f.name, Queues: f.queues, Programs: programs, Flavour: flavour, State: f.state, Reason: f.reason,
		LastRead: f.last, LastTook: f.took, Objects: int(f.visited), CPU: f.cpu, Runs: m.families[f.id].Visited,
		Hz: float64(f.passes) / tick.Seconds(),
	}
	return p
}

// publish renews what other goroutines may ask.
func (c *Collector) publish(k *keeper, s spending, health []Probe, losses []Loss, exactErr error) {
	p := *c.pace.Load()
	discover := c.discover.probe(c.memory, "iter", discoverPrograms, c.cfg.Tick)
	discover.Hz = 1 / c.discoverEvery().Seconds()
	block := c.block
	for name, r := range k.hooks {
		if name == "block/block_io_issue" {
			block.Hz = r.perSecond
		}
	}
	probes := append(health, discover, block, c.requestProbe(k, exactErr))
	cost := Cost{
		BudgetShare:   c.cfg.budgetShare(s.CPUs),
		UsedShare:     s.total(),
		SamplerShare:  s.share(s.Sockets + s.Others),
		ProgramShare:  s.share(s.Hooks + s.Exact),
		ProcessShare:  s.share(s.Process),
		RSSBytes:      residentBytes(),
		PassHz:        float64(s.Passes) / s.Wall.Seconds(),
		PassHzWanted:  c.wanted.PassHz,
		QuietEvery:    int(p.QuietEvery),
		SampledShare:  1 / float64(p.SubsetCount),
		RelativeError: relativeError(p, c.cfg.Tick, 10),
		GaveUp:        gaveUp(p, c.wanted),
		ExactMode:     "off",
	}
	if p.Exact {
		cost.ExactMode = "on"
	} else if c.wanted.Exact {
		cost.ExactMode = "dropped to keep the budget"
	}
	c.statusMu.Lock()
	c.probes, c.cost, c.losses = probes, cost, losses
	c.statusMu.Unlock()
}

func (c *Collector) requestProbe(k *keeper, err error) Probe {
	p := Probe{Name: "request", Queues: []Queue{QueueOutstanding, QueueDownstream}, Programs: []string{"request_receive", "request_send"}}
	switch {
	case err != nil:
		p.State, p.Reason = ProbeFailed, err.Error()
	case c.pace.Load().Exact:
		p.State = ProbeOn
	case c.wanted.Exact:
		p.Reason = "dropped to keep the CPU budget"
	default:
		p.Reason = "not asked for (--exact)"
	}
	if err == nil && c.exact != nil {
		p.Flavour = c.exact.flavour
	}
	for name, r := range k.hooks {
		if isRequestHook(name) {
			p.Hz += r.perSecond
		}
	}
	return p
}

// residentBytes reads the resident set size, 0 if it cannot be told.
func residentBytes() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(unix.Getpagesize())
}

// lossNames are enum loss_reason as shown to people.
var lossNames = [bpf.SocketLossReasonLOSS_REASON_MAX]string{
	bpf.SocketLossReasonLOSS_CONTAINERS_FULL: "containers_full",
	bpf.SocketLossReasonLOSS_SOCKET_STORAGE:  "socket_storage",
	bpf.SocketLossReasonLOSS_TASK_STORAGE:    "task_storage",
	bpf.SocketLossReasonLOSS_LISTENERS_FULL:  "listeners_full",
	bpf.SocketLossReasonLOSS_EPOLLS_FULL:     "epolls_full",
	bpf.SocketLossReasonLOSS_EPOLL_RACE:      "epoll_race",
	bpf.SocketLossReasonLOSS_EPOLL_LONG:      "epoll_long",
	bpf.SocketLossReasonLOSS_BLOCK_FULL:      "block_full",
	bpf.SocketLossReasonLOSS_UNIX_LONG:       "unix_long",
	bpf.SocketLossReasonLOSS_DUMP_FULL:       "dump_full",
	bpf.SocketLossReasonLOSS_EXACT_FULL:      "exact_full",
	bpf.SocketLossReasonLOSS_TRANSFERS_FULL:  "transfers_full",
}
