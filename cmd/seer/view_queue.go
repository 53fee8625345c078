package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"seer/collector"
	"seer/collector/api"
)

// writeTable writes a document for people.
func writeTable(w io.Writer, q inspectQuery, doc *api.Document) error {
	switch doc.Object {
	case "queue":
		return writeQueues(w, q, doc)
	case "container":
		return writeContainers(w, doc)
	case "service":
		return writeServices(w, doc)
	case "request":
		return writeRequests(w, doc)
	case "socket":
		return writeSockets(w, doc)
	case "edge":
		return writeEdges(w, doc)
	case "violation":
		return writeViolations(w, doc)
	case "probe":
		return writeProbes(w, doc)
	}
	return writeDump(w, doc)
}

// rowsOf decodes the rows of a document.
func rowsOf[T any](doc *api.Document) ([]T, error) {
	var rows []T
	if err := json.Unmarshal(doc.Rows, &rows); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", doc.Object, errNoRows, err)
	}
	return rows, nil
}

// status is the remark that ends a title: how long a tick was, what was lost.
func status(doc *api.Document) string {
	losses := "losses"
	if doc.Losses == 1 {
		losses = "loss"
	}
	return fmt.Sprintf("tick %s ms, %d %s", number(doc.TickMS), doc.Losses, losses)
}

// writeQueues writes every queue of one container, or what is waiting in all.
func writeQueues(w io.Writer, q inspectQuery, doc *api.Document) error {
	rows, err := rowsOf[api.QueueRow](doc)
	if err != nil {
		return err
	}
	one := true
	for i := range rows {
		one = one && rows[i].CgroupID == rows[0].CgroupID && rows[i].Container == rows[0].Container
	}
	if one {
		return writeContainerQueues(w, rows, doc)
	}
	return writeAllQueues(w, rows, doc, q.selector.Queue != "")
}

func writeContainerQueues(w io.Writer, rows []api.QueueRow, doc *api.Document) error {
	fmt.Fprintf(w, "%s  (service %s, cgroup %d; %s)\n", cutMiddle(rows[0].Container, 24), cutMiddle(rows[0].Service, 14), rows[0].CgroupID, status(doc))
	t := table{columns: []column{
		{title: "QUEUE"}, {title: "DEPTH", right: true}, {title: "MEAN", right: true},
		{title: "LIMIT", right: true}, {title: "OCC", right: true}, {title: "IN/s", right: true},
		{title: "WAIT ms", right: true}, {title: "SINCE s", right: true}, {title: "UNIT", give: true},
	}}
	for i := range rows {
		r := &rows[i]
		if !r.Valid {
			t.add(r.Queue, "-", r.Reason)
			continue
		}
		limit, occupancy := limitOf(r)
		wait := "-" // nothing left during the tick, so nobody has waited
		if r.Departures > 0 {
			wait = number(r.WaitMS)
		}
		t.add(r.Queue, number(r.Depth), number(r.Mean), limit, occupancy,
			perSecond(r.Arrivals, doc), wait, number(r.SinceMS/1000), r.Unit)
	}
	return t.writeTo(w)
}

func writeAllQueues(w io.Writer, rows []api.QueueRow, doc *api.Document, idleToo bool) error {
	t := table{columns: []column{
		{title: "CONTAINER", give: true}, {title: "QUEUE"}, {title: "DEPTH", right: true}, {title: "MEAN", right: true},
		{title: "LIMIT", right: true}, {title: "OCC", right: true}, {title: "IN/s", right: true}, {title: "UNIT", give: true},
	}}
	idle := 0
	missing := newMissingQueues()
	for i := range rows {
		r := &rows[i]
		switch {
		case !r.Valid:
			missing.add(r)
		case !idleToo && r.Depth == 0 && r.Max == 0 && r.Arrivals == 0:
			idle++
		default:
			limit, occupancy := limitOf(r)
			t.add(r.Container, r.Queue, number(r.Depth), number(r.Mean), limit, occupancy, perSecond(r.Arrivals, doc), r.Unit)
		}
	}
	fmt.Fprintf(w, "(%s)\n", status(doc))
	if len(t.rows) > 0 {
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	if idle > 0 {
		fmt.Fprintf(w, "%s empty and not shown (seer inspect queue dump shows all)\n", plural(idle, "queue"))
	}
	return missing.writeTo(w)
}

// missingQueues gathers what was not measured, for one line per reason
// instead of one per container.
type missingQueues struct {
	counts map[[2]string]int // by queue and reason
}

func newMissingQueues() *missingQueues { return &missingQueues{counts: map[[2]string]int{}} }

func (m *missingQueues) add(r *api.QueueRow) { m.counts[[2]string{r.Queue, r.Reason}]++ }

func (m *missingQueues) writeTo(w io.Writer) error {
	for i := range collector.Queues {
		for _, reason := range sortedReasons(m.counts, collector.Queues[i].Name) {
			n := m.counts[[2]string{collector.Queues[i].Name, reason}]
			var b strings.Builder
			writeWrapped(&b, collector.Queues[i].Name+" ", fmt.Sprintf("not measured in %s: %s", plural(n, "container"), reason))
			if _, err := io.WriteString(w, b.String()); err != nil {
				return err
			}
		}
	}
	return nil
}

func limitOf(r *api.QueueRow) (limit, occupancy string) {
	if r.Limit == nil || *r.Limit <= 0 {
		return "-", "-"
	}
	return number(*r.Limit), percentage(r.Depth / *r.Limit)
}

func perSecond(perTick float64, doc *api.Document) string {
	if doc.TickMS <= 0 {
		return "-"
	}
	return number(perTick / doc.TickMS * 1000)
}
