package collector

import (
	"slices"
	"sync/atomic"
	"testing"

	"seer/bpf"
	"seer/test/lab"
)

// Indices come back in the order in which sockets closed, once each.
func TestTrackedSweep(t *testing.T) {
	table := &trackedTable{entries: make([]bpf.SocketTrackedSocket, 8), free: make([]uint64, 8), counts: &bpf.SocketIndexCounts{High: 6}}
	take := func(indices ...int) {
		for _, i := range indices {
			table.entries[i] = bpf.SocketTrackedSocket{Sk: uint64(0xffff0000 + i), Taken: 1}
		}
	}
	inUse := func() uint64 { return table.counts.High - (table.counts.Given - table.counts.Retaken) }
	want := func(what string, used uint64, given ...uint64) {
		t.Helper()
		table.sweep()
		if got := table.free[:table.counts.Given]; !slices.Equal(got, given) || inUse() != used {
			t.Errorf("%s: given back %v and %d in use, want %v and %d", what, got, inUse(), given, used)
		}
	}
	take(0, 1, 2, 3, 4, 5)
	want("all open", 6)
	table.entries[4].Sk = 0
	want("one closed", 5, 4)
	want("once each", 5, 4)
	table.entries[1].Stale = 1
	table.entries[2].Sk = 0
	want("one closed, one found gone", 3, 4, 1, 2)
	table.counts.Retaken = 1
	take(4)
	want("taken again", 4, 4, 1, 2)
	table.entries[4].Sk = 0
	want("closed again", 3, 4, 1, 2, 4)
}

// Connections that come and go use the indices of those before.
func TestTrackedChurn(t *testing.T) {
	const connections, rounds = 300, 4
	c := open(t, Config{CPUBudget: 1})
	if !c.programs.inTable {
		t.Skip("not supported: this kernel lets its list of sockets be walked")
	}
	server, client := lab.NewContainer(t, "server", lab.Options{}).Sockets(), lab.NewContainer(t, "client", lab.Options{}).Sockets()
	owners := map[uint64]bool{}
	for _, p := range []*lab.Sockets{server, client} {
		id, err := c.Resolver().IDOf(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		owners[uint64(id)] = true
	}
	taken := func() (n int) {
		for i := range min(c.tracked.counts.High, uint64(len(c.tracked.entries))) {
			if e := &c.tracked.entries[i]; e.Taken != 0 && owners[e.State.Owner] {
				n++
			}
		}
		return n
	}
	var k keep
	start(t, c, &k)
	l := server.Listen("tcp4", "127.0.0.1:0", connections)
	eventually(t, "a tick", func() (bool, any) { return k.last().Seq > 0, k.last().Seq })
	for range rounds {
		out := client.Connect("tcp4", l.Addr, connections)
		in := server.Accept(l, connections)
		if got, want := taken(), 2*connections+1; got != want {
			t.Errorf("%d entries of the table taken, want %d", got, want)
		}
		client.Close(out...)
		server.Close(in...)
		eventually(t, "indices are given back", func() (bool, any) {
			n := taken()
			return n == 1, n
		})
	}
	// Others of the host may have been first at some of them.
	if got, least := c.tracked.counts.Retaken, uint64((rounds-1)*connections); got < least {
		t.Errorf("%d indices were taken again, want at least %d", got, least)
	}
}

// A full table drops sockets, counts them, and is walked all the same; what is
// freed is used again.
func TestTrackedFull(t *testing.T) {
	const connections = 10
	c := open(t, Config{CPUBudget: 1})
	if !c.programs.inTable {
		t.Skip("not supported: this kernel lets its list of sockets be walked")
	}
	server, client := lab.NewContainer(t, "server", lab.Options{}).Sockets(), lab.NewContainer(t, "client", lab.Options{}).Sockets()
	var k keep
	start(t, c, &k)
	l := server.Listen("tcp4", "127.0.0.1:0", connections)
	sockets := func(p *lab.Sockets) int {
		id, err := c.Resolver().IDOf(p.PID)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range k.last().Rows {
			if row.Container.ID == id {
				return row.Sockets
			}
		}
		return 0
	}
	full := func() uint64 {
		losses := c.Losses()
		return losses[slices.IndexFunc(losses, func(l Loss) bool { return l.Reason == "sockets_full" })].Count
	}
	client.Connect("tcp4", l.Addr, connections)
	server.Accept(l, connections)
	eventually(t, "both ends are seen", func() (bool, any) {
		got := [2]int{sockets(server), sockets(client)}
		return got == [2]int{connections + 1, connections}, got
	})

	counts := c.tracked.counts
	high := atomic.SwapUint64(&counts.High, uint64(len(c.tracked.entries)))
	atomic.StoreUint64(&counts.Retaken, counts.Given)
	before := full()
	out, in := client.Connect("tcp4", l.Addr, connections), server.Accept(l, connections)
	eventually(t, "what has no place is counted", func() (bool, any) {
		lost := full() - before
		return lost >= 2*connections, lost
	})
	seq := k.last().Seq
	eventually(t, "passes go on", func() (bool, any) { return k.last().Seq > seq+2 && k.last().Passes > 0, k.last().Seq })
	if got := [2]int{sockets(server), sockets(client)}; got != [2]int{connections + 1, connections} {
		t.Errorf("%d sockets seen in a full table, want those from before", got)
	}
	client.Close(out...)
	server.Close(in...)

	atomic.StoreUint64(&counts.High, high)
	client.Connect("tcp4", l.Addr, connections)
	server.Accept(l, connections)
	eventually(t, "later ones are seen", func() (bool, any) {
		got := [2]int{sockets(server), sockets(client)}
		return got == [2]int{2*connections + 1, 2 * connections}, got
	})
}
