package collector

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/container"
)

// call is one connection of a client with a server, by their containers.
func call(client, server container.ID, port uint16, requests uint64, waited time.Duration) []Socket {
	at := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(server)}), port)
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(client)}), 40000+port)
	return []Socket{
		{Container: client, Role: RoleClient, State: "ESTAB", Local: from, Remote: at, Requests: requests, Waited: waited},
		{Container: server, Role: RoleServer, State: "ESTAB", Local: at, Remote: from, Requests: requests},
	}
}

func closedClient(client, server container.ID, port uint16, counted Edge) closedCalls {
	return closedCalls{owner: client, role: RoleClient, peer: place{address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(server)}), port)}, counted: counted}
}

// What is on an edge goes on when connections close, whatever they left behind, and
// rates are of the time between two updates.
func TestEdgeTable(t *testing.T) {
	const web, app container.ID = 1, 2
	key := EdgeKey{web, app, 80}
	table := newEdgeTable(nil)
	at := time.Unix(1000, 0)
	update := func(after time.Duration, want LiveEdge, sockets []Socket, closed ...closedCalls) {
		t.Helper()
		at = at.Add(after)
		for i := range closed {
			table.close(&closed[i], at)
		}
		table.update(at, sockets)
		want.EdgeKey = key
		if diff := cmp.Diff([]LiveEdge{want}, table.list()); diff != "" {
			t.Errorf("after %v (-want +got):\n%s", at.Sub(time.Unix(1000, 0)), diff)
		}
	}
	const ms = time.Millisecond
	update(0, LiveEdge{Edge: Edge{Connections: 1, Requests: 100, Waited: time.Second}}, call(web, app, 80, 100, time.Second))
	// 20 requests in two seconds, waited for 5 ms each.
	update(2*time.Second, LiveEdge{Edge: Edge{Connections: 1, Requests: 120, Waited: 1100 * ms}, Over: 2 * time.Second, PerSecond: 10, Outstanding: .05, Latency: 5 * ms},
		call(web, app, 80, 120, 1100*ms))
	// It has closed with ten more, beside forty connections of one request each, two
	// that failed and one that was never answered; none is open, but the address is known.
	update(2*time.Second, LiveEdge{Edge: Edge{Requests: 170, Waited: 1500 * ms, Failed: 2, Unanswered: 1}, Over: 2 * time.Second, PerSecond: 25, Outstanding: .2, Latency: 8 * ms}, nil,
		closedClient(web, app, 80, Edge{Connections: 1, Requests: 130, Waited: 1200 * ms}),
		closedClient(web, app, 80, Edge{Connections: 41, Requests: 40, Waited: 300 * ms, Failed: 2, Unanswered: 1}))
	// Nothing: what was stays, for ten minutes.
	update(2*time.Second, LiveEdge{Edge: Edge{Requests: 170, Waited: 1500 * ms, Failed: 2, Unanswered: 1}, Over: 2 * time.Second}, nil)
	at = at.Add(edgeKept)
	table.update(at, nil)
	if got := table.list(); len(got) != 0 {
		t.Errorf("after ten minutes: %+v, want nothing", got)
	}
}

// A connection that closes between the two lists shows in neither: the sums wait,
// they do not fall.
func TestEdgeTableDoesNotFall(t *testing.T) {
	table := newEdgeTable(nil)
	at := time.Unix(1000, 0)
	table.update(at, call(1, 2, 80, 100, time.Second))
	table.update(at.Add(time.Second), nil)
	if got := table.list()[0]; got.Requests != 100 || got.Waited != time.Second || got.PerSecond != 0 {
		t.Errorf("%+v, want 100 requests still", got)
	}
	c := closedClient(1, 2, 80, Edge{Requests: 103, Waited: time.Second})
	// Nobody is known at that address any more, unless somebody remembers.
	table.join.otherwise = func(p place) container.ID {
		if p.address.String() == "10.0.0.2:80" {
			return 2
		}
		return 0
	}
	table.close(&c, at)
	table.update(at.Add(2*time.Second), nil)
	if got := table.list()[0]; got.Requests != 103 || got.PerSecond != 3 {
		t.Errorf("%+v, want 103 requests, 3 a second", got)
	}
}

// Peers outside are one edge for each port, however many there are; ports are
// bounded, and so are edges.
func TestEdgeTableIsBounded(t *testing.T) {
	table := newEdgeTable(nil)
	at := time.Unix(1000, 0)
	var sockets []Socket
	outside := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i >> 8), byte(i)}) }
	for i := range 10_000 {
		sockets = append(sockets,
			Socket{Container: 1, Role: RoleServer, State: "ESTAB", Local: netip.MustParseAddrPort("10.0.0.1:80"), Remote: netip.AddrPortFrom(outside(i), 4000), Requests: 1},
			Socket{Container: 1, Role: RoleClient, State: "ESTAB", Local: netip.MustParseAddrPort("10.0.0.1:5000"), Remote: netip.AddrPortFrom(outside(i), 443), Requests: 2})
	}
	for i := range 10_000 {
		c := closedCalls{owner: 1, role: RoleServer, peer: place{address: netip.AddrPortFrom(outside(20_000+i), 80)}, counted: Edge{Connections: 1, Requests: 3}}
		table.close(&c, at)
	}
	table.update(at, sockets)
	want := []LiveEdge{
		{Edge: Edge{EdgeKey: EdgeKey{Server: 1, Port: 80}, Connections: 10_000, Requests: 40_000}},
		{Edge: Edge{EdgeKey: EdgeKey{Client: 1, Port: 443}, Connections: 10_000, Requests: 20_000}},
	}
	if diff := cmp.Diff(want, table.list()); diff != "" {
		t.Errorf("20,000 peers (-want +got):\n%s", diff)
	}
	for port := range uint16(10_000) {
		c := closedCalls{owner: 1, role: RoleClient, peer: place{address: netip.AddrPortFrom(outside(1), port+1)}, counted: Edge{Requests: 1}}
		table.close(&c, at)
	}
	table.update(at.Add(time.Second), sockets)
	if got, sum := table.list(), uint64(0); len(got) > maxPortEdges+2 {
		t.Errorf("%d edges, want at most %d", len(got), maxPortEdges+2)
	} else {
		for i := range got {
			sum += got[i].Requests
		}
		if sum != 70_000 {
			t.Errorf("%d requests on all edges, want 70,000", sum)
		}
	}
	for client := range container.ID(maxEdges + 100) {
		c := closedClient(1000+client, 7, 80, Edge{Requests: 1})
		table.join.otherwise = func(place) container.ID { return 7 }
		table.close(&c, at)
	}
	if len(table.edges) > maxEdges+1 {
		t.Errorf("%d edges, want at most %d and one for the rest", len(table.edges), maxEdges)
	}
}

func TestEntries(t *testing.T) {
	const outside, load, front, mid, db, cron container.ID = 0, 1, 2, 3, 4, 5
	edge := func(client, server container.ID) LiveEdge {
		return LiveEdge{Edge: Edge{EdgeKey: EdgeKey{client, server, 80}}}
	}
	tests := []struct {
		name  string
		edges []LiveEdge
		want  []container.ID
	}{
		{"none", nil, nil},
		{"clients outside", []LiveEdge{edge(outside, front), edge(front, mid), edge(mid, db), edge(mid, outside)}, []container.ID{front}},
		{"a load generator here", []LiveEdge{edge(load, front), edge(front, mid), edge(mid, db)}, []container.ID{front}},
		{"who calls several is a service, not a user", []LiveEdge{edge(cron, mid), edge(cron, db), edge(outside, front), edge(front, mid)}, []container.ID{front}},
	}
	for _, tt := range tests {
		want := map[container.ID]bool{}
		for _, id := range tt.want {
			want[id] = true
		}
		if diff := cmp.Diff(want, Entries(tt.edges)); diff != "" {
			t.Errorf("%s: Entries (-want +got):\n%s", tt.name, diff)
		}
	}
}

// What was an edge for want of knowing better, and never carried anything, is none.
func TestEdgeTableForgetsMistakes(t *testing.T) {
	table := newEdgeTable(nil)
	at := time.Unix(1000, 0)
	sockets := call(1, 2, 80, 0, 0)
	table.update(at, sockets[:1]) // not accepted yet: nobody's
	if got := table.list(); len(got) != 1 || got[0].Server != 0 {
		t.Fatalf("%+v, want one edge to nobody known", got)
	}
	table.update(at.Add(time.Second), sockets)
	if got := table.list(); len(got) != 1 || got[0].EdgeKey != (EdgeKey{1, 2, 80}) {
		t.Errorf("%+v, want that to the server alone", got)
	}
}
