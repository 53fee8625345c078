package api

import (
	"github.com/prometheus/client_golang/prometheus"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/latency"
)

// collectQueues sends what each container has, and the rest as "~other". A
// queue that was not measured in the last tick has no depth; one that never
// was has no counters: absent is not 0.
func (m *metrics) collectQueues(ch chan<- prometheus.Metric, f *frame) {
	t := &m.server.totals
	seen := make(map[string]bool, len(f.rows))
	var other [collector.NumQueues]collector.Cell
	anyOther, otherClosing := false, 0
	for i := range f.rows {
		r := &f.rows[i]
		sums, ok := t.get(r.Container.ID)
		if !ok {
			anyOther = true
			addCells(&other, &r.Cells)
			otherClosing += r.CloseWait
			continue
		}
		c := r.Container
		name := uniqueName(seen, c.Name, c.ID.CgroupID())
		m.info.send(ch, 1, name, c.Service, c.ID.String(), c.Runtime, c.Namespace, c.Pod, c.Image)
		m.closeWait.send(ch, float64(r.CloseWait), name, c.Service)
		m.sendCells(ch, &r.Cells, name, c.Service)
		m.sendSums(ch, &sums, name, c.Service)
		m.sendRequests(ch, c.ID, name, c.Service)
	}
	if anyOther {
		m.closeWait.send(ch, float64(otherClosing), otherContainers, otherContainers)
		m.sendCells(ch, &other, otherContainers, otherContainers)
	}
	if sums, ok := t.rest(); ok {
		m.sendSums(ch, &sums, otherContainers, otherContainers)
	}
}

// sendRequests sends how long a container's requests took, by octave: the bounds
// of octaves are bounds of buckets, so nothing is lost but detail.
func (m *metrics) sendRequests(ch chan<- prometheus.Metric, id container.ID, name, service string) {
	total, sum, ok := m.server.requests.totals(id)
	if !ok {
		return
	}
	for side := range total {
		h := &total[side]
		if h.N <= 0 {
			continue
		}
		below, count := map[float64]uint64{}, int64(0)
		for bucket, n := range h.Counts[:latency.Buckets-1] {
			count += int64(n)
			if _, to := latency.Bounds(bucket); to&(to-1) == 0 {
				below[to.Seconds()] = uint64(max(count, 0))
			}
		}
		ch <- prometheus.MustNewConstHistogram(m.took, uint64(h.N), sum[side], below, name, service, sideNames[side])
	}
}

// addCells sums what was measured. Limits of several containers do not add up
// to a limit.
func addCells(sum, cells *[collector.NumQueues]collector.Cell) {
	for q := range cells {
		if cells[q].Valid {
			sum[q].Valid = true
			sum[q].Depth += finite(cells[q].Depth)
		}
	}
}

func (m *metrics) sendCells(ch chan<- prometheus.Metric, cells *[collector.NumQueues]collector.Cell, name, service string) {
	for q := range cells {
		cell := &cells[q]
		if !cell.Valid {
			continue
		}
		ch <- prometheus.MustNewConstMetric(m.queues[q].depth, prometheus.GaugeValue, finite(cell.Depth), name, service)
		if cell.Limit > 0 {
			ch <- prometheus.MustNewConstMetric(m.queues[q].limit, prometheus.GaugeValue, finite(cell.Limit), name, service)
		}
	}
}

func (m *metrics) sendSums(ch chan<- prometheus.Metric, s *cellSumsOfQueues, name, service string) {
	for q := range s {
		sum := &s[q]
		if !sum.measured {
			continue
		}
		d := &m.queues[q]
		ch <- prometheus.MustNewConstMetric(d.area, prometheus.CounterValue, sum.area, name, service)
		ch <- prometheus.MustNewConstMetric(d.arrived, prometheus.CounterValue, sum.arrivals, name, service)
		ch <- prometheus.MustNewConstMetric(d.departed, prometheus.CounterValue, sum.departures, name, service)
	}
}
