package top

import (
	"context"

	"seer/collector/api"
)

// question is what a page wants to know beyond the frames.
type question struct {
	page page
	of   key // of the detail page
}

// answer is what Seer said.
type answer struct {
	to         question
	sockets    []api.SocketRow // for the detail page only
	socketsErr error
	edges      []api.EdgeRow
	edgesErr   error
}

// question returns what the page that is open wants to know, if anything.
func (m *model) question() (question, bool) {
	switch m.page {
	case pageDetail:
		return question{pageDetail, m.detail}, true
	case pageCalls:
		return question{page: pageCalls}, true
	}
	return question{}, false
}

// knows reports whether a question was answered before.
func (m *model) knows(q question) bool {
	if q.page == pageCalls {
		return m.calls.known
	}
	return m.sockets != nil || m.socketsErr != nil
}

// put asks the question. It blocks.
func (q question) put(ctx context.Context, feed Feed) answer {
	a := answer{to: q}
	var sel api.Selector
	if q.page == pageDetail {
		sel.Service = q.of.service
		if q.of.id != 0 {
			sel = api.Selector{Cgroup: q.of.id.String()}
		}
		a.sockets, a.socketsErr = feed.Sockets(ctx, sel)
	}
	a.edges, a.edgesErr = feed.Edges(ctx, sel)
	return a
}

// answered takes an answer, unless the page that asked has gone, and reports
// whether it did.
func (m *model) answered(a *answer) bool {
	if q, wanted := m.question(); !wanted || q != a.to {
		return false
	}
	if a.to.page == pageCalls {
		m.setCalls(a.edges, a.edgesErr)
		return true
	}
	m.setSockets(a.sockets, a.socketsErr)
	m.setPeers(a.edges, a.edgesErr)
	return true
}
