package collector

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"seer/bpf"
	"seer/collector/container"
)

// How often housekeeping does what.
const (
	houseEvery    = time.Second      // names, rows, losses, cost, pace
	rechooseEvery = 30 * time.Second // which hierarchy names containers
	sweepScans    = 10               // epoll instances that are gone leave the table
	rareShare     = 0.1              // discovery, and listing sockets for the graph, may each use this much of the budget
)

// ledger is what the sampler spent, in nanoseconds of CPU time; housekeeping
// takes the differences.
type ledger struct {
	visits  atomic.Uint64 // due by the pass rate
	passes  atomic.Uint64 // begun by these
	sockets atomic.Int64
	walks   atomic.Int64 // the other families' passes
	others  atomic.Int64 // discovery
}

// keeper is housekeeping's own state.
type keeper struct {
	last    time.Time
	process time.Duration // CPU time of the process, then
	visits  uint64
	passes  uint64
	sockets int64
	walks   int64
	others  int64
	hooks   hooks
	exact   exactRetry
	spent   spending // as last measured
}

// keepHouse does everything that is not a pass, once a second.
func (c *Collector) keepHouse(ctx context.Context) {
	k := keeper{last: time.Now(), process: processCPU(), spent: spending{Wall: houseEvery, CPUs: runtime.NumCPU()}}
	ticker := time.NewTicker(houseEvery)
	defer ticker.Stop()
	discovered, rechosen := time.Now(), time.Now()
	var owners []container.ID
	var streamsErr error
	for {
		c.refresh(ctx)
		if now := time.Now(); now.Sub(discovered) >= c.discoverEvery() {
			discovered = now
			c.visitDiscovery()
		}
		c.followEdges(ctx, time.Now())
		c.rowsMu.Lock()
		if err := c.slots.collect(c.resolver, time.Now()); err != nil {
			c.log.Error("rows of gone containers", "err", err)
		}
		if c.tracked != nil {
			c.tracked.sweep()
		}
		owners = c.slots.appendOwners(owners[:0])
		health := append([]Probe(nil), c.health...)
		exactErr := c.exactErr
		c.rowsMu.Unlock()
		if err := c.streams.keep(c.cfg.Streams, owners); err != nil && (streamsErr == nil || err.Error() != streamsErr.Error()) {
			streamsErr = err // said once
			c.log.Warn("streams", "err", err)
		}
		if time.Since(rechosen) > rechooseEvery {
			rechosen = time.Now()
			if choice, changed := c.resolver.Rechoose(); changed {
				c.follow(choice)
			}
		}
		losses := c.readLosses()
		if c.judgeable(&k) {
			k.spent = c.spend(&k)
			c.adjust(&k, k.spent)
		}
		c.publish(&k, k.spent, health, losses, exactErr)
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
	return max(houseEvery-100*time.Millisecond, time.Duration(float64(c.discover.took)/c.rareShare()))
}

// rareShare is what something rare may use, in CPUs.
func (c *Collector) rareShare() float64 {
	return rareShare * c.cfg.budgetShare(runtime.NumCPU()) * float64(runtime.NumCPU())
}

func (c *Collector) visitDiscovery() {
	before := c.discover.cpu
	if err := c.discover.visit(c.memory); err != nil {
		c.log.Warn("discovery", "err", err)
	}
	if c.discover.state != ProbeOn {
		// Instances that close and open from now on would not be known.
		c.rowsMu.Lock()
		c.epoll.state, c.epoll.reason = c.discover.state, "discovery: "+c.discover.reason
		c.rowsMu.Unlock()
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

// judgeable reports whether enough has been spent since the last call of spend
// to judge by: not in the first round, nor in one hard on the heels of a late
// one, nor before as many visits as have a pass among them.
func (c *Collector) judgeable(k *keeper) bool {
	return time.Since(k.last) >= houseEvery/2 && c.ledger.visits.Load()-k.visits >= uint64(c.pace.Load().SubsetCount)
}

// spend takes what was spent since the last call.
func (c *Collector) spend(k *keeper) spending {
	now, process := time.Now(), processCPU()
	visits, passes := c.ledger.visits.Load(), c.ledger.passes.Load()
	sockets, walks, others := c.ledger.sockets.Load(), c.ledger.walks.Load(), c.ledger.others.Load()
	s := spending{
		Wall:    now.Sub(k.last),
		CPUs:    runtime.NumCPU(),
		Visits:  int(visits - k.visits),
		Sockets: time.Duration(sockets - k.sockets),
		Walks:   time.Duration(walks - k.walks),
		Others:  time.Duration(others - k.others),
	}
	s.Process = max(0, process-k.process-s.Sockets-s.Walks-s.Others)
	if n := passes - k.passes; n > 0 {
		// Where passes are rare, their number here is off by up to one.
		due := float64(s.Visits) / float64(c.pace.Load().SubsetCount)
		s.Sockets = time.Duration(float64(s.Sockets) * due / float64(n))
		s.Walks = time.Duration(float64(s.Walks) * due / float64(n))
	}
	k.hooks.read(c, s.Wall)
	for id, h := range k.hooks {
		if bpf.SocketHookId(id) == bpf.SocketHookIdHOOK_REQUEST {
			s.Exact += h.spent
		} else {
			s.Hooks += h.spent
		}
	}
	k.last, k.process, k.visits, k.passes, k.sockets, k.walks, k.others = now, process, visits, passes, sockets, walks, others
	return s
}

// adjust decides the pace of the next second.
func (c *Collector) adjust(k *keeper, s spending) {
	stored, wanted := *c.pace.Load(), c.wanted()
	now := stored
	now.Exact = now.Exact && wanted.Exact
	if k.exact.waiting(time.Now()) {
		wanted.Exact = false
	}
	budget := c.cfg.budgetShare(s.CPUs)
	floor := max(MinPassHz, 1/c.cfg.Tick.Seconds())
	next := nextPace(now, wanted, s, budget, floor)
	if next == stored {
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
	for i, f := range []*family{c.socket, c.epoll, c.task} {
		c.health[i] = f.probe(c.memory, c.cfg.Tick)
	}
	c.health[3] = c.nic
}

func (f *family) probe(m *memory, tick time.Duration) Probe {
	p := Probe{
		Name: f.name, Queues: f.queues, Programs: f.programs, Flavour: f.flavour, State: f.state, Reason: f.reason,
		LastRead: f.last, LastTook: f.took, Objects: int(f.visited), CPU: f.cpu, Runs: m.families[f.id].Visited,
		Hz: float64(f.passes) / tick.Seconds(),
	}
	return p
}

// publish renews what other goroutines may ask.
func (c *Collector) publish(k *keeper, s spending, health []Probe, losses []Loss, exactErr error) {
	p, wanted := *c.pace.Load(), c.wanted()
	discover := c.discover.probe(c.memory, c.cfg.Tick)
	discover.Hz = 1 / c.discoverEvery().Seconds()
	block := c.block
	block.Hz, block.Runs = k.hooks[bpf.SocketHookIdHOOK_BLOCK_IO].perSecond, k.hooks[bpf.SocketHookIdHOOK_BLOCK_IO].runs
	probes := append(health, discover, block, c.requestProbe(k, exactErr))
	cost := Cost{
		BudgetShare:   c.cfg.budgetShare(s.CPUs),
		UsedShare:     s.total(),
		SamplerShare:  s.share(s.Sockets + s.Walks + s.Others),
		ProgramShare:  s.share(s.Hooks + s.Exact),
		ProcessShare:  s.share(s.Process),
		RSSBytes:      residentBytes(),
		PassHz:        float64(s.Visits) / s.Wall.Seconds() / float64(p.SubsetCount),
		PassHzWanted:  wanted.PassHz,
		QuietEvery:    int(p.QuietEvery),
		SampledShare:  1 / float64(p.SubsetCount),
		RelativeError: relativeError(p, c.cfg.Tick, 10),
		GaveUp:        gaveUp(p, wanted),
		ExactMode:     "off",
	}
	if p.Exact {
		cost.ExactMode = "on"
	} else if wanted.Exact {
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
	case c.wanted().Exact:
		p.Reason = "dropped to keep the CPU budget"
	default:
		p.Reason = "not asked for (--exact)"
	}
	if err == nil && c.exact != nil {
		p.Flavour = c.exact.flavour
	}
	p.Hz, p.Runs = k.hooks[bpf.SocketHookIdHOOK_REQUEST].perSecond, k.hooks[bpf.SocketHookIdHOOK_REQUEST].runs
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
	bpf.SocketLossReasonLOSS_BLOCK_UNSEEN:    "block_unseen",
	bpf.SocketLossReasonLOSS_SOCKETS_FULL:    "sockets_full",
	bpf.SocketLossReasonLOSS_CALLS_FULL:      "calls_full",
	bpf.SocketLossReasonLOSS_STREAM_GAP:      "stream_gap",
	bpf.SocketLossReasonLOSS_STREAMS_FULL:    "streams_full",
	bpf.SocketLossReasonLOSS_SPANS_FULL:      "spans_full",
}
