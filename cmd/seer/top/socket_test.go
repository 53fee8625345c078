package top

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
)

// knownHost is a collector of two containers whose queues are known.
type knownHost struct{}

func (knownHost) Probes() []collector.Probe {
	return []collector.Probe{{Name: "block", State: collector.ProbeFailed, Reason: "no such tracepoint", Queues: []collector.Queue{collector.QueueBlockIO}}}
}
func (knownHost) Cost() collector.Cost     { return collector.Cost{BudgetShare: 0.005, UsedShare: 0.001} }
func (knownHost) Losses() []collector.Loss { return nil }
func (knownHost) Graph() []collector.LiveEdge {
	edge := func(client, server container.ID, port uint16, perSecond, outstanding float64) collector.LiveEdge {
		key := collector.EdgeKey{Client: client, Server: server, Port: port}
		return collector.LiveEdge{Edge: collector.Edge{EdgeKey: key, Connections: 3}, Over: time.Second, PerSecond: perSecond, Outstanding: outstanding}
	}
	return []collector.LiveEdge{edge(0, 11, 80, 50, 2), edge(11, 12, 5432, 100, 0.5)}
}
func (knownHost) Sockets(_ context.Context, dst []collector.Socket) ([]collector.Socket, error) {
	return append(dst,
		collector.Socket{Container: 11, Role: collector.RoleListener, State: "LISTEN", AcceptBacklog: 23},
		collector.Socket{Container: 12, Role: collector.RoleUnix, State: "ESTAB"}), nil
}

func newIdleServer() *api.Server { return api.New(api.Config{Source: knownHost{}}) }

// tickOf turns a generated frame into what a collector would have fed a
// server.
func tickOf(f *Frame) *collector.Tick {
	return &collector.Tick{Seq: f.Seq, Start: f.Time.Add(-f.Tick), End: f.Time, Passes: f.Passes, Losses: f.Losses, Rows: f.Rows}
}

// serve feeds a server with ticks until the test ends.
func serve(t *testing.T) *api.Server {
	t.Helper()
	server := newIdleServer()
	rows := []collector.Row{
		{Container: &container.Container{ID: 11, Name: "shop-web-0", Service: "shop-web"}, Sockets: 1},
		{Container: &container.Container{ID: 12, Name: "shop-db-0", Service: "shop-db"}, Sockets: 1},
	}
	for i := range rows {
		for q := range rows[i].Cells {
			rows[i].Cells[q].Valid = collector.Queue(q) != collector.QueueBlockIO
		}
	}
	rows[0].Cells[collector.QueueAcceptBacklog] = collector.Cell{Depth: 23, Mean: 23, Max: 23, Limit: 128, Valid: true}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		const length = 20 * time.Millisecond
		ticker := time.NewTicker(length)
		defer ticker.Stop()
		for seq := uint64(1); ; seq++ {
			select {
			case <-stop:
				return
			case now := <-ticker.C:
				server.Consume(&collector.Tick{Seq: seq, Start: now.Add(-length), End: now, Passes: 2, Rows: rows})
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
	return server
}

// TestOnce prints a table of what a server measures, through its control
// socket, and finds the known backlog in one container and none next door.
func TestOnce(t *testing.T) {
	stopped := false
	feed, err := NewLocalFeed(serve(t), func() error { stopped = true; return nil })
	if err != nil {
		t.Fatal(err)
	}
	opts := DefaultOptions()
	opts.Interval, opts.Sort = minInterval, "accpt"
	m, err := opts.model()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := once(t.Context(), m, feed, opts.every(), 80, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	want := []string{
		"CONTAINER      SOCKS REQ/s   LAT OUTST DOWNS EPOLL  RUNQ▼ACCPT RECVQ SENDQ BLKIO",
		"shop-web-0         1     0     -     0     0     0     0    23     0     0     -",
		"shop-db-0          1     0     -     0     0     0     0     0     0     0     -",
		"",
	}
	if diff := cmp.Diff(want, lines[headLines:]); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	for _, r := range out.String() {
		if r < ' ' && r != '\n' {
			t.Errorf("the text holds control character %q", r)
		}
	}

	sockets, err := feed.Sockets(t.Context(), api.Selector{Cgroup: "11"})
	if err != nil || len(sockets) != 1 || sockets[0].AcceptBacklog != 23 {
		t.Errorf("Sockets(cgroup 11) = %+v, %v, want the listener alone", sockets, err)
	}
	if err := feed.Close(); err != nil || !stopped {
		t.Errorf("Close() = %v, stopped = %v", err, stopped)
	}
}

// TestOnceGraph prints who calls whom, as the server says through its socket.
func TestOnceGraph(t *testing.T) {
	feed, err := NewLocalFeed(serve(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	opts := DefaultOptions()
	opts.Interval, opts.Graph = minInterval, true
	m, err := opts.model()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := once(t.Context(), m, feed, opts.every(), 80, &out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		" 2 services, 2 calls",
		"SERVICE                 PORT CONNS REQ/s  WAIT   LAT SERVD  ERRS HOT",
		"external clients",
		"└╌shop-web                80     3    50   2.0  40ms     -     0",
		"  └─shop-db             5432     3   100   0.5 5.0ms     -     0",
		"",
	}
	if diff := cmp.Diff(want, strings.Split(out.String(), "\n")[headLines:]); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}
}

// What Seer gave up is said in full below the table of --once, within its width.
func TestOnceGaveUp(t *testing.T) {
	gaveUp := []string{"exact request counts", "passes", "visits to quiet sockets", "visits to every socket"}
	for width, want := range map[int]string{
		80: "gave up, to keep within the CPU budget: exact request counts, passes, visits to\n" +
			"  quiet sockets, visits to every socket\n",
		200: "gave up, to keep within the CPU budget: exact request counts, passes, visits to quiet sockets, visits to every socket\n",
	} {
		var out strings.Builder
		if err := writeGaveUp(&out, &Frame{Cost: api.CostRow{GaveUp: gaveUp}}, width); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("width %d (-want +got):\n%s", width, diff)
		}
	}
	m := newModel(time.Second)
	m.batch = true
	m.live.add(&Frame{Time: time.Now(), Tick: 100 * time.Millisecond, Cost: api.CostRow{GaveUp: gaveUp}})
	m.live.publish(true)
	var g grid
	g.reset(80, headLines)
	m.drawHeader(&g, time.Now())
	var out strings.Builder
	if err := g.writeTo(&out); err != nil || strings.Contains(out.String(), "gave up") {
		t.Errorf("header of --once = %q, %v, want it to leave that to the line below the table", out.String(), err)
	}
}

// TestSeerRestarts stops a server under a terminal and starts another one on
// the same socket.
func TestSeerRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seer.sock")
	run := func() (stop func()) {
		listener, err := api.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		served := make(chan error, 1)
		server := serve(t)
		go func() { served <- server.Serve(ctx, listener) }()
		return func() {
			cancel()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}
	}
	stop := run()
	feed, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(ctx context.Context) (Feed, error) { return Dial(ctx, path) }
	s := start(t, feed, &follower{dial: dial, first: 50 * time.Millisecond})
	s.waitFor("shop-web-0")
	stop()
	s.waitFor("seer is not running")
	stop = run()
	defer stop()
	s.waitFor("by HOT")
	s.screen.SetSize(100, 30)
	s.press("\r")
	s.waitFor("block_io             -  failed: no such tracepoint")
	s.waitFor("to   shop-db-0")
	s.waitFor("listener LISTEN")
	s.stop()
}

func TestErrors(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "seer.sock")
	tests := []struct {
		name   string
		change func(*Options)
		is     error
		text   string
	}{
		{"no seer", func(o *Options) { o.Once = true }, ErrUnavailable, "seer run"},
		{"no terminal", func(o *Options) {}, ErrUsage, "--once"},
		{"interval", func(o *Options) { o.Interval = time.Millisecond }, ErrUsage, "250ms to 1m"},
		{"group", func(o *Options) { o.Group = "pod" }, ErrUsage, "container or service"},
		{"sort", func(o *Options) { o.Sort = "cpu" }, ErrUsage, "outst"},
	}
	for _, tt := range tests {
		opts := DefaultOptions()
		opts.Socket = missing
		tt.change(&opts)
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = Run(t.Context(), opts, null)
		null.Close()
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: Run() = %v, want %v that mentions %q", tt.name, err, tt.is, tt.text)
		}
	}
}
