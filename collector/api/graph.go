package api

import (
	"cmp"

	"seer/collector/graph"
)

// Gone is the name of a container that has ended, whose name nobody knows any more.
const Gone = "(gone)"

// ServiceEdges are the same calls as some rows, between services.
func ServiceEdges(rows []EdgeRow) []graph.Edge {
	edges := make([]graph.Edge, len(rows))
	for i := range rows {
		r := &rows[i]
		edges[i] = r.between(r.ClientService, r.ServerService)
	}
	return edges
}

// ContainerEdges are the same calls as some rows, between containers.
func ContainerEdges(rows []EdgeRow) []graph.Edge {
	edges := make([]graph.Edge, len(rows))
	for i := range rows {
		r := &rows[i]
		edges[i] = r.between(r.Client, r.Server)
	}
	return edges
}

// between is an edge with names for its ends.
func (r *EdgeRow) between(client, server string) graph.Edge {
	if client == graph.External && r.ClientCgroupID == 0 {
		client = graph.Clients
	}
	return graph.Edge{
		Client: cmp.Or(client, Gone), Server: cmp.Or(server, Gone), Protocol: r.Protocol, Port: r.Port,
		Connections: r.Connections, Waiting: r.Waiting, Requests: r.Requests,
		PerSecond: r.PerSecond, Outstanding: r.Outstanding, Errors: r.Failed + r.Unanswered,
	}
}
