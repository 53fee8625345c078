package sim

// timers are the running time-outs of one duration. All of a kind end in the
// order in which they began, so a queue serves, with one event for the oldest;
// most are over before they end, and cost no event at all.
type timers struct {
	after   int64 // ns
	ring    []timer
	first   int // of the ring
	n       int
	planned bool // an event is
}

type timer struct {
	at   int64
	task int32
	gen  uint32
}

func (s *Simulation) startTimer(which int32, i int32, t *task) {
	q := &s.programs.timers[which]
	if q.n == len(q.ring) {
		ring := make([]timer, max(64, 2*len(q.ring)))
		for k := range q.n {
			ring[k] = q.ring[(q.first+k)&(len(q.ring)-1)]
		}
		q.ring, q.first = ring, 0
	}
	at := s.now + q.after
	q.ring[(q.first+q.n)&(len(q.ring)-1)] = timer{at: at, task: i, gen: t.gen}
	q.n++
	if !q.planned {
		q.planned = true
		s.heap.push(at, evTimers, which, 0)
	}
}

// timersEnd ends every timer whose time has come. A timer is over before if
// its task went on, which changes the task's generation.
func (s *Simulation) timersEnd(which int32) {
	// A time-out may start another timer of the same kind: the queue may move.
	s.programs.timers[which].planned = false
	for {
		q := &s.programs.timers[which]
		if q.n == 0 {
			return
		}
		tm := q.ring[q.first]
		t := s.tasks.at(tm.task)
		over := t.gen != tm.gen
		if !over && tm.at > s.now {
			if !q.planned {
				q.planned = true
				s.heap.push(tm.at, evTimers, which, 0)
			}
			return
		}
		q.first = (q.first + 1) & (len(q.ring) - 1)
		q.n--
		if !over {
			s.timeout(tm.task, t)
		}
	}
}
