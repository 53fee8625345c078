package rpc

// Link says by what a client's request is linked to the one it was sent for, or why
// it is not.
type Link uint8

// Links.
const (
	NotAsked    Link = iota // a server's
	ByThread                // the thread that sent it had received that one, and not answered
	OnlyOpen                // no other was open
	NoneOpen                // the service held no request: it acts by itself
	SeveralOpen             // and nothing tells which
	OtherThread             // a service of a thread per request sent it on a thread without one
	UnseenOpen              // a request from before the window was still open
	RecordsLost             // what would decide may be among them
)

var linkNames = [...]string{"", "thread", "only_open", "none_open", "several_open", "other_thread", "unseen_open", "records_lost"}

func (l Link) String() string { return linkNames[l] }

// fewest is how many requests a service must have served in a window before its
// threads say anything: fewer may have kept to them by chance.
const fewest = 8

// service is what a window shows of one container.
type service struct {
	served   []int // indices of its servers' spans, in order of opening
	sent     []int
	threaded bool // a thread serves one request at a time, from its first byte to its answer
}

func (w *Window) link() {
	services := map[uint64]*service{}
	for i := range w.Spans {
		s := &w.Spans[i]
		of := services[s.Owner]
		if of == nil {
			of = &service{}
			services[s.Owner] = of
		}
		if s.Server {
			of.served = append(of.served, i)
		} else {
			of.sent = append(of.sent, i)
		}
	}
	for owner, of := range services {
		of.threaded = w.Lost == 0 && w.threadPerRequest(of)
		for _, i := range of.sent {
			s := &w.Spans[i]
			s.Parent, s.Link, s.Candidates = w.parent(of, s, w.Unseen[owner])
		}
	}
}

// threadPerRequest reports whether all that a service did in the window is what one
// does whose threads serve one request at a time: each answer came from the thread
// that had received the request, none had two open, a thread that serves waits for
// the answers to what it sends, and sends nothing but while it serves.
func (w *Window) threadPerRequest(of *service) bool {
	last := map[uint32]*Span{} // by thread: the request that it served last
	served := 0
	for _, i := range of.served {
		s := &w.Spans[i]
		thread := s.thread()
		if thread == 0 {
			return false // from before the window, and open all the time
		}
		if s.First != 0 && s.AnsweredBy != thread {
			return false
		}
		if before := last[thread]; before != nil && before.open(s.Opened) {
			return false
		}
		last[thread] = s
		if s.Within && s.First != 0 {
			served++
		}
	}
	if served < fewest {
		return false
	}
	for _, i := range of.sent {
		s := &w.Spans[i]
		if !s.Within || last[s.Thread] == nil {
			continue // a thread that serves nobody may do as it likes
		}
		if s.First != 0 && s.AnsweredBy != s.Thread {
			return false
		}
		if w.servedOn(of, s) < 0 {
			return false
		}
	}
	return true
}

// thread is the one that serves: of a request from before the window the one that
// answered, which is the same where there is a thread per request.
func (s *Span) thread() uint32 {
	if s.Within {
		return s.Thread
	}
	return s.AnsweredBy
}

// servedOn returns the request that was open on the thread that sent s, or -1.
func (w *Window) servedOn(of *service, s *Span) int {
	for _, i := range of.served {
		if c := &w.Spans[i]; c.Opened > s.Opened {
			break
		} else if c.thread() == s.Thread && c.open(s.Opened) {
			return i
		}
	}
	return -1
}

// parent finds the request for which s was sent.
func (w *Window) parent(of *service, s *Span, unseen int) (parent int, link Link, candidates int) {
	parent = -1
	for _, i := range of.served {
		c := &w.Spans[i]
		if c.Opened > s.Opened {
			break
		}
		if c.open(s.Opened) {
			candidates++
			parent = i
		}
	}
	candidates += unseen
	switch {
	case w.Lost > 0:
		return -1, RecordsLost, candidates
	case of.threaded && s.Within:
		if on := w.servedOn(of, s); on >= 0 {
			return on, ByThread, candidates
		}
		if candidates == 0 {
			return -1, NoneOpen, 0
		}
		return -1, OtherThread, candidates
	case candidates == 0:
		return -1, NoneOpen, 0
	case !s.Within:
		// Who was open beside it before the window is not known.
		return -1, UnseenOpen, candidates
	case unseen > 0:
		return -1, UnseenOpen, candidates
	case candidates > 1:
		return -1, SeveralOpen, candidates
	}
	return parent, OnlyOpen, 1
}
