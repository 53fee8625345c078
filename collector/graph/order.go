package graph

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"
)

// External is the service of every peer that is on no known host. As those who call
// are others than those who are called, they would make circles as one: in the graph
// the former are Clients.
const (
	External = "external"
	Clients  = "external clients"
)

// Edge is what one service asks of another through one port.
type Edge struct {
	Client, Server string
	Protocol       string
	Port           uint16
	Connections    int
	Waiting        int    // connections on which the client waits for an answer now
	Requests       uint64 // answered
	PerSecond      float64
	Outstanding    float64 // mean
	Errors         uint64  // attempts that nobody accepted, and answers that never came
}

// Order is the order of the services of an application.
type Order struct {
	// Services are all of them, back-end first. Those of a cycle are next to
	// each other.
	Services []string

	// Cycles are the services that call each other, directly or through
	// others, in order of their names.
	Cycles [][]string
}

// Sort orders the services of some edges. It depends on nothing but them: where
// the edges leave a choice, names decide. A service that calls itself, from one
// replica to another, is not a cycle.
func Sort(edges []Edge) Order {
	names := namesOf(edges)
	index := make(map[string]int64, len(names))
	g := simple.NewDirectedGraph()
	for i, name := range names {
		index[name] = int64(i)
		g.AddNode(simple.Node(i))
	}
	for _, e := range edges {
		if e.Client != e.Server {
			g.SetEdge(simple.Edge{F: simple.Node(index[e.Server]), T: simple.Node(index[e.Client])})
		}
	}
	sorted, err := topo.SortStabilized(g, func(nodes []graph.Node) {
		slices.SortFunc(nodes, func(a, b graph.Node) int { return cmp.Compare(a.ID(), b.ID()) })
	})
	var circles topo.Unorderable
	errors.As(err, &circles) // nothing else can go wrong

	var order Order
	for _, node := range sorted {
		if node != nil {
			order.Services = append(order.Services, names[node.ID()])
			continue
		}
		// A circle's place: the circles come in this order, too.
		var members []string
		for _, member := range circles[len(order.Cycles)] {
			members = append(members, names[member.ID()])
		}
		slices.Sort(members)
		order.Cycles = append(order.Cycles, members)
		order.Services = append(order.Services, members...)
	}
	return order
}

func namesOf(edges []Edge) []string {
	set := map[string]bool{}
	for _, e := range edges {
		set[e.Client], set[e.Server] = true, true
	}
	return slices.Sorted(maps.Keys(set))
}

// Merge sums the edges that have both ends, the protocol and the port in common,
// as the replicas of a service do, and puts them in order of these.
func Merge(edges []Edge) []Edge {
	key := func(e Edge) Edge {
		return Edge{Client: e.Client, Server: e.Server, Protocol: e.Protocol, Port: e.Port}
	}
	sums := map[Edge]*Edge{}
	for _, e := range edges {
		sum := sums[key(e)]
		if sum == nil {
			first := key(e)
			sum = &first
			sums[first] = sum
		}
		sum.Connections += e.Connections
		sum.Waiting += e.Waiting
		sum.Requests += e.Requests
		sum.PerSecond += e.PerSecond
		sum.Outstanding += e.Outstanding
		sum.Errors += e.Errors
	}
	merged := make([]Edge, 0, len(sums))
	for _, sum := range sums {
		merged = append(merged, *sum)
	}
	slices.SortFunc(merged, func(a, b Edge) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
	})
	return merged
}
