package main

import (
	"fmt"
	"io"
	"strings"

	"seer/collector"
	"seer/collector/api"
)

// objectHelp lists the objects, those that this build cannot measure marked.
func objectHelp() string {
	var b strings.Builder
	b.WriteString("OBJECT is one of the following, or the start of its name:\n")
	for _, o := range api.Objects {
		help := o.Help
		if o.Needs != "" {
			help += " (not yet)"
		}
		fmt.Fprintf(&b, "  %-10s %s\n", o.Name, help)
	}
	return b.String()
}

func selectorHelp() string {
	return `SELECTOR narrows the answer; several must all match:
  container NAME   its name, or the start of its runtime id
  service NAME     all containers of a service
  cgroup ID        as the column CGROUP shows it, or its path
  pod NS/NAME      or NAME, in any namespace
  queue NAME       with the object queue

show and list print a table, dump every field, help what the object is.
`
}

// selectorValues says what stands behind each selector.
var selectorValues = map[string]string{
	"container": "NAME", "service": "NAME", "cgroup": "ID", "pod": "NS/NAME", "queue": "NAME",
}

// writeObjectHelp writes what `inspect OBJECT help` says.
func writeObjectHelp(w io.Writer, o api.Object) error {
	if o.Name == "queue" {
		return writeQueueManual(w)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", o.Name, o.Help)
	b.WriteByte('\n')
	if err := o.Unavailable(); err != nil {
		writeWrapped(&b, "", err.Error())
		b.WriteByte('\n')
	}
	if text := columnHelp[o.Name]; text != "" {
		b.WriteString(text + "\n")
	}
	usage := "[show|list|dump|help]"
	for _, s := range selectorNames(o) {
		usage += " [" + s + " " + selectorValues[s] + "]"
	}
	writeWrapped(&b, fmt.Sprintf("seer inspect [-j|-p] %s ", o.Name), usage)
	_, err := io.WriteString(w, b.String())
	return err
}

// columnHelp explains the columns of other objects where their titles do not.
var columnHelp = map[string]string{
	"violation": `A line is an interval in which a percentile of an entry service's latency
exceeded its target; stretches less than a second apart are one:
  VIOLATION  when it began (UTC) and whose users suffered
  LASTED     until it ended; "..." may go on
  WORST ms   largest value of the percentile
  LATE       largest share of a window's requests that exceeded the target
  CULPRIT    the service that started it, by the evidence that -j shows;
             seer label corrects it
`,
	"edge": `A line is the TCP connections from one container to one port of another:
  CONNS     connections that are open
  WAITING   of these, on how many the client waits for an answer now; several
            requests at once on one connection (HTTP/2, gRPC) count as one
  REQUESTS  answered on these connections since Seer knows them
"external" is whoever is not on this host, or behind address translation.
`,
}

// fieldHelp explains the columns, once for all queues.
const fieldHelp = `Every queue has, in its own unit:
  DEPTH    now, at the last pass of the tick
  MEAN     over the tick, which is what models and thresholds use
  LIMIT    the depth at which arrivals are refused, "-" where there is none
  OCC      depth divided by limit
  IN/s     arrivals per second
  WAIT ms  mean time in the queue of those that left
  SINCE s  how long it has not been empty, as far back as Seer remembers
A "-" for the depth was not measured, which is not an empty queue; the reason
stands beside it.
`

// writeQueueManual writes the manual entry of each queue, in column order.
func writeQueueManual(w io.Writer) error {
	var b strings.Builder
	for i := range collector.Queues {
		q := &collector.Queues[i]
		fmt.Fprintf(&b, "%s\n", q.Name)
		writeWrapped(&b, "    ", q.Help)
		fmt.Fprintf(&b, "    unit    %s\n    set     %s\n", q.Unit, q.Set)
		fmt.Fprintf(&b, "    since   Linux %s\n", q.Since)
		writeWrapped(&b, "    source  ", q.Source)
		b.WriteByte('\n')
	}
	b.WriteString(fieldHelp)
	_, err := io.WriteString(w, b.String())
	return err
}

// writeWrapped writes text in lines of at most textWidth columns, the first
// after lead and the others indented as far.
func writeWrapped(b *strings.Builder, lead, text string) {
	line := lead
	for _, word := range strings.Fields(text) {
		if len(line) > len(lead) && len(line)+1+len(word) > textWidth {
			fmt.Fprintln(b, line)
			line = strings.Repeat(" ", len(lead))
		}
		if len(line) > len(lead) {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(b, line)
}
