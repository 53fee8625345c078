package top

import (
	"context"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
)

// generator makes the ticks of an invented host: three services with replicas
// and some system units, where one container's accept backlog fills up.
type generator struct {
	rand       *rand.Rand
	containers []*container.Container
	seq        uint64
	now        time.Time
	tick       time.Duration
}

// epoch is when generated time begins: a whole interval, so that golden
// screens do not depend on where in one it starts.
var epoch = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func newGenerator(n int, start time.Time) *generator {
	g := &generator{rand: rand.New(rand.NewPCG(1, 2)), now: start, tick: 100 * time.Millisecond, seq: 4710}
	services := []string{"frontend", "compose-post", "user-timeline", "redis"}
	for i := range n {
		c := &container.Container{ID: container.ID(1000 + i), Runtime: "containerd"}
		c.Service = services[i%len(services)]
		if i >= 12 {
			c.Service = fmt.Sprintf("unit%03d.service", i)
			c.Runtime, c.Unit = "systemd", c.Service
		} else {
			c.Pod, c.Namespace = fmt.Sprintf("%s-7f9c8d-%c", c.Service, 'a'+i), "social"
			c.Image = "registry.example.org/social/" + c.Service + ":1.4"
			c.RuntimeID = fmt.Sprintf("%064x", i+0xabcdef)
		}
		c.Name = c.Service
		if i < 12 {
			c.Name = fmt.Sprintf("%s-%d", c.Service, i/len(services))
		}
		c.Path = "/kubepods.slice/" + c.Name
		g.containers = append(g.containers, c)
	}
	return g
}

// frame makes the next tick.
func (g *generator) frame() *Frame {
	g.seq++
	g.now = g.now.Add(g.tick)
	f := &Frame{
		Host: "node-17", Seq: g.seq, Time: g.now, Tick: g.tick, Passes: 10, Losses: 0,
		Cost: api.CostRow{BudgetShare: 0.005, UsedShare: 0.0021, RSSBytes: 61e6, PassHz: 100},
		Probes: []api.ProbeRow{
			{Probe: "socket", State: "on", Queues: []string{"outstanding"}},
			{Probe: "block", State: "failed", Reason: "attach block_rq_issue: operation not permitted (lockdown)", Queues: []string{"block_io"}},
		},
		Rows: make([]collector.Row, len(g.containers)),
	}
	for i, c := range g.containers {
		f.Rows[i] = collector.Row{Container: c, Sockets: 7 + 3*(i%5), CloseWait: 2 * (i % 2)}
		g.fill(&f.Rows[i].Cells, i)
	}
	return f
}

func (g *generator) fill(cells *[collector.NumQueues]collector.Cell, i int) {
	t := float64(g.seq-4710) / 10 // seconds
	set := func(q collector.Queue, depth, limit, rate float64) {
		c := &cells[q]
		*c = collector.Cell{Depth: math.Round(depth), Mean: depth, Max: math.Ceil(depth * 1.5), Limit: limit, Valid: true}
		c.Arrivals, c.Departures = rate*g.tick.Seconds(), rate*g.tick.Seconds()
		if rate > 0 {
			c.Wait = time.Duration(depth / rate * float64(time.Second))
		}
	}
	for q := range cells {
		set(collector.Queue(q), 0, 0, 0)
	}
	cells[collector.QueueBlockIO] = collector.Cell{} // its probe failed
	if i >= 12 {
		cells[collector.QueueOutstanding] = collector.Cell{}
		cells[collector.QueueRun] = collector.Cell{Valid: true, Mean: 0.01 * float64(i%3)}
		return
	}
	wave := 1 + math.Sin(t/4+float64(i)) + 0.2*g.rand.Float64()
	set(collector.QueueOutstanding, 6*wave*float64(1+i%3), 0, 840*float64(1+i%3))
	set(collector.QueueDownstream, 4*wave, 0, 900)
	set(collector.QueueEpollReady, 0.3*wave, 0, 2000)
	set(collector.QueueRun, 0.2*wave, 0, 1500)
	set(collector.QueueReceive, 900*wave, 212992, 1e6)
	set(collector.QueueSend, 14000*wave, 0, 4e6)
	set(collector.QueueAcceptBacklog, 0, 128, 3)
	if i == 1 { // compose-post-0 stops accepting
		set(collector.QueueAcceptBacklog, min(128, t*3), 128, 3)
	}
	if i == 6 { // user-timeline-1 has more threads than CPU
		set(collector.QueueRun, 1.6+wave/4, 0, 900)
	}
	if i == 7 { // of redis-1, nothing is known about send queues
		cells[collector.QueueSend] = collector.Cell{}
	}
}

// testFeed plays a generator in real time, or as fast as it is read.
type testFeed struct {
	generator *generator
	pace      time.Duration // between frames; 0 is none
	limit     int           // frames before it breaks; 0 is no limit
	err       error         // what it breaks with
	closed    chan struct{}
	sockets   []api.SocketRow
	edges     []api.EdgeRow
}

func (f *testFeed) Frames(ctx context.Context, _ time.Duration) iter.Seq2[*Frame, error] {
	return func(yield func(*Frame, error) bool) {
		ticker := time.NewTicker(max(f.pace, time.Millisecond))
		defer ticker.Stop()
		for n := 0; f.limit == 0 || n < f.limit; n++ {
			if ctx.Err() != nil || !yield(f.generator.frame(), nil) {
				return
			}
			if f.pace > 0 {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
				}
			}
		}
		if ctx.Err() == nil {
			yield(nil, f.err)
		}
	}
}

func (f *testFeed) Sockets(context.Context, api.Selector) ([]api.SocketRow, error) {
	return append([]api.SocketRow(nil), f.sockets...), nil
}

func (f *testFeed) Edges(context.Context, api.Selector) ([]api.EdgeRow, error) {
	return append([]api.EdgeRow(nil), f.edges...), nil
}

func (f *testFeed) Close() error {
	if f.closed != nil {
		close(f.closed)
	}
	return nil
}

// testSockets are the sockets of a server: a listener, a connection whose
// request it holds, one it waits on, and idle ones.
func testSockets() []api.SocketRow {
	rows := []api.SocketRow{
		{Role: "server", State: "ESTAB", Local: "10.244.1.17:8080", Remote: "10.244.2.9:51234", Requests: 48123},
		{Role: "listener", State: "LISTEN", Local: "[::]:8080", Remote: "[::]:0", AcceptBacklog: 23, AcceptBacklogLimit: 128, SYNQueue: 2},
		{Role: "server", State: "ESTAB", Local: "10.244.1.17:8080", Remote: "10.244.2.9:51235", Outstanding: true, SendBytes: 14200, Requests: 991},
		{Role: "client", State: "ESTAB", Local: "[fd00:10:244:1::17]:40112", Remote: "[fd00:10:96:0:8a2e:370:7334:1]:6379", Downstream: true, Requests: 120034},
		{Role: "unix", State: "ESTAB", Inode: 48211, ReceiveBytes: 512},
	}
	for i := range 30 {
		rows = append(rows, api.SocketRow{Role: "server", State: "CLOSE-WAIT", Local: "10.244.1.17:8080", Remote: fmt.Sprintf("10.244.3.1:%d", 40000+i)})
	}
	return rows
}

// testEdges are the calls of the generated host: through frontend to three replicas
// of redis, a circle between compose-post and user-timeline, an agent that calls
// everybody, and peers outside.
func testEdges() []api.EdgeRow {
	var rows []api.EdgeRow
	add := func(client, server string, port uint16, connections int, perSecond float64, latency time.Duration, failed uint64) {
		end := func(name string) (service string, cgroup uint64) {
			g := newGenerator(40, epoch)
			for _, c := range g.containers {
				if c.Name == name {
					return c.Service, c.ID.CgroupID()
				}
			}
			return name, 0
		}
		row := api.EdgeRow{Client: client, Server: server, Protocol: "tcp", Port: port, Connections: connections, OverMS: 2000, PerSecond: perSecond, Failed: failed}
		row.ClientService, row.ClientCgroupID = end(client)
		row.ServerService, row.ServerCgroupID = end(server)
		row.Outstanding = perSecond * latency.Seconds()
		rows = append(rows, row)
	}
	add("external", "frontend-0", 443, 120, 830, 48*time.Millisecond, 0)
	add("external", "frontend-1", 443, 12, 83, 48*time.Millisecond, 1)
	add("frontend-0", "compose-post-0", 8080, 16, 420, 38*time.Millisecond, 17)
	add("frontend-0", "user-timeline-1", 8081, 8, 410, 15*time.Millisecond, 0)
	add("frontend-0", "redis-0", 6379, 4, 12000, 210*time.Microsecond, 0)
	add("compose-post-0", "user-timeline-0", 8081, 4, 100, 12*time.Millisecond, 0)
	add("user-timeline-0", "compose-post-1", 8080, 4, 50, 9*time.Millisecond, 0)
	add("user-timeline-1", "redis-1", 6379, 4, 4100, 400*time.Microsecond, 0)
	add("redis-1", "redis-0", 6379, 1, 0, 0, 0)
	add("compose-post-1", "external", 5432, 3, 22, 3*time.Millisecond, 0)
	for _, probed := range []string{"frontend-0", "compose-post-0", "user-timeline-0", "redis-0"} {
		add("unit013.service", probed, 9100, 1, 0.5, time.Millisecond, 0)
	}
	add("unit014.service", "external", 443, 1, 0, 0, 0)
	add("external", "unit015.service", 22, 1, 0, 0, 0)
	return rows
}
