package sim

import "seer/infer/topology"

// demand is what the nominal load asks of one replica of a service. Faults are
// scaled by it: a lock held for a millisecond harms a service of a thousand
// requests a second, and none of ten.
//
// The numbers are rounded: those before rounding may differ in the last bit from
// machine to machine.
type demand struct {
	requests int64 // per second, thousandths
	cpu      int64 // ns per second
	sent     int64 // bytes per second
	calls    int64 // made by it, per second, thousandths
}

// setDemand computes the demand of every service.
func (s *Simulation) setDemand(rate float64) {
	visits := s.app.Visits()
	for i := range s.services {
		v := &s.services[i]
		if v.spec == nil || len(v.containers) == 0 {
			continue
		}
		var requests, cpu, sent, calls float64
		for name, steps := range v.spec.Endpoints {
			n := visits[topology.Target{Service: v.name, Endpoint: name}]
			if n == 0 {
				continue
			}
			var e cost
			s.addCost(&e, steps, 1)
			requests += n
			calls += n * e.calls
			cpu += n * (e.cpu + e.calls*float64(s.costs.Send+s.costs.Receive) + float64(s.costs.Receive+s.costs.Send))
			sent += n * (e.calls*float64(s.costs.RequestBytes+headerBytes) + e.reply + float64(s.costs.ReplyBytes+headerBytes))
		}
		share := rate / float64(len(v.containers))
		v.nominal = demand{
			requests: round(requests * share * 1000),
			cpu:      round(cpu * share),
			sent:     round(sent * share),
			calls:    round(calls * share * 1000),
		}
	}
}

func round(x float64) int64 { return int64(x + 0.5) }

// cost is what one call of an endpoint takes on average.
type cost struct {
	cpu   float64 // ns
	reply float64 // bytes
	calls float64
}

func (s *Simulation) addCost(e *cost, steps []topology.Step, n float64) {
	for i := range steps {
		step := &steps[i]
		n := n * float64(max(1, step.Repeat))
		if step.Chance > 0 {
			n *= step.Chance
		}
		if w := step.Work; w != nil {
			e.cpu += n * (float64(w.CPU)*(1+9*w.Tail) + float64(int64(w.Memory)*s.memByteTime/unit))
			e.reply += n * float64(w.Reply)
		}
		if step.Call != nil {
			e.calls += n
		}
		if c := step.Cache; c != nil {
			e.calls += n
			if c.Fill != nil {
				e.calls += n * (1 - c.Hit)
			}
			s.addCost(e, c.Miss, n*(1-c.Hit))
		}
		s.addCost(e, step.Parallel, n)
		if step.Lock != nil {
			s.addCost(e, step.Lock.Steps, n)
		}
	}
}
