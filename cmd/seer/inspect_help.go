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
  CONNS    connections that are open
  REQ/s    requests answered, lately: in two seconds, or more where listing
           sockets costs much
  WAITING  mean number of requests for which the client waited; several at once
           on one connection (HTTP/2, gRPC) count as one
  LAT ms   mean latency as the client sees it, by Little's law
  SERVED   mean latency of all that the server answers, ms
  ERRORS   attempts to connect that nobody accepted, and connections closed
           while an answer was owed, since Seer runs
"external" is whoever is not on this host: all of them, a line for each port.
Behind address translation a server is found by what its client's address is.
`,
	"request": `Containers whose requests are counted exactly, by hooks on receive and send
(seer run --exact). Where no seer runs, all are counted while it measures.
  SIDE   served: requests that it answered; called: requests that it made
  P50..  from the first byte of the request to the last of the answer, of the
         last 10 s, within 1.6 %
  FIRST  to the first byte of the answer
Requests that are sent before the last was answered (pipelining) count as one.
`,
	"packet": `Packets are sampled at the devices of this network namespace, for as long as
--for says, by this process itself: one in --every at random, headers only. A
line is what one container has of a device's packets in one direction: of those
coming in what goes to it, of those going out what comes from it, by the
innermost addresses (VLAN, VXLAN, Geneve, GRE, IP in IP are looked through).
  SAMPLED    packets in the sample
  PACKETS/s  estimated: all are counted, and shared out as the sample is
  BYTES/s    the same for bytes
  SHARE      of the device's packets in that direction
  +-         its standard error
"external" is an address that is nobody's on this host, as behind a container's
veth or before address translation; "unknown" one of this host that no known
container uses, and what is not IP. dump prints the packets, one a line.
--pcapng FILE keeps their headers. A packet on a bridge or in a tunnel passes
several devices: lines of several devices do not add up.
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
