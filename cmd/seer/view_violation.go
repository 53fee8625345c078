package main

import (
	"fmt"
	"io"
	"time"

	"seer/collector/api"
)

// writeViolations writes what was promised and when it was broken, the latest last.
func writeViolations(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.ViolationRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "VIOLATION"}, {title: "TARGET"}, {title: "LASTED", right: true}, {title: "WORST ms", right: true},
		{title: "LATE", right: true}, {title: "CULPRIT", give: true},
	}}
	for i := range rows {
		r := &rows[i]
		lasted := (time.Duration(r.LastedMS) * time.Millisecond).Round(100 * time.Millisecond).String()
		if r.Open {
			lasted += "..."
		}
		culprit := "-"
		if r.Culprit != nil {
			culprit = *r.Culprit
		}
		t.add(r.ID, r.Target, lasted, number(r.WorstMS), percentage(r.WorstShare), culprit)
	}
	if len(rows) > 0 {
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	for i := range doc.Promises {
		fmt.Fprintln(w, promise(&doc.Promises[i]))
	}
	return nil
}

// promise says how a target stands, such as "front p99 20 ms: 12.3 ms of 240 requests".
func promise(p *api.PromiseRow) string {
	name := fmt.Sprintf("%s p%g", printable(p.Service), p.Percentile)
	if p.TargetMS == nil {
		return fmt.Sprintf("%s: target being learned, %s", name, percentage(p.Learning))
	}
	name += fmt.Sprintf(" %s ms", number(*p.TargetMS))
	if p.Learned {
		name += " (learned)"
	}
	if p.PercentileMS == nil {
		return name + ": too few requests"
	}
	verdict := "kept"
	if p.Violated {
		verdict = "violated"
	}
	return fmt.Sprintf("%s: %s, %s ms, %s of %s late", name, verdict, number(*p.PercentileMS), percentage(p.LateShare), plural(int(p.Requests), "request"))
}
