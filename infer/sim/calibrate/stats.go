package calibrate

import (
	"slices"

	"seer/collector"
	"seer/collector/tracedb"
	"seer/infer/campaign"
	"seer/infer/sim"
)

// service is what one service showed over a run. Depths are means over time,
// rates per second.
type service struct {
	outstanding, unread, downstream float64
	ready                           float64 // threads that wait for a CPU
	answered, calls                 float64
}

// own is the time that a request spends in the service itself, from being read
// to the answer, without the calls that it waits for, in seconds (Little's law).
// Calls in parallel count several times, so that it can be less than zero: two
// runs of one application can be compared by it all the same.
func (v *service) own() float64 {
	if v.answered == 0 {
		return 0
	}
	return (v.outstanding - v.downstream) / v.answered
}

// stats is what a run showed.
type stats struct {
	services  map[string]*service
	latencies []int64 // of the users, us
	seconds   float64 // of samples per container

	names []string // of the service of each container
	from  int64    // what comes before is not counted, ns
	to    int64
}

func newStats(from, to int64) *stats {
	return &stats{services: make(map[string]*service), from: from, to: to}
}

// of returns the service of a container, nil for an antagonist.
func (s *stats) of(container int) *service {
	if container >= len(s.names) || s.names[container] == "" {
		return nil
	}
	name := s.names[container]
	if s.services[name] == nil {
		s.services[name] = new(service)
	}
	return s.services[name]
}

// add counts the sample of one queue, which covers ns nanoseconds.
func (v *service) add(q collector.Queue, mean, departures float64, ns int64) {
	weight := float64(ns) / 1e9
	switch q {
	case collector.QueueOutstanding:
		v.outstanding += mean * weight
		v.answered += departures
	case collector.QueueUnreadRequests:
		v.unread += mean * weight
	case collector.QueueRun:
		v.ready += mean * weight
	case collector.QueueDownstream:
		v.downstream += mean * weight
		v.calls += departures
	}
}

// finish turns sums into means and rates.
func (s *stats) finish() {
	if s.seconds == 0 {
		return
	}
	for _, v := range s.services {
		v.outstanding /= s.seconds
		v.unread /= s.seconds
		v.ready /= s.seconds
		v.downstream /= s.seconds
		v.answered /= s.seconds
		v.calls /= s.seconds
	}
	slices.Sort(s.latencies)
}

// percentile of the users' latencies, in us.
func (s *stats) percentile(p float64) float64 {
	if len(s.latencies) == 0 {
		return 0
	}
	return float64(s.latencies[int(float64(len(s.latencies)-1)*p/100)])
}

// hop is the time that a message spends between two services, in seconds: what
// callers wait for beyond what callees take.
func (s *stats) hop(entries []string) float64 {
	wait, calls := 0.0, 0.0
	for name, v := range s.services {
		wait += v.downstream
		calls += v.calls
		if !slices.Contains(entries, name) {
			wait -= v.outstanding + v.unread
		}
	}
	if calls == 0 {
		return 0
	}
	return max(0, wait/calls/2)
}

// ready is how many threads wait for a CPU.
func (s *stats) ready() float64 {
	sum := 0.0
	for _, v := range s.services {
		sum += v.ready
	}
	return sum
}

// Request is part of sim.Sink.
func (s *stats) Request(r campaign.Request) error {
	if at := r.IntendedUS * 1000; at >= s.from && at < s.to {
		s.latencies = append(s.latencies, r.LatencyUS)
	}
	return nil
}

// Tick is part of sim.Sink.
func (s *stats) Tick(t *sim.Tick) error {
	if t.StartNS < s.from || t.EndNS > s.to {
		return nil
	}
	s.seconds += float64(t.EndNS-t.StartNS) / 1e9
	for i := range t.Cells {
		v := s.of(i)
		if v == nil {
			continue
		}
		for q := range t.Cells[i] {
			c := &t.Cells[i][q]
			v.add(collector.Queue(q), c.Mean, c.Departures, t.EndNS-t.StartNS)
		}
	}
	return nil
}

// measured reads what a directory shows between two times.
func measured(dir *campaign.Dir, from, to int64) (*stats, error) {
	s := newStats(from, to)
	for _, c := range dir.Manifest.Containers {
		s.names = append(s.names, c.Service)
	}
	var chunk tracedb.Chunk
	var block tracedb.Block
	for f, err := range dir.Frames() {
		if err != nil {
			return nil, err
		}
		v := s.of(f.Container)
		if v == nil {
			continue
		}
		block.Reset()
		if err := chunk.Open(f.Chunk); err != nil {
			return nil, err
		}
		if err := chunk.AppendTo(&block); err != nil {
			return nil, err
		}
		for i := range block.Len() {
			if block.Start[i] < from || block.End[i] > to {
				continue
			}
			if f.Container == 0 {
				s.seconds += float64(block.End[i]-block.Start[i]) / 1e9
			}
			for q := range block.Valid {
				if block.Valid[q][i] {
					v.add(collector.Queue(q), float64(block.Values[q][tracedb.StatMean][i]), float64(block.Values[q][tracedb.StatDepartures][i]), block.End[i]-block.Start[i])
				}
			}
		}
	}
	for r, err := range dir.Requests() {
		if err != nil {
			return nil, err
		}
		if err := s.Request(r); err != nil {
			return nil, err
		}
	}
	s.finish()
	return s, nil
}
