package sim

import (
	"fmt"
	"slices"
	"time"

	"seer/infer/campaign"
)

// fault is a campaign's fault as it acts here. Each cause changes what the
// culprit has or does, and everything else follows from that: nothing in the
// simulator knows of violations.
//
// A cause is scaled by the nominal demand on the culprit (demand), so that one
// intensity means about the same to a busy service and to a quiet one.
// The conversions of products that change no type are for equal bytes on every
// machine, see distribution.go.
type fault struct {
	campaign.Fault
	culprit    int32 // service; none: the host
	peers      []int32
	antagonist int32   // container; none
	streams    int32   // disk requests that the antagonist keeps outstanding, on all hosts
	rounds     []int32 // of a cycle: the steps that go on or not
	on         bool
}

// Salts of fault programs begin with this, so that no endpoint shares them.
const faultPlace = "fault:"

func (s *Simulation) addFaults() error {
	for _, f := range s.config.Faults {
		if err := s.addFault(f); err != nil {
			return fmt.Errorf("fault %d (%s): %w", f.ID, f.Cause, err)
		}
	}
	return nil
}

func (s *Simulation) serviceNamed(name string) int32 {
	return int32(slices.IndexFunc(s.services, func(v service) bool { return v.name == name }))
}

func (s *Simulation) addFault(spec campaign.Fault) error {
	f := fault{Fault: spec, culprit: none, antagonist: none}
	if spec.Cause.Class() == "" {
		return fmt.Errorf("there is no such cause")
	}
	if !(spec.Intensity > 0 && spec.Intensity <= 1) {
		return fmt.Errorf("intensity %v: want more than 0, at most 1", spec.Intensity)
	}
	if spec.OnsetMS < s.now/1e6 || spec.EndMS <= spec.OnsetMS {
		return fmt.Errorf("from %d ms to %d ms: want an end after the onset, neither in the past", spec.OnsetMS, spec.EndMS)
	}
	if spec.Cause != campaign.CauseNetworkFailure && spec.Cause != campaign.CauseLoadSpike {
		f.culprit = s.serviceNamed(spec.Culprit)
		if f.culprit <= 0 {
			return fmt.Errorf("there is no service %q to be the culprit", spec.Culprit)
		}
	}
	for _, name := range spec.Peers {
		peer := s.serviceNamed(name)
		if peer <= 0 {
			return fmt.Errorf("there is no service %q to be a peer", name)
		}
		f.peers = append(f.peers, peer)
	}
	if spec.Cause == campaign.CauseCycle && len(f.peers) != 2 {
		return fmt.Errorf("a cycle needs two peers, not %q", spec.Peers)
	}
	if name := spec.Cause.Antagonist(); name != "" {
		if spec.Antagonist != "" {
			name = spec.Antagonist
		}
		f.antagonist = s.antagonistNamed(name, f.culprit)
	}
	i := int32(len(s.faults))
	s.faults = append(s.faults, f)
	s.heap.push(max(s.now, spec.OnsetMS*1e6), evFaultOn, i, 0)
	s.heap.push(spec.EndMS*1e6, evFaultOff, i, 0)
	return nil
}

// AddFault plans one more fault, which must not begin in the past.
func (s *Simulation) AddFault(f campaign.Fault) error {
	if err := s.addFault(f); err != nil {
		return fmt.Errorf("fault %d (%s): %w", f.ID, f.Cause, err)
	}
	s.sampler.grow(len(s.visible()))
	return nil
}

func (s *Simulation) antagonistNamed(name string, culprit int32) int32 {
	for i, c := range s.containers {
		if c.service == none && c.name == name {
			return int32(i)
		}
	}
	i, _ := s.newContainer(name, none, s.containers[s.services[culprit].containers[0]].host)
	return i
}

// victims are the replicas of the culprit, one per host if perHost.
func (s *Simulation) victims(f *fault, perHost bool) []int32 {
	all := s.services[f.culprit].containers
	if !perHost {
		return all
	}
	var out []int32
	var seen []int32
	for _, i := range all {
		if h := s.containers[i].host; !slices.Contains(seen, h) {
			seen = append(seen, h)
			out = append(out, i)
		}
	}
	return out
}

// target is the bound that users are promised, ns.
func (s *Simulation) target() float64 {
	if len(s.app.QoS) == 0 {
		return float64(100 * time.Millisecond)
	}
	return float64(s.app.QoS[0].Target)
}

func (s *Simulation) faultBegins(i int32) {
	f := &s.faults[i]
	f.on = true
	hard := f.Intensity
	switch f.Cause {
	case campaign.CauseLoadSpike: // Config.Rate has it
	case campaign.CauseNetworkFailure:
		s.hosts[f.ID%s.config.Hosts].down++
	case campaign.CauseCPU:
		s.spin(f, 1.5*hard)
	case campaign.CauseMemoryBandwidth:
		s.spin(f, hard) // it streams from somewhere
		s.thrash(f, hard)
	case campaign.CauseDisk:
		perHost := int32(1.5 + float64(8*hard))
		for _, v := range s.victims(f, true) {
			for range perHost {
				s.countDisk(s.containers[f.antagonist], 1)
				s.streamOn(i, v)
			}
			f.streams += perHost
		}
	default:
		v := &s.services[f.culprit]
		prelude := s.prelude(f, v)
		for _, n := range v.containers {
			s.harm(f, i, s.containers[n], v, prelude)
		}
	}
}

// harm is what a fault without antagonist does to a replica of its culprit.
func (s *Simulation) harm(f *fault, number int32, c *container, v *service, prelude int32) {
	hard := f.Intensity
	c.prelude, c.spared = prelude, none
	if f.Cause == campaign.CauseCycle {
		c.spared = s.programs.endpoints[s.cycleEntry(f.culprit)].pc
	}
	s.shape(c, v) // locks and pools that the prelude needs
	switch f.Cause {
	case campaign.CausePool:
		// Half of all calls leak their connection; it comes back after so long
		// that the pool sustains a share of the nominal calls.
		sustained := max(0.001, float64(v.nominal.calls)/1000/float64(max(1, len(v.callees)))) * (1.2 - float64(0.9*hard))
		limit := float64(s.poolLimit(c, v))
		c.leak = leak{chance: chanceOf(0.5), after: int64(min(limit/float64(0.5*sustained), 60) * 1e9), fault: number}
	case campaign.CausePacketFilter:
		c.link.loss = chanceOf(0.02 + float64(0.3*hard))
	case campaign.CauseNetworkLoss:
		c.link.loss = chanceOf(0.01 + float64(0.09*hard))
	case campaign.CauseNetworkShaping:
		c.link.byteTime = byteTime(max(1000, float64(v.nominal.sent)*(2-float64(1.5*hard))))
	case campaign.CauseCPULimit:
		c.cpu.limit = max(1e6, int64(float64(v.nominal.cpu)*(2.2-float64(1.8*hard))*quotaPeriod/1e9))
	case campaign.CauseMemoryCapacity:
		// The faults of all bursts together keep the disk busy for a share of
		// the time.
		bursts := max(0.1, float64(v.nominal.requests+v.nominal.calls)/1000)
		ns := min((0.3+float64(0.8*hard))/bursts*1e9, 2*hard*s.target())
		c.paging = paging{chance: chanceOf(1), bytes: int64(ns) * unit / s.diskByteTime}
	}
}

func (s *Simulation) faultEnds(i int32) {
	f := &s.faults[i]
	f.on = false
	switch f.Cause {
	case campaign.CauseLoadSpike:
	case campaign.CauseNetworkFailure:
		s.hosts[f.ID%s.config.Hosts].down--
	case campaign.CauseCPU:
		s.unspin(f)
	case campaign.CauseMemoryBandwidth:
		s.unspin(f)
		s.thrash(f, 0)
	case campaign.CauseDisk:
	default:
		v := &s.services[f.culprit]
		for _, step := range f.rounds {
			s.programs.ops[step].chance = 0 // those under way end, too
		}
		for _, n := range v.containers {
			c := s.containers[n]
			c.prelude = 0
			c.paging = paging{}
			c.leak = leak{}
			c.link.loss = 0
			c.link.byteTime = byteTime(s.costs.LinkBytesPerSecond)
			c.cpu.limit = limitOf(v)
			s.reclaimAll(c)
		}
	}
}

// reclaimAll closes the connections that leaked: the program has been mended.
func (s *Simulation) reclaimAll(c *container) {
	for slot, base := range c.pools {
		if base == none {
			continue
		}
		for k := range s.services[s.services[c.service].callees[slot]].containers {
			p := &s.pools[base+int32(k)]
			for p.leaked > 0 {
				p.leaked--
				p.idle++
				s.connectNext(p)
			}
		}
	}
}

// prelude compiles what a fault makes its culprit do before each request, and
// returns where it begins, 0 if it does nothing.
func (s *Simulation) prelude(f *fault, v *service) int32 {
	c := compiler{programs: s.programs, service: v, place: faultPlace + string(f.Cause) + ":" + v.name, resolve: s.resolve}
	begin := c.here()
	gap := 1e12 / float64(max(1, v.nominal.requests)) // mean time between requests of a replica, ns
	hard := f.Intensity
	switch f.Cause {
	case campaign.CauseLock:
		lock := v.lock(faultPlace + "lock")
		c.emit(op{kind: opLock, lock: lock, timers: -1})
		c.emit(op{kind: opWait, dist: distExponential, amount: int64(min((0.4+hard)*gap, 3*hard*s.target()))})
		c.emit(op{kind: opUnlock, lock: lock})
	case campaign.CauseDeadlock:
		c.deadlock(hard, int64(min(0.5*gap, s.target())))
	case campaign.CauseCycle:
		s.cycle(&c, f, v)
		begin = c.here()
		spared := c.emit(op{kind: opSkip, chance: chanceOf(0.2 + float64(0.8*hard))})
		c.emit(op{kind: opCall, service: f.peers[0], entry: s.cycleEntry(f.peers[0]), slot: v.slot(f.peers[0]), timers: c.timersFor(time.Second)})
		c.ops[spared].jump = c.here()
	case campaign.CauseSlowDependency:
		c.emit(op{kind: opWait, dist: distExponential, amount: int64(2 * hard * s.target())})
	default:
		return 0
	}
	c.emit(op{kind: opResume})
	return begin
}

// deadlock takes two locks, in one order or in the other.
func (c *compiler) deadlock(share float64, between int64) {
	a, b := c.service.lock(faultPlace+"a"), c.service.lock(faultPlace+"b")
	timers := c.timersFor(time.Second)
	spared := c.emit(op{kind: opSkip, chance: chanceOf(share)})
	other := c.emit(op{kind: opSkip, chance: chanceOf(0.5)})
	both := func(first, second int32) {
		c.emit(op{kind: opLock, lock: first, timers: timers})
		c.emit(op{kind: opWait, dist: distConstant, amount: between})
		c.emit(op{kind: opLock, lock: second, timers: timers})
		c.emit(op{kind: opUnlock, lock: second})
		c.emit(op{kind: opUnlock, lock: first})
	}
	both(a, b)
	done := c.emit(op{kind: opSkip}) // always
	c.ops[other].jump = c.here()
	both(b, a)
	c.ops[done].jump = c.here()
	c.ops[spared].jump = c.here()
}

// cycle gives the three services of a cycle an endpoint each that calls the next
// one. The culprit ends it, after a number of rounds that grows with intensity.
func (s *Simulation) cycle(c *compiler, f *fault, v *service) {
	members := []int32{f.culprit, f.peers[0], f.peers[1]}
	f.rounds = nil
	for k, n := range members {
		next := members[(k+1)%3]
		at := &compiler{programs: s.programs, service: &s.services[n], place: c.place + ":" + s.services[n].name}
		s.programs.endpoints[s.cycleEntry(n)] = endpoint{service: n, pc: at.here()}
		at.emit(op{kind: opCPU, dist: distExponential, amount: 20e3})
		chance := chanceOf(1)
		if k == 0 {
			chance = chanceOf(0.5 + float64(0.48*f.Intensity))
		}
		round := at.emit(op{kind: opSkip, chance: chance})
		f.rounds = append(f.rounds, round)
		at.emit(op{kind: opCall, service: next, entry: s.cycleEntry(next), slot: s.services[n].slot(next), timers: at.timersFor(time.Second)})
		at.ops[round].jump = at.here()
		at.emit(op{kind: opEnd})
		for _, replica := range s.services[n].containers {
			s.shape(s.containers[replica], &s.services[n])
		}
	}
}

// cycleEntry returns the number of the endpoint of a service that cycles use.
func (s *Simulation) cycleEntry(n int32) int32 {
	v := &s.services[n]
	if _, ok := v.entries[faultPlace]; !ok {
		v.entries[faultPlace] = int32(len(s.programs.endpoints))
		s.programs.endpoints = append(s.programs.endpoints, endpoint{service: n})
	}
	return v.entries[faultPlace]
}
