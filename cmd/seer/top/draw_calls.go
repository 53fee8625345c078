package top

import (
	"fmt"
	"strings"
	"time"

	"seer/collector"
	"seer/collector/graph"
)

// callColumn is a column of numbers about a call, width wide with the gap on its
// left.
type callColumn struct {
	title string
	width int
	spare bool // shown only where names have all the room they need
	text  func(*graph.Edge) string
}

// edgeColumns are the numbers of an edge, from left to right.
var edgeColumns = []callColumn{
	{portTitle, 6, false, portText},
	{"CONNS", 6, true, func(e *graph.Edge) string { return count(e.Connections) }},
	{"REQ/s", 6, false, func(e *graph.Edge) string { return amount(e.PerSecond) }},
	{"WAIT", 6, false, func(e *graph.Edge) string { return amount(e.Outstanding) }},
	{"LAT", 6, false, latencyText},
	{servedTitle, 6, true, nil},
	{"ERRS", 6, false, func(e *graph.Edge) string { return count(int(e.Errors)) }},
	{hotTitle, 12, false, nil},
}

// The columns that are written in a way of their own: the last two are about the
// service itself and not about the call.
const (
	portTitle   = "PORT"
	servedTitle = "SERVD"
	hotTitle    = "HOT"
)

// callOrder is the order in which columns find room.
var callOrder = []string{"REQ/s", "LAT", "ERRS", "WAIT", portTitle, hotTitle, servedTitle, "CONNS"}

// minCall is the least width of the names, gap included.
const minCall = 22

// portText is the port, which edges that did not find room have in common.
func portText(e *graph.Edge) string {
	if e.Port == collector.OtherPort {
		return "other"
	}
	return fmt.Sprint(e.Port)
}

// latencyText is how long the client waited for an answer, by Little's law.
func latencyText(e *graph.Edge) string {
	if e.PerSecond == 0 || e.Outstanding == 0 {
		return "-"
	}
	return span(time.Duration(e.Outstanding / e.PerSecond * float64(time.Second)))
}

// servedText is the mean time from request to answer inside a service.
func servedText(t *track) string {
	if s := &t.stats[collector.QueueOutstanding]; s.valid && s.wait > 0 {
		return span(s.wait)
	}
	return "-"
}

// placedCall is a column and where it is on the screen.
type placedCall struct {
	*callColumn
	end int // the first position right of it
}

// layoutCalls chooses the columns that fit beside names, the longest of which is
// given, and places them; service says whether there is room for those about the
// service. It returns the width of the names, gap included.
func layoutCalls(width, longest int, service bool) (int, []placedCall) {
	left := width - min(width, minCall)
	chosen := map[string]bool{}
	for _, title := range callOrder {
		c := callColumnOf(title)
		room := left
		if c.spare {
			room = left - max(0, longest+1-minCall)
		}
		if c.width <= room && (service || c.text != nil) {
			chosen[title] = true
			left -= c.width
		}
	}
	names := min(width, minCall) + min(left, max(0, longest+1-minCall))
	var columns []placedCall
	x := names
	for i := range edgeColumns {
		if c := &edgeColumns[i]; chosen[c.title] {
			x += c.width
			columns = append(columns, placedCall{c, x})
		}
	}
	return names, columns
}

func callColumnOf(title string) *callColumn {
	for i := range edgeColumns {
		if edgeColumns[i].title == title {
			return &edgeColumns[i]
		}
	}
	panic("no column " + title) // callOrder names only these
}

// drawCalls writes who calls whom: what there is to say about all of it, and the
// tree. Only lines on the screen are formatted.
func (m *model) drawCalls(g *grid, y, bottom int) {
	p := &m.calls
	for _, n := range m.callNotes(bottom - y) {
		g.text(1, y, fit(n.text, g.w-2, m.ellipsis()), n.face)
		y++
	}
	names, columns := layoutCalls(g.w, p.longest, true)
	g.fill(y, faceHead)
	g.text(0, y, "SERVICE", faceHead)
	drawCallHeads(g, y, columns)
	y++
	m.body = max(0, bottom-y)
	at := p.cursor()
	p.scroll = window(p.scroll, at, m.body, len(p.lines))
	if len(p.lines) == 0 && m.body > 0 {
		g.text(1, y, fit(m.noCalls(), g.w-1, m.ellipsis()), faceDim)
	}
	for i := p.scroll; i < min(len(p.lines), p.scroll+m.body); i++ {
		m.drawCall(g, y, &p.lines[i], names, columns)
		if i == at && !m.batch {
			g.paint(y, faceSelected)
		}
		y++
	}
}

func drawCallHeads(g *grid, y int, columns []placedCall) {
	for _, c := range columns {
		if c.title == hotTitle {
			g.text(c.end-c.width+1, y, c.title, faceHead)
			continue
		}
		g.right(c.end, y, c.title, faceHead)
	}
}

// noCalls says why the tree is empty.
func (m *model) noCalls() string {
	switch {
	case !m.calls.known:
		return "asking Seer who calls whom"
	case len(m.calls.tree) > 0:
		return "nothing matches the filter: press / to change it, esc to clear it"
	case m.calls.err != nil:
		return "nothing is known"
	}
	return "no container calls another, and nobody outside calls one"
}

// note is a line above the tree.
type note struct {
	text string
	face face
}

// callNotes says what the tree holds, what it leaves out, and which services call
// each other in circles: in a part of the lines that there are.
func (m *model) callNotes(lines int) []note {
	p := &m.calls
	services, calls := 0, 0
	for name := range p.count {
		if name != graph.External && name != graph.Clients {
			services++
		}
	}
	for i := range p.tree {
		if p.tree[i].Depth > 0 {
			calls++
		}
	}
	text := plural(services, "service") + ", " + plural(calls, "call")
	if n := m.leftOut(); n > 0 && p.known {
		text += ", " + plural(n, "service") + " without calls left out"
	}
	notes := []note{{text, facePlain}}
	if p.err != nil {
		notes = append(notes, note{"who calls whom: " + clean(p.err.Error()), faceWarn})
	}
	most := max(1, lines/6)
	for i, cycle := range p.cycles {
		if rest := len(p.cycles) - i; i == most-1 && rest > 1 && !m.batch {
			return append(notes, note{plural(rest, "circle") + " of services that call each other", faceFault})
		}
		notes = append(notes, note{"in a circle: " + clean(strings.Join(cycle, ", ")) + " call each other", faceFault})
	}
	return notes
}

func (m *model) drawCall(g *grid, y int, l *callLine, names int, columns []placedCall) {
	service := m.find(key{service: l.Server})
	outside := l.Server == graph.External || l.Server == graph.Clients
	stemFace, nameFace := faceDim, faceBold
	switch {
	case outside:
		nameFace = faceDim
	case m.calls.circular(l.Server):
		nameFace = faceFault
	}
	if l.Circular {
		stemFace = faceFault
	}
	mark := m.calls.mark(&l.Call)
	x := g.text(0, y, tail(l.stem, names/2), stemFace)
	if service != nil && service.hot >= 0 {
		g.put(x, y, '!', hotFace(service))
		nameFace = hotFace(service)
		x++
	}
	x = g.text(x, y, fit(clean(l.Server), max(1, names-1-x-len(mark)), m.ellipsis()), nameFace)
	g.text(x, y, mark, stemFace)
	for _, c := range columns {
		m.drawCallCell(g, y, c, l, service)
	}
}

// drawCallCell writes one number. Errors that rose lately are marked with ! as
// well as colour.
func (m *model) drawCallCell(g *grid, y int, c placedCall, l *callLine, service *track) {
	switch {
	case c.title == hotTitle:
		if service != nil {
			g.text(c.end-c.width+1, y, hotText(service), hotFace(service))
		}
		return
	case c.title == servedTitle:
		if service != nil {
			drawCallNumber(g, y, c, servedText(service))
		}
		return
	case l.Depth == 0:
		return // nobody calls
	case c.title == "ERRS" && m.calls.rose[keyOf(&l.Call)]:
		g.right(c.end, y, "!"+c.text(&l.Edge), faceWarn)
		return
	}
	text := c.text(&l.Edge)
	if c.title == portTitle && l.Ports > 0 {
		text = count(l.Ports) + "*"
	}
	drawCallNumber(g, y, c, text)
}

func drawCallNumber(g *grid, y int, c placedCall, text string) {
	f := facePlain
	if text == "-" || text == "0" || text == "0.0" {
		f = faceDim
	}
	g.right(c.end, y, text, f)
}
