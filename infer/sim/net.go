package sim

import "seer/collector"

// link is a container's end of a virtual Ethernet pair.
type link struct {
	byteTime int64  // per byte, ns/unit
	free     int64  // when everything queued will have been sent, ns
	loss     uint64 // chance that a message that it sends is lost
}

const (
	// rto is TCP's time-out of the first retransmission: a request or answer is
	// a packet or two, so its loss shows in nothing else (TCP_RTO_MIN).
	rto = 200e6
	// longestRTO bounds its doubling, as a long failure would else be followed
	// by minutes of silence (TCP_RTO_MAX is 120 s).
	longestRTO = 6
	// segment is the payload of a packet.
	segment = 1448
	// headerBytes is added to each message: Ethernet, IP and TCP.
	headerBytes = 66
)

// byteTime turns a bandwidth into ns/unit per byte.
func byteTime(bytesPerSecond float64) int64 {
	return max(1, int64(unit*1e9/bytesPerSecond+0.5))
}

// transmit sends the message of a call from one container to another: the
// request, or in phaseReply the answer.
func (s *Simulation) transmit(i int32, t *task, from, to *container, bytes int64, attempt int32) {
	a, b := &s.hosts[from.host], &s.hosts[to.host]
	at := s.now
	if !from.users { // whose machines are not ours
		size := bytes + headerBytes
		at = max(at, from.link.free) + size*from.link.byteTime/unit
		from.link.free = at
		if a != b {
			at = max(a.nic, at) + size*s.nicByteTime/unit
			a.nic = at
		}
	}
	at += s.hop(from, to)
	if loss := from.link.loss; loss > 0 || a.down > 0 || b.down > 0 {
		salt := saltLoss + uint32(attempt)<<8 + uint32(t.phase)<<16
		if a.down > 0 || b.down > 0 || happens(draw(t.key, salt), loss) {
			s.heap.push(at+rto<<min(attempt, longestRTO), evResend, i, attempt+1)
			return
		}
	}
	s.heap.push(at, evMessage, i, 0)
}

// ends returns the sender and the receiver of the message under way, and its size.
func (s *Simulation) ends(t *task) (from, to *container, bytes int64) {
	p := &s.pools[t.pool]
	if t.phase == phaseReply {
		return s.containers[p.to], s.containers[p.from], s.costs.ReplyBytes + t.reply
	}
	return s.containers[p.from], s.containers[p.to], s.costs.RequestBytes
}

// resend retransmits a lost message.
func (s *Simulation) resend(i, attempt int32) {
	t := s.tasks.at(i)
	from, to, bytes := s.ends(t)
	s.transmit(i, t, from, to, bytes, attempt)
}

// arriveNIC is what happens at evMessage: the softirq of the receiving host
// takes packets one after the other.
func (s *Simulation) arriveNIC(i int32) {
	t := s.tasks.at(i)
	_, to, bytes := s.ends(t)
	if to.users {
		s.arriveSocket(i, t)
		return
	}
	if s.costs.Kernel > 0 {
		s.kernelWork(to.host)
	}
	h := &s.hosts[to.host]
	packets := 1 + bytes/segment
	busy := h.receive
	h.receive = max(busy, s.now) + packets*s.costs.Packet
	to.departures[collector.QueueNICRx] += packets
	if busy > s.now {
		to.gauges[collector.QueueNICRx] += packets
		s.heap.push(busy, evSocket, i, 0)
		return
	}
	s.arriveSocket(i, t)
}

// leaveBacklog is what happens at evSocket.
func (s *Simulation) leaveBacklog(i int32) {
	t := s.tasks.at(i)
	_, to, bytes := s.ends(t)
	to.gauges[collector.QueueNICRx] -= 1 + bytes/segment
	s.arriveSocket(i, t)
}

// arriveSocket delivers a message: TCP acknowledges it, the application has an
// event to collect.
func (s *Simulation) arriveSocket(i int32, t *task) {
	from, to, bytes := s.ends(t)
	from.gauges[collector.QueueSend] -= bytes
	from.departures[collector.QueueSend] += bytes
	if t.phase == phaseReply {
		s.answered(i, t, to, bytes)
		return
	}
	to.gauges[collector.QueueReceive] += bytes
	to.gauges[collector.QueueUnreadRequests]++
	to.gauges[collector.QueueEpollReady]++
	t.unread = int32(bytes)
	t.flags |= flagRequest
	if to.workers > 0 && to.busy >= to.workers {
		t.phase = phaseWorker
		to.waiting.push(&s.tasks, i)
		return
	}
	to.busy++
	s.serve(i, t, to)
}

// read takes what arrived for a thread out of the socket. The thread's epoll_wait
// has collected every other event of its program, too.
func (s *Simulation) read(t *task, c *container) {
	c.gauges[collector.QueueReceive] -= int64(t.unread)
	c.departures[collector.QueueReceive] += int64(t.unread)
	c.gauges[collector.QueueUnreadRequests]--
	c.gauges[collector.QueueEpollReady] = 0
	t.unread = 0
	if t.is(flagRequest) {
		t.flags &^= flagRequest
		c.gauges[collector.QueueOutstanding]++
		if s.onRead != nil {
			s.onRead(t)
		}
	}
	if t.is(flagReplied) {
		t.flags &^= flagReplied
		s.giveBack(t, c)
	}
}
