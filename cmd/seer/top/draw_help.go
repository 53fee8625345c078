package top

import (
	"fmt"

	"seer/collector"
)

// helpText is the help page, written for 78 columns.
func helpText(interval string) []string {
	lines := []string{
		"Seer top shows every container's queues. Numbers cover " + interval + ": depths are means,",
		"rates are per second. A column of a trend is the peak of " + interval + ".",
		"",
		"  12      in the queue's unit; 1.2k = 1,200; bytes for RECVQ, SENDQ and NICTX",
		"  -       not measured, which is not 0; enter shows why",
		"  12+     a lower bound: some containers of the service were not measured",
		"  !12     the most contended queue: 50 % of its limit or more; without a",
		"          limit, twice its usual depth; run queue: 1 thread always waiting.",
		"          Red from 80 %, 5 times, 4 threads. A service is as contended as its",
		"          most contended container",
		"",
		"  up down k j pgup pgdn home end    move",
		"  enter right     detail: all queues, calls, sockets",
		"  e               who calls whom                  esc left   back",
		"  /               filter by name, service, pod, namespace, image, unit, path:",
		"                  several words must all match, !word must not; esc clears",
		"  < >             sort by the column to the left, right",
		"  r               reverse the order               t  trend of the next queue",
		"  g               containers or services          space  pause",
		"  ? h             this help                       ctrl-l  repaint",
		"  q ctrl-c        quit                            ctrl-z  suspend",
		"",
		"  Columns, and the key that sorts by each (again: reversed):",
	}
	for i := range tableColumns {
		c := &tableColumns[i]
		help := c.help
		if c.queue != none {
			q := collector.Queues[c.queue]
			help = fmt.Sprintf("%s, %s", q.Name, q.Unit)
		}
		lines = append(lines, fmt.Sprintf("  %c  %-6s %s", c.key, c.title, help))
	}
	lines = append(lines, callsHelp...)
	lines = append(lines, "", "  Queues:")
	for _, q := range collector.Queues {
		lines = append(lines, "  "+q.Name, "      "+q.Help)
	}
	return lines
}

// callsHelp explains the page of calls.
var callsHelp = []string{
	"",
	"  Who calls whom (e): each service is below those that call it, with the",
	"  numbers of these calls. They cover two seconds, or more on a busy host:",
	"  PORT   that is called, 12* many ports; CONNS open; REQ/s requests answered",
	"  WAIT   requests that the callers wait for, mean",
	"  LAT    mean time from request to answer, as the callers see it",
	"  SERVD  the same as the service sees it, of all that call it: what LAT has",
	"         more is spent on the way and in the service's accept backlog",
	"  ERRS   attempts nobody accepted, answers that never came, since Seer",
	"         started; !12 rises",
	"  HOT    the most contended queue of the service itself",
	"  !name  that service is contended: see !12",
	"  (*)    what it calls itself is shown on another line",
	"  (cycle) and red: services that call each other in a circle, and can wait",
	"         for each other forever",
	"  Dashed and dim: clients and servers that are not on this host.",
}

func (m *model) drawHelp(g *grid, y, bottom int) {
	lines := helpText(m.live.interval.String())
	if f := m.live.frame; f != nil && len(f.Cost.GaveUp) > 0 {
		lines = append([]string{"Now, to keep within its CPU budget, Seer " + gaveUp(f), ""}, lines...)
	}
	m.body = max(0, bottom-y)
	m.offset = max(0, min(m.offset, len(lines)-m.body))
	for _, line := range lines[m.offset:min(len(lines), m.offset+m.body)] {
		g.text(1, y, line, facePlain)
		y++
	}
}
