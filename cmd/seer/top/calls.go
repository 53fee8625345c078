package top

import (
	"slices"
	"strings"

	"seer/collector/api"
	"seer/collector/graph"
)

// callKey identifies one line of the page of calls across answers: each edge has
// one line. Without a client, it is a service from which a tree starts.
type callKey struct {
	client, server string
	port           uint16
}

// callLine is one line of the page of calls.
type callLine struct {
	graph.Call
	stem string // what draws the tree left of the name
}

func keyOf(c *graph.Call) callKey { return callKey{c.Client, c.Server, c.Port} }

// callPage is what the page of calls shows: who calls whom, as a tree.
type callPage struct {
	known  bool // an answer has come
	err    error
	tree   []graph.Call
	cycles [][]string
	count  map[string]bool    // services in the tree
	errors map[callKey]uint64 // of each edge
	rose   map[callKey]bool   // edges whose errors rose from the answer before

	lines    []callLine // shown: what the filter leaves of the tree
	longest  int        // longest stem and name among them
	selected callKey    // zero: the first line
	at       int        // where the selected line was seen last
	scroll   int
	want     string // a service to select once it is there
}

// setCalls takes the answer of Seer.
func (m *model) setCalls(rows []api.EdgeRow, err error) {
	p := &m.calls
	p.known, p.err = true, err
	if err != nil {
		return
	}
	edges := api.ServiceEdges(rows)
	p.tree, p.cycles = graph.Tree(edges), graph.Sort(edges).Cycles
	before := p.errors
	p.count, p.errors, p.rose = map[string]bool{}, map[callKey]uint64{}, map[callKey]bool{}
	for i := range p.tree {
		c := &p.tree[i]
		k := keyOf(c)
		p.count[c.Server], p.errors[k] = true, c.Errors
		if was, found := before[k]; found && c.Errors > was {
			p.rose[k] = true
		}
	}
	m.arrangeCalls()
}

// arrangeCalls leaves of the tree what the filter names, and the way there.
func (m *model) arrangeCalls() {
	p := &m.calls
	terms := strings.Fields(strings.ToLower(m.filter))
	keep := make([]bool, len(p.tree))
	var path []int
	for i := range p.tree {
		c := &p.tree[i]
		path = append(path[:c.Depth], i)
		if !m.callMatches(c.Server, terms) {
			continue
		}
		for _, at := range path {
			keep[at] = true
		}
	}
	p.lines = p.lines[:0]
	for i := range p.tree {
		if keep[i] {
			p.lines = append(p.lines, callLine{Call: p.tree[i]})
		}
	}
	m.drawStems()
	p.longest = 0
	for i := range p.lines {
		l := &p.lines[i]
		p.longest = max(p.longest, len([]rune(l.stem))+1+len([]rune(clean(l.Server)))+len(p.mark(&l.Call)))
		if p.want == l.Server && !l.Again {
			p.selected, p.want = keyOf(&l.Call), ""
		}
	}
}

func (m *model) callMatches(service string, terms []string) bool {
	if t := m.find(key{service: service}); t != nil {
		return matches(t, terms)
	}
	return matches(&track{name: service}, terms)
}

// drawStems draws the lines of the tree, from the last line up: whether a line goes
// on below is known then.
func (m *model) drawStems() {
	pass, fork, last, dashedFork, dashedLast := "│ ", "├─", "└─", "├╌", "└╌"
	if m.ascii {
		pass, fork, last, dashedFork, dashedLast = "| ", "|-", "`-", "|.", "`."
	}
	var open []bool // by depth: another line of this depth follows below
	for i := len(m.calls.lines) - 1; i >= 0; i-- {
		l := &m.calls.lines[i]
		for len(open) <= l.Depth {
			open = append(open, false)
		}
		var stem strings.Builder
		for depth := 1; depth < l.Depth; depth++ {
			if open[depth] {
				stem.WriteString(pass)
			} else {
				stem.WriteString("  ")
			}
		}
		outside := l.Server == graph.External || l.Client == graph.Clients
		switch {
		case l.Depth == 0:
		case open[l.Depth] && outside:
			stem.WriteString(dashedFork)
		case open[l.Depth]:
			stem.WriteString(fork)
		case outside:
			stem.WriteString(dashedLast)
		default:
			stem.WriteString(last)
		}
		l.stem = stem.String()
		open[l.Depth] = true
		clear(open[l.Depth+1:])
	}
}

// mark says after a name why nothing follows below it.
func (p *callPage) mark(c *graph.Call) string {
	switch {
	case c.Again && c.Circular:
		return " (cycle)"
	case c.Again:
		return " (*)"
	}
	return ""
}

// circular reports whether a service is part of a cycle.
func (p *callPage) circular(service string) bool {
	return slices.ContainsFunc(p.cycles, func(cycle []string) bool { return slices.Contains(cycle, service) })
}

// leftOut counts the services that call nobody and are not called.
func (m *model) leftOut() int {
	n := 0
	for _, t := range m.shown().lines[byService] {
		if !m.calls.count[t.key.service] {
			n++
		}
	}
	return n
}

// cursor returns the position of the selected line; when that one is gone, the line
// in its place.
func (p *callPage) cursor() int {
	if p.selected == (callKey{}) {
		p.at = 0
		return 0
	}
	for i := range p.lines {
		if keyOf(&p.lines[i].Call) == p.selected {
			p.at = i
			return i
		}
	}
	return max(0, min(p.at, len(p.lines)-1))
}

// move selects the line n lines further, and stops at the ends.
func (p *callPage) move(n int) {
	if len(p.lines) > 0 {
		p.selected = keyOf(&p.lines[max(0, min(p.cursor()+n, len(p.lines)-1))].Call)
	}
}

// showCalls opens the page of calls, at a service if one is given.
func (m *model) showCalls(service string) {
	m.page = pageCalls
	if service != "" {
		m.calls.want = service
		m.arrangeCalls()
	}
}

// openCall shows the detail page of the selected service; a peer outside has none.
func (m *model) openCall() {
	if len(m.calls.lines) == 0 {
		return
	}
	k := key{service: m.calls.lines[m.calls.cursor()].Server}
	if m.find(k) != nil {
		m.open(k)
	}
}

// nextCall shows the detail page of the next service of the tree, or of the one
// before.
func (m *model) nextCall(step int) {
	was := m.detail
	for i := m.calls.cursor() + step; i >= 0 && i < len(m.calls.lines); i += step {
		l := &m.calls.lines[i]
		if k := (key{service: l.Server}); k != was && m.find(k) != nil {
			m.calls.selected = keyOf(&l.Call)
			m.open(k)
			return
		}
	}
}
