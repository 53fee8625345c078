package sim

import "seer/collector"

// pool is the connections from one container to another.
type pool struct {
	from, to int32
	limit    int32 // connections
	open     int32 // connected or connecting
	idle     int32
	leaked   int32 // open, used by nobody and lost to the pool
	waiting  fifo  // calls without a connection

	multiplex bool // calls share one connection; idle is 1 once it is there
}

const (
	// synRetry is the time after which an unanswered SYN is sent again
	// (TCP_TIMEOUT_INIT).
	synRetry   = 1e9
	synRetries = 6 // net.ipv4.tcp_syn_retries
)

// poolTo returns the pool from a container to one replica of the service in a
// slot. The pools of a slot are made when the first call needs them.
func (s *Simulation) poolTo(from int32, c *container, slot, callee int32, replica int) int32 {
	for int(slot) >= len(c.pools) {
		c.pools = append(c.pools, none)
	}
	if c.pools[slot] == none {
		c.pools[slot] = int32(len(s.pools))
		v := &s.services[callee]
		for _, to := range v.containers {
			p := pool{from: from, to: to, limit: s.poolLimit(c, v), waiting: newFIFO()}
			if v.multiplex && !c.users {
				p.multiplex, p.limit = true, 1
			}
			s.pools = append(s.pools, p)
		}
	}
	return c.pools[slot] + int32(replica)
}

func (s *Simulation) poolLimit(c *container, callee *service) int32 {
	if c.users {
		connections := s.app.Load.Connections
		if connections <= 0 {
			connections = 64
		}
		return int32(max(1, (connections+len(callee.containers)-1)/len(callee.containers)))
	}
	if n := s.services[c.service].spec.Pool; n > 0 {
		return int32(n)
	}
	return 16
}

// connect gives a call a connection, now or later, and sends it then.
func (s *Simulation) connect(i int32, t *task) {
	p := &s.pools[t.pool]
	switch {
	case p.multiplex && p.idle > 0:
		s.send(i, t, p)
	case p.idle > 0:
		p.idle--
		s.send(i, t, p)
	case p.open < p.limit:
		p.open++
		t.phase = phaseConnecting
		s.sendSYN(i, t, 0)
	default:
		t.phase = phasePool
		p.waiting.push(&s.tasks, i)
	}
}

// giveBack returns the connection that a thread used to its pool, unless it leaks.
func (s *Simulation) giveBack(t *task, c *container) {
	pool := t.borrowed
	t.borrowed = none
	p := &s.pools[pool]
	if p.multiplex {
		return
	}
	if c.leak.chance > 0 && happens(draw(t.key, saltLeak+uint32(t.pc)), c.leak.chance) {
		p.leaked++
		s.heap.push(s.now+c.leak.after, evReclaim, pool, c.leak.fault)
		return
	}
	p.idle++
	s.connectNext(p)
}

// leak is a fault in a container: connections of its pools are not given back.
type leak struct {
	chance uint64 // per call
	after  int64  // when a time-out gives it back after all, ns
	fault  int32
}

// reclaim is what happens at evReclaim.
func (s *Simulation) reclaim(pool, fault int32) {
	p := &s.pools[pool]
	if p.leaked == 0 || s.containers[p.from].leak.fault != fault {
		return
	}
	p.leaked--
	p.idle++
	s.connectNext(p)
}

// closed is what happens to a pool when one of its connections is closed.
func (s *Simulation) closed(pool int32) {
	p := &s.pools[pool]
	if p.multiplex {
		return // only a stream is reset
	}
	p.open--
	s.connectNext(p)
}

// connectNext serves a call that waits for a connection.
func (s *Simulation) connectNext(p *pool) {
	for p.waiting.n > 0 && (p.idle > 0 || p.open < p.limit) {
		i := p.waiting.pop(&s.tasks)
		t := s.tasks.at(i)
		if t.is(flagOrphan) {
			s.tasks.release(i)
			continue
		}
		s.connect(i, t)
		return
	}
}

// sendSYN asks for a connection. The answer comes after a round trip, or never.
func (s *Simulation) sendSYN(i int32, t *task, attempt int32) {
	p := &s.pools[t.pool]
	from, to := s.containers[p.from], s.containers[p.to]
	a, b := &s.hosts[from.host], &s.hosts[to.host]
	lost := a.down > 0 || b.down > 0
	// The SYN or its answer.
	if loss := from.link.loss + to.link.loss; loss > 0 && !lost {
		lost = happens(draw(t.key, saltLoss+uint32(attempt)<<8+0xff<<16), loss)
	}
	// A full backlog drops the SYN (tcp_conn_request).
	if lost || to.gauges[collector.QueueAcceptBacklog] >= to.backlog {
		s.heap.push(s.now+synRetry<<min(attempt, synRetries), evSYN, i, attempt+1)
		return
	}
	hop := s.hop(from, to)
	to.gauges[collector.QueueSYN]++
	s.heap.push(s.now+2*hop, evConnected, i, 0)
	s.heap.push(s.now+3*hop, evACK, p.to, 0)
}

func (s *Simulation) hop(a, b *container) int64 {
	if a.host == b.host {
		return s.costs.HopLocal
	}
	return s.costs.HopRemote
}

// synAgain is what happens at evSYN.
func (s *Simulation) synAgain(i, attempt int32) {
	t := s.tasks.at(i)
	if t.is(flagOrphan) {
		p := &s.pools[t.pool]
		s.tasks.release(i)
		p.open--
		s.connectNext(p)
		return
	}
	s.sendSYN(i, t, attempt)
}

// connected is what happens at evConnected: the client may send.
func (s *Simulation) connected(i int32) {
	t := s.tasks.at(i)
	p := &s.pools[t.pool]
	if p.multiplex {
		// idle stands for "the connection is there"; whoever waited may send.
		p.idle = 1
		for w := p.waiting.pop(&s.tasks); w != none; w = p.waiting.pop(&s.tasks) {
			if wt := s.tasks.at(w); wt.is(flagOrphan) {
				s.tasks.release(w)
			} else {
				s.send(w, wt, p)
			}
		}
	}
	if !t.is(flagOrphan) {
		s.send(i, t, p)
		return
	}
	s.tasks.release(i)
	if !p.multiplex {
		p.idle++
		s.connectNext(p)
	}
}

// handshakeEnds is what happens at evACK: the connection waits to be accepted.
func (s *Simulation) handshakeEnds(on int32) {
	c := s.containers[on]
	c.gauges[collector.QueueSYN]--
	c.departures[collector.QueueSYN]++
	c.gauges[collector.QueueAcceptBacklog]++
	c.arrivals[collector.QueueAcceptBacklog]++
	i, t := s.tasks.new()
	t.container, t.pc, t.debt = on, pcAccepted, s.costs.Accept
	s.advance(i, t)
}

// send sends a call over its connection.
func (s *Simulation) send(i int32, t *task, p *pool) {
	from, to := s.containers[p.from], s.containers[p.to]
	t.phase = phaseRequest
	t.sent = s.now
	from.gauges[collector.QueueDownstream]++
	from.gauges[collector.QueueSend] += s.costs.RequestBytes
	s.transmit(i, t, from, to, s.costs.RequestBytes, 0)
}
