package sim

import "seer/collector"

// serve begins the work on a request that a worker has taken.
func (s *Simulation) serve(i int32, t *task, c *container) {
	t.flags |= flagWorker
	t.debt += s.costs.Receive
	s.begin(i, t, c)
}

func (s *Simulation) begin(i int32, t *task, c *container) {
	t.pc = t.entry
	if c.prelude != 0 && t.entry != c.spared {
		t.pc = c.prelude
	}
	s.advance(i, t)
}

// advance takes the steps of a task until it must wait for something. CPU time
// adds up to one burst, which is spent before the step that waits.
func (s *Simulation) advance(i int32, t *task) {
	c := s.containers[t.container]
	for {
		o := &s.programs.ops[t.pc]
		switch o.kind {
		case opCPU:
			t.debt += s.work(t, c, o)
			t.pc++
		case opReply:
			t.reply += o.size
			t.pc++
		case opSkip:
			t.pc++
			if !happens(draw(t.key, o.salt), o.chance) {
				t.pc = o.jump
			}
		case opHit:
			missed := t.is(flagMissed)
			t.flags &^= flagMissed
			t.pc++
			if !missed && happens(draw(t.key, o.salt), o.chance) {
				t.pc = o.jump
			}
		case opResume:
			t.pc = t.entry
		case opWait:
			if s.burn(i, t, c) {
				return
			}
			t.phase = phaseSleep
			t.pc++
			s.heap.push(s.now+s.programs.dists[o.dist].sample(o.amount, draw(t.key, o.salt)), evWait, i, 0)
			return
		case opDisk:
			if s.burn(i, t, c) {
				return
			}
			t.phase = phaseSleep
			t.pc++
			s.diskRequest(i, c, o.size)
			return
		case opLock:
			if s.burn(i, t, c) || !s.acquire(i, t, c, o) {
				return
			}
			t.pc++
		case opUnlock:
			if s.burn(i, t, c) {
				return
			}
			t.pc++
			s.unlock(i, c, o.lock)
		case opCall:
			if !t.is(flagPaid) {
				t.flags |= flagPaid
				t.debt += s.costs.Send
			}
			if s.burn(i, t, c) {
				return
			}
			t.flags &^= flagPaid
			if !o.async {
				s.call(i, t, c, o)
				return
			}
			t.pc++
			s.call(i, t, c, o)
		case opFork:
			// The sends of branches that begin with one are done in a row.
			for k := int32(1); k <= o.count && !t.is(flagPaid); k++ {
				if s.programs.ops[s.programs.ops[t.pc+k].jump].kind == opCall {
					t.debt += s.costs.Send
				}
			}
			t.flags |= flagPaid
			if s.burn(i, t, c) {
				return
			}
			t.flags &^= flagPaid
			s.fork(i, t, o)
			return
		case opJoin:
			if !s.burn(i, t, c) {
				s.join(i, t)
			}
			return
		case opEnd:
			if !t.is(flagPaid) {
				t.flags |= flagPaid
				t.debt += s.costs.Send
			}
			if !s.burn(i, t, c) {
				s.end(i, t, c)
			}
			return
		case opAccepted:
			if !s.burn(i, t, c) {
				c.gauges[collector.QueueAcceptBacklog]--
				s.tasks.release(i)
			}
			return
		case opKernel:
			if !s.burn(i, t, c) {
				s.tasks.release(i)
			}
			return
		case opSpin:
			t.left = quantum
			s.ready(i, t)
			return
		}
	}
}

// work returns the CPU time of a step in this container, now.
func (s *Simulation) work(t *task, c *container, o *op) int64 {
	r := draw(t.key, o.salt)
	ns := s.programs.dists[o.dist].sample(o.amount, r)
	if o.chance > 0 && happens(draw(t.key, o.salt+saltTail), o.chance) {
		ns *= 10
	}
	if o.size > 0 {
		h := &s.hosts[c.host]
		h.mem.bytes += o.size
		ns += o.size * s.memByteTime / unit * h.mem.slow / unit
	}
	return ns
}

// burn spends the CPU time that a task owes. It returns false if there is none,
// else the task goes on with the same step later.
func (s *Simulation) burn(i int32, t *task, c *container) bool {
	if t.debt == 0 || c.users {
		t.debt = 0
		if t.is(flagRequest | flagReplied) {
			s.read(t, c)
		}
		t.phase = phaseActive
		return false
	}
	if c.paging.chance > 0 && !t.is(flagPaged) && happens(draw(t.key, saltPaging+uint32(t.pc)<<8), c.paging.chance) {
		t.flags |= flagPaged
		t.phase = phaseSleep
		s.diskRequest(i, c, c.paging.bytes)
		return true
	}
	t.flags &^= flagPaged
	t.left, t.debt = t.debt, 0
	s.ready(i, t)
	return true
}

// call makes the call of a step.
func (s *Simulation) call(i int32, t *task, c *container, o *op) {
	v := &s.services[o.service]
	if len(v.containers) == 0 { // an update removed it
		if !o.async {
			s.goOn(i, t, true)
		}
		return
	}
	key := mix(t.key ^ uint64(o.salt)<<8 ^ uint64(t.attempt))
	replica := 0
	if n := len(v.containers); n > 1 {
		replica = int(draw(key, saltReplica) >> 32 * uint64(n) >> 32)
	}
	j, child := s.tasks.new()
	child.key = key
	child.entry = s.programs.endpoints[o.entry].pc
	child.container = v.containers[replica]
	child.pool = s.poolTo(t.container, c, o.slot, o.service, replica)
	if o.async {
		child.flags |= flagAsync
	} else {
		child.caller = i
		t.child = j
		t.phase = phaseCall
		s.startTimer(o.timers, i, t)
	}
	s.connect(j, child)
}

// end answers: the program of a task is over.
func (s *Simulation) end(i int32, t *task, c *container) {
	if t.is(flagUser) {
		s.userDone(i, t)
		return
	}
	c.gauges[collector.QueueOutstanding]--
	c.departures[collector.QueueOutstanding]++
	s.freeWorker(t, c)
	if t.is(flagOrphan) {
		s.tasks.release(i) // nobody to answer to
		return
	}
	t.phase = phaseReply
	bytes := s.costs.ReplyBytes + t.reply
	c.gauges[collector.QueueSend] += bytes
	s.transmit(i, t, c, s.containers[s.pools[t.pool].from], bytes, 0)
}

// freeWorker lets a worker take the next request from the sockets.
func (s *Simulation) freeWorker(t *task, c *container) {
	t.flags &^= flagWorker
	if c.waiting.n == 0 || c.workers > 0 && c.busy > c.workers {
		c.busy--
		return
	}
	next := c.waiting.pop(&s.tasks)
	s.serve(next, s.tasks.at(next), c)
}

// answered is what the answer j to a call does when it has arrived at its caller.
func (s *Simulation) answered(j int32, child *task, c *container, bytes int64) {
	pool, caller, failed := child.pool, child.caller, child.is(flagFailed)
	switch {
	case child.is(flagOrphan):
		s.tasks.release(j)
		return
	case child.is(flagAsync):
		c.gauges[collector.QueueDownstream]--
		c.departures[collector.QueueDownstream]++
		child.borrowed = pool
		s.giveBack(child, c)
		s.tasks.release(j)
		return
	}
	sent := child.sent
	s.tasks.release(j)
	t := s.tasks.at(caller)
	if t.is(flagUser) {
		t.sent = sent
	}
	t.gen++ // ends its timer
	t.child = none
	c.gauges[collector.QueueDownstream]--
	c.departures[collector.QueueDownstream]++
	c.gauges[collector.QueueReceive] += bytes
	c.gauges[collector.QueueUnreadRequests]++
	c.gauges[collector.QueueEpollReady]++
	t.unread = int32(bytes)
	t.flags |= flagReplied
	t.borrowed = pool
	t.debt += s.costs.Receive
	s.goOn(caller, t, failed)
}

// goOn lets a task continue after its call was answered or given up.
func (s *Simulation) goOn(i int32, t *task, failed bool) {
	o := &s.programs.ops[t.pc]
	switch {
	case failed && t.attempt < o.retries:
		t.attempt++
	case failed && !o.soft:
		t.attempt = 0
		s.fail(i, t)
		return
	default:
		t.attempt = 0
		t.pc++
		if failed {
			t.flags |= flagMissed
		}
	}
	s.advance(i, t)
}

// timeout is what a task does when it has waited too long: it gives up.
func (s *Simulation) timeout(i int32, t *task) {
	t.gen++
	c := s.containers[t.container]
	switch t.phase {
	case phaseLock:
		o := &s.programs.ops[t.pc]
		c.locks[o.lock].waiting.remove(&s.tasks, i)
		s.fail(i, t)
	case phaseCall:
		child := s.tasks.at(t.child)
		child.flags |= flagOrphan
		child.caller = none
		pool := child.pool
		sent := child.phase != phasePool && child.phase != phaseConnecting
		t.child = none
		if sent {
			c.gauges[collector.QueueDownstream]--
			s.closed(pool)
		}
		if t.is(flagUser) {
			t.flags |= flagTimedOut
			t.sent = s.now // never
			if sent {
				t.sent = child.sent
			}
		}
		s.goOn(i, t, true)
	}
}

// fail ends the program of a task with an error.
func (s *Simulation) fail(i int32, t *task) {
	t.flags |= flagFailed
	s.unlockAll(i, t)
	t.pc = pcEnd
	if t.is(flagBranch) {
		t.pc = pcJoin
	}
	s.advance(i, t)
}

// fork starts the branches of a step.
func (s *Simulation) fork(i int32, t *task, o *op) {
	t.pending = o.count
	t.phase = phaseJoin
	first := t.pc + 1
	t.pc = o.jump
	on, key := t.container, t.key
	for k := range o.count {
		j, b := s.tasks.new()
		b.key, b.container, b.caller = key, on, i
		b.flags = flagBranch
		b.pc = s.programs.ops[first+k].jump
		if s.programs.ops[b.pc].kind == opCall {
			b.flags |= flagPaid
		}
		s.advance(j, b)
	}
}

// join ends a branch, and the step if it is the last one.
func (s *Simulation) join(i int32, b *task) {
	parent, failed := b.caller, b.is(flagFailed)
	reply := b.reply
	s.tasks.release(i)
	t := s.tasks.at(parent)
	t.reply += reply
	if failed {
		t.flags |= flagFailed
	}
	t.pending--
	if t.pending > 0 {
		return
	}
	if t.is(flagFailed) {
		s.fail(parent, t)
		return
	}
	s.advance(parent, t)
}

// acquire takes a lock. It returns false if the task must wait for it.
func (s *Simulation) acquire(i int32, t *task, c *container, o *op) bool {
	l := &c.locks[o.lock]
	switch {
	case t.is(flagGranted):
		t.flags &^= flagGranted
	case l.holder == none:
		l.holder = i
	default:
		t.phase = phaseLock
		l.waiting.push(&s.tasks, i)
		if o.timers >= 0 {
			s.startTimer(o.timers, i, t)
		}
		return false
	}
	l.nextHeld = t.heldLock
	t.heldLock = o.lock
	return true
}

// unlock gives a lock to the next who waits for it.
func (s *Simulation) unlock(i int32, c *container, n int32) {
	l := &c.locks[n]
	// The last one taken is the first one given back, but for failures.
	t := s.tasks.at(i)
	t.heldLock = l.nextHeld
	l.nextHeld = none
	l.holder = l.waiting.pop(&s.tasks)
	if l.holder == none {
		return
	}
	next := s.tasks.at(l.holder)
	next.gen++
	next.flags |= flagGranted
	next.debt += s.costs.Wake
	s.advance(l.holder, next)
}

func (s *Simulation) unlockAll(i int32, t *task) {
	c := s.containers[t.container]
	for t.heldLock != none {
		s.unlock(i, c, t.heldLock)
	}
}
