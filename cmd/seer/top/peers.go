package top

import (
	"seer/collector/api"
	"seer/collector/graph"
)

// peerCall is one line of the calls on the detail page.
type peerCall struct {
	graph.Edge
	out bool // the page's own call, not that of a caller
}

// name of the other end.
func (p *peerCall) name() string {
	if p.out {
		return clean(p.Server)
	}
	return clean(p.Client)
}

// setPeers takes the answer of Seer: callers first.
func (m *model) setPeers(rows []api.EdgeRow, err error) {
	m.peersErr = err
	if err != nil {
		return
	}
	var in, out []api.EdgeRow
	for i := range rows {
		server, client := m.detail.is(rows[i].ServerCgroupID, rows[i].ServerService), m.detail.is(rows[i].ClientCgroupID, rows[i].ClientService)
		if server {
			in = append(in, rows[i])
		}
		if client {
			out = append(out, rows[i])
		}
	}
	between := api.ServiceEdges
	if m.detail.id != 0 {
		between = api.ContainerEdges
	}
	m.peers = []peerCall{}
	for _, e := range graph.Merge(between(in)) {
		m.peers = append(m.peers, peerCall{e, false})
	}
	for _, e := range graph.Merge(between(out)) {
		m.peers = append(m.peers, peerCall{e, true})
	}
}

// is reports whether one end of a call is what the key names.
func (k key) is(cgroup uint64, service string) bool {
	if k.id != 0 {
		return cgroup == k.id.CgroupID()
	}
	return service == k.service && cgroup != 0
}

// longestPeer is the width that the names on the page need.
func (m *model) longestPeer() int {
	longest := 0
	for i := range m.peers {
		longest = max(longest, peerIndent+len([]rune(m.peers[i].name())))
	}
	return longest
}

// peerIndent is the width of the direction before a name.
const peerIndent = 5

func (m *model) drawPeerHead(g *grid, y int) {
	g.fill(y, faceHead)
	_, columns := layoutCalls(g.w, m.longestPeer(), false)
	g.text(0, y, "CALLS", faceHead)
	drawCallHeads(g, y, columns)
}

func (m *model) drawPeer(g *grid, y, i int) {
	switch {
	case m.peers == nil && m.peersErr != nil:
		g.text(1, y, fit("calls: "+clean(m.peersErr.Error()), g.w-2, m.ellipsis()), faceWarn)
		return
	case m.peers == nil:
		g.text(1, y, "asking Seer who calls whom", faceDim)
		return
	case len(m.peers) == 0:
		g.text(1, y, "calls nobody, and nobody calls it", faceDim)
		return
	case i >= len(m.peers):
		return
	}
	p := &m.peers[i]
	names, columns := layoutCalls(g.w, m.longestPeer(), false)
	direction, f := "from", facePlain
	if p.out {
		direction = "to"
	}
	if p.Client == graph.Clients || p.Server == graph.External {
		f = faceDim
	}
	g.text(0, y, direction, faceDim)
	g.text(peerIndent, y, fit(p.name(), names-1-peerIndent, m.ellipsis()), f)
	for _, c := range columns {
		drawCallNumber(g, y, c, c.text(&p.Edge))
	}
}
