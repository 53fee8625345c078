package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"seer/collector"
	"seer/collector/container"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds what a test waits for; nothing should come near it.
const deadline = time.Minute

// epoch is when the first constructed tick starts.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const tickLength = 100 * time.Millisecond

// fakeSource answers what a collector would.
type fakeSource struct {
	mu      sync.Mutex
	probes  []collector.Probe
	cost    collector.Cost
	losses  []collector.Loss
	sockets []collector.Socket
	graph   []collector.LiveEdge
	err     error
}

func (f *fakeSource) Probes() []collector.Probe { f.mu.Lock(); defer f.mu.Unlock(); return f.probes }
func (f *fakeSource) Cost() collector.Cost      { f.mu.Lock(); defer f.mu.Unlock(); return f.cost }
func (f *fakeSource) Losses() []collector.Loss  { f.mu.Lock(); defer f.mu.Unlock(); return f.losses }
func (f *fakeSource) Graph() []collector.LiveEdge {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.graph
}

func (f *fakeSource) Sockets(_ context.Context, dst []collector.Socket) ([]collector.Socket, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append(dst, f.sockets...), f.err
}

// shop is a host with a web container and a database in two hierarchies.
func shop() (*fakeSource, *collector.Tick) {
	web := &container.Container{ID: 4711, Name: "web-7f9c", Service: "web", Runtime: "containerd",
		RuntimeID: "7f9c41d2aa00", Pod: "web-0", Namespace: "shop", Image: "nginx:1.27", Path: "/kubepods/pod1/7f9c41d2aa00"}
	db := &container.Container{ID: container.Legacy | 52, Name: "db", Service: "db", Runtime: "systemd",
		Unit: "postgresql.service", Path: "/system.slice/postgresql.service"}
	src := &fakeSource{
		probes: []collector.Probe{
			{Name: "socket", Queues: []collector.Queue{collector.QueueAcceptBacklog, collector.QueueReceive, collector.QueueOutstanding},
				Programs: []string{"socket_pass"}, Flavour: "iter", State: collector.ProbeOn, Hz: 100, LastRead: epoch,
				LastTook: 250 * time.Microsecond, Objects: 150, CPU: 1500 * time.Millisecond, Runs: 6000},
			{Name: "epoll", Queues: []collector.Queue{collector.QueueEpollReady}, Programs: []string{"epoll_ready"},
				Flavour: "iter", State: collector.ProbeFailed, Reason: "iter/task_file refused (EPERM)"},
			{Name: "block", Queues: []collector.Queue{collector.QueueBlockIO}, Flavour: "tp_btf", State: collector.ProbeOff},
		},
		cost: collector.Cost{BudgetShare: .005, UsedShare: .0031, SamplerShare: .002, ProcessShare: .0011, RSSBytes: 41e6,
			PassHz: 62, PassHzWanted: 100, QuietEvery: 4, SampledShare: 1, ExactMode: "off", RelativeError: .04,
			GaveUp: []string{"pass rate 100/s to 62/s"}},
		losses: []collector.Loss{{Reason: "map_full", Count: 3}, {Reason: "no_owner", Count: 0}},
		sockets: []collector.Socket{
			{Container: 4711, Role: collector.RoleListener, State: "LISTEN", Local: netip.MustParseAddrPort("0.0.0.0:80"),
				Remote: netip.MustParseAddrPort("0.0.0.0:0"),
				NetNS:  4026531840, Inode: 9001, AcceptBacklog: 23, AcceptBacklogLimit: 128},
			{Container: 4711, Role: collector.RoleServer, State: "ESTAB", Local: netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"),
				Remote: netip.MustParseAddrPort("[::ffff:10.0.0.9]:51234"), Inode: 9002, ReceiveBytes: 512, Outstanding: true, Requests: 77},
			{Container: 99, Role: collector.RoleClient, State: "ESTAB", Local: netip.MustParseAddrPort("[fe80::1]:40000"),
				Remote: netip.MustParseAddrPort("[fe80::2]:5432"), Downstream: true},
		},
	}
	edge := func(client, server container.ID, port uint16, connections, waiting int, requests uint64) collector.LiveEdge {
		return collector.LiveEdge{Edge: collector.Edge{EdgeKey: collector.EdgeKey{Client: client, Server: server, Port: port}, Connections: connections, Waiting: waiting, Requests: requests}}
	}
	src.graph = []collector.LiveEdge{
		edge(0, 0, 0, 1, 0, 2), // those that did not find room
		edge(0, 4711, 80, 150, 3, 7700),
		edge(99, 0, 5432, 1, 1, 0),
		edge(4711, container.Legacy|52, 5432, 20, 2, 1500),
	}
	busy := &src.graph[3]
	busy.Failed, busy.Unanswered = 4, 1
	busy.Over, busy.PerSecond, busy.Outstanding, busy.Latency = 2*time.Second, 500, 2.5, 5*time.Millisecond
	t := &collector.Tick{Seq: 1, Start: epoch, End: epoch.Add(tickLength), Passes: 10, Losses: 3,
		Rows: []collector.Row{{Container: web, Sockets: 151, CloseWait: 3}, {Container: db, Sockets: 4}}}
	t.Rows[0].Cells[collector.QueueAcceptBacklog] = collector.Cell{Depth: 23, Mean: 22.5, Max: 23, Limit: 128, Arrivals: 5, Departures: 2, Wait: 40 * time.Millisecond, Valid: true}
	t.Rows[0].Cells[collector.QueueReceive] = collector.Cell{Depth: 512, Mean: 300.25, Max: 900, Valid: true}
	t.Rows[1].Cells[collector.QueueAcceptBacklog] = collector.Cell{Limit: 4096, Valid: true}
	return src, t
}

// next turns t into the tick after it.
func next(t *collector.Tick) *collector.Tick {
	t.Seq++
	t.Start, t.End = t.End, t.End.Add(tickLength)
	return t
}

// crowd is a tick of n containers with every queue measured.
func crowd(n int) *collector.Tick {
	t := &collector.Tick{Seq: 1, Start: epoch, End: epoch.Add(tickLength), Rows: make([]collector.Row, n)}
	for i := range t.Rows {
		name := fmt.Sprintf("pod-%04d", i)
		t.Rows[i].Container = &container.Container{ID: container.ID(1000 + i), Name: name, Service: fmt.Sprintf("svc-%d", i%36),
			Runtime: "containerd", RuntimeID: fmt.Sprintf("%064x", i), Path: "/kubepods/" + name}
		t.Rows[i].Sockets = i % 7
		for q := range t.Rows[i].Cells {
			t.Rows[i].Cells[q].Valid = true
			if (i+q)%5 == 0 { // most queues of most containers are empty
				t.Rows[i].Cells[q] = collector.Cell{Depth: float64(i), Mean: float64(i) + 1.0/3, Max: float64(2 * i), Limit: 4096,
					Arrivals: 17, Departures: 16, Wait: 1234567, Valid: true}
			}
		}
	}
	return t
}

// serve runs a server on a socket of its own until the test ends.
func serve(t *testing.T, s *Server) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "seer", "seer.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("Listen(%q): %v", path, err)
	}
	serveOn(t, s.Serve, l)
	return path
}

func serveOn(t *testing.T, serve func(context.Context, net.Listener) error, l net.Listener) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve = %v, want nil after cancel", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatalf("Dial(%q): %v", path, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// waitFor waits until cond holds.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %s for %s", deadline, what)
		case <-tick.C:
		}
	}
}

func wantError(t *testing.T, call string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want an error that wraps %q", call, err, want)
	}
}
