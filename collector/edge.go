package collector

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"seer/collector/container"
)

// Edge is who calls whom: the TCP connections from one container to one port of
// another.
type Edge struct {
	EdgeKey
	Connections int           // open
	Waiting     int           // of these, on which the client waits for an answer now
	Requests    uint64        // answered since Seer knows these, also on connections that have closed
	Waited      time.Duration // that clients have waited for them, all together
	Failed      uint64        // attempts to connect that nobody accepted
	Unanswered  uint64        // closed while an answer was owed for a pass or longer
}

// EdgeKey says which edge. A peer that is not on this host, or cannot be found, is
// 0: all of them are one edge for each port of the server, however many they are.
type EdgeKey struct {
	Client, Server container.ID
	Port           uint16 // that the server listens on; behind address translation, that the client connects to
}

// External reports whether either end is not on this host.
func (k EdgeKey) External() bool { return k.Client == 0 || k.Server == 0 }

// Edges joins both ends of each open connection. Edges come in order of client,
// server and port.
func Edges(sockets []Socket) []Edge {
	j := newJoiner()
	j.learn(sockets)
	return inOrder(j.open(sockets))
}

// connected leaves out listeners, attempts, and what is over.
func connected(state string) bool { return state == "ESTAB" || state == "CLOSE-WAIT" }

func inOrder(edges map[EdgeKey]*Edge) []Edge {
	list := make([]Edge, 0, len(edges))
	for _, e := range edges {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Port, b.Port))
	})
	return list
}

// place is an address within the network namespace that it belongs to. Loopback
// addresses are each namespace's own; others are taken to be the host's.
type place struct {
	address netip.AddrPort
	netns   uint32
}

func placeOf(a netip.AddrPort, netns uint32) place {
	if a.Addr().IsLoopback() {
		return place{a, netns}
	}
	return place{a, 0}
}

// joiner finds the other end of a connection.
type joiner struct {
	exact   map[[2]place]container.ID // server's end, by its own and its client's address
	at      map[place]container.ID    // who is reached at an address
	from    map[place]container.ID    // server's end, by its client's address alone; 0: several
	clients map[[2]place]bool         // client's ends, by the server's and the client's address
	here    map[netip.Addr]bool       // addresses of this host's containers

	// otherwise is asked who is reached at an address where no open connection
	// tells; nil asks nobody.
	otherwise func(place) container.ID
}

func newJoiner() *joiner {
	return &joiner{
		exact: map[[2]place]container.ID{}, at: map[place]container.ID{}, from: map[place]container.ID{},
		clients: map[[2]place]bool{}, here: map[netip.Addr]bool{},
	}
}

// learn replaces what is known by what a list of sockets shows.
func (j *joiner) learn(sockets []Socket) {
	clear(j.exact)
	clear(j.at)
	clear(j.from)
	clear(j.clients)
	clear(j.here)
	for i := range sockets {
		s := &sockets[i]
		if s.Container == 0 || !s.Local.IsValid() {
			continue
		}
		local, remote := placeOf(s.Local, s.NetNS), placeOf(s.Remote, s.NetNS)
		switch s.Role {
		case RoleListener:
			j.at[local] = s.Container
		case RoleServer:
			j.at[local] = s.Container
			j.exact[[2]place{local, remote}] = s.Container
			if known, found := j.from[remote]; found && known != s.Container {
				j.from[remote] = 0
			} else {
				j.from[remote] = s.Container
			}
		case RoleClient:
			j.clients[[2]place{remote, local}] = true
		default:
			continue
		}
		if !s.Local.Addr().IsUnspecified() {
			j.here[s.Local.Addr()] = true
		}
	}
}

// server returns who is at the other end of a client's connection. Behind
// destination address translation, as with a Kubernetes service's address, the two
// ends know the client by the same address, and the server by different ones. One that
// was not accepted yet has no end, but the address is one that others have reached.
func (j *joiner) server(client *Socket) container.ID {
	local, remote := placeOf(client.Local, client.NetNS), placeOf(client.Remote, client.NetNS)
	if id, found := j.exact[[2]place{remote, local}]; found {
		return id
	}
	if id := j.reached(remote); id != 0 {
		return id
	}
	return j.from[local]
}

// reached returns who is reached at an address.
func (j *joiner) reached(remote place) container.ID {
	if id := j.at[remote]; id != 0 || j.otherwise == nil {
		return id
	}
	return j.otherwise(remote)
}

// fromOutside reports whether the client of a server's connection is not on this
// host.
func (j *joiner) fromOutside(server *Socket) bool {
	if j.clients[[2]place{placeOf(server.Local, server.NetNS), placeOf(server.Remote, server.NetNS)}] {
		return false
	}
	return j.outside(server.Remote.Addr())
}

func (j *joiner) outside(client netip.Addr) bool { return !client.IsLoopback() && !j.here[client] }

// open sums the connections that are open, by edge.
func (j *joiner) open(sockets []Socket) map[EdgeKey]*Edge {
	edges := map[EdgeKey]*Edge{}
	for i := range sockets {
		s := &sockets[i]
		if s.Container == 0 || !connected(s.State) {
			continue
		}
		var key EdgeKey
		switch {
		case s.Role == RoleClient:
			key = EdgeKey{Client: s.Container, Server: j.server(s), Port: s.Remote.Port()}
		case s.Role == RoleServer && j.fromOutside(s):
			key = EdgeKey{Server: s.Container, Port: s.Local.Port()}
		default:
			continue // its client's end tells
		}
		e := edges[key]
		if e == nil {
			e = &Edge{EdgeKey: key}
			edges[key] = e
		}
		e.Connections++
		e.Requests += s.Requests
		e.Waited += s.Waited
		if s.Downstream || s.Outstanding {
			e.Waiting++
		}
	}
	return edges
}
