package sim

import (
	"errors"
	"fmt"
	"time"

	"seer/collector"
	"seer/infer/campaign"
	"seer/infer/topology"
)

// Config is a simulation. App is required; every other zero value has a default.
type Config struct {
	App  *topology.App
	Seed uint64

	Hosts int // default 1; replica k of each service, counted through the file, is on host k modulo Hosts
	Cores int // of each host, default 2

	Tick   time.Duration // default 100 ms
	Passes int           // over the queues per tick, default 10

	// Nominal is the load in requests per second that faults are scaled by.
	// Default: the application's.
	Nominal float64
	// Arrivals are the requests of the users, by default a Poisson process of
	// the nominal load.
	Arrivals Arrivals
	// UserTimeout is when users give up, default 10 s.
	UserTimeout time.Duration

	Faults  []campaign.Fault
	Updates []Update
	Costs   *Costs // default DefaultCosts, with the application's Machine
	Exact   bool   // passes see every queue as it is; else with the errors of passive mode

	Sink Sink // may be nil
}

// Sink takes what a simulation shows. An error ends the simulation.
type Sink interface {
	// Tick is called at the end of each tick. What it points to is used again.
	Tick(*Tick) error
	// Request is called when a user has an answer or has given up.
	Request(campaign.Request) error
}

// Tick is one sample of every container.
type Tick struct {
	StartNS, EndNS int64 // since the start
	// Cells has a row per container, in the order of Simulation.Containers.
	Cells [][collector.NumQueues]collector.Cell
}

// Version is of the model: one of the same version gives the same bytes.
const Version = "1"

// Costs are what the machines, the kernel and the programs' libraries take.
// Times are CPU time unless said otherwise.
type Costs struct {
	Receive time.Duration // reading and decoding one message
	Send    time.Duration // encoding and writing one
	Accept  time.Duration // one connection
	Wake    time.Duration // the next holder of a lock

	HopLocal  time.Duration // one way between containers of a host, not CPU
	HopRemote time.Duration // between hosts
	Packet    time.Duration // of the host's softirq per packet, one after the other; no CPU time
	Kernel    time.Duration // CPU time of the host per message received, in no container

	RequestBytes int64
	ReplyBytes   int64 // without what the steps add

	LinkBytesPerSecond   float64 // of one container
	NICBytesPerSecond    float64 // of a host
	MemoryBytesPerSecond float64 // of a host
	CoreBytesPerSecond   float64 // that one core reads from memory alone
	DiskBytesPerSecond   float64
	DiskLatency          time.Duration // of a write that is synced
}

// DefaultCosts are measured or usual for a host of 2 CPUs on which the
// application's tiers are Go programs; calibration fits them.
func DefaultCosts() Costs {
	return Costs{
		Receive: 30 * time.Microsecond, Send: 20 * time.Microsecond, Accept: 25 * time.Microsecond, Wake: 3 * time.Microsecond,
		HopLocal: 12 * time.Microsecond, HopRemote: 40 * time.Microsecond, Packet: 1500 * time.Nanosecond, Kernel: 8 * time.Microsecond,
		RequestBytes: 256, ReplyBytes: 128,
		LinkBytesPerSecond: 1.25e9, NICBytesPerSecond: 1.25e9,
		MemoryBytesPerSecond: 20e9, CoreBytesPerSecond: 8e9,
		DiskBytesPerSecond: 200e6, DiskLatency: 150 * time.Microsecond,
	}
}

// Container is one row of every tick.
type Container struct {
	Name    string
	Service string // "" of an antagonist
	Host    int
	From    time.Duration // when it came
	Until   time.Duration // when an update removed it, 0: not yet
}

// Simulation is an application under way. It is for one goroutine.
type Simulation struct {
	config Config
	app    *topology.App
	costs  intCosts

	now      int64
	handled  uint64
	heap     heap
	tasks    slab
	programs *programs

	services   []service // the last one is the users
	containers []*container
	hosts      []host // the last one is the users'
	cores      []core
	pools      []pool
	users      users

	nicByteTime, memByteTime, diskByteTime, memBandwidth int64

	faults  []fault
	actions []action
	sampler sampler
	err     error

	onRead func(*task) // for tests: a request has been read
}

// intCosts are Costs in ns.
type intCosts struct {
	Receive, Send, Accept, Wake, HopLocal, HopRemote, Packet, Kernel, DiskLatency int64
	RequestBytes, ReplyBytes                                                      int64
	LinkBytesPerSecond                                                            float64
}

// New returns a simulation at time zero.
func New(config Config) (*Simulation, error) {
	if config.App == nil {
		return nil, errors.New("simulation without an application")
	}
	costs := DefaultCosts()
	if m := config.App.Machine; m != nil {
		costs.Receive, costs.Send, costs.HopLocal, costs.Kernel = m.Receive, m.Send, m.Hop, m.Kernel
	}
	if config.Costs != nil {
		costs = *config.Costs
	}
	setDefault(&config.Hosts, 1)
	setDefault(&config.Cores, 2)
	setDefault(&config.Tick, 100*time.Millisecond)
	setDefault(&config.Passes, 10)
	setDefault(&config.Nominal, config.App.Load.Rate)
	setDefault(&config.UserTimeout, 10*time.Second)
	if err := check(&config); err != nil {
		return nil, err
	}
	if config.Arrivals == nil {
		plan, err := campaign.NewPlan(config.App, config.Seed, forever, campaign.PlanOptions{Rate: config.Nominal, NoFaults: true, Acceptance: true})
		if err != nil {
			return nil, err
		}
		config.Arrivals = plan.Arrivals()
	}
	s := &Simulation{
		config: config, users: users{arrivals: config.Arrivals}, programs: newPrograms(), tasks: slab{free: none},
		costs: intCosts{
			Receive: int64(costs.Receive), Send: int64(costs.Send), Accept: int64(costs.Accept), Wake: int64(costs.Wake),
			HopLocal: int64(costs.HopLocal), HopRemote: int64(costs.HopRemote), Packet: int64(costs.Packet), Kernel: int64(costs.Kernel), DiskLatency: int64(costs.DiskLatency),
			RequestBytes: costs.RequestBytes, ReplyBytes: costs.ReplyBytes, LinkBytesPerSecond: costs.LinkBytesPerSecond,
		},
		nicByteTime:  byteTime(costs.NICBytesPerSecond),
		memByteTime:  byteTime(costs.CoreBytesPerSecond),
		diskByteTime: byteTime(costs.DiskBytesPerSecond),
		memBandwidth: int64(costs.MemoryBytesPerSecond),
	}
	s.addHosts(config.Hosts, config.Cores)
	s.services = []service{{name: "", entries: map[string]int32{}}} // the users
	_, users := s.newContainer("", 0, int32(len(s.hosts)-1))
	users.users = true
	for h := range config.Hosts {
		_, kernel := s.newContainer("", none, int32(h))
		kernel.cpu.threads = int32(config.Cores)
	}
	if err := s.install(config.App); err != nil {
		return nil, err
	}
	if err := s.addFaults(); err != nil {
		return nil, err
	}
	for i, u := range config.Updates {
		s.heap.push(int64(u.At), evUpdate, int32(i), 0)
	}
	s.planUser()
	s.startSampling()
	return s, nil
}

// forever is how long users go on if nothing else is said.
const forever = 1000 * time.Hour

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func check(c *Config) error {
	switch {
	case c.Hosts < 1 || c.Hosts > 100_000:
		return fmt.Errorf("%d hosts: want 1 to 100000", c.Hosts)
	case c.Cores < 1 || c.Cores > 1024:
		return fmt.Errorf("%d cores: want 1 to 1024", c.Cores)
	case c.Tick < 10*time.Millisecond || c.Tick > 10*time.Second:
		return fmt.Errorf("tick %v: want 10ms to 10s", c.Tick)
	case c.Passes < 1 || time.Duration(c.Passes) > c.Tick/time.Millisecond:
		return fmt.Errorf("%d passes in a tick of %v: want 1 to one a millisecond", c.Passes, c.Tick)
	case !(c.Nominal > 0 && c.Nominal <= 1e7):
		return fmt.Errorf("load of %v requests per second: want more than 0, at most ten million", c.Nominal)
	}
	return nil
}

func (s *Simulation) addHosts(n, cores int) {
	for i := range n + 1 {
		h := host{firstCore: int32(len(s.cores)), cores: int32(cores), idle: none, groups: groups{none, none}, crowded: groups{none, none}}
		h.mem.slow = unit
		if i == n {
			h.cores = 0 // the users'
		}
		for range h.cores {
			s.cores = append(s.cores, core{host: int32(i), task: none, idle: h.idle})
			h.idle = int32(len(s.cores) - 1)
		}
		s.hosts = append(s.hosts, h)
	}
}

// Now returns the time since the start.
func (s *Simulation) Now() time.Duration { return time.Duration(s.now) }

// Events returns how many events have happened.
func (s *Simulation) Events() uint64 { return s.handled }

// visible are the containers that ticks have rows of: all but the users, and the
// kernel of each host.
func (s *Simulation) visible() []*container { return s.containers[1+s.config.Hosts:] }

// Containers returns the rows of every tick. Updates append to them.
func (s *Simulation) Containers() []Container {
	out := make([]Container, 0, len(s.visible()))
	for _, c := range s.visible() {
		name := ""
		if c.service != none {
			name = s.services[c.service].name
		}
		out = append(out, Container{Name: c.name, Service: name, Host: int(c.host), From: time.Duration(c.from), Until: time.Duration(c.retired)})
	}
	return out
}

// Step runs until the given time since the start, what happens at that very
// time included. It returns the sink's error, after which it does nothing.
func (s *Simulation) Step(until time.Duration) error {
	for s.err == nil && len(s.heap.events) > 0 && s.heap.events[0].at <= int64(until) {
		e := s.heap.pop()
		s.now = e.at
		s.handled++
		switch kind(e.order & (1<<kindBits - 1)) {
		case evCore:
			s.sliceEnds(e.id, uint32(e.arg))
		case evMessage:
			s.arriveNIC(e.id)
		case evSocket:
			s.leaveBacklog(e.id)
		case evResend:
			s.resend(e.id, e.arg)
		case evUser:
			s.userAsks(e.id)
		case evPass:
			s.pass()
		case evTimers:
			s.timersEnd(e.id)
		case evWait:
			s.advance(e.id, s.tasks.at(e.id))
		case evDisk:
			s.diskDone(e.id)
		case evSYN:
			s.synAgain(e.id, e.arg)
		case evConnected:
			s.connected(e.id)
		case evACK:
			s.handshakeEnds(e.id)
		case evRefill:
			s.refill(e.id)
		case evFaultOn:
			s.faultBegins(e.id)
		case evFaultOff:
			s.faultEnds(e.id)
		case evStream:
			s.stream(e.id, e.arg)
		case evReclaim:
			s.reclaim(e.id, e.arg)
		case evAction:
			s.act(e.id)
		case evUpdate:
			s.err = s.Update(s.config.Updates[e.id].App)
		}
	}
	if s.err == nil {
		s.now = max(s.now, int64(until))
	}
	return s.err
}
