package top

import (
	"github.com/gdamore/tcell/v2"

	"seer/collector"
)

// command is what the loop must do after a key; everything else a key does is
// done to the model.
type command uint8

const (
	commandNone command = iota
	commandQuit
	commandRepaint
	commandSuspend
)

// press handles one key.
func (m *model) press(k tcell.Key, r rune) command {
	switch k {
	case tcell.KeyCtrlC:
		return commandQuit
	case tcell.KeyCtrlL:
		return commandRepaint
	case tcell.KeyCtrlZ:
		return commandSuspend
	}
	if m.editing {
		m.edit(k, r)
		return commandNone
	}
	if k == tcell.KeyRune {
		switch r {
		case 'q':
			return commandQuit
		case ' ':
			m.togglePause()
			return commandNone
		case '?', 'h':
			m.toggleHelp()
			return commandNone
		}
	}
	switch m.page {
	case pageTable:
		m.pressTable(k, r)
	case pageCalls:
		m.pressCalls(k, r)
	default:
		m.pressScrolled(k, r)
	}
	return commandNone
}

func (m *model) toggleHelp() {
	if m.page == pageHelp {
		m.page = m.back
		return
	}
	m.back, m.page, m.offset = m.page, pageHelp, 0
}

// edit changes the filter being typed; the table follows each key.
func (m *model) edit(k tcell.Key, r rune) {
	switch k {
	case tcell.KeyEnter:
		m.editing = false
	case tcell.KeyEscape:
		m.editing, m.filter = false, ""
	case tcell.KeyBackspace, tcell.KeyBackspace2:
		if m.filter == "" {
			m.editing = false
		} else {
			f := []rune(m.filter)
			m.filter = string(f[:len(f)-1])
		}
	case tcell.KeyCtrlU:
		m.filter = ""
	case tcell.KeyRune:
		m.filter += clean(string(r))
	}
	m.filtered()
}

func (m *model) pressTable(k tcell.Key, r rune) {
	switch k {
	case tcell.KeyUp:
		m.move(-1)
	case tcell.KeyDown:
		m.move(1)
	case tcell.KeyPgUp, tcell.KeyCtrlB:
		m.move(-max(1, m.body))
	case tcell.KeyPgDn, tcell.KeyCtrlF:
		m.move(max(1, m.body))
	case tcell.KeyHome:
		m.selected, m.scroll = key{}, 0
	case tcell.KeyEnd:
		m.move(len(m.lines))
	case tcell.KeyEnter, tcell.KeyRight:
		if len(m.lines) > 0 {
			m.selected = m.lines[m.cursor()].key
			m.open(m.selected)
		}
	case tcell.KeyEscape:
		m.filter = ""
		m.filtered()
	case tcell.KeyRune:
		m.pressTableRune(r)
	}
}

func (m *model) pressTableRune(r rune) {
	switch r {
	case 'k':
		m.move(-1)
	case 'j':
		m.move(1)
	case '/':
		m.editing = true
	case '<', ',':
		m.sort = (m.sort + len(tableColumns) - 1) % len(tableColumns)
		m.follow()
	case '>', '.':
		m.sort = (m.sort + 1) % len(tableColumns)
		m.follow()
	case 'r':
		m.reverse = !m.reverse
		m.arrange()
	case 'g':
		m.group = 1 - m.group
		m.selected, m.scroll = key{}, 0
		m.arrange()
	case 'e':
		m.showCalls("")
		if len(m.lines) > 0 && m.selected != (key{}) {
			m.showCalls(m.lines[m.cursor()].serviceKey())
		}
	case 't':
		m.trend = (m.trend + 1) % collector.Queue(collector.NumQueues)
	default:
		for i := range tableColumns {
			if tableColumns[i].key == r {
				m.setSort(i)
			}
		}
	}
}

// open shows the detail page of one line.
func (m *model) open(k key) {
	if m.page != pageDetail {
		m.from = m.page
	}
	m.detail = k
	m.page, m.offset = pageDetail, 0
	m.sockets, m.socketsErr = nil, nil
	m.peers, m.peersErr = nil, nil
}

// pressCalls handles keys on the page of calls.
func (m *model) pressCalls(k tcell.Key, r rune) {
	p := &m.calls
	switch k {
	case tcell.KeyUp:
		p.move(-1)
	case tcell.KeyDown:
		p.move(1)
	case tcell.KeyPgUp, tcell.KeyCtrlB:
		p.move(-max(1, m.body))
	case tcell.KeyPgDn, tcell.KeyCtrlF:
		p.move(max(1, m.body))
	case tcell.KeyHome:
		p.selected, p.scroll = callKey{}, 0
	case tcell.KeyEnd:
		p.move(len(p.lines))
	case tcell.KeyEnter, tcell.KeyRight:
		m.openCall()
	case tcell.KeyEscape:
		if m.filter == "" {
			m.page = pageTable
			return
		}
		m.filter = ""
		m.filtered()
	case tcell.KeyLeft, tcell.KeyBackspace, tcell.KeyBackspace2:
		m.page = pageTable
	case tcell.KeyRune:
		switch r {
		case 'k':
			p.move(-1)
		case 'j':
			p.move(1)
		case '/':
			m.editing = true
		case 'e':
			m.page = pageTable
		}
	}
}

// pressScrolled handles keys on the detail and help pages.
func (m *model) pressScrolled(k tcell.Key, r rune) {
	switch k {
	case tcell.KeyUp:
		m.offset--
	case tcell.KeyDown:
		m.offset++
	case tcell.KeyPgUp, tcell.KeyCtrlB:
		m.offset -= max(1, m.body)
	case tcell.KeyPgDn, tcell.KeyCtrlF:
		m.offset += max(1, m.body)
	case tcell.KeyHome:
		m.offset = 0
	case tcell.KeyEnd:
		m.offset = 1 << 30 // drawing stops it at the last line
	case tcell.KeyEscape, tcell.KeyLeft, tcell.KeyBackspace, tcell.KeyBackspace2:
		m.leave()
	case tcell.KeyRune:
		switch r {
		case 'k':
			m.offset--
		case 'j':
			m.offset++
		case 'n', 'p':
			m.next(map[rune]int{'n': 1, 'p': -1}[r])
		case 'e':
			if t := m.find(m.detail); m.page == pageDetail && t != nil {
				m.showCalls(t.serviceKey())
			}
		}
	}
}

// next shows the detail page of the next line, or of the one before.
func (m *model) next(step int) {
	switch {
	case m.page != pageDetail:
	case m.from == pageCalls:
		m.nextCall(step)
	case len(m.lines) > 0:
		m.move(step)
		m.open(m.selected)
	}
}

func (m *model) leave() {
	if m.page == pageHelp {
		m.page, m.offset = m.back, 0
		return
	}
	m.page = m.from
}
