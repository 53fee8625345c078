package api

import (
	"math"
	"net/netip"
	"strings"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/graph"
)

// containerRow describes one container.
func containerRow(r *collector.Row) ContainerRow {
	c := r.Container
	return ContainerRow{
		Container: c.Name, Service: c.Service, CgroupID: c.ID.CgroupID(), ID: c.ID.String(),
		Runtime: c.Runtime, RuntimeID: c.RuntimeID, Pod: c.Pod, Namespace: c.Namespace,
		Image: c.Image, Unit: c.Unit, Path: c.Path, Sockets: r.Sockets, CloseWait: r.CloseWait,
	}
}

// queueRow describes queue q of one container. reasons says, per queue, why a
// cell that is not valid was not measured; since is how long the queue has
// not been empty.
func queueRow(r *collector.Row, q collector.Queue, reasons *[collector.NumQueues]string, since time.Duration) QueueRow {
	cell, info, c := &r.Cells[q], &collector.Queues[q], r.Container
	row := QueueRow{
		Container: c.Name, Service: c.Service, CgroupID: c.ID.CgroupID(),
		Queue: info.Name, Unit: info.Unit, Valid: cell.Valid,
	}
	if !cell.Valid {
		row.Reason = reasons[q]
		return row
	}
	row.Depth, row.Mean, row.Max = finite(cell.Depth), finite(cell.Mean), finite(cell.Max)
	row.Arrivals, row.Departures = finite(cell.Arrivals), finite(cell.Departures)
	row.WaitMS, row.SinceMS = milliseconds(cell.Wait), milliseconds(since)
	if cell.Limit > 0 {
		limit := finite(cell.Limit)
		row.Limit = &limit
	}
	return row
}

// finite keeps a value that JSON cannot hold from spoiling a whole answer.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// notMeasuredReasons says for each queue why its cells may not be valid. Some
// queues have several probes: one that failed explains most; one that is off
// explains nothing while another one is on.
func notMeasuredReasons(probes []collector.Probe) (reasons [collector.NumQueues]string) {
	for q := range reasons {
		reasons[q] = "not read during the last tick"
	}
	for _, state := range []collector.ProbeState{collector.ProbeOff, collector.ProbeOn, collector.ProbeFailed} {
		for i := range probes {
			if p := &probes[i]; p.State == state {
				for _, q := range p.Queues {
					reasons[q] = notMeasuredReason(p)
				}
			}
		}
	}
	return reasons
}

func notMeasuredReason(p *collector.Probe) string {
	switch {
	case p.State == collector.ProbeOn:
		return "not read during the last tick"
	case p.Reason == "":
		return p.State.String() + ": probe " + p.Name
	}
	return p.State.String() + ": " + p.Reason
}

// serviceRows sums the rows that are picked by service, in the order in
// which services first appear.
func serviceRows(rows []collector.Row, picked pickFunc) []ServiceRow {
	var services []ServiceRow
	index := map[string]int{}
	for i := range rows {
		r := &rows[i]
		if !picked(r.Container) {
			continue
		}
		at, ok := index[r.Container.Service]
		if !ok {
			at = len(services)
			index[r.Container.Service] = at
			services = append(services, newServiceRow(r.Container.Service))
		}
		services[at].add(r)
	}
	return services
}

func newServiceRow(name string) ServiceRow {
	s := ServiceRow{Service: name, Queues: make([]ServiceQueue, collector.NumQueues)}
	for q := range s.Queues {
		s.Queues[q].Queue, s.Queues[q].Unit = collector.Queues[q].Name, collector.Queues[q].Unit
	}
	return s
}

func (s *ServiceRow) add(r *collector.Row) {
	s.Containers = append(s.Containers, r.Container.Name)
	s.Sockets += r.Sockets
	s.CloseWait += r.CloseWait
	for q := range s.Queues {
		cell, sum := &r.Cells[q], &s.Queues[q]
		if !cell.Valid {
			continue
		}
		sum.Valid = true
		sum.Depth += finite(cell.Depth)
		sum.Mean += finite(cell.Mean)
		sum.Arrivals += finite(cell.Arrivals)
		sum.Departures += finite(cell.Departures)
	}
}

func socketRow(s *collector.Socket, c *container.Container) SocketRow {
	return SocketRow{
		Container: c.Name, Service: c.Service, CgroupID: c.ID.CgroupID(),
		Role: s.Role.String(), State: s.State, Local: address(s.Local), Remote: address(s.Remote),
		NetNS: s.NetNS, Inode: s.Inode, ReceiveBytes: s.ReceiveBytes, SendBytes: s.SendBytes,
		NICTxBytes: s.NICTxBytes, Outstanding: s.Outstanding, Downstream: s.Downstream,
		AcceptBacklog: s.AcceptBacklog, AcceptBacklogLimit: s.AcceptBacklogLimit,
		SYNQueue: s.SYNQueue, Requests: s.Requests,
	}
}

func edgeRow(e *collector.LiveEdge, client, server *container.Container) EdgeRow {
	row := EdgeRow{
		Client: client.Name, ClientService: client.Service, ClientCgroupID: client.ID.CgroupID(),
		Server: server.Name, ServerService: server.Service, ServerCgroupID: server.ID.CgroupID(),
		Protocol: "tcp", Port: e.Port, Connections: e.Connections, Waiting: e.Waiting,
		Requests: e.Requests, Failed: e.Failed, Unanswered: e.Unanswered,
		OverMS: milliseconds(e.Over), PerSecond: finite(e.PerSecond), Outstanding: finite(e.Outstanding),
	}
	if e.Client == 0 {
		row.Client, row.ClientService = graph.External, graph.External
	}
	if e.Server == 0 {
		row.Server, row.ServerService = graph.External, graph.External
	}
	if e.EdgeKey == (collector.EdgeKey{}) {
		row.Client, row.ClientService, row.Server, row.ServerService = otherContainers, otherContainers, otherContainers, otherContainers
	}
	if e.Latency > 0 {
		ms := milliseconds(e.Latency)
		row.LatencyMS = &ms
	}
	return row
}

// address shows a v4-mapped peer as the IPv4 address it is, and the peer that
// a listener does not have as none.
func address(a netip.AddrPort) string {
	if !a.IsValid() || a.Port() == 0 && a.Addr().IsUnspecified() {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

func probeRow(p *collector.Probe) ProbeRow {
	row := ProbeRow{
		Probe: p.Name, State: p.State.String(), Reason: p.Reason, Flavour: p.Flavour,
		Queues: make([]string, 0, len(p.Queues)), Programs: append([]string{}, p.Programs...),
		ReadsHz: finite(p.Hz), LastTookMS: milliseconds(p.LastTook), Objects: p.Objects,
		CPUSeconds: p.CPU.Seconds(), Runs: p.Runs,
	}
	for _, q := range p.Queues {
		row.Queues = append(row.Queues, q.String())
	}
	if !p.LastRead.IsZero() {
		row.LastRead = p.LastRead.UTC().Format(time.RFC3339Nano)
	}
	return row
}

func probeRows(probes []collector.Probe) []ProbeRow {
	rows := make([]ProbeRow, len(probes))
	for i := range probes {
		rows[i] = probeRow(&probes[i])
	}
	return rows
}

func costRow(c collector.Cost) CostRow {
	return CostRow{
		BudgetShare: finite(c.BudgetShare), UsedShare: finite(c.UsedShare),
		SamplerShare: finite(c.SamplerShare), ProgramShare: finite(c.ProgramShare),
		ProcessShare: finite(c.ProcessShare), RSSBytes: c.RSSBytes,
		PassHz: finite(c.PassHz), PassHzWanted: finite(c.PassHzWanted),
		QuietEvery: c.QuietEvery, SampledShare: finite(c.SampledShare),
		ExactMode: c.ExactMode, RelativeError: finite(c.RelativeError),
		GaveUp: append([]string{}, c.GaveUp...),
	}
}

func lossRows(losses []collector.Loss) []LossRow {
	rows := make([]LossRow, len(losses))
	for i, l := range losses {
		rows[i] = LossRow(l)
	}
	return rows
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// singular turns a queue's unit into the name of one: "bytes", "byte".
func singular(unit string) string { return strings.TrimSuffix(unit, "s") }
