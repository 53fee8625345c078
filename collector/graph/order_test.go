package graph

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// calls reads "front>mid mid>db" as edges.
func calls(text string) []Edge {
	var edges []Edge
	for _, word := range strings.Fields(text) {
		client, server, _ := strings.Cut(word, ">")
		edges = append(edges, Edge{Client: client, Server: server, Protocol: "tcp", Port: 80, Connections: 1})
	}
	return edges
}

func TestSort(t *testing.T) {
	tests := []struct {
		name, edges string
		want        Order
	}{
		{"nothing", "", Order{}},
		{"a chain", "front>mid mid>db", Order{Services: []string{"db", "mid", "front"}}},
		{"a diamond", "front>b front>a a>db b>db", Order{Services: []string{"db", "a", "b", "front"}}},
		{"two applications", "x>y a>b", Order{Services: []string{"b", "a", "y", "x"}}},
		{"replicas of one service", "a>a a>b", Order{Services: []string{"b", "a"}}},
		{"a cycle stays together", "front>c c>a a>b b>c b>db other>db", Order{
			Services: []string{"db", "a", "b", "c", "front", "other"}, Cycles: [][]string{{"a", "b", "c"}},
		}},
		{"two cycles", "front>a a>b b>a b>y y>x x>y", Order{
			Services: []string{"x", "y", "a", "b", "front"}, Cycles: [][]string{{"x", "y"}, {"a", "b"}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Sort(calls(tt.edges))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Whatever calls whom: every service is there once, the called before the caller
// but in cycles, whose members are neighbours; and the order of the edges does not
// matter.
func TestSortRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	cycles := 0
	for range 500 {
		var edges []Edge
		services := 2 + random.IntN(30)
		for range random.IntN(2 * services) {
			edges = append(edges, Edge{Client: strconv.Itoa(random.IntN(services)), Server: strconv.Itoa(random.IntN(services))})
		}
		order := Sort(edges)
		cycles += len(order.Cycles)
		random.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
		if diff := cmp.Diff(order, Sort(edges)); diff != "" {
			t.Fatalf("the order of the edges matters: %v\n%s", edges, diff)
		}
		if got, want := slices.Sorted(slices.Values(order.Services)), namesOf(edges); !slices.Equal(got, want) {
			t.Fatalf("%v are ordered, want %v", got, want)
		}
		cycleOf := map[string]int{}
		for i, cycle := range order.Cycles {
			first := slices.Index(order.Services, cycle[0])
			if !slices.Equal(order.Services[first:first+len(cycle)], cycle) {
				t.Fatalf("%v are apart in %v", cycle, order.Services)
			}
			for _, name := range cycle {
				cycleOf[name] = i + 1
			}
		}
		for _, e := range edges {
			ordered := slices.Index(order.Services, e.Server) < slices.Index(order.Services, e.Client)
			if e.Client != e.Server && !ordered && (cycleOf[e.Client] == 0 || cycleOf[e.Client] != cycleOf[e.Server]) {
				t.Fatalf("%s calls %s, which comes after it in %v", e.Client, e.Server, order.Services)
			}
		}
	}
	if cycles < 100 {
		t.Errorf("only %d cycles: this proves little", cycles)
	}
}

func TestMerge(t *testing.T) {
	got := Merge([]Edge{
		{Client: "web", Server: "db", Protocol: "tcp", Port: 5432, Connections: 2, Waiting: 1, Requests: 10, Errors: 2},
		{Client: "web", Server: "cache", Protocol: "tcp", Port: 11211, Connections: 1},
		{Client: "web", Server: "db", Protocol: "tcp", Port: 5432, Connections: 3, Waiting: 2, Requests: 5, Errors: 1},
		{Client: "web", Server: "db", Protocol: "tcp", Port: 5433, Connections: 1},
	})
	want := []Edge{
		{Client: "web", Server: "cache", Protocol: "tcp", Port: 11211, Connections: 1},
		{Client: "web", Server: "db", Protocol: "tcp", Port: 5432, Connections: 5, Waiting: 3, Requests: 15, Errors: 3},
		{Client: "web", Server: "db", Protocol: "tcp", Port: 5433, Connections: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDraw(t *testing.T) {
	edges := calls(`front>a a>b b>a a>external front>we"ird`)
	want := map[string]string{
		"dot": `digraph services {
	rankdir=TB
	node [shape=box]
	"front"
	"we\"ird"
	"b" [color=red]
	"a" [color=red]
	"external" [style=dashed]
	"a" -> "b" [label=":80, 1 connection, 0 requests", color=red]
	"a" -> "external" [label=":80, 1 connection, 0 requests"]
	"b" -> "a" [label=":80, 1 connection, 0 requests", color=red]
	"front" -> "a" [label=":80, 1 connection, 0 requests"]
	"front" -> "we\"ird" [label=":80, 1 connection, 0 requests"]
}
`,
		"mermaid": `flowchart TB
    s0["front"]
    s1["we#quot;ird"]
    s2["b"]
    s3["a"]
    s4["external"]
    s3 -->|":80, 1 connection, 0 requests"| s2
    s3 -->|":80, 1 connection, 0 requests"| s4
    s2 -->|":80, 1 connection, 0 requests"| s3
    s0 -->|":80, 1 connection, 0 requests"| s3
    s0 -->|":80, 1 connection, 0 requests"| s1
    style s4 stroke-dasharray: 5 5
    style s3 stroke:red
    style s2 stroke:red
    linkStyle 0,2 stroke:red
`,
	}
	for format, text := range want {
		var b strings.Builder
		if err := Draw(&b, format, edges); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, b.String()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", format, diff)
		}
	}
	if err := Draw(&strings.Builder{}, "png", nil); err == nil || !strings.Contains(err.Error(), "dot, mermaid") {
		t.Errorf("Draw png: %v, want an error that says what there is", err)
	}
}
