package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"seer/collector/api"
	"seer/collector/graph"
)

// writeEdges writes who calls whom, a line for each port of each server.
func writeEdges(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.EdgeRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "CLIENT", give: true}, {title: "SERVER", give: true}, {title: "PORT", right: true},
		{title: "CONNS", right: true}, {title: "REQ/s", right: true}, {title: "WAITING", right: true},
		{title: "LAT ms", right: true}, {title: "SERVED", right: true}, {title: "ERRORS", right: true},
	}}
	for i := range rows {
		r := &rows[i]
		t.add(orGone(r.Client), orGone(r.Server), fmt.Sprint(r.Port), fmt.Sprint(r.Connections), number(r.PerSecond),
			number(r.Outstanding), orNone(r.LatencyMS), orNone(r.ServedMS), number(float64(r.Failed+r.Unanswered)))
	}
	if err := t.writeTo(w); err != nil {
		return err
	}
	for _, cycle := range graph.Sort(api.ServiceEdges(rows)).Cycles {
		fmt.Fprintf(w, "these services call each other in a circle: %s\n", strings.Join(cycle, ", "))
	}
	return nil
}

// drawEdges writes the same between services, in a language for drawings.
func drawEdges(w io.Writer, format string, doc *api.Document) error {
	rows, err := rowsOf[api.EdgeRow](doc)
	if err != nil {
		return err
	}
	return graph.Draw(w, format, api.ServiceEdges(rows))
}

func orGone(name string) string { return cmp.Or(name, api.Gone) }
