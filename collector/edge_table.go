package collector

import (
	"time"

	"seer/collector/container"
)

// Bounds of the table of edges.
const (
	maxEdges     = 4096             // what is more goes to one edge for all
	edgeKept     = 10 * time.Minute // an edge that nobody uses any more is forgotten
	maxPortEdges = 64               // to or from peers outside, of one container; the rest are one
)

// OtherPort is the port of an edge that sums up those that did not find room.
const OtherPort = 0

// LiveEdge is an edge and what happened on it lately.
type LiveEdge struct {
	Edge
	Over        time.Duration // the time that the following cover
	PerSecond   float64       // requests answered
	Outstanding float64       // mean number of requests that clients waited for
	Latency     time.Duration // mean, as clients see it (Little's law); 0 where none was answered
}

// closedCalls are connections of one container with one peer that have closed.
type closedCalls struct {
	owner   container.ID
	role    Role // of the owner
	peer    place
	counted Edge // Connections: how many closed
}

// edgeTable follows the edges of a host. What is on an edge is what its open
// connections say and what those that closed left behind. It keeps nothing per
// connection or peer.
type edgeTable struct {
	join  *joiner
	edges map[EdgeKey]*edgePast
	last  time.Time // of the last update
}

// edgePast is one edge between two updates.
type edgePast struct {
	closed Edge // what connections left behind that have closed
	total  Edge // at the last update
	live   LiveEdge
	used   time.Time // when anything last happened
}

func newEdgeTable(otherwise func(place) container.ID) *edgeTable {
	join := newJoiner()
	join.otherwise = otherwise
	return &edgeTable{join: join, edges: map[EdgeKey]*edgePast{}}
}

// update takes a list of the open sockets.
func (t *edgeTable) update(now time.Time, sockets []Socket) {
	t.join.learn(sockets)
	open := map[*edgePast]*Edge{}
	for key, e := range t.join.open(sockets) {
		p := t.of(key, now)
		if open[p] == nil {
			open[p] = &Edge{}
		}
		open[p].add(e)
	}
	over := now.Sub(t.last)
	if t.last.IsZero() {
		over = 0
	}
	for key, p := range t.edges {
		var is Edge
		if e := open[p]; e != nil {
			is = *e
		}
		p.step(&is, over, now)
		// A connection that was not accepted yet may have been taken for another's.
		unused := p.total.Connections == 0 && p.total.Requests == 0 && p.total.Failed == 0 && p.total.Unanswered == 0
		if unused || now.Sub(p.used) > edgeKept {
			delete(t.edges, key)
		}
	}
	t.last = now
}

// step brings an edge up to date: open is what its open connections say.
func (p *edgePast) step(open *Edge, over time.Duration, now time.Time) {
	total := p.closed
	total.Connections, total.Waiting = open.Connections, open.Waiting
	// What closes between the taking of the two is in neither.
	total.Requests = max(p.total.Requests, total.Requests+open.Requests)
	total.Waited = max(p.total.Waited, total.Waited+open.Waited)
	p.live = LiveEdge{Edge: total, Over: over}
	if requests, waited := total.Requests-p.total.Requests, total.Waited-p.total.Waited; over > 0 {
		p.live.PerSecond = float64(requests) / over.Seconds()
		p.live.Outstanding = float64(waited) / float64(over)
		if requests > 0 {
			p.live.Latency = waited / time.Duration(requests)
		}
	}
	if open.Connections > 0 || total != p.total {
		p.used = now
	}
	p.total = total
}

// close adds what closed connections left behind to their edge, which shows with the
// next update. It comes before the list of sockets is taken, or some would count
// twice. A server's tell only of clients outside.
func (t *edgeTable) close(c *closedCalls, now time.Time) {
	key := EdgeKey{Client: c.owner, Port: c.peer.address.Port()}
	if c.role == RoleServer {
		if !t.join.outside(c.peer.address.Addr()) {
			return
		}
		key.Client, key.Server = 0, c.owner
	} else {
		key.Server = t.join.reached(c.peer)
	}
	closed := &t.of(key, now).closed
	counted := c.counted
	counted.Connections = 0 // none of them is open
	closed.add(&counted)
}

func (e *Edge) add(o *Edge) {
	e.Connections += o.Connections
	e.Waiting += o.Waiting
	e.Requests += o.Requests
	e.Waited += o.Waited
	e.Failed += o.Failed
	e.Unanswered += o.Unanswered
}

// of returns an edge, which may be one that stands for others where there is no
// room.
func (t *edgeTable) of(key EdgeKey, now time.Time) *edgePast {
	if p := t.edges[key]; p != nil {
		return p
	}
	switch {
	case len(t.edges) >= maxEdges:
		key = EdgeKey{}
	case key.External() && t.outsideEdges(key) >= maxPortEdges:
		key.Port = OtherPort
	}
	p := t.edges[key]
	if p == nil {
		p = &edgePast{used: now}
		p.closed.EdgeKey, p.total.EdgeKey = key, key
		t.edges[key] = p
	}
	return p
}

// outsideEdges counts the edges of a container with peers outside, in one direction.
func (t *edgeTable) outsideEdges(key EdgeKey) int {
	n := 0
	for k := range t.edges {
		if k.Client == key.Client && k.Server == key.Server {
			n++
		}
	}
	return n
}

// list returns all edges, in order of client, server and port.
func (t *edgeTable) list() []LiveEdge {
	byKey := make(map[EdgeKey]*Edge, len(t.edges))
	for key, p := range t.edges {
		byKey[key] = &p.total
	}
	live := make([]LiveEdge, 0, len(byKey))
	for _, e := range inOrder(byKey) {
		live = append(live, t.edges[e.EdgeKey].live)
	}
	return live
}

// Entries are the containers at which requests come in: of peers outside, or of
// containers of this host that nobody calls and that call nobody else, as a load
// generator does.
func Entries(edges []LiveEdge) map[container.ID]bool {
	called := map[container.ID]bool{}
	servers := map[container.ID]map[container.ID]bool{} // by client
	for i := range edges {
		e := &edges[i]
		if e.Server == 0 {
			continue
		}
		called[e.Server] = true
		if e.Client != 0 {
			if servers[e.Client] == nil {
				servers[e.Client] = map[container.ID]bool{}
			}
			servers[e.Client][e.Server] = true
		}
	}
	entries := map[container.ID]bool{}
	for i := range edges {
		e := &edges[i]
		switch {
		case e.Server == 0:
		case e.Client == 0, !called[e.Client] && len(servers[e.Client]) == 1 && e.Client != e.Server:
			entries[e.Server] = true
		}
	}
	return entries
}
