package trace

import (
	"bytes"
	"cmp"
	"slices"
	"sort"
)

// Link orders the spans by trace and ID, takes out those that were reported
// twice, finds parents, decides what spans of no kind are, and moves spans whose
// host's clock disagrees into the call that they answer.
func (s *Set) Link() {
	slices.SortFunc(s.Spans, func(a, b Span) int {
		return cmp.Or(bytes.Compare(a.Trace[:], b.Trace[:]), bytes.Compare(a.ID[:], b.ID[:]),
			cmp.Compare(a.Service, b.Service), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Start, b.Start), cmp.Compare(b.End, a.End))
	})
	all := len(s.Spans)
	// A span that was reported while it was open comes again, longer.
	s.Spans = slices.CompactFunc(s.Spans, func(a, b Span) bool {
		return a.Trace == b.Trace && a.ID == b.ID && a.Service == b.Service && a.Kind == b.Kind && a.Start == b.Start
	})
	s.Warnings.Duplicate += all - len(s.Spans)
	for i := range s.Spans {
		s.Spans[i].Above = s.parentOf(i)
	}
	for i := range s.Spans {
		sp := &s.Spans[i]
		if sp.Kind == Unspecified {
			sp.Kind = Internal
			if sp.Above < 0 || s.Spans[sp.Above].Service != sp.Service {
				sp.Kind = Server
			}
		}
	}
	s.setClocks()
}

// withID returns where the spans of a trace with an ID begin and end.
func (s *Set) withID(trace TraceID, id SpanID) (from, to int) {
	from = sort.Search(len(s.Spans), func(i int) bool {
		sp := &s.Spans[i]
		return cmp.Or(bytes.Compare(sp.Trace[:], trace[:]), bytes.Compare(sp.ID[:], id[:])) >= 0
	})
	for to = from; to < len(s.Spans) && s.Spans[to].Trace == trace && s.Spans[to].ID == id; to++ {
	}
	return from, to
}

// parentOf finds a span's parent. In Zipkin's older way both ends of a call have
// one ID: the client's is then the server's parent, and of two spans that may be
// the parent of a third the one of its own service is.
func (s *Set) parentOf(i int) int32 {
	sp := &s.Spans[i]
	if sp.Kind == Server || sp.Kind == Unspecified {
		from, to := s.withID(sp.Trace, sp.ID)
		for k := from; k < to; k++ {
			if k != i && s.Spans[k].Kind == Client {
				return int32(k)
			}
		}
	}
	if sp.Parent == (SpanID{}) {
		return -1
	}
	from, to := s.withID(sp.Trace, sp.Parent)
	if from == to {
		s.Warnings.MissingParent++
		return -1
	}
	for k := from; k < to; k++ {
		if s.Spans[k].Service == sp.Service {
			return int32(k)
		}
	}
	return int32(from)
}

// setClocks goes down from the first span of each trace. A span of another
// service than its parent's that is not within it is moved there, as Jaeger does:
// to its middle, as if the way there and the way back took as long; and with it
// its own service's spans below it, of which it is the clock that is off. What
// only follows from its parent, as a message does, need not be within.
func (s *Set) setClocks() {
	children := s.children()
	type moved struct {
		span int32
		by   int64
	}
	var stack []moved
	seen := make([]bool, len(s.Spans))
	descend := func() {
		for len(stack) > 0 {
			top := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			parent := &s.Spans[top.span]
			seen[top.span] = true
			parent.Start += top.by
			parent.End += top.by
			for _, c := range children.of(top.span) {
				child := &s.Spans[c]
				by := top.by
				if child.Service != parent.Service {
					by = outside(parent, child)
					if by != 0 {
						s.Warnings.SkewedClock++
					}
				}
				stack = append(stack, moved{c, by})
			}
		}
	}
	for i := range s.Spans {
		if s.Spans[i].Above < 0 {
			stack = append(stack, moved{int32(i), 0})
			descend()
		}
	}
	for i := range s.Spans {
		if !seen[i] { // its ancestors go round in a circle
			s.Warnings.Circular++
			s.Spans[i].Above = -1
		}
	}
}

// outside returns by how much a child must be moved to be within its parent.
func outside(parent, child *Span) int64 {
	if child.Kind == Consumer || child.Kind == Producer {
		return 0
	}
	if child.Start >= parent.Start && child.End <= parent.End {
		return 0
	}
	room := (parent.End - parent.Start) - (child.End - child.Start)
	if room < 0 {
		// It goes on after its caller has given up; it cannot have begun before.
		return max(0, parent.Start-child.Start)
	}
	return parent.Start + room/2 - child.Start
}

// children are the indices of spans by parent.
type children struct {
	first []int32 // by parent, and one more
	spans []int32
}

func (s *Set) children() children {
	c := children{first: make([]int32, len(s.Spans)+1)}
	for i := range s.Spans {
		if above := s.Spans[i].Above; above >= 0 {
			c.first[above+1]++
		}
	}
	for i := range s.Spans {
		c.first[i+1] += c.first[i]
	}
	c.spans = make([]int32, c.first[len(s.Spans)])
	next := slices.Clone(c.first)
	for i := range s.Spans {
		if above := s.Spans[i].Above; above >= 0 {
			c.spans[next[above]] = int32(i)
			next[above]++
		}
	}
	return c
}

func (c *children) of(parent int32) []int32 { return c.spans[c.first[parent]:c.first[parent+1]] }
