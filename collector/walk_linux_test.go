package collector

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"seer/collector/container"
	"seer/test/lab"
)

// Each way to walk sockets and epoll instances finds the same: by the kernel's
// own lists where it lets them be had, and by tables of Seer's elsewhere.
func TestWalks(t *testing.T) {
	refusals := map[string][]string{
		"by list":   nil,
		"by table":  {"socket_pass"},
		"on demand": {"epoll_ready"},
	}
	for name, refused := range refusals {
		t.Run(name, func(t *testing.T) {
			cfg := Config{CPUBudget: 1, Logger: slog.New(slog.DiscardHandler), refuse: func(program string) error {
				if slices.Contains(refused, program) {
					return unix.EPERM
				}
				return nil
			}}
			// Not before 6.2: what may sleep could not use a stack.
			older := os.Getenv("SEER_TEST_KERNEL") == "debian-6.1"
			c, err := New(cfg)
			if errors.Is(err, ErrUnsupported) && (older && name == "by table" || os.Geteuid() != 0) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			if name == "by list" && c.programs.inTable {
				t.Skipf("not supported: this kernel keeps its list of sockets to itself: %s", c.programs.inTableReason)
			}
			if name == "on demand" && c.epoll.state != ProbeOn && older {
				t.Skipf("not supported: %s", c.epoll.reason)
			}
			if c.epoll.state != ProbeOn || c.programs.inTable != (name == "by table") && name != "on demand" {
				t.Errorf("epoll: %v (%s); sockets in a table: %v", c.epoll.state, c.epoll.reason, c.programs.inTable)
			}
			holdsAndLists(t, c)
		})
	}
}

// holdsAndLists: a server that has read and not answered some requests of many
// connections, and a client that waits for them.
func holdsAndLists(t *testing.T, c *Collector) {
	const connections, held, unread = 400, 23, 5
	const request = 64
	boxes := []*lab.Container{lab.NewContainer(t, "server", lab.Options{}), lab.NewContainer(t, "client", lab.Options{})}
	server, client := boxes[0].Sockets(), boxes[1].Sockets()
	var k keep
	start(t, c, &k)
	l := server.Listen("tcp4", "127.0.0.1:0", connections)
	// One is complete when the next begins: both ends are in one order.
	out := client.Connect("tcp4", l.Addr, connections)
	in := server.Accept(l, connections)
	client.Send(out[:held+unread], request)
	server.Receive(in[:held], request)

	ids := map[*lab.Container]container.ID{}
	for i, p := range []*lab.Sockets{server, client} {
		id, err := c.Resolver().IDOf(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		ids[boxes[i]] = id
	}
	want := map[container.ID]map[Queue]float64{
		ids[boxes[0]]: {QueueOutstanding: held, QueueUnreadRequests: unread, QueueReceive: unread * request, QueueDownstream: 0},
		ids[boxes[1]]: {QueueDownstream: held + unread, QueueOutstanding: 0, QueueReceive: 0},
	}
	eventually(t, "queues", func() (bool, any) {
		seen := 0
		got := fmt.Sprintf("tick %d", k.last().Seq)
		for _, row := range k.last().Rows {
			if want[row.Container.ID] == nil {
				continue
			}
			seen++
			for q, depth := range want[row.Container.ID] {
				if cell := row.Cells[q]; !cell.Valid || cell.Depth != depth {
					return false, fmt.Sprintf("%s of %s = %+v, want %v", q, row.Container.Name, cell, depth)
				}
			}
		}
		return seen == len(want), got
	})

	// Discovery confirms owners once a second; each socket is listed once, whole.
	eventually(t, "list of sockets", func() (bool, any) {
		sockets, err := c.Sockets(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		type key struct {
			id   container.ID
			role Role
		}
		count := map[key]int{}
		for _, s := range sockets {
			count[key{s.Container, s.Role}]++
		}
		ok := count[key{ids[boxes[0]], RoleServer}] == connections && count[key{ids[boxes[1]], RoleClient}] == connections
		return ok, count
	})
	for _, loss := range c.Losses() {
		if loss.Reason == "dump_full" && loss.Count > 0 {
			t.Errorf("%d sockets did not fit into the list", loss.Count)
		}
	}
}
