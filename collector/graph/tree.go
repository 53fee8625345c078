package graph

import (
	"cmp"
	"slices"
)

// Call is one line of a tree: an edge, and where it stands.
type Call struct {
	Edge         // without a client, the service from which a tree starts
	Ports    int // that it sums up, where they are too many for a line each; else 0
	Depth    int
	Again    bool // what the server itself calls is shown on another line
	Circular bool // both ends, or the service of a start, belong to one cycle
}

// maxPorts is how many ports of one server a client's calls have lines for. One that
// calls more, as through ports that change all the time, has one line for all.
const maxPorts = 3

// Tree lays the graph out as an indented list, from those who start calls to those
// who only answer. Each edge is one line, but for those of many ports, and each service is followed once by what
// it calls: on the line of the caller that is furthest from a start, so that one who
// calls everybody, to see whether they live, does not take the application apart.
// Like Sort, it depends on nothing but who calls whom.
func Tree(edges []Edge) []Call {
	t := tree{
		order: Sort(edges), calls: map[string][]Call{}, callers: map[string][]string{},
		caller: map[string]string{}, depth: map[string]int{}, cycle: map[string]int{},
	}
	for _, e := range fold(Merge(edges)) {
		t.calls[e.Client] = append(t.calls[e.Client], e)
		if e.Client != e.Server {
			t.callers[e.Server] = append(t.callers[e.Server], e.Client)
		}
	}
	for i, cycle := range t.order.Cycles {
		for _, name := range cycle {
			t.cycle[name] = i + 1
		}
	}
	t.place()
	return t.lines()
}

type tree struct {
	order   Order
	calls   map[string][]Call   // by client
	callers map[string][]string // by server, itself left out
	caller  map[string]string   // on whose line a service is followed by its calls; none for a start
	depth   map[string]int
	cycle   map[string]int // its number, from 1; 0 is none
}

// place chooses for each service the caller that shows what it calls, front-end
// first.
func (t *tree) place() {
	for i := len(t.order.Services) - 1; i >= 0; i-- {
		name := t.order.Services[i]
		n := t.cycle[name]
		if n == 0 {
			t.choose(name)
			continue
		}
		cycle := t.order.Cycles[n-1]
		i -= len(cycle) - 1 // they are neighbours
		t.placeCycle(cycle)
	}
}

// choose takes the caller that is furthest from a start, of those outside the
// service's own cycle, and reports whether there is one. Of those as far, clients
// outside the host come first, then names decide.
func (t *tree) choose(name string) bool {
	found := false
	for _, client := range t.callers[name] {
		if n := t.cycle[name]; n != 0 && t.cycle[client] == n {
			continue
		}
		if d := t.depth[client] + 1; !found || d > t.depth[name] || d == t.depth[name] && client == Clients {
			found, t.caller[name], t.depth[name] = true, client, d
		}
	}
	return found
}

// placeCycle begins at the members that are called from outside, or at the first
// of them, and goes on along the calls inside.
func (t *tree) placeCycle(cycle []string) {
	var reached []string
	for _, name := range cycle {
		if t.choose(name) {
			reached = append(reached, name)
		}
	}
	if len(reached) == 0 {
		reached = append(reached, cycle[0])
	}
	for i := 0; i < len(reached); i++ {
		for _, e := range t.calls[reached[i]] {
			if t.cycle[e.Server] == t.cycle[reached[i]] && !slices.Contains(reached, e.Server) {
				t.caller[e.Server], t.depth[e.Server] = reached[i], t.depth[reached[i]]+1
				reached = append(reached, e.Server)
			}
		}
	}
}

// fold sums up the edges between two services that have too many ports. They come
// in the order of Merge.
func fold(edges []Edge) []Call {
	var calls []Call
	for len(edges) > 0 {
		same := slices.IndexFunc(edges, func(e Edge) bool { return e.Client != edges[0].Client || e.Server != edges[0].Server })
		if same < 0 {
			same = len(edges)
		}
		pair := edges[:same]
		edges = edges[same:]
		if len(pair) > maxPorts {
			ports := len(pair)
			pair = slices.Clone(pair)
			for i := range pair {
				pair[i].Port, pair[i].Protocol = 0, pair[0].Protocol
			}
			calls = append(calls, Call{Edge: Merge(pair)[0], Ports: ports})
			continue
		}
		for _, e := range pair {
			calls = append(calls, Call{Edge: e})
		}
	}
	return calls
}

// lines writes the trees, that of the most services first.
func (t *tree) lines() []Call {
	var trees [][]Call
	for _, name := range t.order.Services {
		if _, called := t.caller[name]; !called {
			start := Call{Edge: Edge{Server: name}, Circular: t.cycle[name] != 0}
			trees = append(trees, t.below(name, 1, []Call{start}))
		}
	}
	slices.SortFunc(trees, func(a, b []Call) int {
		return cmp.Or(cmp.Compare(followed(b), followed(a)), cmp.Compare(a[0].Server, b[0].Server))
	})
	return slices.Concat(trees...)
}

// followed counts the services that a tree follows.
func followed(lines []Call) int {
	n := 0
	for i := range lines {
		if !lines[i].Again && lines[i].Server != External {
			n++
		}
	}
	return n
}

// below adds what a service calls, peers outside last.
func (t *tree) below(client string, depth int, lines []Call) []Call {
	calls := slices.Clone(t.calls[client])
	slices.SortStableFunc(calls, func(a, b Call) int {
		if outside := a.Server == External; outside != (b.Server == External) {
			if outside {
				return 1
			}
			return -1
		}
		return 0
	})
	last := ""
	for _, c := range calls {
		c.Depth, c.Circular = depth, client != c.Server && t.cycle[client] != 0 && t.cycle[client] == t.cycle[c.Server]
		here := c.Server != client && t.caller[c.Server] == client && last != c.Server
		c.Again = !here && c.Server != External
		lines = append(lines, c)
		if here {
			last = c.Server
			lines = t.below(c.Server, depth+1, lines)
		}
	}
	return lines
}
