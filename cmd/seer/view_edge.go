package main

import (
	"fmt"
	"io"

	"seer/collector/api"
)

// writeEdges writes who calls whom, a line for each port of each server.
func writeEdges(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.EdgeRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "CLIENT", give: true}, {title: "SERVER", give: true}, {title: "PORT", right: true},
		{title: "CONNS", right: true}, {title: "WAITING", right: true}, {title: "REQUESTS", right: true},
	}}
	for i := range rows {
		r := &rows[i]
		t.add(orGone(r.Client), orGone(r.Server), fmt.Sprint(r.Port), fmt.Sprint(r.Connections),
			fmt.Sprint(r.Waiting), number(float64(r.Requests)))
	}
	return t.writeTo(w)
}

func orGone(name string) string {
	if name == "" {
		return "(gone)"
	}
	return name
}
