//go:build linux

package known

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"seer/collector"
	"seer/test/lab"
)

// family is one way for a client to reach a server over loopback.
type family struct{ listen, at, connect, to string }

var families = map[string]family{
	"v4":        {"tcp4", "127.0.0.1:0", "tcp4", "127.0.0.1"},
	"v6":        {"tcp6", "[::1]:0", "tcp6", "[::1]"},
	"v4-mapped": {"tcp6", "[::]:0", "tcp4", "127.0.0.1"},
	// Go servers listen on a Multipath TCP socket, behind which the listener
	// proper is one that no descriptor names; their peers speak plain TCP.
	"multipath": {"mptcp4", "127.0.0.1:0", "tcp4", "127.0.0.1"},
}

func TestTCP(t *testing.T) {
	cases := map[string]build{
		"unread":     unread,
		"stopped":    stoppedReader,
		"epoll":      epollReady,
		"passed":     passed,
		"prefork":    prefork,
		"half-open":  halfOpen,
		"close-wait": closeWait,
		"namespace":  namespaces,
		"throttled":  throttled,
	}
	for name, f := range families {
		if name == "multipath" && !lab.HasMPTCP() {
			t.Log("not supported: no Multipath TCP")
			continue
		}
		cases["backlog-"+name] = func(t *testing.T) func(*testing.T, *tracer) { return neverAccepted(t, f) }
		for _, k := range []int{1, 17, 200} {
			cases[fmt.Sprintf("held-%s-%d", name, k)] = func(t *testing.T) func(*testing.T, *tracer) { return held(t, f, k) }
		}
	}
	bothWays(t, cases)
}

// neverAccepted: 23 connections completed and not accepted.
func neverAccepted(t *testing.T, f family) func(*testing.T, *tracer) {
	const n, limit = 23, 61
	w := newWorld(t, lab.Options{})
	l := w.s.Listen(f.listen, f.at, limit)
	w.c.Connect(f.connect, f.to+":"+l.Port(), n)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server, expect{w.server, collector.QueueAcceptBacklog, n, limit}),
			only(w.client), only(w.neighbour))...)
		ss, err := exec.LookPath("ss")
		if err != nil {
			return // no second opinion in a bare machine
		}
		out, err := exec.Command(ss, "-Hltn", "sport = :"+l.Port()).CombinedOutput()
		fields := strings.Fields(string(out))
		if err != nil || len(fields) < 3 || fields[1] != strconv.Itoa(n) || fields[2] != strconv.Itoa(limit) {
			t.Errorf("ss shows %q (%v), the collector %d of %d", out, err, n, limit)
		}
	}
}

// held: k requests read by the server and not answered; then answered.
func held(t *testing.T, f family, k int) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	l := w.s.Listen(f.listen, f.at, 256)
	out := w.c.Connect(f.connect, f.to+":"+l.Port(), k+2)
	in := w.s.Accept(l, k+2)
	// Two connections are idle after an exchange, the others wait for theirs.
	w.c.Send(out, 100)
	w.s.Receive(in, 100)
	w.s.Send(in[k:], 50)
	w.c.Receive(out[k:], 50)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server, expect{c: w.server, queue: collector.QueueOutstanding, depth: float64(k)}),
			only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: float64(k)}),
			only(w.neighbour))...)
		w.s.Send(in[:k], 50)
		w.c.Receive(out[:k], 50)
		tr.expect(t, all(only(w.server), only(w.client), only(w.neighbour))...)
		// A second request on a used connection.
		w.c.Send(out[:1], 100)
		w.s.Receive(in[:1], 100)
		tr.expect(t, all(
			only(w.server, expect{c: w.server, queue: collector.QueueOutstanding, depth: 1}),
			only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: 1}),
			only(w.neighbour))...)
	}
}

// unread: requests that wait in the socket are unread, not outstanding.
func unread(t *testing.T) func(*testing.T, *tracer) {
	const n, bytes = 7, 1000
	w := newWorld(t, lab.Options{})
	l := w.s.Listen("tcp4", "127.0.0.1:0", 16)
	out := w.c.Connect("tcp4", l.Addr, n)
	in := w.s.Accept(l, n)
	w.c.Send(out, bytes)
	w.s.Settled("requests to arrive", func(s []lab.Stat) bool {
		for _, s := range s {
			if s.Unread != bytes {
				return false
			}
		}
		return true
	}, in...)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server,
				expect{c: w.server, queue: collector.QueueReceive, depth: n * bytes},
				expect{c: w.server, queue: collector.QueueUnreadRequests, depth: n}),
			only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: n}),
			only(w.neighbour))...)
	}
}

// stoppedReader: the writer's queue is what SIOCOUTQ says, the reader's what
// SIOCINQ says.
func stoppedReader(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	l := w.s.Listen("tcp4", "127.0.0.1:0", 16)
	out := w.c.Connect("tcp4", l.Addr, 2)
	in := w.s.Accept(l, 2)
	for _, o := range out {
		w.c.Fill(o)
	}
	return func(t *testing.T, tr *tracer) {
		a, b := w.c.Stat(out...), w.s.Stat(in...)
		unsent, unread := a[0].Unsent+a[1].Unsent, b[0].Unread+b[1].Unread
		tr.expect(t,
			expect{c: w.client, queue: collector.QueueSend, depth: float64(unsent)},
			expect{c: w.server, queue: collector.QueueReceive, depth: float64(unread)},
			expect{c: w.client, queue: collector.QueueReceive},
			expect{c: w.server, queue: collector.QueueSend},
			expect{c: w.neighbour, queue: collector.QueueSend},
			expect{c: w.neighbour, queue: collector.QueueReceive})
	}
}

// epollReady: events ready and not collected, of event counters and sockets,
// in two instances of one process.
func epollReady(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	w.s.Epoll(w.s.EventFDs(40, 13))
	l := w.s.Listen("tcp4", "127.0.0.1:0", 16)
	w.s.Epoll([]lab.Socket{l})
	w.c.Connect("tcp4", l.Addr, 2) // one event: the listener is readable
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server,
				expect{c: w.server, queue: collector.QueueEpollReady, depth: 14},
				expect{c: w.server, queue: collector.QueueAcceptBacklog, depth: 2, limit: 16}),
			only(w.client), only(w.neighbour))...)
	}
}

// passed: a listener with a backlog and a connection with unread bytes, both
// opened by the server, belong to the client once it alone holds them.
func passed(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	l := w.s.Listen("tcp4", "127.0.0.1:0", 32)
	out := w.n.Connect("tcp4", l.Addr, 1)
	in := w.s.Accept(l, 1)
	w.n.Connect("tcp4", l.Addr, 5)
	w.n.Send(out, 300)
	w.s.Settled("bytes to arrive", func(s []lab.Stat) bool { return s[0].Unread == 300 }, in...)

	name := fmt.Sprintf("seer-lab-%d-pass", w.s.PID)
	door := w.c.Listen("unix", name, 1)
	via := w.s.Connect("unix", name, 1)[0]
	end := w.c.Accept(door, 1)[0]
	w.s.Give(via, l, in[0])
	w.c.Take(end, 2)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.client,
				expect{c: w.client, queue: collector.QueueAcceptBacklog, depth: 5, limit: 32 + 1}, // and the door
				expect{c: w.client, queue: collector.QueueReceive, depth: 300},
				expect{c: w.client, queue: collector.QueueUnreadRequests, depth: 1}),
			only(w.server))...)
	}
}

// prefork: a connection accepted in another container than the one that
// listened; the kernel leaves the listener's cgroup on the socket.
func prefork(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	name := fmt.Sprintf("seer-lab-%d-prefork", w.s.PID)
	door := w.c.Listen("unix", name, 1)
	via := w.s.Connect("unix", name, 1)[0]
	end := w.c.Accept(door, 1)[0]

	l := w.s.Listen("tcp4", "127.0.0.1:0", 32)
	port := l.Addr
	w.s.Give(via, l)
	l = w.c.Take(end, 1)[0]
	out := w.n.Connect("tcp4", port, 3)
	in := w.c.Accept(l, 3)
	w.n.Send(out, 100)
	w.c.Receive(in, 100)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.client, expect{c: w.client, queue: collector.QueueOutstanding, depth: 3}),
			only(w.server),
			only(w.neighbour, expect{c: w.neighbour, queue: collector.QueueDownstream, depth: 3}))...)
	}
}

// halfOpen: handshakes whose last packet never comes.
func halfOpen(t *testing.T) func(*testing.T, *tracer) {
	const n = 17
	w := newWorld(t, lab.Options{Network: lab.NewNetwork(t)})
	l := w.s.Listen("tcp4", netip.AddrPortFrom(w.server.Addr, 0).String(), 128)
	from := w.client.Unanswered()
	return func(t *testing.T, tr *tracer) {
		// Only now: the pauses between retransmissions double, and Answer
		// below takes effect with the next.
		w.c.ConnectFrom("tcp4", from, l.Addr, n)
		lab.Wait(t, "half-open connections", func() (bool, string) {
			got := lab.SocketsInState(t, w.s.PID, l.Port(), lab.StateSynRecv)
			return got == n, strconv.Itoa(got)
		})
		// A retransmitted SYN is below TCP for an instant: nic_tx is left out.
		tr.expect(t,
			expect{c: w.server, queue: collector.QueueSYN, depth: n},
			expect{c: w.server, queue: collector.QueueAcceptBacklog, limit: 128},
			expect{c: w.server, queue: collector.QueueOutstanding},
			expect{c: w.client, queue: collector.QueueSYN},
			expect{c: w.client, queue: collector.QueueDownstream},
			expect{c: w.neighbour, queue: collector.QueueSYN})
		w.client.Answer()
		tr.expect(t,
			expect{c: w.server, queue: collector.QueueSYN},
			expect{c: w.server, queue: collector.QueueAcceptBacklog, depth: n, limit: 128},
			expect{c: w.neighbour, queue: collector.QueueAcceptBacklog})
	}
}

// closeWait: a client that gave up is not waited for, and a socket the server
// has forgotten to close holds no request but is counted.
func closeWait(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{})
	l := w.s.Listen("tcp4", "127.0.0.1:0", 16)
	out := w.c.Connect("tcp4", l.Addr, 4)
	in := w.s.Accept(l, 4)
	w.c.Send(out, 100)
	w.s.Receive(in, 100)
	w.c.Close(out[:3]...)
	w.s.Settled("the closing to arrive", func(s []lab.Stat) bool { return s[2].State == stateCloseWait }, in...)
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server, expect{c: w.server, queue: collector.QueueOutstanding, depth: 1}),
			only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: 1}),
			only(w.neighbour))...)
		tr.waitTicks(t, func(s snapshot) (bool, string) {
			got := [...]int{s.rows[idOf(w.server)].CloseWait, s.rows[idOf(w.client)].CloseWait, s.rows[idOf(w.neighbour)].CloseWait}
			return got == [...]int{3, 0, 0}, fmt.Sprintf("CLOSE_WAIT of server, client, neighbour = %v, want 3, 0, 0", got)
		})
	}
}

// stateCloseWait is TCP_CLOSE_WAIT (include/net/tcp_states.h).
const stateCloseWait = 8

// namespaces: sockets are seen in every network namespace.
func namespaces(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{Network: lab.NewNetwork(t)})
	for network, addr := range map[string]netip.Addr{"tcp4": w.server.Addr, "tcp6": w.server.Addr6} {
		l := w.s.Listen(network, netip.AddrPortFrom(addr, 0).String(), 16)
		out := w.c.Connect(network, l.Addr, 9)
		in := w.s.Accept(l, 4)
		w.c.Send(out[:4], 100)
		w.s.Receive(in, 100)
	}
	return func(t *testing.T, tr *tracer) {
		tr.expect(t, all(
			only(w.server,
				expect{c: w.server, queue: collector.QueueOutstanding, depth: 8},
				expect{c: w.server, queue: collector.QueueAcceptBacklog, depth: 10, limit: 32}),
			only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: 8}),
			only(w.neighbour))...)
	}
}

// throttled: bytes held by a token bucket filter below TCP. They drain slowly
// while we look, so the tick must lie between two readings of the sockets'
// own count (SO_MEMINFO) around it.
func throttled(t *testing.T) func(*testing.T, *tracer) {
	w := newWorld(t, lab.Options{Network: lab.NewNetwork(t)})
	l := w.s.Listen("tcp4", netip.AddrPortFrom(w.server.Addr, 0).String(), 16)
	out := w.c.Connect("tcp4", l.Addr, 6)
	w.s.Accept(l, 6)
	filter := w.client.Throttle(2048, 2048, 1<<20)
	return func(t *testing.T, tr *tracer) {
		w.c.Send(out, 20_000)
		lab.Wait(t, "packets in the filter", func() (bool, string) {
			b := filter.Backlog()
			return b > 0, fmt.Sprintf("%d bytes", b)
		})
		below := func() float64 {
			sum := 0
			for _, s := range w.c.Stat(out...) {
				sum += s.Wmem
			}
			return float64(sum)
		}
		high, met := below(), 0
		tr.waitTicks(t, func(s snapshot) (bool, string) {
			cell := s.rows[idOf(w.client)].Cells[collector.QueueNICTx]
			low := below()
			// One packet's buffer may leave and be replaced in between.
			const packet = 4096
			if !cell.Valid || cell.Depth < low-packet || cell.Depth > high+packet || cell.Depth == 0 {
				met, high = 0, low
				return false, fmt.Sprintf("nic_tx(%s) = %+v, want %v to %v", w.client.Name, cell, low, high)
			}
			for _, c := range []*lab.Container{w.server, w.neighbour} {
				if ok, saw := (expect{c: c, queue: collector.QueueNICTx}).check(s); !ok {
					met, high = 0, low
					return false, saw
				}
			}
			met, high = met+1, low
			return met == steady, "right, but not for long enough"
		})
	}
}
