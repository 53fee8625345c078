package collector

import (
	"context"
	"math/rand/v2"
	"time"
)

// sample takes passes and emits ticks until ctx ends.
//
// A tick is cut into as many equal parts as it has passes. The last pass ends
// the tick; the others fall at random within their parts, since a pass at a
// fixed distance would see a periodic service always in the same state.
func (c *Collector) sample(ctx context.Context, sinks []Sink) error {
	random := rand.New(rand.NewPCG(uint64(monotonic()), 0))
	length := c.cfg.Tick.Nanoseconds()
	due := monotonic() // when the tick should begin
	read := due        // when the rows were last read
	origin, originTime := due, time.Now()
	sleep := newSleeper()
	var carry float64 // of a pass, from tick to tick
	var tick Tick
	var sp span
	var err error // of counting exactly
	for seq := uint64(1); ; seq++ {
		passes := passesIn(c.cfg.Tick, c.pace.Load().PassHz, &carry)
		part := length / int64(passes)
		for i := range passes {
			at := due + int64(i)*part + random.Int64N(part)
			if i == passes-1 {
				at = due + length
			}
			if !sleep.until(ctx, at) {
				return nil
			}
			c.takePass(i, passes)
		}
		c.rowsMu.Lock()
		now := monotonic()
		c.describe(&sp, read, now)
		tick = Tick{
			Seq:    seq,
			Start:  originTime.Add(time.Duration(read - origin)),
			End:    originTime.Add(time.Duration(now - origin)),
			Passes: c.socket.passes,
			Losses: c.lossSum.Load(),
		}
		c.countExactly()
		if tick.Rows, tick.Requests, tick.Open, err = c.assembler.assemble(&sp); err != nil {
			c.giveUpExact(err)
		}
		c.publishHealth()
		c.rowsMu.Unlock()
		for _, f := range []*family{c.socket, c.epoll, c.task} {
			f.passes = 0
		}
		for _, s := range sinks {
			s.Consume(&tick)
		}
		read = now
		due += length
		if monotonic() > due+length {
			// A tick missed is not made up for: the next one is longer.
			c.late.Add(1)
			due = monotonic()
		}
	}
}

// due says what is to be visited as soon as the budget pays for it.
type due struct{ task, epoll bool }

// takePass visits what is due in pass i of n, unless the budget does not pay for
// that at each pass even at the lowest rate: then one pass in SubsetCount is
// taken. What the last one found stands until the next.
func (c *Collector) takePass(i, n int) {
	last := i == n-1
	c.due.task = c.due.task || last || i%taskEvery == taskEvery-1
	c.due.epoll = c.due.epoll || last || i%epollEvery == epollEvery-1
	if last || i%nicEvery == nicEvery-1 {
		c.readBacklog()
	}
	c.ledger.visits.Add(1)
	if c.socket.run.walking {
		c.visit(c.socket) // goes on with its pass
		return
	}
	if c.rested++; c.rested < c.pace.Load().SubsetCount {
		return
	}
	c.rested = 0
	c.ledger.passes.Add(1)
	// The scheduler's clock is read from this thread's wake-up: first.
	if c.due.task {
		c.visit(c.task)
	}
	if last && c.exact.tellsAges() {
		c.memory.control.AgesPass = c.socket.pass + 1
	}
	c.visit(c.socket)
	if c.memory.control.AgesPass != c.socket.pass {
		c.memory.control.AgesPass = 0 // no pass began
	}
	if c.due.epoll {
		c.visit(c.epoll)
	}
	c.due = due{}
}

func (c *Collector) visit(f *family) {
	wasOn := f.state == ProbeOn
	before := f.cpu
	err := f.visit(c.memory)
	if f == c.socket {
		c.ledger.sockets.Add(int64(f.cpu - before))
	} else {
		c.ledger.walks.Add(int64(f.cpu - before))
	}
	if wasOn && f.state != ProbeOn {
		c.log.Warn("queue off", "probe", f.name, "err", err)
	}
}

func (c *Collector) readBacklog() {
	if c.nic.State != ProbeOn {
		return
	}
	now, err := c.backlog.read()
	if err != nil {
		c.nic.State, c.nic.Reason = c.verdict("nic", err)
		c.assembler.nic.valid = false
		return
	}
	n := &c.assembler.nic
	n.valid = true
	n.passes++
	n.sum += now.Waiting
	n.max = max(n.max, now.Waiting)
	n.now = now.Waiting
	if c.assembler.processed != 0 {
		// Each CPU's count wraps at 2^32, so their sum is known modulo that.
		n.processed += uint64(uint32(now.Processed - c.assembler.processed))
	}
	c.assembler.processed = now.Processed
}

// describe says what the tick covers.
func (c *Collector) describe(sp *span, start, end int64) {
	*sp = span{start: uint64(start), end: uint64(end), seconds: float64(end-start) / 1e9}
	for _, f := range []*family{c.socket, c.epoll, c.task} {
		for _, q := range f.queues {
			sp.passes[q] = f.passes
			sp.pass[q] = f.pass
			sp.began[q] = uint64(f.lastBegan)
			sp.valid[q] = f.state == ProbeOn && (f.passes > 0 || f.failures == 0 && !f.last.IsZero())
		}
	}
	sp.aged = c.memory.control.AgesPass == c.socket.pass && c.socket.passes > 0 && !c.socket.run.walking
	sp.valid[QueueBlockIO] = c.block.State == ProbeOn
	sp.pass[QueueBlockIO] = ^uint64(0) // no pass: depth comes from the counters
}

// countExactly switches exact mode as the budget allows and asks who is to be
// counted, for the tick that is about to be read.
func (c *Collector) countExactly() {
	if c.exact == nil {
		return
	}
	picks, version := c.choice.now()
	switch want := c.pace.Load().Exact && len(picks) > 0; {
	case want && !c.exact.active():
		if err := c.exact.switchOn(c.memory); err != nil {
			c.giveUpExact(err)
			return
		}
		c.assembler.counted = c.counted
	case !want && c.exact.active():
		c.exact.switchOff(c.memory)
		c.counted.nobody()
		c.assembler.counted = nil
	}
	c.counted.follow(picks, version)
}

// giveUpExact turns exact mode off for good.
func (c *Collector) giveUpExact(err error) {
	c.log.Warn("requests cannot be counted exactly", "err", err)
	if c.exact.active() {
		c.exact.switchOff(c.memory)
	}
	c.counted.nobody()
	c.exactErr, c.exact, c.assembler.counted = err, nil, nil
}

// sleeper waits for times of CLOCK_MONOTONIC, with one timer.
//
// Waking up costs more than a pass over some hundred sockets, so how to wait
// was measured: CPU time per wake-up on a host of two busy CPUs was 233 us for a
// thread that sleeps in the kernel, 115 us for a Go timer, and 74 us for a
// thread that sleeps without telling Go's scheduler. The last keeps the runtime
// from going idle, which costs 9 ms a second at any rate of passes, so it would
// pay only above some 80 Hz.
type sleeper struct{ timer *time.Timer }

func newSleeper() *sleeper {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &sleeper{timer}
}

// until returns true at the given time, or false as soon as ctx ends.
func (s *sleeper) until(ctx context.Context, at int64) bool {
	left := at - monotonic()
	if left <= 0 {
		return ctx.Err() == nil
	}
	s.timer.Reset(time.Duration(left))
	select {
	case <-s.timer.C:
		return true
	case <-ctx.Done():
		s.timer.Stop()
		return false
	}
}
