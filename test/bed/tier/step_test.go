package tier

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"seer/infer/topology"
	"seer/test/bed/wire"
)

// backend is a peer made of a function.
func backend(t *testing.T, p topology.Protocol, handle func(r wire.Request) error) []string {
	t.Helper()
	l, err := wire.Listen("127.0.0.1:0", 64)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	s := wire.Server{Protocol: p, Handle: func(_ context.Context, r wire.Request) wire.Reply {
		return wire.Reply{Err: handle(r)}
	}}
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return []string{l.Addr().String()}
}

// one is a tier in this process with a single endpoint, and peers.
func one(t *testing.T, endpoint topology.Endpoint, peers map[string]Peer) *tier {
	t.Helper()
	tr, err := newTier(Config{
		Seed: 1, Listen: "127.0.0.1:0", Peers: peers,
		Service: &topology.Service{
			Name: "one", Kind: topology.KindApp, Protocol: topology.ProtocolHTTP,
			Endpoints: map[string]topology.Endpoint{"do": endpoint},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.close() })
	return tr
}

func (t *tier) do() wire.Reply {
	return t.handle(context.Background(), wire.Request{Endpoint: "do"})
}

func TestRetries(t *testing.T) {
	var calls atomic.Int64
	addrs := backend(t, topology.ProtocolThrift, func(wire.Request) error {
		if calls.Add(1) <= 2 {
			return errors.New("not now")
		}
		return nil
	})
	target := topology.Target{Service: "back", Endpoint: "get"}
	tr := one(t, topology.Endpoint{{Call: &target, Retries: 2}}, map[string]Peer{
		"back": {Kind: topology.KindApp, Protocol: topology.ProtocolThrift, Addrs: addrs},
	})
	if reply := tr.do(); reply.Err != nil {
		t.Errorf("a call that fails twice and may be tried again twice: %v", reply.Err)
	}
	if got, want := tr.peers["back"].counts.read(), (Ended{OK: 1, Errors: 2}); got != want {
		t.Errorf("calls: %+v, want %+v", got, want)
	}
	calls.Store(-1)
	if reply := tr.do(); reply.Err == nil || !strings.Contains(reply.Err.Error(), "not now") {
		t.Errorf("a call that fails three times: %v, want the callee's error", reply.Err)
	}
}

func TestTimeout(t *testing.T) {
	release := make(chan struct{})
	addrs := backend(t, topology.ProtocolThrift, func(wire.Request) error {
		<-release
		return nil
	})
	defer close(release)
	target := topology.Target{Service: "back", Endpoint: "get"}
	tr := one(t, topology.Endpoint{{Call: &target, Timeout: 20 * time.Millisecond, Retries: 1}}, map[string]Peer{
		"back": {Kind: topology.KindApp, Protocol: topology.ProtocolThrift, Addrs: addrs},
	})
	if reply := tr.do(); !errors.Is(reply.Err, context.DeadlineExceeded) {
		t.Errorf("a call that is not answered: %v, want %v", reply.Err, context.DeadlineExceeded)
	}
	if got, want := tr.peers["back"].counts.read(), (Ended{Timeouts: 2}); got != want {
		t.Errorf("calls: %+v, want %+v", got, want)
	}
}

// TestReplicasTakeTurns, and a connection that a restarted peer has closed is no
// error.
func TestReplicasTakeTurns(t *testing.T) {
	var seen [3]atomic.Int64
	var addrs []string
	for i := range seen {
		addrs = append(addrs, backend(t, topology.ProtocolHTTP, func(wire.Request) error {
			seen[i].Add(1)
			return nil
		})...)
	}
	target := topology.Target{Service: "back", Endpoint: "get"}
	tr := one(t, topology.Endpoint{{Call: &target, Repeat: 5}}, map[string]Peer{
		"back": {Kind: topology.KindApp, Protocol: topology.ProtocolHTTP, Addrs: addrs},
	})
	for range 6 {
		if reply := tr.do(); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	for i := range seen {
		if n := seen[i].Load(); n != 10 {
			t.Errorf("replica %d answered %d of 30 calls, want 10", i, n)
		}
	}
	for _, r := range tr.peers["back"].replicas {
		c := r.client.(*appClient)
		if len(c.idle) != 1 {
			t.Errorf("%d connections to %s for one call at a time, want 1", len(c.idle), c.addr)
		}
		for _, conn := range c.idle {
			conn.Close()
		}
	}
	if reply := tr.do(); reply.Err != nil {
		t.Errorf("calls on connections that were closed: %v", reply.Err)
	}
}

// TestCacheMissRate counts what goes past a cache: a peer that speaks HTTP will
// do for one.
func TestCacheMissRate(t *testing.T) {
	count := map[string]*atomic.Int64{"get": {}, "set": {}, "query": {}}
	addrs := backend(t, topology.ProtocolHTTP, func(r wire.Request) error {
		count[r.Endpoint].Add(1)
		return nil
	})
	target := func(endpoint string) topology.Target { return topology.Target{Service: "back", Endpoint: endpoint} }
	get, set, query := target("get"), target("set"), target("query")
	tr := one(t, topology.Endpoint{{Cache: &topology.Cache{
		Call: get, Hit: 0.8, Miss: []topology.Step{{Call: &query}}, Fill: &set,
	}}}, map[string]Peer{"back": {Kind: topology.KindApp, Protocol: topology.ProtocolHTTP, Addrs: addrs}})
	const n = 1000
	for range n {
		if reply := tr.do(); reply.Err != nil {
			t.Fatal(reply.Err)
		}
	}
	if got := count["get"].Load(); got != n {
		t.Errorf("the cache was asked %d times, want %d", got, n)
	}
	misses := count["query"].Load()
	if misses < 150 || misses > 250 || count["set"].Load() != misses { // 4 sigma
		t.Errorf("%d misses and %d fills of %d, want both the same and about 200", misses, count["set"].Load(), n)
	}
}

func TestChanceAndParallel(t *testing.T) {
	var calls, inside, most atomic.Int64
	both := make(chan struct{})
	addrs := backend(t, topology.ProtocolHTTP, func(r wire.Request) error {
		calls.Add(1)
		if r.Endpoint == "meet" {
			if n := inside.Add(1); n > most.Load() {
				most.Store(n)
			}
			if inside.Load() == 2 {
				close(both)
			}
			<-both
		}
		return nil
	})
	peers := map[string]Peer{"back": {Kind: topology.KindApp, Protocol: topology.ProtocolHTTP, Addrs: addrs}}
	get, meet := topology.Target{Service: "back", Endpoint: "get"}, topology.Target{Service: "back", Endpoint: "meet"}

	tr := one(t, topology.Endpoint{{Parallel: []topology.Step{{Call: &meet}, {Call: &meet}}}}, peers)
	if reply := tr.do(); reply.Err != nil || most.Load() != 2 {
		t.Errorf("two parallel calls that wait for each other: %v, %d at once, want 2", reply.Err, most.Load())
	}
	calls.Store(0)
	tr = one(t, topology.Endpoint{{Call: &get, Chance: 0.3, Repeat: 1000}}, peers)
	if reply := tr.do(); reply.Err != nil || calls.Load() < 240 || calls.Load() > 360 { // 4 sigma
		t.Errorf("1000 calls with a chance of 0.3: %v, %d calls, want about 300", reply.Err, calls.Load())
	}
}

// TestSpans follows a trace through three processes.
func TestSpans(t *testing.T) {
	app := parse(t, strings.ReplaceAll(chain, "PROTOCOL", "thrift"))
	dir := t.TempDir()
	tiers := map[string]*process{}
	for _, name := range []string{"back", "middle", "front"} {
		tiers[name] = start(t, Config{
			Service: app.Service(name), Spans: filepath.Join(dir, name),
			Peers: Peers(app, name, func(callee string) []string { return []string{tiers[callee].cfg.Listen} }),
		})
	}
	const trace = "0123456789abcdef0123456789abcdef"
	r := tiers["front"].request("get")
	r.Trace = "00-" + trace + "-00000000000000aa-01"
	if _, err := tiers["front"].dial(t).Call(within(t), r); err != nil {
		t.Fatal(err)
	}
	wait(t, "the calls that nobody waits for", func() bool { return tiers["back"].stats(t).Ended.OK == 10 })
	spans := map[string]Span{}
	count := map[string]int{}
	for _, name := range []string{"front", "middle", "back"} {
		tiers[name].stop(t) // which writes the rest of the log
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var s Span
			if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
				t.Fatal(err)
			}
			if s.Trace != trace || s.EndNS < s.StartNS || s.Service != name {
				t.Errorf("span %+v: want trace %s, service %s, and an end after the start", s, trace, name)
			}
			spans[s.ID] = s
			count[s.Kind+" "+s.Service]++
		}
	}
	want := map[string]int{"server front": 1, "client front": 2, "server middle": 2, "client middle": 10, "server back": 10}
	for k, n := range want {
		if count[k] != n {
			t.Errorf("%d spans of %s, want %d", count[k], k, n)
		}
	}
	for _, s := range spans {
		parent, ok := spans[s.Parent]
		switch {
		case s.Service == "front" && s.Kind == "server":
			if s.Parent != "00000000000000aa" {
				t.Errorf("the first span's parent is %q, want the user's", s.Parent)
			}
		case !ok:
			t.Errorf("span %+v: its parent is in no log", s)
		case s.Kind == "server" && (parent.Kind != "client" || parent.Peer != s.Service || parent.Name != s.Name):
			t.Errorf("server span %+v: its parent is %+v, want the caller's", s, parent)
		case s.Kind == "client" && (parent.Kind != "server" || parent.Service != s.Service):
			t.Errorf("client span %+v: its parent is %+v, want the request it was made for", s, parent)
		}
	}
}

func TestSpanLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spans")
	l, err := openSpanLog(path, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		l.add(&Span{Trace: strings.Repeat("0", 32), Name: "get"}, time.Now(), time.Now(), nil)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || len(text) > 1000 || len(text) < 700 || text[len(text)-1] != '\n' {
		t.Errorf("the log has %d bytes, %v, want at most 1000 of whole lines", len(text), err)
	}
}
