package collector

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"seer/bpf"
	"seer/collector/container"
	"seer/collector/latency"
)

// counted is whose requests the hooks count, and what they counted so far.
//
// A request that is open when nobody counts any more would be in its queue for
// ever. So each choice of a container is another number, under which its counters
// begin anew: the programs take for open only what they opened under that number.
type counted struct {
	memory  *memory
	rows    *ebpf.Map                       // exact_rows
	cpus    []bpf.RequestTracepointExactRow // scratch, one per CPU
	zero    []bpf.RequestTracepointExactRow
	epoch   uint32
	slots   []chosenSlot // by slot, as far as exact_rows reaches
	timed   []*timed     // by latency row; nil: never given away
	unused  []int        // latency rows that nobody has
	version uint64       // of the picks that slots follow
	picks   map[string]Pick
}

// exactLatencyBits is EXACT_LATENCY_BITS of exact.bpf.h: container_row.exact is an
// epoch above a latency row counted from 1.
const exactLatencyBits = 12

// chosenSlot is what is known of one container.
type chosenSlot struct {
	owner   uint64
	is      *container.Container // as it was judged
	chosen  uint32               // container_row.exact; 0: not counted
	latency int                  // latency row; -1: none
	past    exactPast
}

type exactPast struct {
	outstanding, downstream counts
	unanswered              [2]uint64 // outstanding, downstream
}

// timed is a latency row as it was last read. Rows are never cleared, so that what
// a hook still adds for the last owner is not taken for a count of the next.
type timed struct {
	past bpf.RequestTracepointLatencyRow
}

func newCounted(m *memory, rows *ebpf.Map) (*counted, error) {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("exact counters: %w", err)
	}
	c := &counted{
		memory: m, rows: rows, slots: make([]chosenSlot, rows.MaxEntries()), timed: make([]*timed, len(m.latencies)),
		cpus: make([]bpf.RequestTracepointExactRow, cpus), zero: make([]bpf.RequestTracepointExactRow, cpus),
	}
	for i := len(m.latencies) - 1; i >= 0; i-- {
		c.unused = append(c.unused, i)
	}
	return c, nil
}

// read reads the counters of a slot. Slots beyond EXACT_MAX have none:
// ebpf.ErrKeyNotExist.
func (c *counted) read(slot uint32) (now exactPast, err error) {
	if err := c.rows.Lookup(slot, c.cpus); err != nil {
		return now, fmt.Errorf("exact counters of slot %d: %w", slot, err)
	}
	for i := range c.cpus {
		addCounters(&now.outstanding, &c.cpus[i].Outstanding)
		addCounters(&now.downstream, &c.cpus[i].Downstream)
		now.unanswered[0] += c.cpus[i].UnansweredOutstanding
		now.unanswered[1] += c.cpus[i].UnansweredDownstream
	}
	return now, nil
}

// follow takes over picks, and lets nobody be counted where there are none.
func (c *counted) follow(picks map[string]Pick, version uint64) {
	if version != c.version {
		c.picks, c.version = picks, version
		for i := range c.slots {
			c.slots[i].is = nil // judged anew
		}
	}
}

// judge decides whether the container in a slot is counted from now on, and
// returns what is known of it; nil where it is not counted.
func (c *counted) judge(slot int, is *container.Container) (*chosenSlot, error) {
	if slot >= len(c.slots) {
		return nil, nil
	}
	s, row := &c.slots[slot], &c.memory.rows[slot]
	if s.owner != row.Owner {
		c.give(s) // of the container that had the slot before
		*s = chosenSlot{owner: row.Owner, latency: -1}
	}
	if s.is != is {
		s.is = is
		switch want := picked(c.picks, is); {
		case want && s.chosen == 0:
			if err := c.choose(uint32(slot), s); err != nil {
				s.is = nil
				return nil, err
			}
		case !want && s.chosen != 0:
			atomic.StoreUint32(&row.Exact, 0)
			c.give(s)
		}
	}
	if s.chosen == 0 {
		return nil, nil
	}
	return s, nil
}

// choose has a container counted, and timed while there are latency rows.
func (c *counted) choose(slot uint32, s *chosenSlot) error {
	if err := c.rows.Put(slot, c.zero); err != nil {
		return fmt.Errorf("clear exact counters of slot %d: %w", slot, err)
	}
	s.past, s.latency = exactPast{}, -1
	if last := len(c.unused) - 1; last >= 0 {
		s.latency = c.unused[last]
		c.unused = c.unused[:last]
		if c.timed[s.latency] == nil {
			c.timed[s.latency] = &timed{}
		}
		c.timed[s.latency].past = c.memory.latencies[s.latency]
	}
	c.epoch = max(1, (c.epoch+1)&(1<<(32-exactLatencyBits)-1))
	s.chosen = c.epoch<<exactLatencyBits | uint32(s.latency+1)
	atomic.StoreUint32(&c.memory.rows[slot].Exact, s.chosen)
	return nil
}

// give takes the latency row back from a container that is not counted any more.
func (c *counted) give(s *chosenSlot) {
	if s.chosen != 0 && s.latency >= 0 {
		c.unused = append(c.unused, s.latency)
	}
	s.chosen, s.latency = 0, -1
}

// nobody ends all counting, as when the hooks go off.
func (c *counted) nobody() {
	for slot := range c.slots {
		if s := &c.slots[slot]; s.chosen != 0 {
			if row := &c.memory.rows[slot]; row.Owner == s.owner {
				atomic.StoreUint32(&row.Exact, 0)
			}
			c.give(s)
		}
		c.slots[slot].is = nil
	}
}

// refine replaces the sampled arrivals, departures and means of outstanding
// and downstream by the counted ones. Depths at the end of the tick stay those
// of the passes, which anchor the level: requests that were open when the
// hooks went on are not among the counted.
func (c *counted) refine(slot uint32, s *chosenSlot, row *Row, sp *span) error {
	now, err := c.read(slot)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil // beyond EXACT_MAX: stays sampled
	}
	if err != nil {
		return err
	}
	refineCell(&row.Cells[QueueOutstanding], s.past.outstanding, now.outstanding, sp)
	refineCell(&row.Cells[QueueDownstream], s.past.downstream, now.downstream, sp)
	s.past = now
	return nil
}

// times adds what was timed since the last call to r.
func (c *counted) times(s *chosenSlot, r *RequestRow) {
	if s.latency < 0 {
		return
	}
	past, now := &c.timed[s.latency].past, &c.memory.latencies[s.latency]
	grown(&r.ServedFirst, &past.Outstanding.First, &now.Outstanding.First)
	grown(&r.Served, &past.Outstanding.Last, &now.Outstanding.Last)
	grown(&r.Called, &past.Downstream.Last, &now.Downstream.Last)
}

// ages adds the ages of the open requests that the last pass found to o.
func (c *counted) ages(s *chosenSlot, o *OpenRow) {
	grown(&o.Ages, &c.timed[s.latency].past.Ages, &c.memory.latencies[s.latency].Ages)
}

// grown adds to h by how much counts have grown, and remembers them. The programs
// go on counting: what is read belongs to this tick, what comes later to the next.
func grown(h *latency.Histogram, past, now *[latency.Buckets]uint32) {
	for i := range now {
		n := atomic.LoadUint32(&now[i])
		if n != past[i] {
			h.AddN(i, int32(n-past[i]))
			past[i] = n
		}
	}
}

func addCounters(c *counts, d *bpf.RequestTracepointExactCounters) {
	c.arrivals += d.Arrivals
	c.departures += d.Departures
	c.in += d.InNs
	c.out += d.OutNs
}

func refineCell(c *Cell, past, now counts, sp *span) {
	if !c.Valid {
		return
	}
	arrived, departed := now.arrivals-past.arrivals, now.departures-past.departures
	if now.arrivals == 0 {
		return // none ever: how its bytes are moved may be out of the hooks' sight
	}
	c.Arrivals, c.Departures, c.Wait = float64(arrived), float64(departed), 0
	if arrived == 0 && departed == 0 && now.arrivals == now.departures {
		return // what is there was there before
	}
	c.Mean = meanDepth(past, now, sp.start, sp.end)
	c.Max = max(c.Max, c.Mean)
	if departed > 0 {
		c.Wait = littleWait(c.Mean, sp.seconds, c.Departures)
	}
}
