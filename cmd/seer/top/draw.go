package top

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// headLines is the height of the header where there is room for it.
const headLines = 2

// draw fills g with what m shows at time now. It is the only entry to the
// drawing: the terminal, tests and batch mode all use it.
func (m *model) draw(g *grid, now time.Time) {
	if g.w < 1 || g.h < 1 {
		return
	}
	y := 0
	if g.h >= 6 || m.batch {
		y = m.drawHeader(g, now)
	}
	bottom := g.h
	if g.h >= 3 && !m.batch {
		bottom--
		m.drawStatus(g, bottom, now)
	}
	switch {
	case m.page == pageHelp:
		m.drawHelp(g, y, bottom)
	case m.shown().frame == nil:
		g.text(1, y+1, "waiting for the first tick", faceDim)
	case m.page == pageDetail:
		m.drawDetail(g, y, bottom)
	case m.page == pageCalls:
		m.drawCalls(g, y, bottom)
	default:
		m.drawTable(g, y, bottom)
	}
}

// drawHeader writes what is traced and what tracing costs, and returns the
// line below.
func (m *model) drawHeader(g *grid, now time.Time) int {
	r := m.shown()
	f := r.frame
	notice, alarming := m.notice(now)
	noticeFace := faceDim
	if alarming {
		noticeFace = faceNotice
	}
	x := g.text(1, 0, "seer", faceBold)
	if f == nil {
		g.right(g.w-1, 0, notice, noticeFace)
		return 1
	}
	room := g.w - 2 - len([]rune(notice))
	x = g.text(x+1, 0, fit(f.Host, 24, m.ellipsis()), facePlain)
	for _, part := range []string{
		plural(len(r.lines[byContainer]), "container"),
		plural(len(r.lines[byService]), "service"),
		plural(r.sockets, "socket"),
	} {
		if x+2+len(part) <= room {
			x = g.text(x+2, 0, part, facePlain)
		}
	}
	g.right(g.w-1, 0, notice, noticeFace)

	x = -1
	part := func(s string, fc face) {
		if x+2+len([]rune(s)) <= g.w {
			x = g.text(x+2, 1, s, fc)
		}
	}
	losses, lossFace := "losses "+strconv.FormatUint(f.Losses, 10), facePlain
	if f.Losses > 0 {
		lossFace = faceWarn
	}
	cost, costFace := "seer cpu "+percent(f.Cost.UsedShare), facePlain
	if f.Cost.BudgetShare > 0 {
		cost += " of " + percent(f.Cost.BudgetShare)
		if f.Cost.UsedShare > f.Cost.BudgetShare*1.2 {
			costFace = faceWarn
		}
	}
	if g.w >= 60 {
		part(fmt.Sprintf("tick %d (%s)", f.Seq, span(f.Tick)), facePlain)
	}
	part(cost, costFace)
	part(losses, lossFace)
	if n := len(f.Cost.GaveUp); n > 0 && !m.batch { // once says it below the table
		text := gaveUp(f)
		if x+2+len([]rune(text)) > g.w {
			text = fmt.Sprintf("gave up %d (?)", n)
		}
		part(text, faceWarn)
	}
	if f.Skipped > 0 {
		part("missed "+count(int(f.Skipped)), faceDim)
	}
	part(plural(f.Passes, "pass")+"/tick", facePlain)
	if f.Cost.RSSBytes > 0 {
		part(octets(f.Cost.RSSBytes), facePlain)
	}
	return headLines
}

// gaveUp says what Seer does not do at present to keep within its CPU budget.
func gaveUp(f *Frame) string {
	return "gave up: " + clean(strings.Join(f.Cost.GaveUp, ", "))
}

// notice is what the right end of the header says, and whether it must be seen.
func (m *model) notice(now time.Time) (string, bool) {
	f := m.live.frame
	switch {
	case m.link.err != nil:
		wait := max(0, m.link.retry.Sub(now).Round(time.Second))
		return fmt.Sprintf(" DISCONNECTED, retry %d in %ds ", m.link.attempt, int(wait/time.Second)), true
	case m.frozen != nil:
		return " PAUSED ", true
	case f != nil && now.Sub(f.Time) > max(3*time.Second, 3*f.Tick, 3*m.live.interval):
		return " NO DATA FOR " + span(now.Sub(f.Time)) + " ", true
	case m.link.local:
		return "own tracer " + now.Format(time.TimeOnly), false
	}
	return now.Format(time.TimeOnly), false
}

// hint is a key and what it does, for the status bar.
type hint struct{ key, does string }

var (
	tableHints  = []hint{{"?", "help"}, {"/", "filter"}, {"<>", "sort"}, {"r", "reverse"}, {"g", "group"}, {"e", "calls"}, {"enter", "detail"}, {"space", "pause"}, {"q", "quit"}, {"t", "trend"}}
	detailHints = []hint{{"esc", "back"}, {"\u2191\u2193", "scroll"}, {"n p", "next, previous"}, {"e", "calls"}, {"space", "pause"}, {"?", "help"}, {"q", "quit"}}
	callHints   = []hint{{"esc", "back"}, {"/", "filter"}, {"enter", "detail"}, {"space", "pause"}, {"?", "help"}, {"q", "quit"}}
	helpHints   = []hint{{"esc", "back"}, {"\u2191\u2193", "scroll"}, {"q", "quit"}}
)

// drawStatus writes the last line: why Seer cannot be reached, the filter
// being typed, or the keys.
func (m *model) drawStatus(g *grid, y int, now time.Time) {
	if m.editing {
		x := g.text(0, y, "filter: "+m.filter, faceBold)
		g.put(x, y, '_', faceBold)
		shown := len(m.lines)
		if m.page == pageCalls {
			shown = len(m.calls.lines)
		}
		x = g.text(x+2, y, fmt.Sprintf("%d shown", shown), faceDim)
		if help := "enter keep  esc clear"; x+2+len(help) <= g.w {
			g.text(x+2, y, help, faceDim)
		}
		return
	}
	x := 0
	if m.link.err != nil {
		g.text(x, y, fit(clean(m.link.err.Error()), g.w, m.ellipsis()), faceCrit)
		return
	}
	hints := tableHints
	switch m.page {
	case pageDetail:
		hints = detailHints
	case pageHelp:
		hints = helpHints
	case pageCalls:
		hints = callHints
	}
	position := ""
	switch m.page {
	case pageTable:
		position = fmt.Sprintf("%d of %d by %s", min(m.cursor()+1, len(m.lines)), len(m.lines), tableColumns[m.sort].title)
	case pageCalls:
		position = fmt.Sprintf("%d of %d", min(m.calls.cursor()+1, len(m.calls.lines)), len(m.calls.lines))
	}
	if position != "" && m.filter != "" {
		position = fmt.Sprintf("filter %q, %s", m.filter, position)
	}
	for _, h := range hints {
		k := h.key
		if m.ascii && k == "\u2191\u2193" {
			k = "j k"
		}
		n := len([]rune(k)) + 1 + len(h.does)
		if x+n+2+len([]rune(position)) > g.w {
			break
		}
		x = g.text(x, y, k, faceKey)
		x = g.text(x+1, y, h.does, faceDim) + 2
	}
	if x+len([]rune(position)) <= g.w {
		g.right(g.w, y, position, faceDim)
	}
}

func (m *model) ellipsis() rune {
	if m.ascii {
		return '~'
	}
	return '…'
}

// levels are the heights of a trend on this terminal.
func (m *model) levels() []rune {
	if m.ascii {
		return sparkASCII
	}
	return sparkBlocks
}

func plural(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "ss"):
		return count(n) + " " + what + "es"
	}
	return count(n) + " " + what + "s"
}
