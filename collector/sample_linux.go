package collector

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// longestSleep bounds how late the sampler notices that it should stop.
const longestSleep = 200 * time.Millisecond

// sample takes passes and emits ticks until ctx ends. It has a thread of its
// own, so that the thread's CPU time is what the passes cost.
//
// A tick is cut into as many equal parts as it has passes. The last pass ends
// the tick; the others fall at random within their parts, since a pass at a
// fixed distance would see a periodic service always in the same state.
func (c *Collector) sample(ctx context.Context, sinks []Sink) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	random := rand.New(rand.NewPCG(uint64(monotonic()), 0))
	length := c.cfg.Tick.Nanoseconds()
	due := monotonic() // when the tick should begin
	read := due        // when the rows were last read
	origin, originTime := due, time.Now()
	var tick Tick
	var sp span
	for seq := uint64(1); ; seq++ {
		passes := max(1, int(c.cfg.Tick.Seconds()*c.pace.Load().PassHz))
		part := length / int64(passes)
		for i := range passes {
			at := due + int64(i)*part + random.Int64N(part)
			if i == passes-1 {
				at = due + length
			}
			if !sleepUntil(ctx, at) {
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
			Rows:   c.assembler.assemble(&sp),
		}
		c.countExactly(&tick, &sp)
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

// takePass visits what is due in pass i of n.
func (c *Collector) takePass(i, n int) {
	last := i == n-1
	// The scheduler's clock is read from this thread's wake-up: first.
	if last || i%taskEvery == taskEvery-1 {
		c.visit(c.task)
	}
	c.visit(c.socket)
	if last || i%epollEvery == epollEvery-1 {
		c.visit(c.epoll)
	}
	if last || i%nicEvery == nicEvery-1 {
		c.readBacklog()
	}
}

func (c *Collector) visit(f *family) {
	wasOn := f.state == ProbeOn
	before := f.cpu
	err := f.visit(c.memory)
	if f == c.socket {
		c.ledger.passes.Add(1)
		c.ledger.sockets.Add(int64(f.cpu - before))
	} else {
		c.ledger.others.Add(int64(f.cpu - before))
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
		n.processed += now.Processed - c.assembler.processed
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
			sp.valid[q] = f.state == ProbeOn && f.passes > 0
		}
	}
	sp.valid[QueueBlockIO] = c.block.State == ProbeOn
	sp.pass[QueueBlockIO] = ^uint64(0) // no pass: depth comes from the counters
}

// countExactly replaces sampled by counted numbers while exact mode is on.
func (c *Collector) countExactly(tick *Tick, sp *span) {
	want := c.pace.Load().Exact
	switch {
	case c.exact == nil:
		return
	case want && !c.exact.active():
		if err := c.exact.switchOn(c.memory); err != nil {
			c.log.Warn("requests cannot be counted exactly", "err", err)
			c.exactErr, c.exact = err, nil
		}
		return
	case !want && c.exact.active():
		c.exact.switchOff(c.memory)
		return
	case !want || c.assembler.groups != nil:
		return
	}
	for i, slot := range c.assembler.order {
		if i >= len(tick.Rows) || uint64(tick.Rows[i].Container.ID) != c.slots.rows[slot].Owner {
			continue
		}
		if err := c.exact.refine(uint32(slot), c.slots.rows[slot].Owner, &tick.Rows[i], sp); err != nil {
			c.log.Warn("requests cannot be counted exactly", "err", err)
			return
		}
	}
}

// sleepUntil waits for a time of CLOCK_MONOTONIC; false means stop. A system
// call is cheaper here than a Go timer: the thread is the sampler's own.
func sleepUntil(ctx context.Context, at int64) bool {
	for {
		if ctx.Err() != nil {
			return false
		}
		left := at - monotonic()
		if left <= 0 {
			return true
		}
		until := monotonic() + min(left, longestSleep.Nanoseconds())
		ts := unix.NsecToTimespec(until)
		// EINTR is the runtime's own signal: look at the clock again.
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
	}
}
