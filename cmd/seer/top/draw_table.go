package top

// drawTable writes the headings on line y and the lines below them, up to
// bottom. Only lines on the screen are formatted.
func (m *model) drawTable(g *grid, y, bottom int) {
	columns := layout(g.w, m.sort, m.longest, !m.batch)
	m.drawHeadings(g, y, columns)
	y++
	m.body = max(0, bottom-y)
	at := m.cursor()
	m.scroll = window(m.scroll, at, m.body, len(m.lines))
	if len(m.lines) == 0 && m.body > 0 {
		text := "no container holds a process that can be traced"
		if m.filter != "" {
			text = "nothing matches the filter: press / to change it, esc to clear it"
		}
		g.text(1, y, fit(text, g.w-1, m.ellipsis()), faceDim)
	}
	var trend []rune
	for i := m.scroll; i < min(len(m.lines), m.scroll+m.body); i++ {
		t := m.lines[i]
		trend = m.drawLine(g, y, t, columns, trend[:0])
		if i == at && !m.batch {
			g.paint(y, faceSelected)
		}
		y++
	}
}

// window returns the first visible line, such that line at is visible and the
// list fills the screen.
func window(first, at, visible, total int) int {
	first = min(first, at)
	first = max(first, at-visible+1)
	return max(0, min(first, total-visible))
}

func (m *model) drawHeadings(g *grid, y int, columns []placed) {
	g.fill(y, faceHead)
	for _, p := range columns {
		if p.index < 0 {
			title := "TREND " + queueTitle(m.trend)
			if len(title) >= p.w {
				title = "TR " + queueTitle(m.trend)
			}
			g.text(p.x+1, y, title, faceHead)
			continue
		}
		title, f := tableColumns[p.index].title, faceHead
		if p.index == columnName {
			title = [...]string{"CONTAINER", "SERVICE"}[m.group]
		}
		if p.index == m.sort {
			f = faceSort
		}
		switch {
		case p.index == columnName:
			end := g.text(p.x, y, fit(title, p.w-1, m.ellipsis()), f)
			if p.index == m.sort {
				g.put(end, y, m.arrow(), f)
			}
		case p.index == columnHot:
			end := g.text(p.x+1, y, title, f)
			if p.index == m.sort {
				g.put(end, y, m.arrow(), f)
			}
		default:
			if p.index == m.sort {
				g.put(p.x+p.w-1-len(title), y, m.arrow(), f)
			}
			g.right(p.x+p.w, y, title, f)
		}
	}
}

// arrow shows the direction of the order: names run down from a, numbers from
// the largest.
func (m *model) arrow() rune {
	down, up := '▼', '▲'
	if m.ascii {
		down, up = 'v', '^'
	}
	if m.reverse {
		return up
	}
	return down
}

func (m *model) drawLine(g *grid, y int, t *track, columns []placed, trend []rune) []rune {
	for _, p := range columns {
		switch {
		case p.index < 0:
			trend = t.history.trend(trend, m.trend, m.shown().shown, p.w-1, m.levels())
			for i, r := range trend {
				g.put(p.x+p.w-len(trend)+i, y, r, faceTrend)
			}
		case p.index == columnName:
			g.text(p.x, y, fit(t.name, p.w-1, m.ellipsis()), faceBold)
		case p.index == columnHot:
			g.text(p.x+1, y, hotText(t), hotFace(t))
		default:
			m.drawNumber(g, y, t, p)
		}
	}
	return trend
}

// drawNumber writes one cell, and marks the most contended queue of the line
// with ! as well as colour.
func (m *model) drawNumber(g *grid, y int, t *track, p placed) {
	c := &tableColumns[p.index]
	text := c.text(t)
	f := facePlain
	switch {
	case c.queue != none && c.queue == t.hot:
		f = hotFace(t)
		text = "!" + text
	case text == "-" || text == "0" || text == "0.0":
		f = faceDim
	}
	g.right(p.x+p.w, y, text, f)
}

func hotFace(t *track) face {
	switch s := t.score(); {
	case s >= critLevel:
		return faceCrit
	case s >= warnLevel:
		return faceWarn
	}
	return facePlain
}
