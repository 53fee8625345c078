//go:build linux

package known

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/latency"
	"seer/test/lab"
)

// flow is how many requests came and went.
type flow struct{ arrivals, departures float64 }

// exactly is what was counted of one container's requests since it was first chosen.
type exactly struct {
	served, called          flow // by the hooks, in outstanding and downstream
	timedServed, timedAsked latency.Histogram
}

func (e *exactly) add(row *collector.Row, r *collector.RequestRow) {
	for q, f := range map[collector.Queue]*flow{collector.QueueOutstanding: &e.served, collector.QueueDownstream: &e.called} {
		f.arrivals += row.Cells[q].Arrivals
		f.departures += row.Cells[q].Departures
	}
	e.timedServed.Merge(&r.Served)
	e.timedAsked.Merge(&r.Called)
}

// count has the requests of containers counted, for a purpose, and waits until they are.
func (tr *tracer) count(t *testing.T, purpose string, containers ...*lab.Container) {
	t.Helper()
	var ids []container.ID
	for _, c := range containers {
		ids = append(ids, idOf(c))
	}
	tr.c.CountExactly(purpose, func(c *container.Container) bool { return slices.Contains(ids, c.ID) })
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		for _, c := range containers {
			if !slices.Contains(s.counted, idOf(c)) {
				return false, fmt.Sprintf("%s is not counted; probes: %+v", c.Name, tr.c.Probes())
			}
		}
		return true, ""
	})
}

// seen returns what was counted of a container by now.
func (tr *tracer) seen(t *testing.T, c *lab.Container) exactly {
	t.Helper()
	tr.waitTicks(t, func(snapshot) (bool, string) { return true, "" })
	return tr.sum(c)
}

// sum returns what was counted of a container up to the last tick.
func (tr *tracer) sum(c *lab.Container) exactly {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if e := tr.exactly[idOf(c)]; e != nil {
		return *e
	}
	return exactly{}
}

// ask has a client make n requests on each of some connections and returns its record.
func ask(client *lab.Process, protocol, addr string, conns, n int) []lab.Timing {
	var out []lab.Timing
	client.Call("ask", askArgs{protocol, addr, conns, n}, &out)
	return out
}

// wantCounted demands that all requests were counted, at both ends, and timed.
func wantCounted(t *testing.T, tr *tracer, server, client *lab.Container, n int) {
	t.Helper()
	whole := flow{float64(n), float64(n)}
	if got := tr.seen(t, server); got.served != whole || got.called != (flow{}) || got.timedServed.N != int64(n) {
		t.Errorf("of the server: served %v, called %v, %d timed; want %v, none, %d", got.served, got.called, got.timedServed.N, whole, n)
	}
	if got := tr.seen(t, client); got.called != whole || got.served != (flow{}) || got.timedAsked.N != int64(n) {
		t.Errorf("of the client: called %v, served %v, %d timed; want %v, none, %d", got.called, got.served, got.timedAsked.N, whole, n)
	}
}

// Exact mode: what is counted and timed, and of whom.
func TestRequests(t *testing.T) {
	if os.Getenv("SEER_TEST_KERNEL") != "" {
		t.Skip("not supported: an emulated processor that is busy is beyond any budget, which drops the hooks; TestExact of the collector has none")
	}
	tr := trace(t, collector.Config{})
	for name, test := range map[string]func(*testing.T, *tracer){
		"timed":  timed,
		"choice": choiceChanges,
		"ways":   waysToMoveBytes,
		"passed": passedWhileCounted,
		"real":   realServers,
	} {
		t.Run(name, func(t *testing.T) { test(t, tr) })
	}
}

// timed: requests that a server holds for 2 ms; how many, and how long they took, are what
// both ends wrote down themselves.
func timed(t *testing.T, tr *tracer) {
	const conns, n = 4, 250
	server, client, neighbour := lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{}), lab.NewContainer(t, "neighbour", lab.Options{})
	s := server.Start(timedServer, 2*time.Millisecond)
	var addr string
	s.Call("addr", nil, &addr)
	c := client.Start(asking, nil)
	neighbour.Start(timedServer, 2*time.Millisecond)
	tr.count(t, "test", server, client, neighbour)
	atClient := ask(c, "plain", addr, conns, n)
	var atServer []lab.Timing
	s.Call("requests", nil, &atServer)
	wantCounted(t, tr, server, client, conns*n)
	if got := tr.seen(t, neighbour); got != (exactly{}) {
		t.Errorf("next door %v and %v requests were counted, want none", got.served, got.called)
	}
	served, called := tr.seen(t, server).timedServed, tr.seen(t, client).timedAsked
	for _, end := range []struct {
		name  string
		got   *latency.Histogram
		truth []lab.Timing
	}{{"served", &served, atServer}, {"called", &called, atClient}} {
		var truth []time.Duration
		for _, r := range end.truth {
			truth = append(truth, r.Last)
		}
		slices.Sort(truth)
		for _, q := range []float64{.5, .99} {
			// A thread may lose the CPU between the kernel's reading of the clock and
			// its own: some requests of a thousand may stand elsewhere in the order.
			const few = 5
			rank := int(q * float64(len(truth)))
			low, high := truth[rank-few-1], truth[min(rank+few, len(truth))-1]
			got, _ := end.got.Quantile(q)
			if float64(got) < .97*float64(low) || float64(got) > 1.03*float64(high) {
				t.Errorf("%s: p%g = %v, want %v to %v within 3 %%", end.name, 100*q, got, low, high)
			}
		}
	}
}

// choiceChanges: only who is chosen is counted. That others are chosen and dropped meanwhile loses
// nothing of who stays.
func choiceChanges(t *testing.T, tr *tracer) {
	const rounds, conns, n = 8, 3, 100
	var servers, clients []*lab.Container
	var addrs [2]string
	var askers []*lab.Process
	for i := range addrs {
		servers = append(servers, lab.NewContainer(t, fmt.Sprint("server", i), lab.Options{}))
		clients = append(clients, lab.NewContainer(t, fmt.Sprint("client", i), lab.Options{}))
		servers[i].Start(timedServer, 200*time.Microsecond).Call("addr", nil, &addrs[i])
		askers = append(askers, clients[i].Start(asking, nil))
	}
	tr.count(t, "stays", servers[0], clients[0])
	done := make(chan error, 2)
	for i, a := range askers {
		go func() {
			for range rounds {
				if err := a.TryCall("ask", askArgs{"plain", addrs[i], conns, n}, nil); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	changes := 0
	for running := len(askers); running > 0; changes++ {
		tr.count(t, "comes and goes", servers[1], servers[0])
		tr.c.CountExactly("comes and goes", nil)
		tr.waitTicks(t, func(s snapshot) (bool, string) {
			return !slices.Contains(s.counted, idOf(servers[1])), "still counted"
		})
		for more := true; more; {
			select {
			case err := <-done:
				if running--; err != nil {
					t.Fatal(err)
				}
			default:
				more = false
			}
		}
	}
	wantCounted(t, tr, servers[0], clients[0], rounds*conns*n)
	if got := tr.seen(t, clients[1]); got != (exactly{}) {
		t.Errorf("of a client that was never chosen %v requests were counted", got.called)
	}
	if got := tr.seen(t, servers[1]).timedServed.N; got > rounds*conns*n {
		t.Errorf("of a server that was chosen now and then %d requests were counted, but it had %d", got, rounds*conns*n)
	}
	t.Logf("%d changes", changes)
	tr.c.CountExactly("stays", nil)
}

// waysToMoveBytes: however it is done, each request counts once; what cannot be seen is
// not counted, and the passes' estimate stands.
func waysToMoveBytes(t *testing.T, tr *tracer) {
	const conns, n = 3, 100
	client := lab.NewContainer(t, "client", lab.Options{})
	c := client.Start(asking, nil)
	chosen := []*lab.Container{client}
	addrs, servers, without := map[string]string{}, map[string]*lab.Container{}, map[string]error{}
	names := []string{"write", "sendfile", "splice-out", "splice-in", "io_uring", "fork"}
	for _, name := range names {
		servers[name] = lab.NewContainer(t, name, lab.Options{})
		var addr string
		err := servers[name].Start(waysServer, name).TryCall("addr", nil, &addr)
		switch {
		case err == nil:
			addrs[name] = addr
			chosen = append(chosen, servers[name])
		case strings.Contains(err.Error(), errNoRing.Error()):
			without[name] = err
		default:
			t.Fatal(err)
		}
	}
	tr.count(t, "test", chosen...)
	for _, addr := range addrs {
		ask(c, "plain", addr, conns, n)
	}
	if made := tr.seen(t, client).timedAsked.N; made != int64(conns*n*len(addrs)) {
		t.Errorf("of the client %d requests were counted, want %d of each of %d servers", made, conns*n, len(addrs))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if err := without[name]; err != nil {
				t.Skipf("not supported: %v", err)
			}
			got, whole := tr.sum(servers[name]), flow{conns * n, conns * n}
			switch {
			case name == "splice-in":
				// No hook sees splice(2) take bytes from a socket.
				if got.timedServed.N != 0 {
					t.Errorf("%d requests were timed, want none: their receipt is not seen", got.timedServed.N)
				}
				if d := got.served.departures; d < .9*conns*n || d > 1.1*conns*n {
					t.Errorf("departures = %v, want the passes' estimate of %d", d, conns*n)
				}
			case (name == "sendfile" || name == "splice-out") && sendsPages(t):
				if got.timedServed.N != 0 {
					t.Errorf("%d requests were timed, want none: their answer is not seen", got.timedServed.N)
				}
			case got.served != whole || got.timedServed.N != conns*n:
				t.Errorf("served %v, %d timed; want %v, %d", got.served, got.timedServed.N, whole, conns*n)
			}
		})
	}
}

// sendsPages says whether sendfile(2) and splice(2) hand pages to TCP by a way of
// their own, as they did before Linux 6.5 (1d7e4538a546), which no hook sees.
func sendsPages(t *testing.T) bool {
	t.Helper()
	types, err := btf.LoadKernelSpec()
	if err != nil {
		t.Fatal(err)
	}
	var f *btf.Func
	return types.TypeByName("tcp_sendpage", &f) == nil
}

// passedWhileCounted: of a connection that was passed to another container, whoever reads from it first has
// its requests, until a scan finds that it does not hold it any more. What is open
// then stays unanswered where it is, and nobody's thereafter.
func passedWhileCounted(t *testing.T, tr *tracer) {
	const n = 11
	server, client, other := lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{}), lab.NewContainer(t, "other", lab.Options{})
	s, c, o := server.Sockets(), client.Sockets(), other.Sockets()
	name := fmt.Sprintf("seer-lab-%d-counted", s.PID)
	door := o.Listen("unix", name, 1)
	via := s.Connect("unix", name, 1)[0]
	end := o.Accept(door, 1)[0]
	l := s.Listen("tcp4", "127.0.0.1:0", 8)
	tr.count(t, "test", server, client, other)
	connect := func() (out, in []lab.Socket) { return c.Connect("tcp4", l.Addr, 1), s.Accept(l, 1) }
	pass := func(in []lab.Socket) []lab.Socket {
		s.Give(via, in...)
		return o.Take(end, 1)
	}
	ask := func(by *lab.Sockets, out, in []lab.Socket) {
		c.Send(out, requestBytes)
		by.Receive(in, requestBytes)
	}
	answer := func(by *lab.Sockets, out, in []lab.Socket) {
		by.Send(in, replyBytes)
		c.Receive(out, replyBytes)
	}
	exchange := func(by *lab.Sockets, out, in []lab.Socket) {
		for range n {
			ask(by, out, in)
			answer(by, out, in)
		}
	}
	want := func(when string, atServer, atOther float64) {
		t.Helper()
		for _, side := range []struct {
			c    *lab.Container
			want float64
		}{{server, atServer}, {other, atOther}} {
			if got := tr.seen(t, side.c).served; got != (flow{side.want, side.want}) {
				t.Errorf("%s: of %s %v requests came and went, want %v", when, side.c.Name, got, side.want)
			}
		}
	}
	holds := func(sockets int) {
		t.Helper()
		tr.waitTicks(t, func(s snapshot) (bool, string) {
			got := s.rows[idOf(other)].Sockets
			return got == sockets, fmt.Sprintf("%s holds %d sockets, want %d", other.Name, got, sockets)
		})
	}

	out, in := connect()
	in = pass(in)
	exchange(o, out, in)
	want("passed before it was read from", 0, n)
	holds(3) // door, end, and it

	out, in = connect()
	exchange(s, out, in)
	waits, waitsIn := connect()
	ask(s, waits, waitsIn)
	in, waitsIn = pass(in), pass(waitsIn)
	holds(5)
	exchange(o, out, in)
	answer(o, waits, waitsIn)
	want("found to be passed", n+1, n+n)
	exchange(o, waits, waitsIn)
	want("passed while a request was open", n+1, n+n+n)
	if got := tr.seen(t, server).timedServed.N; got != n {
		t.Errorf("%d requests were timed of %s, want %d: it did not answer the other", got, server.Name, n)
	}
}

// realServers: their counts are what their clients made.
func realServers(t *testing.T, tr *tracer) {
	const conns, n = 4, 200
	client := lab.NewContainer(t, "client", lab.Options{})
	c := client.Start(asking, nil)
	chosen := []*lab.Container{client}
	addrs, servers := map[string]string{}, map[string]*lab.Container{}
	programs := map[string]string{"nginx": "nginx", "redis": "redis-server", "memcached": "memcached"}
	for name, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("SEER_TEST_SERVERS") == "required" {
				t.Fatal(err)
			}
			t.Logf("not supported: %v", err)
			continue
		}
		servers[name] = lab.NewContainer(t, name, lab.Options{})
		chosen = append(chosen, servers[name])
		var err error
		if addrs[name], err = startReal(servers[name], t.TempDir(), name); err != nil {
			t.Fatal(err)
		}
	}
	tr.count(t, "test", chosen...)
	made := map[string]float64{}
	all := 0.0
	for name, addr := range addrs {
		lab.Wait(t, name+" to serve", func() (bool, string) {
			err := c.TryCall("ask", askArgs{name, addr, 1, 0}, nil)
			return err == nil, fmt.Sprint(err)
		})
		made[name] = float64(len(ask(c, name, addr, conns, n)))
		if all += made[name]; made[name] < conns*n {
			t.Errorf("the client of %s wrote down %v requests, but made %d", name, made[name], conns*n)
		}
	}
	if got := tr.seen(t, client); got.called.arrivals != all {
		t.Errorf("of the client %v requests were counted, it made %v", got.called.arrivals, all)
	}
	for name := range addrs {
		if got := tr.sum(servers[name]); got.served.arrivals != made[name] || float64(got.timedServed.N) != made[name] {
			t.Errorf("%s: %v requests came, %d were answered; its client made %v", name, got.served.arrivals, got.timedServed.N, made[name])
		}
	}
}
