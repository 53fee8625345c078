package sim

// kind says what happens at an event.
type kind uint8

const (
	evCore      kind = iota // a CPU's slice ends: id core, arg generation
	evMessage               // a message is at the receiver's NIC: id call
	evSocket                // a message leaves the receive backlog: id call
	evResend                // a lost message is sent again: id call, arg attempt
	evUser                  // the next user asks
	evPass                  // every queue is looked at
	evTimers                // the oldest timers of a duration: id timers
	evWait                  // a wait ends: id task
	evDisk                  // a disk request completes: id task
	evSYN                   // a connection is asked for: id call, arg attempt
	evConnected             // the client's end is connected: id call
	evACK                   // the handshake is complete: id container
	evRefill                // a new period of a CPU limit: id container
	evFaultOn               // id fault
	evFaultOff              // id fault
	evStream                // a disk request of an antagonist completes: id fault
	evReclaim               // a leaked connection comes back: id pool
	evAction                // an action takes effect: id action
	evUpdate                // the application changes: id update
	kindBits    = 5
)

// event is what happens to whom at what time. It holds no pointer, so that the
// garbage collector need not look at the heap.
type event struct {
	at    int64  // ns
	order uint64 // number of the event << kindBits | kind: events of one moment happen in the order in which they were planned
	id    int32
	arg   int32
}

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.order < f.order
}

// heap is a 4-ary heap of events: half as deep as a binary one, and four
// children of 24 bytes lie in two cache lines.
type heap struct {
	events  []event
	planned uint64
}

func (h *heap) push(at int64, k kind, id, arg int32) {
	h.planned++
	e := event{at: at, order: h.planned<<kindBits | uint64(k), id: id, arg: arg}
	h.events = append(h.events, e)
	ev := h.events
	i := len(ev) - 1
	for i > 0 {
		parent := (i - 1) >> 2
		if !e.before(&ev[parent]) {
			break
		}
		ev[i] = ev[parent]
		i = parent
	}
	ev[i] = e
}

// pop removes the first event. The heap must not be empty.
func (h *heap) pop() event {
	ev := h.events
	first := ev[0]
	last := ev[len(ev)-1]
	ev = ev[:len(ev)-1]
	h.events = ev
	i := 0
	for {
		child := i<<2 + 1
		if child >= len(ev) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(ev)); c++ {
			if ev[c].before(&ev[least]) {
				least = c
			}
		}
		if !ev[least].before(&last) {
			break
		}
		ev[i] = ev[least]
		i = least
	}
	if len(ev) > 0 {
		ev[i] = last
	}
	return first
}
