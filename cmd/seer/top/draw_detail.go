package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"seer/collector"
	"seer/collector/api"
)

// drawDetail writes one container or service: its names, a line for each
// queue, who calls it and whom it calls, then its sockets. All of it scrolls as one; sockets are formatted
// only where they are visible.
func (m *model) drawDetail(g *grid, y, bottom int) {
	t := m.find(m.detail)
	if t == nil {
		g.text(1, y+1, "it is gone: esc goes back", faceDim)
		return
	}
	m.body = max(0, bottom-y)
	names := m.names(t, g.w-2, max(1, min(m.body/8, maxNameLines)))
	total := len(names) + 1 + collector.NumQueues + 2 + max(1, len(m.peers)) + 2 + max(1, len(m.sockets))
	m.offset = max(0, min(m.offset, total-m.body))
	for i := m.offset; i < min(total, m.offset+m.body); i++ {
		m.drawDetailLine(g, y, i, t, names)
		y++
	}
}

func (m *model) drawDetailLine(g *grid, y, i int, t *track, names []string) {
	if i < len(names) {
		f := facePlain
		if i == 0 {
			f = faceBold
		}
		g.text(1, y, names[i], f)
		return
	}
	i -= len(names)
	switch {
	case i == 0:
		g.fill(y, faceHead)
		g.text(0, y, "QUEUE            DEPTH  MEAN   MAX LIMIT   OCC  IN/s OUT/s  WAIT", faceHead)
		if g.w >= queueLineWidth+minTrend {
			g.text(queueLineWidth+1, y, "TREND", faceHead)
		}
		return
	case i <= collector.NumQueues:
		m.drawQueue(g, y, t, collector.Queue(i-1))
		return
	}
	i -= collector.NumQueues + 2 // a blank line
	switch peers := max(1, len(m.peers)); {
	case i < 0:
		return
	case i == 0:
		m.drawPeerHead(g, y)
		return
	case i <= peers:
		m.drawPeer(g, y, i-1)
		return
	default:
		i -= peers + 2
	}
	switch {
	case i < 0:
	case i == 0:
		g.fill(y, faceHead)
		g.text(0, y, socketLine(g.w, "SOCKET", "STATE", "LOCAL", "REMOTE", "RECVQ", "SENDQ", "REQS", "OWES"), faceHead)
	default:
		m.drawSocket(g, y, i-1)
	}
}

// maxNameLines bounds what the names take on the page.
const maxNameLines = 4

// names describes what the page is about, one field after the other, broken
// between fields.
func (m *model) names(t *track, width, lines int) []string {
	var fields []string
	c := t.container
	if c == nil {
		fields = append(fields, "service "+t.name, plural(len(t.members), "container"), t.socketCount())
		list := make([]string, 0, len(t.members))
		for _, member := range t.members {
			list = append(list, clean(member.Name))
		}
		slices.Sort(list)
		return wrap(append(fields, list...), width, lines, m.ellipsis())
	}
	fields = append(fields, "container "+t.name, "service "+t.service, "runtime "+clean(c.Runtime), t.socketCount())
	for _, field := range []struct{ name, value string }{
		{"pod", strings.TrimPrefix(c.Namespace+"/"+c.Pod, "/")},
		{"image", c.Image}, {"unit", c.Unit}, {"cgroup", c.ID.String()}, {"", c.Path},
	} {
		if v := strings.TrimSuffix(field.value, "/"); v != "" {
			fields = append(fields, strings.TrimSpace(field.name+" "+clean(v)))
		}
	}
	return wrap(fields, width, lines, m.ellipsis())
}

// socketCount says how many sockets there are, and how many were forgotten.
func (t *track) socketCount() string {
	text := plural(t.sockets, "socket")
	if t.closeWait > 0 {
		text += fmt.Sprintf(", %d in CLOSE-WAIT", t.closeWait)
	}
	return text
}

// wrap joins fields into at most most lines of width, and says how many fields
// it left out.
func wrap(fields []string, width, most int, ellipsis rune) []string {
	var lines []string
	line := ""
	for i, f := range fields {
		f = fit(f, width, ellipsis)
		switch n := len([]rune(line)); {
		case line == "":
			line = f
		case n+2+len([]rune(f)) <= width:
			line += "  " + f
		case len(lines) == most-1:
			more := fmt.Sprintf("  and %d more", len(fields)-i)
			return append(lines, fit(line, width-len(more), ellipsis)+more)
		default:
			lines, line = append(lines, line), f
		}
	}
	return append(lines, line)
}

// queueLineWidth is the width of a queue's numbers, before the trend.
const queueLineWidth = 65

func (m *model) drawQueue(g *grid, y int, t *track, q collector.Queue) {
	s := &t.stats[q]
	name := q.String()
	if !s.valid {
		x := g.text(0, y, name, facePlain)
		g.right(22, y, "-", faceDim)
		g.text(max(x, 22)+2, y, fit(clean(m.shown().frame.why(q)), g.w-25, m.ellipsis()), faceDim)
		return
	}
	f := facePlain
	if t.hot == int(q) {
		f = hotFace(t)
		name += " !"
	}
	g.text(0, y, name, f)
	limit, occupancy, wait := "-", "-", "-"
	if s.limit > 0 {
		limit, occupancy = amount(s.limit), occupied(s.mean/s.limit)
	}
	if s.wait > 0 {
		wait = span(s.wait)
	}
	for _, cell := range []struct {
		end  int
		text string
	}{
		{22, amount(s.depth)}, {28, measured(s, amount(s.mean))}, {34, amount(s.max)}, {40, limit}, {46, occupancy},
		{52, amount(s.in)}, {58, amount(s.out)}, {64, wait},
	} {
		f := facePlain
		if cell.text == "-" || cell.text == "0" {
			f = faceDim
		}
		g.right(cell.end, y, cell.text, f)
	}
	if width := min(g.w-queueLineWidth-1, columns); width >= minTrend-1 {
		trend := t.history.trend(nil, q, m.shown().shown, width, m.levels())
		g.text(queueLineWidth+1, y, string(trend), faceTrend)
	}
}

func (m *model) drawSocket(g *grid, y, i int) {
	switch {
	case m.sockets == nil && m.socketsErr != nil:
		g.text(1, y, fit("sockets: "+clean(m.socketsErr.Error()), g.w-2, m.ellipsis()), faceWarn)
	case m.sockets == nil:
		g.text(1, y, "asking Seer for the sockets", faceDim)
	case len(m.sockets) == 0:
		g.text(1, y, "no socket is tracked", faceDim)
	case i < len(m.sockets):
		s := &m.sockets[i]
		receive, send := amount(float64(s.ReceiveBytes)), amount(float64(s.SendBytes))
		if s.Role == collector.RoleListener.String() {
			// As ss(8) does: the accept backlog and its limit.
			receive, send = count(int(s.AcceptBacklog)), count(int(s.AcceptBacklogLimit))
		}
		owes := ""
		switch {
		case s.Outstanding:
			owes = "answer"
		case s.Downstream:
			owes = "waits"
		case s.SYNQueue > 0:
			owes = count(int(s.SYNQueue)) + " syn"
		}
		f := facePlain
		if socketWeight(s) == 0 {
			f = faceDim
		}
		g.text(0, y, socketLine(g.w, clean(s.Role), clean(s.State), peer(s.Local, s.Inode), peer(s.Remote, 0),
			receive, send, amount(float64(s.Requests)), owes), f)
	}
}

// peer names one end of a socket; a unix socket has no address, so its inode
// stands for it.
func peer(address string, inode uint64) string {
	switch {
	case address != "":
		return clean(address)
	case inode != 0:
		return "inode " + strconv.FormatUint(inode, 10)
	}
	return "-"
}

// socketLine lays out one line of the list of sockets for a width. Addresses
// share what the rest leaves, and lose their front first: the port is what
// tells two of them apart.
func socketLine(width int, role, state, local, remote, receive, send, requests, owes string) string {
	const fixed = 9 + 11 + 6 + 6 + 6 + 7
	address := max(0, min((width-fixed)/2-1, 45))
	return fmt.Sprintf("%-9s%-11s%-*s %-*s %5s %5s %5s %s", fit(role, 8, '~'), fit(state, 10, '~'),
		address, tail(local, address), address, tail(remote, address), receive, send, requests, owes)
}

func tail(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[len(r)-width:])
	}
	return s
}

// socketWeight ranks sockets: what waits, before what is idle.
func socketWeight(s *api.SocketRow) uint64 {
	w := s.ReceiveBytes + s.SendBytes + s.NICTxBytes + uint64(s.AcceptBacklog) + uint64(s.SYNQueue)
	if s.Outstanding || s.Downstream {
		w += 1 << 40
	}
	return w
}

// setSockets takes the answer of Seer, what waits first.
func (m *model) setSockets(rows []api.SocketRow, err error) {
	m.socketsErr = err
	if err != nil {
		return
	}
	if rows == nil {
		rows = []api.SocketRow{}
	}
	slices.SortStableFunc(rows, func(a, b api.SocketRow) int {
		return cmp.Or(cmp.Compare(socketWeight(&b), socketWeight(&a)), cmp.Compare(a.Role, b.Role),
			cmp.Compare(a.Local, b.Local), cmp.Compare(a.Remote, b.Remote), cmp.Compare(a.Inode, b.Inode))
	})
	m.sockets = rows
}
