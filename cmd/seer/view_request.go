package main

import (
	"fmt"
	"io"
	"time"

	"seer/collector/api"
)

// writeRequests writes how long requests took, a line for each side of a
// container.
func writeRequests(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.RequestRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "CONTAINER", give: true}, {title: "SIDE"}, {title: "REQ/s", right: true}, {title: "P50 ms", right: true},
		{title: "P90 ms", right: true}, {title: "P99 ms", right: true}, {title: "FIRST P50", right: true}, {title: "FIRST P99", right: true},
	}}
	longest := 0.0
	for i := range rows {
		r := &rows[i]
		longest = max(longest, r.OverMS)
		t.add(orGone(r.Container), r.Side, number(r.PerSecond), orNone(r.P50MS), orNone(r.P90MS), orNone(r.P99MS),
			orNone(r.FirstP50MS), orNone(r.FirstP99MS))
	}
	fmt.Fprintf(w, "(last %s; %s)\n", (time.Duration(longest) * time.Millisecond).Round(100*time.Millisecond), status(doc))
	return t.writeTo(w)
}

// orNone shows a time that is not known without requests.
func orNone(ms *float64) string {
	if ms == nil {
		return "-"
	}
	return number(*ms)
}
