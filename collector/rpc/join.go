package rpc

// wire names a request on its way, also behind a translated address: that keeps
// sequence numbers and, mostly, the client's port.
type wire struct {
	port uint16 // the client's
	seq  uint32
}

func (s *Span) wire() wire {
	if s.Server {
		return wire{s.Remote.Port(), s.Seq}
	}
	return wire{s.Local.Port(), s.Seq}
}

// join finds the other end of each request. Where several could be, the one with the
// very addresses is; if that does not decide, none.
func (w *Window) join() {
	servers := map[wire][]int{}
	clients := map[wire][]int{}
	for i := range w.Spans {
		if s := &w.Spans[i]; s.Within {
			of := clients
			if s.Server {
				of = servers
			}
			of[s.wire()] = append(of[s.wire()], i)
		}
	}
	for key, from := range clients {
		for _, c := range from {
			if s := w.only(c, servers[key]); s >= 0 && w.only(s, from) == c {
				w.Spans[c].Other, w.Spans[s].Other = s, c
			}
		}
	}
}

// only returns the one of others that is the other end of a span, or -1.
func (w *Window) only(of int, others []int) int {
	s := &w.Spans[of]
	found, exact := -1, -1
	for _, i := range others {
		o := &w.Spans[i]
		if !meet(s, o) {
			continue
		}
		if o.Local == s.Remote && o.Remote == s.Local {
			if exact >= 0 {
				return -1
			}
			exact = i
			continue
		}
		if found >= 0 {
			found = len(w.Spans) // several
			continue
		}
		found = i
	}
	if exact >= 0 {
		return exact
	}
	if found == len(w.Spans) {
		return -1
	}
	return found
}

// meet reports whether two ends were open at one time.
func meet(a, b *Span) bool {
	return (a.First == 0 || b.Opened < a.First) && (b.First == 0 || a.Opened < b.First)
}
