package collector

import (
	"cmp"
	"net/netip"
	"slices"

	"seer/collector/container"
)

// Edge is who calls whom: the TCP connections from one container to one port of
// another.
type Edge struct {
	Client, Server container.ID // Server is 0 for a peer that is not on this host
	Port           uint16       // that the server listens on
	Connections    int
	Waiting        int    // connections on which the client waits for an answer now
	Requests       uint64 // answered on these connections since Seer knows them
}

// Edges joins both ends of each connection. A client whose other end is not
// found has an external peer: on another host, or behind address translation.
// External peers of one port are one edge, however many they are. Edges come
// in order of client, server and port.
func Edges(sockets []Socket) []Edge {
	ends := endsOf(sockets)
	edges := map[Edge]*Edge{} // by client, server and port
	for i := range sockets {
		s := &sockets[i]
		if s.Role != RoleClient || s.Container == 0 || !connected(s.State) {
			continue
		}
		key := Edge{Client: s.Container, Server: ends.server(s), Port: s.Remote.Port()}
		e := edges[key]
		if e == nil {
			e = &Edge{Client: key.Client, Server: key.Server, Port: key.Port}
			edges[key] = e
		}
		e.Connections++
		e.Requests += s.Requests
		if s.Downstream {
			e.Waiting++
		}
	}
	list := make([]Edge, 0, len(edges))
	for _, e := range edges {
		list = append(list, *e)
	}
	slices.SortFunc(list, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.Port, b.Port))
	})
	return list
}

// connected leaves out listeners, attempts, and what is over.
func connected(state string) bool { return state == "ESTAB" || state == "CLOSE-WAIT" }

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

// ends are the server's ends of connections.
type ends struct {
	exact map[[2]place]container.ID // by the server's and the client's address
	at    map[place]container.ID    // by the server's alone
}

func endsOf(sockets []Socket) ends {
	e := ends{exact: map[[2]place]container.ID{}, at: map[place]container.ID{}}
	for i := range sockets {
		s := &sockets[i]
		if s.Container == 0 || s.Role != RoleServer && s.Role != RoleListener {
			continue
		}
		local := placeOf(s.Local, s.NetNS)
		e.at[local] = s.Container
		if s.Role == RoleServer {
			e.exact[[2]place{local, placeOf(s.Remote, s.NetNS)}] = s.Container
		}
	}
	return e
}

// server returns who is at the other end of a client's connection. One that was
// not accepted yet has no end, but the address is one that others have reached.
func (e ends) server(client *Socket) container.ID {
	remote := placeOf(client.Remote, client.NetNS)
	if id, found := e.exact[[2]place{remote, placeOf(client.Local, client.NetNS)}]; found {
		return id
	}
	return e.at[remote]
}
