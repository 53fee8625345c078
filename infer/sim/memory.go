package sim

import "seer/collector"

// diskRequest makes a task wait until the disk has moved size bytes for it.
func (s *Simulation) diskRequest(i int32, c *container, size int64) {
	s.countDisk(c, 1)
	done := s.queueDisk(c, size)
	c.diskWait += done - s.now
	s.heap.push(done, evDisk, i, 0)
}

// queueDisk returns when the disk will have done one more request of a
// container. It shares its time equally between the containers that have requests
// (as BFQ does), and serves each in order.
func (s *Simulation) queueDisk(c *container, size int64) int64 {
	sharers := max(1, s.hosts[c.host].diskUsers)
	c.diskFree = max(s.now, c.diskFree) + (s.costs.DiskLatency+size*s.diskByteTime/unit)*sharers
	return c.diskFree
}

// diskDone is what happens at evDisk.
func (s *Simulation) diskDone(i int32) {
	t := s.tasks.at(i)
	s.countDisk(s.containers[t.container], -1)
	s.advance(i, t)
}

// countDisk keeps the depth of the block layer and the area under it.
func (s *Simulation) countDisk(c *container, change int64) {
	s.countDiskArea(c)
	depth := &c.gauges[collector.QueueBlockIO]
	*depth += change
	switch {
	case change > 0 && *depth == 1:
		s.hosts[c.host].diskUsers++
	case change < 0 && *depth == 0:
		s.hosts[c.host].diskUsers--
	}
	if change > 0 {
		c.arrivals[collector.QueueBlockIO]++
	} else {
		c.departures[collector.QueueBlockIO]++
	}
}

func (s *Simulation) countDiskArea(c *container) {
	c.diskArea += c.gauges[collector.QueueBlockIO] * (s.now - c.diskAt)
	c.diskAt = s.now
}

// memory is the path to memory that all containers of a host share.
type memory struct {
	bytes  int64 // read since the last pass
	demand int64 // bytes per second, smoothed
	stolen int64 // by antagonists, bytes per second
	slow   int64 // an access takes slow/unit as long
}

// contend sets how slow memory is from how much of its bandwidth is asked for.
// Latency grows as in an open queue; at nine tenths the hardware throttles the
// demand, so that it ends at eight times.
func (m *memory) contend(intervalNS, bandwidth int64) {
	now := m.bytes * 1000 / max(1, intervalNS/1e6)
	m.bytes = 0
	m.demand += (now - m.demand) / 8
	share := min((m.demand+m.stolen)*unit/bandwidth, unit*9/10)
	m.slow = unit + share*share/(unit-share)*7/8
}
