package sim

import "seer/collector"

const (
	// quantum is how long a thread runs before others get their turn, as the
	// base slice of EEVDF (kernel/sched/fair.c).
	quantum = 3e6
	// quotaPeriod is the period of a CPU limit (cpu.cfs_period_us).
	quotaPeriod = 100e6
	// unit is one, in factors by which something is slower.
	unit = 1024
)

// cpuState is a container as the scheduler sees it: a group of threads, which
// takes turns with the other groups of its host.
type cpuState struct {
	run       fifo  // threads that are ready
	ready     int32 // of them, this container's own; an antagonist's are in its victim's queue
	running   int32
	threads   int32
	queued    bool // among the groups of the host
	nextGroup int32

	slow int64 // CPU time takes slow/unit as long: cache contention

	limit     int64 // ns of CPU time per period, 0: none
	used      int64
	period    int64
	throttled bool

	spins  int32 // threads of an antagonist that are in this group
	weight int64 // of the group's own threads against them
}

// core is a CPU.
type core struct {
	host  int32
	task  int32 // none: idle
	group int32
	gen   uint32
	slice int64 // CPU time that the slice is for, ns
	idle  int32 // next idle core
}

// host is a machine.
type host struct {
	firstCore, cores int32
	idle             int32  // first idle core
	groups           groups // with ready threads
	crowded          groups // the same, of those that share their CPUs with an antagonist
	spins            int32  // antagonists' threads

	kernel  int64 // CPU time that the kernel owes, ns
	receive int64 // when the receive backlog will be empty, ns
	nic     int64 // when the NIC will have sent everything, ns
	down    int32 // faults that stop its links

	diskUsers int64 // containers with disk requests
	mem       memory
}

// groups is a queue of containers, linked by their nextGroup.
type groups struct{ first, last int32 }

func (s *Simulation) pushGroup(q *groups, i int32) {
	s.containers[i].cpu.nextGroup = none
	if q.last == none {
		q.first = i
	} else {
		s.containers[q.last].cpu.nextGroup = i
	}
	q.last = i
}

func (s *Simulation) popGroup(q *groups) int32 {
	i := q.first
	q.first = s.containers[i].cpu.nextGroup
	if q.first == none {
		q.last = none
	}
	return i
}

// ready makes a thread wait for a CPU.
func (s *Simulation) ready(i int32, t *task) {
	t.phase = phaseActive
	c := s.containers[t.container]
	group, g := t.container, c
	if t.is(flagSpin) {
		group = t.entry // its victim
		g = s.containers[group]
	}
	g.cpu.run.push(&s.tasks, i)
	c.cpu.ready++
	s.countRun(c)
	s.offer(group, g)
	s.dispatch(g.host)
}

// offer puts a group among those that wait for a CPU, if it could use one.
func (s *Simulation) offer(group int32, g *container) {
	k := &g.cpu
	if k.queued || k.throttled || k.run.n == 0 || k.running >= k.threads && k.spins == 0 {
		return
	}
	k.queued = true
	h := &s.hosts[g.host]
	if k.spins > 0 {
		s.pushGroup(&h.crowded, group)
	} else {
		s.pushGroup(&h.groups, group)
	}
}

// kernelBurst is how much work the kernel of a host gathers before it takes a
// CPU for it: a softirq does many packets, and so many events less.
const kernelBurst = 100e3

// kernelWork makes the kernel of a host work for a message, as one more group.
func (s *Simulation) kernelWork(on int32) {
	h := &s.hosts[on]
	h.kernel += s.costs.Kernel
	if h.kernel < kernelBurst {
		return
	}
	i, t := s.tasks.new()
	t.container, t.pc, t.debt = 1+on, pcKernel, h.kernel
	h.kernel = 0
	s.advance(i, t)
}

// dispatch gives idle CPUs to groups, one thread at a time in turn. Groups in
// which an antagonist computes come last: it has had more than their share.
func (s *Simulation) dispatch(on int32) {
	h := &s.hosts[on]
	for {
		q := &h.groups
		switch {
		case q.first == none:
			q = &h.crowded
			if q.first == none || h.idle == none {
				return
			}
		case h.idle == none && (h.spins == 0 || !s.preempt(h)):
			return
		}
		group := s.popGroup(q)
		g := s.containers[group]
		g.cpu.queued = false
		if i := s.pick(group, g); i != none {
			s.start(h, i, group)
			s.offer(group, g)
		}
	}
}

// pick takes the next thread of a group that may run.
func (s *Simulation) pick(group int32, g *container) int32 {
	k := &g.cpu
	if k.spins == 0 {
		if k.running >= k.threads || s.outOfQuota(group, g) {
			return none
		}
		return k.run.pop(&s.tasks)
	}
	for range k.run.n {
		i := k.run.pop(&s.tasks)
		t := s.tasks.at(i)
		switch {
		case !t.is(flagSpin):
			if k.running < k.threads && !s.outOfQuota(group, g) {
				return i
			}
			k.run.push(&s.tasks, i)
		case s.outOfQuota(t.container, s.containers[t.container]):
			s.containers[t.container].cpu.run.push(&s.tasks, i) // until it is refilled
		default:
			return i
		}
	}
	return none
}

// outOfQuota says whether a container has used up its CPU limit for now.
func (s *Simulation) outOfQuota(i int32, c *container) bool {
	k := &c.cpu
	if k.limit == 0 {
		return false
	}
	if period := s.now / quotaPeriod; period != k.period {
		k.period, k.used = period, 0
	}
	if k.used < k.limit {
		return false
	}
	if !k.throttled {
		k.throttled = true
		s.heap.push((k.period+1)*quotaPeriod, evRefill, i, 0)
	}
	return true
}

// refill lets a throttled container run again.
func (s *Simulation) refill(i int32) {
	c := s.containers[i]
	c.cpu.throttled = false
	if c.service != none {
		s.offer(i, c)
		s.dispatch(c.host)
		return
	}
	for range c.cpu.run.n { // an antagonist's threads, back among their victims'
		n := c.cpu.run.pop(&s.tasks)
		victim := s.tasks.at(n).entry
		v := s.containers[victim]
		v.cpu.run.push(&s.tasks, n)
		s.offer(victim, v)
		s.dispatch(v.host)
	}
}

// start runs a thread on an idle CPU, for a slice.
func (s *Simulation) start(h *host, i, group int32) {
	t := s.tasks.at(i)
	c := s.containers[t.container]
	k := &c.cpu
	at := h.idle
	p := &s.cores[at]
	h.idle = p.idle
	k.ready--
	k.running++
	s.countRun(c)
	c.departures[collector.QueueRun]++
	if t.is(flagRequest | flagReplied) {
		s.read(t, c)
	}

	slice := t.left
	wall := slice * k.slow / unit
	longest := int64(quantum)
	if t.is(flagSpin) {
		longest /= s.containers[group].cpu.weight
	}
	if k.limit > 0 {
		longest = min(longest, max(k.limit-k.used, 1e3))
	}
	if wall > longest {
		wall = longest
		slice = max(1, wall*unit/k.slow)
	}
	k.used += wall
	p.task, p.group, p.slice = i, group, slice
	p.gen++
	s.heap.push(s.now+wall, evCore, at, int32(p.gen))
}

// stop ends the slice on a CPU. The thread that ran is returned.
func (s *Simulation) stop(at int32) (i int32, t *task, c *container) {
	p := &s.cores[at]
	i = p.task
	p.task = none
	p.gen++
	h := &s.hosts[p.host]
	p.idle = h.idle
	h.idle = at
	t = s.tasks.at(i)
	c = s.containers[t.container]
	c.cpu.running--
	return i, t, c
}

// sliceEnds is what happens at evCore.
func (s *Simulation) sliceEnds(at int32, gen uint32) {
	p := &s.cores[at]
	if p.task == none || p.gen != gen {
		return
	}
	group := p.group
	i, t, c := s.stop(at)
	if !t.is(flagSpin) {
		t.left -= p.slice
	}
	g := s.containers[group]
	if t.left > 0 {
		g.cpu.run.push(&s.tasks, i)
		c.cpu.ready++
		s.countRun(c)
	} else {
		s.countRun(c)
		s.advance(i, t)
	}
	s.offer(group, g)
	s.dispatch(g.host)
}

// preempt takes a CPU from an antagonist's thread for a group that is not its
// victim: having used less of its share, that one does not wait for the slice to
// end (check_preempt_wakeup_fair, kernel/sched/fair.c).
func (s *Simulation) preempt(h *host) bool {
	for at := h.firstCore; at < h.firstCore+h.cores; at++ {
		p := &s.cores[at]
		if p.task == none || !s.tasks.at(p.task).is(flagSpin) {
			continue
		}
		group := p.group
		i, _, c := s.stop(at)
		g := s.containers[group]
		g.cpu.run.push(&s.tasks, i)
		c.cpu.ready++
		s.countRun(c)
		s.offer(group, g)
		return true
	}
	return false
}

// countRun keeps the depth of the run queue and the area under it after threads
// became ready or ran: those ready inside the program that its threads could not
// run anyway do not count.
func (s *Simulation) countRun(c *container) {
	depth := &c.gauges[collector.QueueRun]
	c.runArea += *depth * (s.now - c.runAt)
	c.runAt = s.now
	*depth = int64(max(0, min(c.cpu.ready, c.cpu.threads-c.cpu.running)))
}
