package main

import (
	"fmt"
	"io"
	"strings"

	"seer/collector/api"
)

// writeProbes writes what Seer costs, what it gave up, and each probe.
func writeProbes(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.ProbeRow](doc)
	if err != nil {
		return err
	}
	if doc.Cost != nil {
		if err := writeCost(w, doc); err != nil {
			return err
		}
	}
	t := table{columns: []column{
		{title: "PROBE"}, {title: "STATE"}, {title: "HOOK"}, {title: "READS/s", right: true}, {title: "LAST ms", right: true},
		{title: "OBJECTS", right: true}, {title: "CPU s", right: true}, {title: "RUNS", right: true},
	}}
	var queues strings.Builder
	for i := range rows {
		r := &rows[i]
		if r.Reason != "" {
			t.add(r.Probe, r.State, r.Reason)
		} else {
			t.add(r.Probe, r.State, orDash(r.Flavour), number(r.ReadsHz), number(r.LastTookMS),
				fmt.Sprint(r.Objects), number(r.CPUSeconds), number(float64(r.Runs)))
		}
		writeWrapped(&queues, fmt.Sprintf("%-9s", r.Probe), orDash(strings.Join(r.Queues, " ")))
	}
	if err := t.writeTo(w); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nPROBE    QUEUES IT READS\n%s", queues.String())
	return err
}

func writeCost(w io.Writer, doc *api.Document) error {
	c := doc.Cost
	var b strings.Builder
	line := func(name, format string, args ...any) {
		writeWrapped(&b, fmt.Sprintf("%-9s", name), fmt.Sprintf(format, args...))
	}
	line("cost", "%s of this host's CPU, budget %s: passes %s, programs %s, process %s", share(c.UsedShare),
		share(c.BudgetShare), share(c.SamplerShare), share(c.ProgramShare), share(c.ProcessShare))
	line("memory", "%.1f MB resident", float64(c.RSSBytes)/1e6)
	line("passes", "%s/s of %s/s wanted", number(c.PassHz), number(c.PassHzWanted))
	line("sockets", "%s", visited(c))
	line("exact", "%s", orDash(c.ExactMode))
	line("error", "%s expected in a mean depth of 10 over one tick", percentage(c.RelativeError))
	gaveUp := "nothing"
	if len(c.GaveUp) > 0 {
		gaveUp = strings.Join(c.GaveUp, "; ")
	}
	line("gave up", "%s", gaveUp)
	line("losses", "%s", losses(doc))
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func share(s float64) string { return fmt.Sprintf("%.2f%%", s*100) }

// visited says which sockets a pass looks at.
func visited(c *api.CostRow) string {
	text := "all visited"
	if c.SampledShare < 1 {
		text = fmt.Sprintf("a pass at one visit in %.0f, repeated between", 1/c.SampledShare)
	}
	if c.QuietEvery > 1 {
		text += fmt.Sprintf("; quiet ones once in %d passes", c.QuietEvery)
	}
	return text
}

func losses(doc *api.Document) string {
	var reasons []string
	for _, l := range doc.LossRows {
		if l.Count > 0 {
			reasons = append(reasons, fmt.Sprintf("%s %d", l.Reason, l.Count))
		}
	}
	if len(reasons) == 0 {
		return "none"
	}
	return strings.Join(reasons, ", ")
}
