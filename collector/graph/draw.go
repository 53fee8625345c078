package graph

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Formats are the languages that Draw writes.
var Formats = []string{"dot", "mermaid"}

// Draw writes a drawing of some edges: "dot" for Graphviz, "mermaid" for
// Mermaid. The services of a cycle, and the calls among them, are red.
func Draw(w io.Writer, format string, edges []Edge) error {
	d := drawing{edges: Merge(edges)}
	d.order = Sort(d.edges)
	var text string
	switch format {
	case "dot":
		text = d.dot()
	case "mermaid":
		text = d.mermaid()
	default:
		return fmt.Errorf("graph format %q: unknown: it is one of %s", format, strings.Join(Formats, ", "))
	}
	_, err := io.WriteString(w, text)
	return err
}

type drawing struct {
	edges []Edge
	order Order
}

// circular reports whether two services are of one cycle.
func (d *drawing) circular(a, b string) bool {
	return slices.ContainsFunc(d.order.Cycles, func(cycle []string) bool {
		return slices.Contains(cycle, a) && slices.Contains(cycle, b)
	})
}

// label says what an edge carries, such as ":6379, 25/s, 1.2 ms" or, where nothing
// was answered lately, ":6379, 4 connections, 12 requests".
func (e *Edge) label() string {
	if e.PerSecond > 0 {
		// Little's law.
		return fmt.Sprintf(":%d, %.3g/s, %.3g ms", e.Port, e.PerSecond, e.Outstanding/e.PerSecond*1000)
	}
	return fmt.Sprintf(":%d, %s, %s", e.Port, count(e.Connections, "connection"), count(e.Requests, "request"))
}

func count[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// dot writes callers above the called.
func (d *drawing) dot() string {
	var b strings.Builder
	b.WriteString("digraph services {\n\trankdir=TB\n\tnode [shape=box]\n")
	for _, name := range slices.Backward(d.order.Services) {
		var how string
		switch {
		case name == External, name == Clients:
			how = " [style=dashed]"
		case d.circular(name, name):
			how = " [color=red]"
		}
		fmt.Fprintf(&b, "\t%s%s\n", dotString(name), how)
	}
	for i := range d.edges {
		e := &d.edges[i]
		colour := ""
		if e.Client != e.Server && d.circular(e.Client, e.Server) {
			colour = ", color=red"
		}
		fmt.Fprintf(&b, "\t%s -> %s [label=%s%s]\n", dotString(e.Client), dotString(e.Server), dotString(e.label()), colour)
	}
	b.WriteString("}\n")
	return b.String()
}

// dotString quotes text: a quote takes a backslash, and a backslash, which would
// be read as the start of an escape, too.
func dotString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(text) + `"`
}

// mermaid names nodes by number: Mermaid reads some words, such as end, as its own.
func (d *drawing) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart TB\n")
	number := map[string]int{}
	for _, name := range slices.Backward(d.order.Services) {
		number[name] = len(number)
		fmt.Fprintf(&b, "    s%d[%s]\n", number[name], mermaidString(name))
	}
	var red []string
	for i := range d.edges {
		e := &d.edges[i]
		fmt.Fprintf(&b, "    s%d -->|%s| s%d\n", number[e.Client], mermaidString(e.label()), number[e.Server])
		if e.Client != e.Server && d.circular(e.Client, e.Server) {
			red = append(red, fmt.Sprint(i))
		}
	}
	for _, outside := range []string{Clients, External} {
		if n, found := number[outside]; found {
			fmt.Fprintf(&b, "    style s%d stroke-dasharray: 5 5\n", n)
		}
	}
	for _, cycle := range d.order.Cycles {
		for _, name := range cycle {
			fmt.Fprintf(&b, "    style s%d stroke:red\n", number[name])
		}
	}
	if len(red) > 0 {
		fmt.Fprintf(&b, "    linkStyle %s stroke:red\n", strings.Join(red, ","))
	}
	return b.String()
}

// mermaidString quotes text; Mermaid has entities for what a string cannot hold.
func mermaidString(text string) string {
	return `"` + strings.NewReplacer(`#`, "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(text) + `"`
}
