package api

import (
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"seer/collector"
)

// otherContainers is the label of what has no place of its own (totals.go).
const otherContainers = "~other"

// StoreStats is what the database reports for metrics.
type StoreStats struct {
	Points    uint64 // values stored since start
	Dropped   uint64 // values not stored since start, whatever the reason
	Written   uint64 // bytes written to disk since start, rewriting included
	DiskBytes uint64
	FreeBytes uint64 // left on its file system
	Stalled   bool   // a write waits for disk space
}

// queueMetrics are the metrics of one queue. Their names and help derive from
// collector.Queues. Depth and limit are metrics of their own, so that summing
// over a metric always has a meaning (Prometheus, "Metric and label naming").
//
// A scrape sees one tick in 150, so the depth gauge is a sample; the area
// (depth x seconds) loses nothing: its rate is the exact mean depth over any
// interval, and divided by the rate of departures it is the mean wait.
type queueMetrics struct {
	depth, limit, area, arrived, departed *prometheus.Desc
}

func newQueueMetrics(q *collector.QueueInfo) queueMetrics {
	labels := []string{"container", "service"}
	desc := func(suffix, help string) *prometheus.Desc {
		return prometheus.NewDesc("seer_"+q.Name+"_"+suffix, help, labels, nil)
	}
	return queueMetrics{
		depth:    desc(q.Unit, q.Help+" Depth now."),
		limit:    desc("limit_"+q.Unit, fmt.Sprintf("Depth at which %s refuses arrivals.", q.Name)),
		area:     desc(singular(q.Unit)+"_seconds_total", q.Help+" Depth integrated over time: its rate is the mean depth."),
		arrived:  desc("arrived_"+q.Unit+"_total", fmt.Sprintf("Entered %s: %s.", q.Name, q.Unit)),
		departed: desc("departed_"+q.Unit+"_total", fmt.Sprintf("Left %s: %s.", q.Name, q.Unit)),
	}
}

// gauge or counter without labels of a container, read at each scrape.
type fact struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func newFact(kind prometheus.ValueType, name, help string, labels ...string) fact {
	return fact{prometheus.NewDesc("seer_"+name, help, labels, nil), kind}
}

// metrics collects everything from one server at each scrape.
type metrics struct {
	server *Server
	queues [collector.NumQueues]queueMetrics
	took   *prometheus.Desc

	info, build, start, tick, ticks, lastTick, containers, sockets, passes  fact
	closeWait                                                               fact
	cost, budget, passHz, passHzWanted, quiet, sampled, relativeError, gave fact
	losses, probeState, probeCPU, probeRuns, probeTook, probeLast           fact
	streams, skipped                                                        fact
	stored, dropped, written, disk, free, stalled                           fact

	target, percentile, late, violated, violations, learning, unwritten fact
}

func newMetrics(s *Server) *metrics {
	const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue
	m := &metrics{
		server: s,

		info:       newFact(gauge, "container_info", "Names of a container; always 1.", "container", "service", "cgroup", "runtime", "namespace", "pod", "image"),
		build:      newFact(gauge, "build_info", "Version of this Seer; always 1.", "version", "goversion"),
		start:      newFact(gauge, "start_time_seconds", "When this Seer started, since the epoch."),
		tick:       newFact(gauge, "tick_seconds", "Length of the last tick."),
		ticks:      newFact(counter, "ticks_total", "Ticks taken."),
		lastTick:   newFact(gauge, "last_tick_timestamp_seconds", "End of the last tick, since the epoch."),
		containers: newFact(gauge, "containers", "Containers in the last tick."),
		sockets:    newFact(gauge, "sockets", "Sockets tracked, all containers."),
		closeWait:  newFact(gauge, "close_wait_sockets", "TCP connections that the peer has closed and the container has not (CLOSE_WAIT).", "container", "service"),
		passes:     newFact(gauge, "tick_passes", "Socket passes taken during the last tick."),

		cost:          newFact(gauge, "cost_cpu_ratio", "Share of the host's CPU that a part of Seer uses.", "part"),
		budget:        newFact(gauge, "cost_cpu_budget_ratio", "Share of the host's CPU that Seer may use."),
		passHz:        newFact(gauge, "pass_rate_hertz", "Socket passes per second."),
		passHzWanted:  newFact(gauge, "pass_rate_wanted_hertz", "Socket passes per second without a budget."),
		quiet:         newFact(gauge, "quiet_visit_interval_passes", "Quiet sockets are visited once in so many passes."),
		sampled:       newFact(gauge, "sampled_sockets_ratio", "Share of the visits to sockets that take a pass; below 1 some ticks repeat the last."),
		relativeError: newFact(gauge, "expected_error_ratio", "Expected error of a mean depth of 10 over one tick."),
		gave:          newFact(gauge, "given_up", "Things given up to stay inside the budget; `seer inspect probe` names them."),

		losses:     newFact(counter, "losses_total", "Facts dropped, by reason.", "reason"),
		probeState: newFact(gauge, "probe_state", "1 for the state a probe is in, 0 for the others.", "probe", "state"),
		probeCPU:   newFact(counter, "probe_cpu_seconds_total", "CPU time of a probe's reads and runs.", "probe"),
		probeRuns:  newFact(counter, "probe_runs_total", "Runs of a probe's programs, where the kernel counts them.", "probe"),
		probeTook:  newFact(gauge, "probe_last_read_duration_seconds", "Time that a probe's last read took.", "probe"),
		probeLast:  newFact(gauge, "probe_last_read_timestamp_seconds", "When a probe was last read, since the epoch.", "probe"),

		streams: newFact(gauge, "stream_clients", "Clients of the control socket that follow each tick."),
		skipped: newFact(counter, "stream_skipped_snapshots_total", "Snapshots not sent to clients that read too slowly."),

		stored:  newFact(counter, "tracedb_points_total", "Values stored."),
		dropped: newFact(counter, "tracedb_dropped_points_total", "Values that could not be stored; counted up to 10 s late, as a chunk is tried again until it ends."),
		written: newFact(counter, "tracedb_written_bytes_total", "Bytes written to disk, rewriting included."),
		disk:    newFact(gauge, "tracedb_disk_bytes", "Size of the database."),
		free:    newFact(gauge, "tracedb_free_bytes", "Room left on the database's file system."),
		stalled: newFact(gauge, "tracedb_stalled", "1 while a write waits for disk space."),

		target:     newFact(gauge, "qos_target_seconds", "Bound of a percentile of an entry service's latency.", "service", "percentile", "learned"),
		percentile: newFact(gauge, "qos_latency_seconds", "That percentile in the window; absent without enough requests.", "service", "percentile"),
		late:       newFact(gauge, "qos_late_requests_ratio", "Share of the requests of the window that exceed the bound.", "service"),
		violated:   newFact(gauge, "qos_violated", "1 while the percentile exceeds its bound.", "service"),
		violations: newFact(counter, "qos_violations_total", "Violations begun.", "service"),
		learning:   newFact(gauge, "qos_learning_ratio", "How far the target is learned, 1 when it is.", "service"),
		unwritten:  newFact(counter, "qos_dropped_entries_total", "Violations and targets that could not be written down."),
	}
	m.took = prometheus.NewDesc("seer_request_duration_seconds", "How long requests took, of containers that are counted exactly.", []string{"container", "service", "side"}, nil)
	for q := range m.queues {
		m.queues[q] = newQueueMetrics(&collector.Queues[q])
	}
	return m
}

// Describe implements prometheus.Collector. It sends one description: the
// others are checked by the registry as they come.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) { ch <- m.build.desc }

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	m.collectSelf(ch)
	m.collectHealth(ch)
	m.collectStore(ch)
	m.collectPromises(ch)
	f := m.server.frames.acquire()
	if f == nil {
		return
	}
	defer m.server.frames.release(f)
	m.collectTick(ch, f)
	m.collectQueues(ch, f)
}

func (f fact) send(ch chan<- prometheus.Metric, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
}

func (m *metrics) collectSelf(ch chan<- prometheus.Metric) {
	s := m.server
	m.build.send(ch, 1, s.cfg.Version, runtime.Version())
	m.start.send(ch, seconds(s.cfg.Started))
	m.streams.send(ch, float64(s.streams.count()))
	m.skipped.send(ch, float64(s.streams.skipped.Load()))

	cost := costRow(s.cfg.Source.Cost())
	m.cost.send(ch, cost.SamplerShare, "sampler")
	m.cost.send(ch, cost.ProgramShare, "program")
	m.cost.send(ch, cost.ProcessShare, "process")
	m.budget.send(ch, cost.BudgetShare)
	m.passHz.send(ch, cost.PassHz)
	m.passHzWanted.send(ch, cost.PassHzWanted)
	m.quiet.send(ch, float64(cost.QuietEvery))
	m.sampled.send(ch, cost.SampledShare)
	m.relativeError.send(ch, cost.RelativeError)
	m.gave.send(ch, float64(len(cost.GaveUp)))
}

func (m *metrics) collectHealth(ch chan<- prometheus.Metric) {
	for _, l := range m.server.cfg.Source.Losses() {
		m.losses.send(ch, float64(l.Count), l.Reason)
	}
	for _, p := range m.server.cfg.Source.Probes() {
		for _, state := range []collector.ProbeState{collector.ProbeOff, collector.ProbeOn, collector.ProbeFailed} {
			m.probeState.send(ch, truth(p.State == state), p.Name, state.String())
		}
		m.probeCPU.send(ch, p.CPU.Seconds(), p.Name)
		m.probeRuns.send(ch, float64(p.Runs), p.Name)
		if !p.LastRead.IsZero() {
			m.probeTook.send(ch, p.LastTook.Seconds(), p.Name)
			m.probeLast.send(ch, seconds(p.LastRead), p.Name)
		}
	}
}

func (m *metrics) collectStore(ch chan<- prometheus.Metric) {
	if m.server.cfg.Store == nil {
		return
	}
	s := m.server.cfg.Store()
	m.stored.send(ch, float64(s.Points))
	m.dropped.send(ch, float64(s.Dropped))
	m.written.send(ch, float64(s.Written))
	m.disk.send(ch, float64(s.DiskBytes))
	m.free.send(ch, float64(s.FreeBytes))
	m.stalled.send(ch, truth(s.Stalled))
}

func (m *metrics) collectTick(ch chan<- prometheus.Metric, f *frame) {
	sockets := 0
	for i := range f.rows {
		sockets += f.rows[i].Sockets
	}
	m.tick.send(ch, f.tick().Seconds())
	m.ticks.send(ch, float64(m.server.totals.count()))
	m.lastTick.send(ch, seconds(f.end))
	m.containers.send(ch, float64(len(f.rows)))
	m.sockets.send(ch, float64(sockets))
	m.passes.send(ch, float64(f.passes))
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// uniqueName keeps two containers of one name from spoiling a scrape, which
// must not hold the same series twice.
func uniqueName(seen map[string]bool, name string, cgroup uint64) string {
	if seen[name] {
		name += "@" + strconv.FormatUint(cgroup, 10)
	}
	seen[name] = true
	return name
}
