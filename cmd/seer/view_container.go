package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"seer/collector"
	"seer/collector/api"
)

func writeContainers(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.ContainerRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "CONTAINER", give: true}, {title: "SERVICE", give: true}, {title: "POD", give: true},
		{title: "RUNTIME"}, {title: "SOCKETS", right: true}, {title: "CLOSE-WAIT", right: true}, {title: "CGROUP", right: true},
	}}
	for i := range rows {
		r := &rows[i]
		pod := "-"
		if r.Pod != "" {
			pod = r.Namespace + "/" + r.Pod
		}
		closeWait := "-"
		if r.CloseWait > 0 {
			closeWait = fmt.Sprint(r.CloseWait)
		}
		t.add(r.Container, r.Service, pod, r.Runtime, fmt.Sprint(r.Sockets), closeWait, r.ID)
	}
	t.drop("POD")
	t.drop("CLOSE-WAIT")
	return t.writeTo(w)
}

// serviceColumns are the queues that say most about a service as a whole.
var serviceColumns = []struct {
	queue collector.Queue
	title string
}{
	{collector.QueueOutstanding, "OUTST"},
	{collector.QueueDownstream, "DOWNST"},
	{collector.QueueAcceptBacklog, "BACKLOG"},
	{collector.QueueEpollReady, "EPOLL"},
	{collector.QueueReceive, "RECV B"},
	{collector.QueueRun, "RUNQ"},
}

// writeServices writes the mean depths over the tick, summed by service.
func writeServices(w io.Writer, doc *api.Document) error {
	rows, err := rowsOf[api.ServiceRow](doc)
	if err != nil {
		return err
	}
	t := table{columns: []column{
		{title: "SERVICE", give: true}, {title: "CONTAINERS", right: true}, {title: "SOCKETS", right: true},
	}}
	for _, c := range serviceColumns {
		t.columns = append(t.columns, column{title: c.title, right: true})
	}
	for i := range rows {
		r := &rows[i]
		cells := []string{r.Service, fmt.Sprint(len(r.Containers)), fmt.Sprint(r.Sockets)}
		for _, c := range serviceColumns {
			cells = append(cells, serviceMean(r, c.queue))
		}
		t.add(cells...)
	}
	fmt.Fprintf(w, "(mean depths; %s)\n", status(doc))
	return t.writeTo(w)
}

func serviceMean(r *api.ServiceRow, q collector.Queue) string {
	for i := range r.Queues {
		if r.Queues[i].Queue == q.String() && r.Queues[i].Valid {
			return number(r.Queues[i].Mean)
		}
	}
	return "-"
}

// sortedReasons lists why a queue was not measured, in a stable order.
func sortedReasons(counts map[[2]string]int, queue string) []string {
	var reasons []string
	for key := range counts {
		if key[0] == queue {
			reasons = append(reasons, key[1])
		}
	}
	slices.SortFunc(reasons, strings.Compare)
	return reasons
}
