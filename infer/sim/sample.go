package sim

import (
	"time"

	"seer/collector"
)

// sampler looks at every queue several times per tick, as the collector does,
// and hands each tick to the sink.
type sampler struct {
	tick   Tick
	number int64 // of the tick under way
	passes int   // of it, so far
	at     int64 // of the last pass
}

func (p *sampler) grow(containers int) {
	for len(p.tick.Cells) < containers {
		p.tick.Cells = append(p.tick.Cells, [collector.NumQueues]collector.Cell{})
	}
}

func (s *Simulation) startSampling() {
	s.sampler.grow(len(s.visible()))
	s.planPass()
}

// planPass plans the next pass. The last one of a tick is at its end, the others
// jitter by a tenth of their distance, as those of a real sampler do.
func (s *Simulation) planPass() {
	p := &s.sampler
	tick, passes := int64(s.config.Tick), int64(s.config.Passes)
	at := p.number*tick + tick*int64(p.passes+1)/passes
	if !s.config.Exact && p.passes+1 < s.config.Passes {
		r := draw(mix(s.config.Seed)^uint64(at), saltPass)
		at -= int64(r>>32) * (tick / passes / 10) >> 32
	}
	s.heap.push(at, evPass, 0, 0)
}

// pass is what happens at evPass.
func (s *Simulation) pass() {
	p := &s.sampler
	for i := range s.hosts {
		s.hosts[i].mem.contend(s.now-p.at, s.memBandwidth)
	}
	p.at = s.now
	for i, c := range s.visible() {
		c.gauges[collector.QueueNICTx] = max(0, c.link.free-s.now) * unit / c.link.byteTime
		for q := range c.gauges {
			depth := c.gauges[q]
			c.sums[q] += depth
			c.maxima[q] = max(c.maxima[q], depth)
		}
		if !s.config.Exact {
			s.misread(int32(i), c)
		}
	}
	p.passes++
	if p.passes == s.config.Passes {
		s.endTick()
	}
	s.planPass()
}

// misreadShare of the requests in a service change hands while a pass looks at
// their socket, and are seen on the wrong side (DESIGN.md section 3.1: passive
// mode is within 1 % of the truth).
const misreadShare = 1.0 / 100

// misread adds the error of passive mode to a pass's depths of outstanding and
// downstream requests.
func (s *Simulation) misread(i int32, c *container) {
	for _, q := range [...]collector.Queue{collector.QueueOutstanding, collector.QueueDownstream} {
		depth := c.gauges[q]
		if depth == 0 {
			continue
		}
		r := draw(mix(s.config.Seed^uint64(s.now))^uint64(i)<<8, saltPass+uint32(q))
		if happens(r, uint64(min(depth, 100))*chanceOf(misreadShare)) {
			c.sums[q] += 1 - int64(r&1)*2
		}
	}
}

// endTick turns what passes and counters saw into cells, by the rules of the
// collector's readCell: what it cannot know is not known here.
func (s *Simulation) endTick() {
	p := &s.sampler
	t := &p.tick
	t.StartNS = p.number * int64(s.config.Tick)
	t.EndNS = s.now
	p.number++
	p.passes = 0
	seconds := float64(s.config.Tick) / 1e9
	for i, c := range s.visible() {
		cells := &t.Cells[i]
		for q := range cells {
			s.readCell(&cells[q], c, collector.Queue(q), seconds)
		}
		c.sums, c.maxima, c.departures, c.arrivals = [collector.NumQueues]int64{}, [collector.NumQueues]int64{}, [collector.NumQueues]int64{}, [collector.NumQueues]int64{}
	}
	if s.config.Sink != nil && s.err == nil {
		s.err = s.config.Sink.Tick(t)
	}
}

func (s *Simulation) readCell(out *collector.Cell, c *container, q collector.Queue, seconds float64) {
	depth := float64(c.gauges[q])
	*out = collector.Cell{
		Valid: true, Depth: depth, Max: float64(c.maxima[q]),
		Mean:       max(0, float64(c.sums[q])) / float64(s.config.Passes),
		Departures: float64(c.departures[q]),
	}
	switch q {
	case collector.QueueNICRx:
		out.Arrivals = out.Departures
	case collector.QueueBlockIO:
		s.countDiskArea(c)
		out.Arrivals = float64(c.arrivals[q])
		out.Mean = float64(c.diskArea) / float64(s.config.Tick)
		out.Max = max(out.Mean, out.Depth, c.last[q])
		c.diskArea = 0
	case collector.QueueRun:
		s.countRun(c)
		out.Mean = float64(c.runArea) / float64(s.config.Tick)
		out.Arrivals = max(0, out.Departures+depth-c.last[q])
		out.Max = max(out.Max, out.Mean)
		c.runArea = 0
	case collector.QueueAcceptBacklog:
		out.Limit = float64(c.backlog)
		out.Arrivals = float64(c.arrivals[q])
		out.Departures = max(0, out.Arrivals-(depth-c.last[q]))
	default:
		if c.departures[q] != 0 {
			out.Arrivals = max(0, out.Departures+depth-c.last[q])
		}
	}
	if out.Departures > 0 {
		wait := out.Mean * seconds / out.Departures * 1e9
		if q == collector.QueueBlockIO && out.Arrivals > 0 {
			wait = float64(c.diskWait) / out.Arrivals
		}
		out.Wait = time.Duration(wait)
	}
	if q == collector.QueueBlockIO {
		c.diskWait = 0
	}
	c.last[q] = depth
}
