package sim

import (
	"fmt"
	"slices"
	"time"

	"seer/infer/campaign"
)

// ActionKind is what an action does.
type ActionKind string

// The actions that a container's host can take, as the actuator does.
const (
	ActionCPULimit  ActionKind = "cpu_limit"  // Value: CPUs, 0: none
	ActionCPUWeight ActionKind = "cpu_weight" // Value: share against an antagonist on its CPUs, 1 to 100
	ActionMemory    ActionKind = "memory"     // raise the memory limit: nothing is reclaimed any more
	ActionCache     ActionKind = "cache"      // partition cache and memory bandwidth: the container keeps its own
	ActionBandwidth ActionKind = "bandwidth"  // Value: bytes per second of its link
	ActionThrottle  ActionKind = "throttle"   // of an antagonist. Value: share of what it uses that is left to it, 0 to 1
)

// Action changes what a container may use.
type Action struct {
	Kind      ActionKind
	Container string
	Value     float64
	// Latency is the time until it takes effect: writing a limit, and for the
	// kernel to enforce it.
	Latency time.Duration
}

type action struct {
	Action
	container int32
}

// Apply takes an action now. It returns an error, and does nothing, if the
// container does not exist or the value makes no sense for it.
func (s *Simulation) Apply(a Action) error {
	i := slices.IndexFunc(s.containers, func(c *container) bool { return c.name == a.Container && !c.users })
	if i < 0 {
		return fmt.Errorf("action %s: there is no container %q", a.Kind, a.Container)
	}
	low, high := 0.0, 0.0
	switch a.Kind {
	case ActionCPULimit:
		high = 1024
	case ActionCPUWeight:
		low, high = 1, 100
	case ActionMemory, ActionCache:
	case ActionBandwidth:
		low, high = 1000, 1e12
	case ActionThrottle:
		high = 1
	default:
		return fmt.Errorf("action %q: there is no such action", a.Kind)
	}
	if !(a.Value >= low && a.Value <= high) {
		return fmt.Errorf("action %s on %s: value %v: want %v to %v", a.Kind, a.Container, a.Value, low, high)
	}
	if antagonist := s.containers[i].service == none; antagonist != (a.Kind == ActionThrottle) {
		return fmt.Errorf("action %s on %s: only antagonists are throttled, and nothing else is done to them", a.Kind, a.Container)
	}
	s.actions = append(s.actions, action{a, int32(i)})
	s.heap.push(s.now+int64(max(0, a.Latency)), evAction, int32(len(s.actions)-1), 0)
	return nil
}

// act is what happens at evAction.
func (s *Simulation) act(n int32) {
	a := &s.actions[n]
	c := s.containers[a.container]
	switch a.Kind {
	case ActionCPULimit:
		c.cpu.limit = int64(a.Value * quotaPeriod)
		if c.cpu.throttled {
			c.cpu.used = 0 // writing cpu.max begins a period
			s.refill(a.container)
		}
	case ActionCPUWeight:
		c.cpu.weight = int64(a.Value + 0.5)
	case ActionMemory:
		c.paging = paging{}
	case ActionCache:
		c.cpu.slow = unit
		s.hosts[c.host].mem.stolen = 0
	case ActionBandwidth:
		c.link.byteTime = byteTime(a.Value)
		// What is queued is sent at the new rate.
		c.link.free = min(c.link.free, s.now)
	case ActionThrottle:
		s.throttle(a.container, a.Value)
	}
}

// throttle leaves an antagonist a share of what its fault in progress uses.
func (s *Simulation) throttle(antagonist int32, share float64) {
	for i := range s.faults {
		f := &s.faults[i]
		if !f.on || f.antagonist != antagonist {
			continue
		}
		if f.Cause == campaign.CauseDisk {
			f.streams = int32(share * float64(f.streams))
			continue
		}
		cores := len(s.victims(f, true)) * s.config.Cores
		s.containers[antagonist].cpu.limit = max(1e6, int64(share*float64(cores)*quotaPeriod))
		if f.Cause == campaign.CauseMemoryBandwidth {
			s.thrash(f, f.Intensity*share)
		}
	}
}
