package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
	"seer/collector/api"
	"seer/collector/container"
)

var updateInspect = flag.Bool("update", false, "rewrite the golden files")

// shopSource is a host with a busy web container, an idle database and an
// epoll probe that the kernel refuses.
type shopSource struct{}

func (shopSource) Probes() []collector.Probe {
	return []collector.Probe{
		{Name: "socket", Queues: []collector.Queue{collector.QueueSYN, collector.QueueAcceptBacklog, collector.QueueReceive,
			collector.QueueOutstanding, collector.QueueDownstream, collector.QueueSend, collector.QueueNICTx}, Flavour: "iter",
			State: collector.ProbeOn, Hz: 62, LastTook: 250 * time.Microsecond, Objects: 155, CPU: 1500 * time.Millisecond},
		{Name: "epoll", Queues: []collector.Queue{collector.QueueEpollReady}, Flavour: "iter",
			State: collector.ProbeFailed, Reason: "iter/task_file refused (EPERM): kernel lockdown is on"},
	}
}

func (shopSource) Cost() collector.Cost {
	return collector.Cost{BudgetShare: .005, UsedShare: .0049, SamplerShare: .004, ProgramShare: .0001, ProcessShare: .0008,
		RSSBytes: 41.5e6, PassHz: 62, PassHzWanted: 100, QuietEvery: 4, SampledShare: .5, ExactMode: "off: budget",
		RelativeError: .04, GaveUp: []string{"exact mode", "pass rate 100/s to 62/s", "quiet sockets: 1 pass in 4", "half of the sockets at a time"}}
}

func (shopSource) Losses() []collector.Loss {
	return []collector.Loss{{Reason: "map_full", Count: 3}, {Reason: "no_owner", Count: 0}}
}

func (shopSource) Graph() []collector.LiveEdge {
	edge := func(client, server container.ID, port uint16, connections, waiting int, requests uint64) collector.LiveEdge {
		return collector.LiveEdge{Edge: collector.Edge{EdgeKey: collector.EdgeKey{Client: client, Server: server, Port: port}, Connections: connections, Waiting: waiting, Requests: requests}}
	}
	edges := []collector.LiveEdge{
		edge(0, 4711, 80, 2, 1, 99),
		edge(4711, container.Legacy|52, 5432, 1, 1, 17),
		edge(container.Legacy|52, 0, 443, 1, 0, 123456),
	}
	busy := &edges[1]
	busy.Failed, busy.Unanswered = 3, 1
	busy.Over, busy.PerSecond, busy.Outstanding, busy.Latency = 2*time.Second, 8.5, .0425, 5*time.Millisecond
	return edges
}

func (shopSource) Sockets(_ context.Context, dst []collector.Socket) ([]collector.Socket, error) {
	return append(dst,
		collector.Socket{Container: 4711, Role: collector.RoleListener, State: "LISTEN", Local: netip.MustParseAddrPort("[::]:80"), AcceptBacklog: 23, AcceptBacklogLimit: 128},
		collector.Socket{Container: 4711, Role: collector.RoleServer, State: "ESTAB", Local: netip.MustParseAddrPort("[::ffff:10.0.0.1]:80"),
			Remote: netip.MustParseAddrPort("[::ffff:10.0.0.9]:51234"), ReceiveBytes: 512, Outstanding: true},
		collector.Socket{Container: 4711, Role: collector.RoleClient, State: "CLOSE-WAIT", Local: netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5678]:40000"),
			Remote: netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:9999]:5432"), SendBytes: 1234567, Downstream: true, Requests: 17},
		collector.Socket{Container: container.Legacy | 52, Role: collector.RoleServer, State: "ESTAB", Local: netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:9999]:5432"),
			Remote: netip.MustParseAddrPort("[2001:db8:1234:5678:9abc:def0:1234:5678]:40000"), Outstanding: true, Requests: 17},
		collector.Socket{Container: container.Legacy | 52, Role: collector.RoleClient, State: "ESTAB", Local: netip.MustParseAddrPort("10.0.0.5:40000"),
			Remote: netip.MustParseAddrPort("192.0.2.1:443"), Requests: 123456},
	), nil
}

func shopServer() *api.Server {
	server := api.New(api.Config{Source: shopSource{}})
	web := &container.Container{ID: 4711, Name: "web-7f9c", Service: "web", Runtime: "cri", RuntimeID: "7f9c41d2aa00", Pod: "web-0", Namespace: "shop", Path: "/kubepods/7f9c41d2aa00"}
	db := &container.Container{ID: container.Legacy | 52, Name: "db", Service: "db", Runtime: "systemd", Path: "/system.slice/db.service"}
	long := &container.Container{ID: 1<<33 + 99, Name: "k8s_checkout-recommendation-service_checkout-7d9f8b6c5-x2x4z_production_0", Runtime: "docker",
		Service: "checkout-recommendation-service", Pod: "checkout-7d9f8b6c5-x2x4z", Namespace: "production", Path: "/docker/aa"}
	rows := []collector.Row{{Container: web, Sockets: 155, CloseWait: 7}, {Container: db, Sockets: 4}, {Container: long, Sockets: 12345}}
	for i := range rows {
		for q := range rows[i].Cells {
			rows[i].Cells[q].Valid = collector.Queue(q) != collector.QueueEpollReady
		}
	}
	rows[0].Cells[collector.QueueAcceptBacklog] = collector.Cell{Depth: 23, Mean: 22.5, Max: 23, Limit: 128, Arrivals: 5, Departures: 2, Wait: 40 * time.Millisecond, Valid: true}
	rows[0].Cells[collector.QueueReceive] = collector.Cell{Depth: 1234567, Mean: 1200000.5, Max: 2e6, Arrivals: 3e8, Departures: 3e8, Wait: 123 * time.Microsecond, Valid: true}
	rows[0].Cells[collector.QueueOutstanding] = collector.Cell{Mean: .04, Max: 1, Arrivals: 12, Departures: 12, Wait: 333 * time.Microsecond, Valid: true}
	rows[2].Cells[collector.QueueUnreadRequests] = collector.Cell{Depth: 99999, Mean: 99999.5, Max: 1e5, Limit: 4096, Arrivals: 1, Valid: true}
	requests := []collector.RequestRow{{Row: 0}, {Row: 1}}
	for i := range 1000 {
		requests[0].ServedFirst.Add(time.Duration(i+1) * 10 * time.Microsecond)
		requests[0].Served.Add(time.Duration(i+1) * 20 * time.Microsecond)
	}
	requests[0].Called.Add(12 * time.Second)
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seq := range uint64(4) {
		server.Consume(&collector.Tick{Seq: seq, Start: start, End: start.Add(100 * time.Millisecond), Losses: 3, Rows: rows, Requests: requests})
	}
	return server
}

// inspect runs `seer inspect` with args against a Seer in this process, as
// when none runs, and returns what it printed.
func inspect(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	server := shopServer()
	closed := false
	cmd := newInspectCommand(inspectHooks{
		Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
			return server, func() error { closed = true; return nil }, nil
		},
		Features: func(context.Context) (any, func(io.Writer) error, error) {
			rows := []map[string]string{{"name": "btf", "verdict": "works"}}
			return rows, func(w io.Writer) error { _, err := fmt.Fprintln(w, "✓ btf"); return err }, nil
		},
		Packets: samplePacketsOfShop,
	})
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"--socket", filepath.Join(t.TempDir(), "none.sock")}, args...))
	err = cmd.ExecuteContext(t.Context())
	if strings.Contains(stderr.String(), "measuring for") != closed {
		t.Errorf("measured and said %q, but closed the collector: %v", stderr.String(), closed)
	}
	return stdout.String(), err
}

// TestInspectGolden holds what people and machines read. A line of a golden
// file that starts with "$" is the command; "exit" is what it returned.
func TestInspectGolden(t *testing.T) {
	commands := map[string][]string{
		"queue": {
			"queue", "queue container web-7f9c", "queue service web queue accept_backlog", "queue queue accept",
			"queue list pod shop/web-0", "queue dump container web-7f9c queue receive", "queue dump queue epoll",
		},
		"container": {"container", "container container db", "container dump cgroup v1:52"},
		"service":   {"service", "service dump service db"},
		"socket":    {"socket", "socket container web-7f9c", "socket container db", "socket dump service web"},
		"edge":      {"edge", "edge service db", "edge dump container web-7f9c", "--graph dot edge", "--graph mermaid edge"},
		"request":   {"request", "request container web-7f9c", "request dump service db", "request container k8s_checkout-recommendation-service_checkout-7d9f8b6c5-x2x4z_production_0"},
		"probe":     {"probe", "probe dump"},
		"feature":   {"feature", "-j feature"},
		"packet": {"packet", "packet container web-7f9c", "packet dump", "packet dump service web", "-p packet service web",
			"-p packet dump service db"},
		"json": {"-j queue container web-7f9c queue accept", "-p container service db", "-j probe", "-j edge", "-j request", "-j alarm", "-j queue container nope"},
		"help": {"queue help", "socket help", "edge help", "packet help", "request help", "violation help"},
		"errors": {
			"", "nonsense", "s", "co", "queue s", "queue nonsense", "queue container", "queue container a container b",
			"queue queue s", "socket queue accept", "probe container web", "queue container nope", "container cgroup abc",
			"socket service nope", "edge service nope", "--graph dot queue", "--graph png edge", "-j --graph dot edge", "request", "violation container web", "--db /none queue", "model dump", "--for 0s queue",
			"packet container nope", "--every 0 packet", "--device eth9 packet", "--every 2 queue", "--pcapng f queue", "--pcapng /nonexistent/f packet",
			"--graph dot packet", "packet queue accept", "queue cgroup 4711 pod other/web-0",
		},
	}
	for name, lines := range commands {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for _, line := range lines {
				out, err := inspect(t, strings.Fields(line)...)
				fmt.Fprintf(&got, "$ seer inspect %s\n%s", line, out)
				if err != nil {
					fmt.Fprintf(&got, "error: %v\nexit %d\n", err, exitCode(err))
				}
				got.WriteByte('\n')
				if name != "json" && name != "feature" && name != "errors" && !strings.Contains(line, "dump") {
					for text := range strings.Lines(out) {
						if n := utf8.RuneCountInString(strings.TrimSuffix(text, "\n")); n >= 80 {
							t.Errorf("seer inspect %s: line of %d columns, want below 80: %s", line, n, text)
						}
					}
				}
			}
			golden(t, filepath.Join("testdata", "inspect", name+".txt"), got.String())
		})
	}
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *updateInspect {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// Whatever is asked, -j prints one JSON object with every required field.
func TestInspectJSON(t *testing.T) {
	for _, o := range api.Objects {
		for _, flag := range []string{"-j", "-p"} {
			out, _ := inspect(t, flag, o.Name)
			var doc map[string]json.RawMessage
			dec := json.NewDecoder(strings.NewReader(out))
			if err := dec.Decode(&doc); err != nil {
				t.Errorf("inspect %s %s: %v in %q", flag, o.Name, err, out)
				continue
			}
			if _, err := dec.Token(); err != io.EOF {
				t.Errorf("inspect %s %s prints more than one object", flag, o.Name)
			}
			for _, field := range []string{"schema", "object", "tick_ms", "losses", "rows"} {
				if len(doc[field]) == 0 {
					t.Errorf("inspect %s %s has no field %s: %s", flag, o.Name, field, out)
				}
			}
			if !bytes.HasPrefix(doc["rows"], []byte("[")) {
				t.Errorf("inspect %s %s: rows = %s, want a list", flag, o.Name, doc["rows"])
			}
		}
	}
}

// A running Seer is asked instead of measuring.
func TestInspectAsksRunningSeer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seer.sock")
	l, err := api.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- shopServer().Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	run := func(args ...string) (string, string, error) {
		cmd := newInspectCommand(inspectHooks{Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
			return nil, nil, errors.New("measured although a seer runs")
		}})
		var stdout, stderr bytes.Buffer
		cmd.SetOut(&stdout)
		cmd.SetErr(&stderr)
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(args)
		err := cmd.ExecuteContext(t.Context())
		return stdout.String(), stderr.String(), err
	}
	for _, args := range [][]string{{"queue"}, {"socket"}, {"probe"}, {"-j", "queue", "service", "web"}} {
		asked, notes, err := run(append(args, "--socket", path)...)
		if err != nil || notes != "" {
			t.Errorf("inspect %v = %v, notes %q, want none", args, err, notes)
		}
		if measured, _ := inspect(t, args...); measured != asked {
			t.Errorf("inspect %v of a running seer and of an own one differ:\n%s", args, cmp.Diff(measured, asked))
		}
	}

	t.Setenv("SEER_SOCKET", path)
	if asked, notes, err := run("-j", "queue"); err != nil || notes != "" {
		t.Errorf("inspect with SEER_SOCKET = %v, notes %q in %s, want it asked", err, notes, asked)
	}

	// Names for completion come from it too.
	in := &inspector{socket: path}
	if got, want := in.values(t.Context(), "service"), []string{"checkout-recommendation-service", "db", "web"}; !cmp.Equal(got, want) {
		t.Errorf("services to complete = %q, want %q", got, want)
	}
	if got, want := in.values(t.Context(), "pod"), []string{"production/checkout-7d9f8b6c5-x2x4z", "shop/web-0"}; !cmp.Equal(got, want) {
		t.Errorf("pods to complete = %q, want %q", got, want)
	}
}

func TestInspectErrors(t *testing.T) {
	refused := errors.New("needs root")
	tests := []struct {
		name  string
		hooks inspectHooks
		args  []string
		want  int
	}{
		{"nobody to ask", inspectHooks{}, []string{"queue"}, exitKernel},
		{"may not measure", inspectHooks{
			MayMeasure: func() error { return kernelError(refused) },
			Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
				return nil, nil, errors.New("measured without the privileges")
			},
		}, []string{"queue"}, exitKernel},
		{"cannot measure", inspectHooks{Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
			return nil, nil, kernelError(refused)
		}}, []string{"queue"}, exitKernel},
		{"collector failed", inspectHooks{Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
			return nil, nil, refused
		}}, []string{"queue"}, exitFailed},
		{"no features", inspectHooks{}, []string{"feature"}, exitKernel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := newInspectCommand(tt.hooks)
			cmd.SetOut(io.Discard)
			cmd.SetErr(io.Discard)
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(append(tt.args, "--socket", filepath.Join(t.TempDir(), "none.sock")))
			if err := cmd.ExecuteContext(t.Context()); exitCode(err) != tt.want {
				t.Errorf("inspect %v = %v, exit %d, want %d", tt.args, err, exitCode(err), tt.want)
			}
		})
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: syscall.EPIPE}
}

// `seer inspect queue | head -1` is no error; a full disk is.
func TestInspectClosedOutput(t *testing.T) {
	run := func(out io.Writer) error {
		in := &inspector{out: out, notes: io.Discard, socket: filepath.Join(t.TempDir(), "none.sock"), length: time.Second,
			hooks: inspectHooks{Measure: func(context.Context, time.Duration, api.Object) (*api.Server, func() error, error) {
				return shopServer(), func() error { return nil }, nil
			}}}
		return in.run(t.Context(), []string{"queue"})
	}
	if err := run(brokenPipe{}); err != nil {
		t.Errorf("inspect into a closed pipe = %v, want nil", err)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if err := run(full); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("inspect into a full file = %v, want ENOSPC", err)
	}
}

// Ctrl-C while measuring ends it at once and is not taken for success.
func TestInspectInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := &inspector{out: io.Discard, notes: io.Discard, socket: filepath.Join(t.TempDir(), "none.sock"), length: time.Hour,
		hooks: inspectHooks{Measure: func(ctx context.Context, _ time.Duration, _ api.Object) (*api.Server, func() error, error) {
			cancel()
			<-ctx.Done()
			return nil, nil, ctx.Err()
		}}}
	if err := in.run(ctx, []string{"queue"}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted inspect = %v, want context.Canceled", err)
	}
}
