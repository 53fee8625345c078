package collector

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/collector/container"
)

func TestEdges(t *testing.T) {
	socket := func(id container.ID, role Role, local, remote string, netns uint32) Socket {
		s := Socket{Container: id, Role: role, State: "ESTAB", Local: netip.MustParseAddrPort(local), NetNS: netns, Requests: 10}
		if remote != "" {
			s.Remote = netip.MustParseAddrPort(remote)
		}
		if role == RoleListener {
			s.State = "LISTEN"
		}
		return s
	}
	waiting := func(s Socket) Socket { s.Downstream = true; return s }
	outstanding := func(s Socket) Socket { s.Outstanding = true; return s }
	state := func(s Socket, to string) Socket { s.State = to; return s }
	const web, app, db, other container.ID = 1, 2, 3, 4
	tests := map[string]struct {
		sockets []Socket
		want    []Edge
	}{
		"nothing": {nil, []Edge{}},
		"two replicas' connections, one waits": {[]Socket{
			waiting(socket(web, RoleClient, "10.0.0.1:4000", "10.0.0.2:80", 1)),
			socket(web, RoleClient, "10.0.0.1:4001", "10.0.0.2:80", 1),
			socket(web, RoleClient, "10.0.0.1:4002", "10.0.0.3:80", 1),
			socket(app, RoleServer, "10.0.0.2:80", "10.0.0.1:4000", 2),
			socket(app, RoleServer, "10.0.0.2:80", "10.0.0.1:4001", 2),
			socket(db, RoleServer, "10.0.0.3:80", "10.0.0.1:4002", 3),
		}, []Edge{
			{EdgeKey: EdgeKey{web, app, 80}, Connections: 2, Waiting: 1, Requests: 20},
			{EdgeKey: EdgeKey{web, db, 80}, Connections: 1, Requests: 10},
		}},
		"loopback addresses are each namespace's own": {[]Socket{
			socket(web, RoleClient, "127.0.0.1:4000", "127.0.0.1:80", 1),
			socket(app, RoleServer, "127.0.0.1:80", "127.0.0.1:4000", 1),
			socket(db, RoleClient, "127.0.0.1:4000", "127.0.0.1:80", 2),
			socket(other, RoleServer, "127.0.0.1:80", "127.0.0.1:4000", 2),
		}, []Edge{
			{EdgeKey: EdgeKey{web, app, 80}, Connections: 1, Requests: 10},
			{EdgeKey: EdgeKey{db, other, 80}, Connections: 1, Requests: 10},
		}},
		"external peers of one port are one edge": {[]Socket{
			socket(web, RoleClient, "10.0.0.1:4000", "192.0.2.1:443", 1),
			socket(web, RoleClient, "10.0.0.1:4001", "192.0.2.2:443", 1),
			socket(web, RoleClient, "10.0.0.1:4002", "192.0.2.2:5432", 1),
		}, []Edge{
			{EdgeKey: EdgeKey{Client: web, Port: 443}, Connections: 2, Requests: 20},
			{EdgeKey: EdgeKey{Client: web, Port: 5432}, Connections: 1, Requests: 10},
		}},
		"not accepted yet, but its listener is known": {[]Socket{
			socket(web, RoleClient, "10.0.0.1:4000", "10.0.0.2:80", 1),
			socket(app, RoleListener, "10.0.0.2:80", "", 2),
		}, []Edge{{EdgeKey: EdgeKey{web, app, 80}, Connections: 1, Requests: 10}}},
		"behind destination address translation": {[]Socket{
			socket(web, RoleClient, "10.0.0.1:4000", "10.96.0.10:80", 1),
			socket(web, RoleClient, "10.0.0.1:4001", "10.96.0.10:80", 1),
			socket(app, RoleServer, "10.0.0.2:8080", "10.0.0.1:4000", 2),
			socket(db, RoleServer, "10.0.0.3:8080", "10.0.0.1:4001", 3),
		}, []Edge{
			{EdgeKey: EdgeKey{web, app, 80}, Connections: 1, Requests: 10},
			{EdgeKey: EdgeKey{web, db, 80}, Connections: 1, Requests: 10},
		}},
		"one client's address and port to two servers, each found by its own": {[]Socket{
			socket(web, RoleClient, "10.0.0.1:4000", "10.0.0.2:80", 1),
			socket(web, RoleClient, "10.0.0.1:4000", "10.0.0.3:80", 1),
			socket(app, RoleServer, "10.0.0.2:80", "10.0.0.1:4000", 2),
			socket(db, RoleServer, "10.0.0.3:80", "10.0.0.1:4000", 3),
		}, []Edge{
			{EdgeKey: EdgeKey{web, app, 80}, Connections: 1, Requests: 10},
			{EdgeKey: EdgeKey{web, db, 80}, Connections: 1, Requests: 10},
		}},
		"clients outside are one edge to each port": {[]Socket{
			outstanding(socket(web, RoleServer, "10.0.0.1:80", "192.0.2.1:4000", 1)),
			socket(web, RoleServer, "10.0.0.1:80", "192.0.2.2:4000", 1),
			socket(web, RoleServer, "10.0.0.1:443", "192.0.2.2:4001", 1),
			socket(web, RoleServer, "127.0.0.1:80", "127.0.0.1:4001", 1),
		}, []Edge{
			{EdgeKey: EdgeKey{Server: web, Port: 80}, Connections: 2, Waiting: 1, Requests: 20},
			{EdgeKey: EdgeKey{Server: web, Port: 443}, Connections: 1, Requests: 10},
		}},
		"a client on this host that has gone already is not outside": {[]Socket{
			socket(web, RoleServer, "10.0.0.1:80", "10.0.0.2:4000", 1),
			socket(app, RoleListener, "10.0.0.2:80", "", 1),
		}, []Edge{}},
		"attempts, ends and strangers are none": {[]Socket{
			state(socket(web, RoleClient, "10.0.0.1:4000", "10.0.0.2:80", 1), "SYN-SENT"),
			state(socket(web, RoleClient, "10.0.0.1:4001", "10.0.0.2:80", 1), "FIN-WAIT-2"),
			socket(0, RoleClient, "10.0.0.9:4001", "10.0.0.2:80", 1),
			socket(app, RoleServer, "10.0.0.2:80", "127.0.0.1:4001", 2),
		}, []Edge{}},
		"IPv6": {[]Socket{
			socket(web, RoleClient, "[fd00::1]:4000", "[fd00::2]:80", 1),
			socket(app, RoleServer, "[fd00::2]:80", "[fd00::1]:4000", 2),
		}, []Edge{{EdgeKey: EdgeKey{web, app, 80}, Connections: 1, Requests: 10}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Edges(tt.sockets)); diff != "" {
				t.Errorf("Edges: -want +got\n%s", diff)
			}
		})
	}
}
