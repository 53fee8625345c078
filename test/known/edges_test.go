//go:build linux

package known

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/test/lab"
)

// graph waits until the edges of some containers, with each other and with
// outside, are as accept wants.
func (tr *tracer) graph(t *testing.T, of []*lab.Container, accept func(map[collector.EdgeKey]collector.LiveEdge) (ok bool, saw string)) {
	t.Helper()
	mine := map[container.ID]bool{}
	for _, c := range of {
		mine[idOf(c)] = true
	}
	tr.waitTicks(t, func(snapshot) (bool, string) {
		edges := map[collector.EdgeKey]collector.LiveEdge{}
		for _, e := range tr.c.Graph() {
			if mine[e.Client] || mine[e.Server] {
				edges[e.EdgeKey] = e
			}
		}
		return accept(edges)
	})
}

// An edge has what its connections did, also those that came and went between two
// lists of sockets; attempts that failed; and nothing of the neighbour's.
func TestEdges(t *testing.T) {
	const short, requests, open, refused = 7, 3, 4, 5
	tr := trace(t, collector.Config{})
	server, client, neighbour := lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{}), lab.NewContainer(t, "neighbour", lab.Options{})
	s, c, n := server.Sockets(), client.Sockets(), neighbour.Sockets()
	l := s.Listen("tcp4", "127.0.0.1:0", 64)
	n.Listen("tcp4", "127.0.0.1:0", 64)
	exchange := func(out, in []lab.Socket) {
		c.Send(out, 20)
		s.Receive(in, 20)
		s.Send(in, 20)
		c.Receive(out, 20)
	}
	for range short {
		out := c.Connect("tcp4", l.Addr, 1)
		in := s.Accept(l, 1)
		for range requests {
			exchange(out, in)
		}
		c.Close(out...)
		s.Close(in...)
	}
	out := c.Connect("tcp4", l.Addr, open)
	in := s.Accept(l, open)
	exchange(out, in)
	c.Send(out[:open-1], 20)
	s.Receive(in[:open-1], 20)
	// Nobody listens there any more.
	gone := s.Listen("tcp4", "127.0.0.1:0", 1)
	s.Close(gone)
	c.Refused("tcp4", gone.Addr, refused)

	key := func(l lab.Socket, server container.ID) collector.EdgeKey {
		return collector.EdgeKey{Client: idOf(client), Server: server, Port: netip.MustParseAddrPort(l.Addr).Port()}
	}
	begun := time.Now()
	tr.graph(t, []*lab.Container{server, client, neighbour}, func(got map[collector.EdgeKey]collector.LiveEdge) (bool, string) {
		busy, failed := got[key(l, idOf(server))], got[key(gone, 0)]
		saw := fmt.Sprintf("%d edges: %+v and %+v", len(got), busy, failed)
		return len(got) == 2 && busy.Connections == open && busy.Waiting == open-1 && busy.Requests == short*requests+open && busy.Failed == 0 && busy.Unanswered == 0 &&
			failed.Failed == refused && failed.Requests == 0 && failed.Connections == 0 &&
			// Three have waited all the time since.
			busy.Outstanding > .99*(open-1) && busy.Outstanding < 1.01*(open-1) && busy.Waited > (open-1)*time.Second, saw
	})
	t.Logf("after %v", time.Since(begun))

	// The server hangs up on one of them, at once and when a pass has seen that.
	s.Close(in[0])
	c.Close(out[0])
	s.Close(in[1])
	tr.expect(t, expect{c: client, queue: collector.QueueDownstream, depth: open - 3})
	c.Close(out[1])
	tr.graph(t, []*lab.Container{server, client, neighbour}, func(got map[collector.EdgeKey]collector.LiveEdge) (bool, string) {
		busy := got[key(l, idOf(server))]
		return busy.Connections == open-2 && busy.Unanswered == 2 && busy.Requests == short*requests+open, fmt.Sprintf("%+v", busy)
	})
}

// The latency of an edge is what clients wait, as the server holds requests.
func TestEdgeLatency(t *testing.T) {
	const hold = 20 * time.Millisecond
	tr := trace(t, collector.Config{})
	server, client := lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{})
	service := server.Service(lab.ServiceConfig{Network: "tcp4", Addr: "127.0.0.1:0", Time: hold})
	load := client.Load(lab.LoadConfig{Network: "tcp4", Addr: service.Addr, Conns: 8})
	settled := time.Now().Add(time.Second)
	tr.graph(t, []*lab.Container{server, client}, func(got map[collector.EdgeKey]collector.LiveEdge) (bool, string) {
		e := got[collector.EdgeKey{Client: idOf(client), Server: idOf(server), Port: netip.MustParseAddrPort(service.Addr).Port()}]
		now := time.Now()
		if len(got) != 1 || e.Over == 0 || now.Before(settled.Add(e.Over)) {
			return false, fmt.Sprintf("%d edges, %+v", len(got), e)
		}
		// The load is steady: what the clients have logged lately is what it was then.
		is := load.Truth([]time.Time{now.Add(-e.Over), now})[0]
		rate := float64(is.Ended) / e.Over.Seconds()
		latency := is.Depth / rate
		near := func(got, want float64) bool { return got > .9*want && got < 1.1*want }
		return near(e.Outstanding, is.Depth) && near(e.PerSecond, rate) && near(e.Latency.Seconds(), latency),
			fmt.Sprintf("%+v, want %.3f outstanding, %.1f a second, %.2f ms", e, is.Depth, rate, latency*1e3)
	})
}

// Behind an address that the network translates there is the server, not somebody
// outside; whoever is not on the host is external, both ways.
func TestEdgesThroughTranslation(t *testing.T) {
	network := lab.NewNetwork(t)
	server, client := lab.NewContainer(t, "server", lab.Options{Network: network}), lab.NewContainer(t, "client", lab.Options{Network: network})
	s, c := server.Sockets(), client.Sockets()
	l := s.Listen("tcp4", netip.AddrPortFrom(server.Addr, 8080).String(), 64)
	service := netip.MustParseAddrPort("10.96.0.10:80")
	if err := network.Translate(service, netip.AddrPortFrom(server.Addr, 8080)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	tr := trace(t, collector.Config{})
	out := c.Connect("tcp4", service.String(), 3)
	in := s.Accept(l, 3)
	c.Send(out, 20)
	s.Receive(in, 20)
	key := collector.EdgeKey{Client: idOf(client), Server: idOf(server), Port: service.Port()}
	tr.graph(t, []*lab.Container{server, client}, func(got map[collector.EdgeKey]collector.LiveEdge) (bool, string) {
		e := got[key]
		return len(got) == 1 && e.Connections == 3 && e.Waiting == 3, fmt.Sprintf("%d edges: %+v", len(got), got)
	})
}

// Requests come in at the service that its users call, and it alone is counted
// exactly: not what it calls, nor the neighbour.
func TestEntriesAreCounted(t *testing.T) {
	tr := trace(t, collector.Config{}, (*collector.Collector).CountEntries)
	front, back, user, neighbour := lab.NewContainer(t, "front", lab.Options{}), lab.NewContainer(t, "back", lab.Options{}), lab.NewContainer(t, "user", lab.Options{}), lab.NewContainer(t, "neighbour", lab.Options{})
	f, b, u, n := front.Sockets(), back.Sockets(), user.Sockets(), neighbour.Sockets()
	in, deep := f.Listen("tcp4", "127.0.0.1:0", 8), b.Listen("tcp4", "127.0.0.1:0", 8)
	n.Listen("tcp4", "127.0.0.1:0", 8)
	asks := u.Connect("tcp4", in.Addr, 1)
	serves := f.Accept(in, 1)
	calls := f.Connect("tcp4", deep.Addr, 1)
	answers := b.Accept(deep, 1)
	served := map[string]int64{}
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		u.Send(asks, 20)
		f.Receive(serves, 20)
		f.Send(calls, 20)
		b.Receive(answers, 20)
		b.Send(answers, 20)
		f.Receive(calls, 20)
		f.Send(serves, 20)
		u.Receive(asks, 20)
		for _, c := range []*lab.Container{front, back, user, neighbour} {
			if r, counted := s.requests[idOf(c)]; counted {
				served[c.Name] += r.Served.N
			}
		}
		_, also := s.requests[idOf(back)]
		return served[front.Name] >= 10 && !also, fmt.Sprintf("requests counted: %v", served)
	})
	if len(served) != 1 {
		t.Errorf("requests counted: %v, want those of front alone", served)
	}
}
