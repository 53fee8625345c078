package graph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outline writes a tree with a dot for each level: "..db*" is reached again, and
// "!" is part of a cycle.
func outline(lines []Call) string {
	var b strings.Builder
	for _, c := range lines {
		b.WriteString(strings.Repeat(".", c.Depth) + c.Server)
		if c.Again {
			b.WriteString("*")
		}
		if c.Circular {
			b.WriteString("!")
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func TestTree(t *testing.T) {
	tests := []struct{ name, edges, want string }{
		{"nothing", "", ""},
		{"a chain", "front>mid mid>db", "front\n.mid\n..db"},
		{"followed once, below the caller that is furthest", "front>db front>mid mid>db db>disk", "front\n.db*\n.mid\n..db\n...disk"},
		{"at equal distance, names decide", "front>b front>a a>db b>db", "front\n.a\n..db\n.b\n..db*"},
		{"one who calls everybody takes nothing apart", "probe>front probe>mid probe>db front>mid mid>db load>front",
			"load\n.front\n..mid\n...db\nprobe\n.db*\n.front*\n.mid*"},
		{"several entries, that of the most services first", "x>y a>b a>c", "a\n.b\n.c\nx\n.y"},
		{"replicas that call each other", "front>db db>db", "front\n.db\n..db*"},
		{"a cycle below", "front>a a>b b>c c>a c>db", "front\n.a\n..b!\n...c!\n....a*!\n....db"},
		{"a cycle at the start", "b>a a>b b>db", "a!\n.b!\n..a*!\n..db"},
		{"a cycle entered twice", "x>a y>b a>b b>a", "x\n.a\n..b*!\ny\n.b\n..a*!"},
		{"peers outside are last and leaves", "a>external a>z z>external", "a\n.z\n..external\n.external"},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, outline(Tree(calls(tt.edges)))); diff != "" {
			t.Errorf("%s: Tree(%s) (-want +got):\n%s", tt.name, tt.edges, diff)
		}
	}
}

// Clients outside decide between callers that are as far from a start.
func TestTreeClients(t *testing.T) {
	edges := append(calls("agent>front front>db"), Edge{Client: Clients, Server: "front", Port: 80})
	if got, want := outline(Tree(edges)), Clients+"\n.front\n..db\nagent\n.front*"; got != want {
		t.Errorf("Tree() = %q, want %q", got, want)
	}
}

// A service that is reached through two ports is followed at the first.
func TestTreePorts(t *testing.T) {
	edges := []Edge{{Client: "a", Server: "b", Port: 2}, {Client: "a", Server: "b", Port: 1}, {Client: "b", Server: "c", Port: 3}}
	var got []string
	for _, c := range Tree(edges) {
		got = append(got, fmt.Sprint(strings.Repeat(".", c.Depth), c.Server, c.Port, c.Again))
	}
	want := []string{"a0 false", ".b1 false", "..c3 false", ".b2 true"}
	if !slices.Equal(got, want) {
		t.Errorf("Tree() = %q, want %q", got, want)
	}
}

// A service that calls another through many ports has one line for them, and does
// not come before an application for it.
func TestTreeFolds(t *testing.T) {
	edges := calls("z>y y>x")
	for port := range uint16(40) {
		edges = append(edges, Edge{Client: "a", Server: "a", Port: 1000 + port, PerSecond: 2, Connections: 1})
	}
	lines := Tree(edges)
	if got, want := outline(lines), "z\n.y\n..x\na\n.a*"; got != want {
		t.Fatalf("Tree() = %q, want %q", got, want)
	}
	want := Call{Edge: Edge{Client: "a", Server: "a", PerSecond: 80, Connections: 40}, Ports: 40, Depth: 1, Again: true}
	if diff := cmp.Diff(want, lines[4]); diff != "" {
		t.Errorf("the line of many ports (-want +got):\n%s", diff)
	}
}

// Whatever calls whom: each edge is one line below its client, and each service has
// one line below which all that it calls is.
func TestTreeRandom(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var edges []Edge
		services := 2 + random.IntN(20)
		for range random.IntN(2 * services) {
			edges = append(edges, Edge{Client: strconv.Itoa(random.IntN(services)), Server: strconv.Itoa(random.IntN(services))})
		}
		lines := Tree(edges)
		random.Shuffle(len(edges), func(i, j int) { edges[i], edges[j] = edges[j], edges[i] })
		if diff := cmp.Diff(lines, Tree(edges)); diff != "" {
			t.Fatalf("the order of the edges matters: %v\n%s", edges, diff)
		}
		below := map[[2]string]int{}
		shown := map[string]int{}
		var path []string
		for _, c := range lines {
			path = append(path[:c.Depth], c.Server)
			if !c.Again {
				shown[c.Server]++
			}
			if c.Depth > 0 {
				below[[2]string{path[c.Depth-1], c.Server}]++
				if path[c.Depth-1] != c.Client {
					t.Fatalf("%v: the call of %s is below %s", edges, c.Client, path[c.Depth-1])
				}
			}
		}
		for _, e := range Merge(edges) {
			if n := below[[2]string{e.Client, e.Server}]; n != 1 {
				t.Fatalf("%v: %s calls %s on %d lines, want 1", edges, e.Client, e.Server, n)
			}
		}
		for _, name := range namesOf(edges) {
			if shown[name] != 1 {
				t.Fatalf("%v: %s is followed by what it calls %d times, want 1\n%s", edges, name, shown[name], outline(lines))
			}
		}
	}
}
