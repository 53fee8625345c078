package collector

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"seer/bpf"
	"seer/collector/container"
)

// assembler turns what the programs wrote into ticks. It reads shared memory
// only, and allocates only when the set of containers changes.
type assembler struct {
	slots    *slots
	resolver *container.Resolver
	groups   *grouping // nil: one row per container
	counted  *counted  // nil while nobody's requests are counted
	streams  *streams

	order []int // slots in use, by container ID
	dirty bool
	past  []pastRow // by slot
	rows  []Row

	requests []RequestRow // of this tick
	open     []OpenRow

	segments  uint64  // received by all containers, this tick
	processed uint64  // softnet, at the last tick
	nic       nicTick // what the host's backlog did this tick
}

// pastRow is what a row said at the end of the last tick.
type pastRow struct {
	owner    uint64
	segments uint64
	sockets  int
	closing  int
	cells    [NumQueues]pastCell
}

type pastCell struct {
	total     uint64 // depth summed over passes
	depth     float64
	mean, max float64
	limit     float64
	began     uint64 // the last whole pass, CLOCK_MONOTONIC, ns
	counts
	at   uint64 // when the counts were read, CLOCK_MONOTONIC, ns
	wait uint64
}

// readCounts reads four counters that other CPUs add to as one: until two
// readings agree, or, on a queue too busy for that, a few times. It returns
// the time of the reading, too: the sampler may have been off its CPU since
// the tick ended.
func readCounts(cell *bpf.SocketQueueCell) (c counts, at uint64) {
	for range 8 {
		at = uint64(monotonic())
		c = loadCounts(cell)
		if loadCounts(cell) == c {
			break
		}
	}
	return c, at
}

func loadCounts(cell *bpf.SocketQueueCell) counts {
	return counts{
		arrivals: atomic.LoadUint64(&cell.Arrivals), departures: atomic.LoadUint64(&cell.Departures),
		in: atomic.LoadUint64(&cell.InNs), out: atomic.LoadUint64(&cell.OutNs),
	}
}

// nicTick sums the host's receive backlog over the passes of one tick.
type nicTick struct {
	passes    int
	sum, max  uint64
	now       uint64
	processed uint64
	valid     bool
}

// span is the time that a tick covers and how often each queue was looked at.
type span struct {
	seconds float64
	start   uint64 // CLOCK_MONOTONIC, ns
	end     uint64
	passes  [NumQueues]int
	pass    [NumQueues]uint64
	began   [NumQueues]uint64 // the last whole pass, CLOCK_MONOTONIC, ns
	valid   [NumQueues]bool
	aged    bool // the last pass counted the ages of open requests
}

func newAssembler(s *slots, r *container.Resolver, g container.GroupBy) *assembler {
	a := &assembler{slots: s, resolver: r, past: make([]pastRow, len(s.rows)), dirty: true}
	if g == container.ByService || g == container.ByUnit {
		a.groups = newGrouping(r)
	}
	return a
}

// assemble reads every row in use. The result is valid until the next call, and
// whole but for what could not be counted exactly when there is an error.
func (a *assembler) assemble(sp *span) (rows []Row, requests []RequestRow, open []OpenRow, err error) {
	a.refreshOrder()
	a.rows, a.requests, a.open = a.rows[:0], a.requests[:0], a.open[:0]
	a.segments = 0
	for _, slot := range a.order {
		row := &a.slots.rows[slot]
		past := &a.past[slot]
		if row.Owner == 0 {
			a.dirty = true
			continue
		}
		if past.owner != row.Owner {
			*past = pastRow{owner: row.Owner}
		}
		id := container.ID(row.Owner)
		if id&container.ByComm != 0 && row.Comm[0] != 0 {
			a.nameProgram(id, row)
		}
		a.rows = append(a.rows, Row{Container: a.resolver.Resolve(id)})
		out := &a.rows[len(a.rows)-1]
		switch {
		case sp.passes[QueueOutstanding] == 0:
			out.Sockets, out.CloseWait = past.sockets, past.closing // the pass under way has not met all
		case row.Pass == sp.pass[QueueOutstanding]:
			out.Sockets, out.CloseWait = int(row.Sockets), int(row.CloseWait)
		}
		past.sockets, past.closing = out.Sockets, out.CloseWait
		for q := range row.Cells {
			if Queue(q) != QueueNICRx && sp.valid[q] {
				readCell(&out.Cells[q], &row.Cells[q], &past.cells[q], Queue(q), sp)
			}
		}
		a.streams.refine(id, out, sp)
		received := row.SegmentsIn - past.segments
		past.segments = row.SegmentsIn
		a.segments += received
		out.Cells[QueueNICRx].Arrivals = float64(received) // until shared out
		if a.counted != nil && err == nil {
			err = a.countExactly(slot, out, sp)
		}
	}
	a.shareBacklog()
	if a.groups != nil {
		rows, requests, open = a.groups.merge(a.rows, a.requests, a.open)
		return rows, requests, open, err
	}
	return a.rows, a.requests, a.open, err
}

// countExactly replaces sampled by counted numbers in the last row, if its
// container is chosen.
func (a *assembler) countExactly(slot int, out *Row, sp *span) error {
	chosen, err := a.counted.judge(slot, out.Container)
	if chosen == nil || err != nil {
		return err
	}
	if err := a.counted.refine(uint32(slot), chosen, out, sp); err != nil {
		return err
	}
	if chosen.latency < 0 {
		return nil
	}
	a.requests = extend(a.requests)
	r := &a.requests[len(a.requests)-1]
	*r = RequestRow{Row: len(a.rows) - 1}
	a.counted.times(chosen, r)
	if sp.aged {
		a.open = extend(a.open)
		o := &a.open[len(a.open)-1]
		*o = OpenRow{Row: len(a.rows) - 1}
		a.counted.ages(chosen, o)
	}
	return nil
}

// extend makes a slice one longer; what it was that long before is kept.
func extend[T any](s []T) []T {
	if len(s) < cap(s) {
		return s[:len(s)+1]
	}
	var zero T
	return append(s, zero)
}

// refreshOrder notices containers that came since the last tick.
func (a *assembler) refreshOrder() {
	high := a.slots.high
	a.slots.extend()
	if a.slots.high != high {
		a.dirty = true
	}
	if !a.dirty {
		for _, slot := range a.order {
			if a.slots.rows[slot].Owner != a.past[slot].owner {
				a.dirty = true
				break
			}
		}
	}
	if !a.dirty && len(a.order) == a.slots.used() {
		return
	}
	a.order = a.order[:0]
	for slot := range a.slots.high {
		if a.slots.rows[slot].Owner != 0 {
			a.order = append(a.order, slot)
		}
	}
	slices.SortFunc(a.order, func(i, j int) int {
		return cmp.Compare(a.slots.rows[i].Owner, a.slots.rows[j].Owner)
	})
	a.dirty = false
}

func (a *assembler) nameProgram(id container.ID, row *bpf.SocketContainerRow) {
	if c := a.resolver.Resolve(id); c.Name != id.String() {
		return
	}
	var name [16]byte
	n := 0
	for n < len(name) && row.Comm[n] != 0 {
		name[n] = byte(row.Comm[n])
		n++
	}
	a.resolver.SetComm(id, string(name[:n]))
}

// readCell computes one queue's tick from what the kernel side counted.
func readCell(out *Cell, cell *bpf.SocketQueueCell, past *pastCell, q Queue, sp *span) {
	// The programs add to these while they are read. What has been read
	// belongs to this tick; what comes later belongs to the next.
	total, wait := cell.Sum+cell.Depth, cell.WaitNs
	now, at := readCounts(cell)
	arrivals, departures := now.arrivals, now.departures

	out.Valid = true
	// What passes count comes at once with a pass, however many ticks ago the
	// last one was.
	covered := sp.seconds
	if past.began != 0 && sp.began[q] > past.began && q != QueueAcceptBacklog {
		covered = float64(sp.began[q]-past.began) / 1e9
	}
	switch n := sp.passes[q]; {
	case n > 0:
		if cell.Pass == sp.pass[q] {
			out.Depth = float64(cell.Depth)
			out.Limit = float64(cell.Limit)
		}
		out.Mean = float64(total-past.total) / float64(n)
		out.Max = max(float64(cell.Max), out.Depth)
		cell.Max = 0
	case q != QueueBlockIO:
		// A pass is under way: what the last whole one found stands.
		total = past.total
		out.Depth, out.Mean, out.Max, out.Limit = past.depth, past.mean, past.max, past.limit
	}
	out.Departures = float64(departures - past.departures)

	switch q {
	case QueueBlockIO:
		// Exact, from the times of arrivals and departures.
		out.Arrivals = float64(arrivals - past.arrivals)
		out.Depth = float64(int64(arrivals - departures))
		start := past.at
		if start == 0 {
			start = sp.start // the first tick of this container
		}
		out.Mean = meanDepth(past.counts, now, start, at)
		out.Max = max(out.Mean, out.Depth, past.depth)
	case QueueRun:
		// The growth of run delay is the area under the depth curve.
		if sp.passes[q] > 0 {
			out.Mean = float64(wait-past.wait) / (covered * 1e9)
		}
		out.Arrivals = max(0, out.Departures+out.Depth-past.depth)
		out.Max = max(out.Max, out.Mean)
	default:
		switch {
		case q == QueueAcceptBacklog:
			out.Arrivals = float64(arrivals - past.arrivals)
			out.Departures = max(0, out.Arrivals-(out.Depth-past.depth))
		case departures != 0:
			out.Arrivals = max(0, out.Departures+out.Depth-past.depth)
		}
	}
	if out.Departures > 0 {
		out.Wait = littleWait(out.Mean, covered, out.Departures)
		if q == QueueBlockIO {
			out.Wait = time.Duration(float64(wait-past.wait) / out.Departures) // measured
		}
	}
	*past = pastCell{total: total, depth: out.Depth, mean: out.Mean, max: out.Max, limit: out.Limit, began: sp.began[q], counts: now, at: at, wait: wait}
}

// shareBacklog gives each container its part of the host's receive backlog, by
// the TCP segments it received this tick; what nobody received is the host's.
// Only sampled headers would tell exactly (DESIGN.md section 3.4).
func (a *assembler) shareBacklog() {
	for i := range a.rows {
		cell := &a.rows[i].Cells[QueueNICRx]
		received := cell.Arrivals
		*cell = Cell{}
		if !a.nic.valid || a.nic.passes == 0 {
			continue
		}
		share := 0.0
		switch {
		case a.segments > 0:
			share = received / float64(a.segments)
		case a.rows[i].Container.Runtime == "host":
			share = 1
		}
		cell.Valid = true
		cell.Depth = share * float64(a.nic.now)
		cell.Mean = share * float64(a.nic.sum) / float64(a.nic.passes)
		cell.Max = share * float64(a.nic.max)
		cell.Arrivals = share * float64(a.nic.processed)
		cell.Departures = cell.Arrivals
	}
	a.nic = nicTick{valid: a.nic.valid}
}
