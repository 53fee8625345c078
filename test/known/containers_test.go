//go:build linux

package known

import (
	"fmt"
	"os"
	"testing"

	"seer/collector"
	"seer/collector/container"
	"seer/test/lab"
)

// A host whose runtime uses cgroup v1 only: every process is in the root of
// cgroup v2, and a container is told by its v1 cgroup.
func TestLegacyContainer(t *testing.T) {
	if !lab.HasLegacy("memory") {
		t.Skip("not supported: no cgroup v1 memory hierarchy on this host")
	}
	bothWays(t, map[string]build{
		"held": func(t *testing.T) func(*testing.T, *tracer) {
			w := newWorld(t, lab.Options{LegacyOnly: "memory"})
			l := w.s.Listen("tcp4", "127.0.0.1:0", 61)
			out := w.c.Connect("tcp4", l.Addr, 30)
			in := w.s.Accept(l, 7)
			w.c.Send(out[:7], 100)
			w.s.Receive(in, 100)
			w.s.Epoll(w.s.EventFDs(9, 4))
			return func(t *testing.T, tr *tracer) {
				tr.expect(t, all(
					only(w.server,
						expect{c: w.server, queue: collector.QueueAcceptBacklog, depth: 23, limit: 61},
						expect{c: w.server, queue: collector.QueueOutstanding, depth: 7},
						expect{c: w.server, queue: collector.QueueEpollReady, depth: 4}),
					only(w.client, expect{c: w.client, queue: collector.QueueDownstream, depth: 7}),
					only(w.neighbour))...)
			}
		},
	})
}

// Containers come and go: each is seen with its own depth, none outlives its
// cgroup, and the one that stays is never disturbed.
func TestContainersComeAndGo(t *testing.T) {
	tr := trace(t, collector.Config{})
	stay := lab.NewContainer(t, "stay", lab.Options{})
	s := stay.Sockets()
	l := s.Listen("tcp4", "127.0.0.1:0", 64)
	s.Connect("tcp4", l.Addr, 11)
	stays := expect{c: stay, queue: collector.QueueAcceptBacklog, depth: 11, limit: 64}
	tr.expect(t, stays)

	const rounds = 12
	mine := map[container.ID]bool{}
	for i := range rounds {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			// Two at a time, of the same service, that end with the subtest.
			for n := range 2 {
				c := lab.NewContainer(t, "web", lab.Options{})
				mine[idOf(c)] = true
				p := c.Sockets()
				l := p.Listen("tcp4", "127.0.0.1:0", 64)
				p.Connect("tcp4", l.Addr, 1+i+n)
				tr.expect(t, stays, expect{c: c, queue: collector.QueueAcceptBacklog, depth: float64(1 + i + n), limit: 64})
			}
		})
	}
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		for id, row := range s.rows {
			if mine[id] {
				return false, fmt.Sprintf("%s (%v) still has a row, want none", row.Container.Path, id)
			}
		}
		_, ok := s.rows[idOf(stay)]
		return ok, "the container that stays has no row"
	})
}

// A container of a real runtime goes by the name the runtime knows.
func TestContainerd(t *testing.T) {
	if !lab.HasContainerd() {
		if os.Getenv("SEER_TEST_CONTAINERD") == "required" {
			t.Fatal("containerd, ctr and runc are required and not installed")
		}
		t.Skip("not supported: containerd, ctr or runc is not installed")
	}
	d := lab.NewContainerd(t, t.TempDir())
	resolver, err := container.New(container.Config{RunRoot: d.RunRoot})
	if err != nil {
		t.Fatal(err)
	}
	client := lab.NewContainer(t, "client", lab.Options{}).Sockets()
	server, neighbour := d.Sockets("web"), d.Sockets("idle")
	l := server.Listen("tcp4", "127.0.0.1:0", 61)
	out := client.Connect("tcp4", l.Addr, 8)
	in := server.Accept(l, 3)
	client.Send(out[:3], 100)
	server.Receive(in, 100)
	neighbour.Listen("tcp4", "127.0.0.1:0", 61)

	tr := trace(t, collector.Config{Resolver: resolver})
	tr.expect(t, all(
		only(server.Container,
			expect{c: server.Container, queue: collector.QueueOutstanding, depth: 3},
			expect{c: server.Container, queue: collector.QueueAcceptBacklog, depth: 5, limit: 61}),
		only(neighbour.Container))...)
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		c := s.rows[idOf(server.Container)].Container
		if c == nil {
			return false, fmt.Sprintf("no row for %s", server.Container.Name)
		}
		ok := c.Name == server.Container.Name && c.RuntimeID == server.Container.Name && c.Runtime == "containerd"
		return ok, fmt.Sprintf("container = %+v, want %s of containerd", *c, server.Container.Name)
	})
}
