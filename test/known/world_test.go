//go:build linux

package known

import (
	"maps"
	"slices"
	"testing"

	"seer/collector"
	"seer/test/lab"
)

// world is a server, its client, and a neighbour of both with an open
// listener and an idle connection of its own, so that every pass meets it and
// a queue charged to the wrong container has somewhere to land.
type world struct {
	server, client, neighbour *lab.Container
	s, c, n                   *lab.Sockets
}

func newWorld(t *testing.T, o lab.Options) *world {
	t.Helper()
	w := &world{
		server:    lab.NewContainer(t, "server", o),
		client:    lab.NewContainer(t, "client", o),
		neighbour: lab.NewContainer(t, "neighbour", o),
	}
	w.s, w.c, w.n = w.server.Sockets(), w.client.Sockets(), w.neighbour.Sockets()
	l := w.n.Listen("tcp4", "127.0.0.1:0", 16)
	out := w.n.Connect("tcp4", l.Addr, 1)
	in := w.n.Accept(l, 1)
	// It has answered a request: idle is not the same as never used.
	w.n.Send(out, 10)
	w.n.Receive(in, 10)
	w.n.Send(in, 10)
	w.n.Receive(out, 10)
	w.n.Epoll(w.n.EventFDs(2, 0))
	a, b := w.n.Pair("unix")
	w.n.Send([]lab.Socket{a}, 10)
	w.n.Receive([]lab.Socket{b}, 10)
	return w
}

// quiet demands that the queues are empty next door.
func (w *world) quiet(queues ...collector.Queue) []expect {
	out := make([]expect, len(queues))
	for i, q := range queues {
		out[i] = expect{c: w.neighbour, queue: q}
	}
	return out
}

// socketQueues are all the queues that a socket or epoll instance adds to.
var socketQueues = []collector.Queue{
	collector.QueueSYN, collector.QueueAcceptBacklog, collector.QueueReceive, collector.QueueUnreadRequests,
	collector.QueueEpollReady, collector.QueueOutstanding, collector.QueueDownstream, collector.QueueSend, collector.QueueNICTx,
}

// only demands that of all socket queues of c only the given ones hold
// something.
func only(c *lab.Container, held ...expect) []expect {
	var out []expect
next:
	for _, q := range socketQueues {
		for _, h := range held {
			if h.queue == q {
				out = append(out, h)
				continue next
			}
		}
		out = append(out, expect{c: c, queue: q})
	}
	return out
}

// all joins lists of demands.
func all(lists ...[]expect) []expect {
	var out []expect
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// A build makes a world and returns what must then be seen.
type build func(t *testing.T) func(t *testing.T, tr *tracer)

// bothWays runs a case with a tracer that starts after the world was built,
// and with one that watched it being built.
func bothWays(t *testing.T, cases map[string]build) {
	names := slices.Sorted(maps.Keys(cases))
	t.Run("before", func(t *testing.T) {
		demands := make([]func(*testing.T, *tracer), len(names))
		for i, name := range names {
			demands[i] = cases[name](t)
		}
		tr := trace(t, collector.Config{})
		for i, name := range names {
			t.Run(name, func(t *testing.T) { demands[i](t, tr) })
		}
	})
	t.Run("after", func(t *testing.T) {
		tr := trace(t, collector.Config{})
		for _, name := range names {
			t.Run(name, func(t *testing.T) { cases[name](t)(t, tr) })
		}
	})
}
