package sim

import (
	"slices"

	"seer/collector"
	"seer/infer/topology"
)

// service is a microservice of the application.
type service struct {
	name       string
	spec       *topology.Service
	entries    map[string]int32 // number of each endpoint
	locks      []string
	callees    []int32 // services, by slot
	containers []int32 // its replicas
	multiplex  bool    // calls to it share one connection
	nominal    demand  // of one replica
}

// lock returns the number of the lock called name.
func (v *service) lock(name string) int32 {
	if i := slices.Index(v.locks, name); i >= 0 {
		return int32(i)
	}
	v.locks = append(v.locks, name)
	return int32(len(v.locks) - 1)
}

// slot returns where containers of v keep their pools to another service.
func (v *service) slot(callee int32) int32 {
	if i := slices.Index(v.callees, callee); i >= 0 {
		return int32(i)
	}
	v.callees = append(v.callees, callee)
	return int32(len(v.callees) - 1)
}

// container is one replica of a service or an antagonist. Number 0 is the users,
// then comes the kernel of each host.
type container struct {
	name    string
	service int32 // none: of an antagonist or a kernel
	host    int32
	users   bool // takes no time and no CPU
	from    int64
	retired int64 // when an update removed it, 0: not yet; it finishes what it has

	// Server side.
	workers int32 // 0: no bound
	busy    int32
	waiting fifo // requests in the sockets
	backlog int64
	prelude int32 // program of a fault before each request's own; 0: none
	spared  int32 // the endpoint that it does not precede, as it is part of the fault
	locks   []lock
	pools   []int32 // by slot, first of one per replica; none: not yet used

	cpu    cpuState
	link   link
	paging paging
	leak   leak

	// Depths as the kernel has them, and what passes and ticks make of them.
	gauges     [collector.NumQueues]int64
	departures [collector.NumQueues]int64
	arrivals   [collector.NumQueues]int64
	sums       [collector.NumQueues]int64
	maxima     [collector.NumQueues]int64
	last       [collector.NumQueues]float64 // depth at the end of the last tick
	runArea    int64                        // of the run queue, thread-ns
	runAt      int64
	diskArea   int64 // of block I/O, request-ns
	diskAt     int64
	diskFree   int64 // when the disk will have done everything queued, ns
	diskWait   int64
}

// lock is a mutex of a container, first come first served.
type lock struct {
	holder   int32
	waiting  fifo
	nextHeld int32 // the lock that its holder took before
}

// paging is a memory limit that is too small: what was reclaimed must be read
// back from disk.
type paging struct {
	chance uint64 // that a burst of CPU time begins with a major fault
	bytes  int64  // read then
}

func (s *Simulation) newContainer(name string, service, host int32) (int32, *container) {
	i := int32(len(s.containers))
	c := &container{name: name, service: service, host: host, from: s.now, waiting: newFIFO()}
	c.cpu = cpuState{run: newFIFO(), slow: unit, weight: 1, nextGroup: none}
	c.link.byteTime = byteTime(s.costs.LinkBytesPerSecond)
	c.runAt, c.diskAt = s.now, s.now
	s.containers = append(s.containers, c)
	return i, c
}

// shape gives a container what its service's description says.
func (s *Simulation) shape(c *container, v *service) {
	for len(c.locks) < len(v.locks) {
		c.locks = append(c.locks, lock{holder: none, waiting: newFIFO(), nextHeld: none})
	}
	for len(c.pools) < len(v.callees) {
		c.pools = append(c.pools, none)
	}
	if c.users {
		return
	}
	c.workers = int32(v.spec.Workers)
	c.backlog = int64(v.spec.Backlog)
	if c.backlog == 0 {
		c.backlog = 511
	}
	c.cpu.threads = threadsOf(v.spec, s.config.Cores)
	c.cpu.limit = limitOf(v)
}

// limitOf returns the CPU limit that a service's description has, ns per period.
func limitOf(v *service) int64 { return int64(v.spec.CPULimit*1000+0.5) * quotaPeriod / 1000 }

// threadsOf returns how many threads of a container can run at once. More may
// be ready to, but wait inside the program, where the kernel does not see them.
func threadsOf(spec *topology.Service, cores int) int32 {
	switch spec.Kind {
	case topology.KindRedis:
		return 1
	case topology.KindPostgreSQL, topology.KindMariaDB:
		return 64 // a process or thread per connection
	case topology.KindMemcached:
		return int32(max(1, spec.Workers))
	}
	return int32(cores) // GOMAXPROCS, worker_processes, Erlang's schedulers
}
