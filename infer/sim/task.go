package sim

// none is the number of no task, call, container or lock.
const none int32 = -1

// task is one program under way: a call from the moment at which its caller
// makes it until its answer is back, one branch of several in parallel, or the
// accepting of a connection.
//
// A task is in one place at a time, a queue (linked by next) or an event, so
// that it can be freed where it is met last.
type task struct {
	key   uint64 // of its random numbers
	debt  int64  // CPU time to be spent before the next step, ns
	left  int64  // CPU time left of the burst under way, ns
	sent  int64  // when it was sent, ns
	born  int64  // of a user's request: when it was meant to be sent, ns
	reply int64  // size of the answer, bytes

	next      int32
	caller    int32 // task that waits for the answer; none: nobody does
	container int32 // where it runs
	pc        int32
	entry     int32 // where the endpoint begins, for opResume
	pending   int32 // branches that have not ended
	child     int32 // the call that it waits for
	pool      int32 // the connections by which the call came
	borrowed  int32 // the connections that it took one of for child
	unread    int32 // bytes that arrived for it and that it has not read
	heldLock  int32 // last lock taken
	request   int32 // of a user's request: its type
	gen       uint32
	phase     phase
	flags     flags
	attempt   uint8
}

// phase says where a task is.
type phase uint8

const (
	phaseFree       phase = iota
	phasePool             // a call waits for a connection
	phaseConnecting       // a call waits until its connection is open
	phaseRequest          // a call is on its way
	phaseWorker           // a call waits in the socket for a worker
	phaseActive           // has, or waits for, a CPU
	phaseCall             // waits for child
	phaseJoin             // waits for its branches
	phaseLock             // waits for a lock
	phaseSleep            // waits for time or a disk
	phaseReply            // an answer is on its way
)

type flags uint16

const (
	flagBranch   flags = 1 << iota
	flagAsync          // its caller does not wait
	flagOrphan         // its caller gave up, the connection is closed
	flagPaid           // the CPU time of the next call is in debt already
	flagFailed         // cannot answer but with an error
	flagMissed         // the call before failed softly
	flagGranted        // holds the lock that it waited for
	flagRequest        // what is unread is a request
	flagReplied        // what is unread is an answer, which frees a connection
	flagUser           // a user's request
	flagSpin           // an antagonist's thread
	flagWorker         // holds a worker of its container
	flagTimedOut       // of a user: gave up
	flagPaged          // has waited for the page fault of its next burst
)

func (t *task) is(f flags) bool { return t.flags&f != 0 }

// slab hands out tasks. They do not move, and hold no pointer.
type slab struct {
	pages []*[pageTasks]task
	free  int32
	used  int
}

const (
	pageBits  = 10
	pageTasks = 1 << pageBits
)

func (s *slab) at(i int32) *task { return &s.pages[i>>pageBits][i&(pageTasks-1)] }

func (s *slab) new() (int32, *task) {
	if s.free == none {
		base := int32(len(s.pages)) << pageBits
		page := new([pageTasks]task)
		for i := range page {
			page[i].next = base + int32(i) + 1
		}
		page[pageTasks-1].next = none
		s.pages = append(s.pages, page)
		s.free = base
	}
	i := s.free
	t := s.at(i)
	s.free = t.next
	gen := t.gen
	*t = task{gen: gen, next: none, caller: none, child: none, pool: none, borrowed: none, heldLock: none, request: none}
	s.used++
	return i, t
}

func (s *slab) release(i int32) {
	t := s.at(i)
	t.gen++
	t.phase = phaseFree
	t.next = s.free
	s.free = i
	s.used--
}

// fifo is a queue of tasks, linked by their next.
type fifo struct{ head, tail, n int32 }

func newFIFO() fifo { return fifo{head: none, tail: none} }

func (q *fifo) push(s *slab, i int32) {
	s.at(i).next = none
	if q.tail == none {
		q.head = i
	} else {
		s.at(q.tail).next = i
	}
	q.tail = i
	q.n++
}

func (q *fifo) pop(s *slab) int32 {
	i := q.head
	if i == none {
		return none
	}
	q.head = s.at(i).next
	if q.head == none {
		q.tail = none
	}
	q.n--
	return i
}

// remove takes a task out of the middle.
func (q *fifo) remove(s *slab, i int32) {
	if q.head == i {
		q.pop(s)
		return
	}
	for before := q.head; before != none; before = s.at(before).next {
		if s.at(before).next == i {
			s.at(before).next = s.at(i).next
			if q.tail == i {
				q.tail = before
			}
			q.n--
			return
		}
	}
}
