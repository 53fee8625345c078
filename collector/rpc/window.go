package rpc

import (
	"cmp"
	"net/netip"
	"slices"
)

// Event is what a record says of its request, as enum request_event.
type Event uint8

// Events.
const (
	Opened       Event = iota + 1
	Answered           // the first byte of the answer
	AnsweredMore       // a later one
)

// Record is one event of a request as one end saw it. Times are CLOCK_MONOTONIC.
type Record struct {
	Owner         uint64 // container.ID
	Socket        uint64 // address of the struct sock: with Opened the request's name
	Server        bool
	Event         Event
	Opened, At    int64
	Local, Remote netip.AddrPort
	Seq           uint32 // of the first byte; of one that opens
	Thread        uint32 // that received or sent
}

// Span is one request as one end saw it.
type Span struct {
	Owner         uint64
	Server        bool
	Opened        int64
	First, Last   int64 // byte of the answer; 0: not answered when the window was taken
	Local, Remote netip.AddrPort
	Seq           uint32
	Thread        uint32 // that received or sent it; of one from before the window unknown, 0
	AnsweredBy    uint32 // the thread that received or sent the answer
	Within        bool   // it was opened within the window: Seq and Thread are known

	// Other is the other end's index in Window.Spans, or -1.
	Other int
	// Parent of a client's is the request it was sent for, or -1: then Link says why,
	// and Candidates how many there were.
	Parent     int
	Link       Link
	Candidates int
}

// Window is all requests of the chosen containers that were open in a time.
type Window struct {
	From, Until int64
	Spans       []Span // in order of Opened
	Lost        uint64 // records that did not fit
	// Unseen is how many requests each container held when the window began, of which
	// nothing was heard until it was taken.
	Unseen map[uint64]int
}

type name struct {
	socket uint64
	opened int64
}

// Gather collects a window's records.
type Gather struct {
	spans []Span
	index map[name]int
}

// MaxSpans bounds a window; more are lost.
const MaxSpans = 200_000

// Add takes a record, and says whether there was room for it.
func (g *Gather) Add(r *Record) bool {
	if g.index == nil {
		g.index = map[name]int{}
	}
	key := name{r.Socket, r.Opened}
	i, known := g.index[key]
	if !known {
		if len(g.spans) >= MaxSpans {
			return false
		}
		i = len(g.spans)
		g.index[key] = i
		g.spans = append(g.spans, Span{Owner: r.Owner, Server: r.Server, Opened: r.Opened, Local: r.Local, Remote: r.Remote})
	}
	s := &g.spans[i]
	switch r.Event {
	case Opened:
		s.Seq, s.Thread, s.Within = r.Seq, r.Thread, true
	case Answered:
		s.First, s.Last, s.AnsweredBy = r.At, max(s.Last, r.At), r.Thread
	case AnsweredMore:
		s.Last = max(s.Last, r.At)
	}
	return true
}

// Answered reports whether every request so far has been.
func (g *Gather) Answered() bool {
	for i := range g.spans {
		if g.spans[i].First == 0 {
			return false
		}
	}
	return true
}

// Window joins and links what was collected. held is how many requests each container
// was known to hold at a moment before the window began.
func (g *Gather) Window(from, until int64, held map[uint64]int, heldAt int64, lost uint64) *Window {
	w := &Window{From: from, Until: until, Spans: g.spans, Lost: lost, Unseen: map[uint64]int{}}
	for owner, n := range held {
		for i := range w.Spans {
			if s := &w.Spans[i]; s.Server && s.Owner == owner && s.Opened < heldAt {
				n--
			}
		}
		if n > 0 {
			w.Unseen[owner] = n
		}
	}
	slices.SortStableFunc(w.Spans, func(a, b Span) int { return cmp.Compare(a.Opened, b.Opened) })
	for i := range w.Spans {
		w.Spans[i].Other, w.Spans[i].Parent = -1, -1
	}
	w.join()
	w.link()
	return w
}

// open reports whether a request was open at a time: it was answered later.
func (s *Span) open(at int64) bool { return s.Opened <= at && (s.First == 0 || s.First > at) }
