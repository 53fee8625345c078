package api

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"seer/collector/graph"
)

// Peers outside have no cgroup; those who call are others than those who are called,
// and a service that is called external is neither.
func TestServiceEdges(t *testing.T) {
	rows := []EdgeRow{
		{Client: graph.External, ClientService: graph.External, Server: "web-0", ServerService: "web", ServerCgroupID: 7, Port: 80, Protocol: "tcp", Failed: 2, Unanswered: 3},
		{Client: "web-0", ClientService: "web", ClientCgroupID: 7, Server: graph.External, ServerService: graph.External, Port: 443, Protocol: "tcp", PerSecond: 5, Outstanding: 0.5},
		{Client: graph.External, ClientService: graph.External, ClientCgroupID: 8, ServerCgroupID: 9, Port: 1},
	}
	want := []graph.Edge{
		{Client: graph.Clients, Server: "web", Port: 80, Protocol: "tcp", Errors: 5},
		{Client: "web", Server: graph.External, Port: 443, Protocol: "tcp", PerSecond: 5, Outstanding: 0.5},
		{Client: graph.External, Server: Gone, Port: 1},
	}
	if diff := cmp.Diff(want, ServiceEdges(rows)); diff != "" {
		t.Errorf("ServiceEdges (-want +got):\n%s", diff)
	}
	want[0].Server, want[1].Client = "web-0", "web-0"
	if diff := cmp.Diff(want, ContainerEdges(rows)); diff != "" {
		t.Errorf("ContainerEdges (-want +got):\n%s", diff)
	}
}
