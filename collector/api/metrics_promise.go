package api

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// collectPromises sends how every QoS target stands.
func (m *metrics) collectPromises(ch chan<- prometheus.Metric) {
	if m.server.cfg.Promises == nil {
		return
	}
	m.unwritten.send(ch, float64(m.server.cfg.Promises.Dropped()))
	for _, p := range m.server.cfg.Promises.Promises() {
		service, percentile := p.Target.Service, p.Target.Name()
		if p.Target.Bound == 0 {
			m.learning.send(ch, p.Learning, service)
			continue
		}
		m.learning.send(ch, 1, service)
		m.target.send(ch, p.Target.Bound.Seconds(), service, percentile, strconv.FormatBool(p.Target.Learned))
		m.late.send(ch, p.Share, service)
		m.violated.send(ch, truth(p.Violated), service)
		m.violations.send(ch, float64(p.Violations), service)
		if p.Enough {
			m.percentile.send(ch, p.Percentile.Seconds(), service, percentile)
		}
	}
}
