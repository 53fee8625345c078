package campaign

import (
	"slices"

	"seer/infer/topology"
)

// Eligible returns the services of app that can be the culprit of a fault of
// the given cause, in the order of the file. A service is one only if requests
// of users reach it, and if the cause has something to act on:
//
//	lock, deadlock, slow_dependency   the testbed's own programs
//	cycle                             those that begin a path of three of them, see Cycles
//	pool                              those that call somebody over a pool; gRPC shares one connection
//	memory_bandwidth, memory_capacity services that read more memory than fits in the caches
//	disk                              services that write to disk
//	all others                        every service
//
// Causes without a culprit, network_failure and load_spike, have one element,
// "". Where the result is empty the application cannot have the fault.
func Eligible(app *topology.App, cause Cause) []string {
	var can func(*use) bool
	switch cause {
	case CauseNetworkFailure, CauseLoadSpike:
		return []string{""}
	case CauseLock, CauseDeadlock, CauseSlowDependency:
		can = func(u *use) bool { return u.app() }
	case CausePool:
		can = func(u *use) bool { return u.app() && u.pooled }
	case CauseMemoryBandwidth, CauseMemoryCapacity:
		can = func(u *use) bool { return u.memory }
	case CauseDisk:
		can = func(u *use) bool { return u.disk }
	case CauseCycle:
		var names []string
		for _, c := range Cycles(app) {
			if !slices.Contains(names, c[0]) {
				names = append(names, c[0])
			}
		}
		return names
	case CausePacketFilter, CauseCPU, CauseCPULimit, CauseNetworkShaping, CauseNetworkLoss:
		can = func(*use) bool { return true }
	default:
		return nil
	}
	var names []string
	for _, u := range uses(app) {
		if u.reached && can(u) {
			names = append(names, u.service.Name)
		}
	}
	return names
}

// Cycles returns every path of three of the testbed's own programs, each of
// which calls the next and waits for it. A synchronous cycle arises when the
// last calls the first; that one is the culprit, the others are its peers.
func Cycles(app *topology.App) [][3]string {
	all := uses(app)
	byName := make(map[string]*use, len(all))
	for _, u := range all {
		byName[u.service.Name] = u
	}
	var out [][3]string
	for _, a := range all {
		if !a.app() || !a.reached {
			continue
		}
		for _, second := range a.waitsFor {
			b := byName[second]
			if !b.app() || b == a {
				continue
			}
			for _, third := range b.waitsFor {
				c := byName[third]
				if c.app() && c != a && c != b {
					out = append(out, [3]string{a.service.Name, second, third})
				}
			}
		}
	}
	return out
}

// use is what the requests of users make a service do.
type use struct {
	service  *topology.Service
	reached  bool
	disk     bool
	memory   bool
	pooled   bool     // calls somebody over a pool of connections
	waitsFor []string // services called synchronously, each once
}

func (u *use) app() bool { return u.service.Kind == topology.KindApp }

// uses follows every request of users through the application.
func uses(app *topology.App) []*use {
	w := walker{services: make(map[string]*use), seen: make(map[topology.Target]bool)}
	all := make([]*use, len(app.Services))
	for i, s := range app.Services {
		all[i] = &use{service: s}
		w.services[s.Name] = all[i]
	}
	for _, r := range app.Requests {
		w.call(r.Call)
	}
	return all
}

type walker struct {
	services map[string]*use
	seen     map[topology.Target]bool
}

func (w *walker) call(t topology.Target) {
	u := w.services[t.Service]
	if u == nil || w.seen[t] {
		return
	}
	w.seen[t] = true
	u.reached = true
	w.steps(u, u.service.Endpoints[t.Endpoint])
}

func (w *walker) steps(u *use, steps []topology.Step) {
	for i := range steps {
		s := &steps[i]
		if s.Work != nil {
			u.disk = u.disk || s.Work.Disk > 0
			u.memory = u.memory || s.Work.Memory > 0
		}
		if s.Call != nil {
			w.edge(u, *s.Call, s.Async)
		}
		if s.Cache != nil {
			w.edge(u, s.Cache.Call, false)
			w.steps(u, s.Cache.Miss)
			if s.Cache.Fill != nil {
				w.edge(u, *s.Cache.Fill, false)
			}
		}
		w.steps(u, s.Parallel)
		if s.Lock != nil {
			w.steps(u, s.Lock.Steps)
		}
	}
}

func (w *walker) edge(u *use, t topology.Target, async bool) {
	callee := w.services[t.Service]
	if callee == nil {
		return
	}
	u.pooled = u.pooled || callee.service.Protocol != topology.ProtocolGRPC
	if !async && !slices.Contains(u.waitsFor, t.Service) {
		u.waitsFor = append(u.waitsFor, t.Service)
	}
	w.call(t)
}
