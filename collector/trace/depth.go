package trace

import (
	"cmp"
	"slices"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// idleGap is how long nobody may hold a request before the time until the next
// one is taken for time in which nothing was traced, and left out.
const idleGap = 10 * time.Second

// change is a request that enters a queue or leaves it.
type change struct {
	at   int64
	span int32 // whose it is
	row  int32 // 2 x service, + 1: downstream
	step int8  // 1: enters, -1: leaves
}

// Depths calls emit for each tick, in order, with a row for each service, in
// order of container ID: its outstanding requests, those that it serves, and its
// downstream ones, those that it waits for. Ticks begin at multiples of their
// length. Link comes first. A tick handed to emit is valid until it returns.
//
// Means, arrivals and departures are exact, Wait is the mean duration of those
// that left, and Depth is what the end of the tick found.
func (s *Set) Depths(tick time.Duration, emit func(*collector.Tick) error) error {
	changes := s.changes()
	if len(changes) == 0 {
		return nil
	}
	w := newSweep(s, tick)
	w.begin(changes[0].at)
	for i := range changes {
		c := &changes[i]
		if err := w.advance(c.at, emit); err != nil {
			return err
		}
		w.apply(c)
	}
	return w.end(emit)
}

// changes lists them in order of time. At one moment those that leave go first,
// but a request that takes no time enters before it leaves.
func (s *Set) changes() []change {
	var changes []change
	add := func(span int, service int32, downstream int32) {
		sp := &s.Spans[span]
		row := 2*service + downstream
		changes = append(changes, change{sp.Start, int32(span), row, 1}, change{sp.End, int32(span), row, -1})
	}
	for i := range s.Spans {
		sp := &s.Spans[i]
		switch sp.Kind {
		case Server, Consumer:
			add(i, sp.Service, 0)
			// Where the client's end was not traced the server's stands for it.
			if sp.Kind == Server && sp.Above >= 0 && s.Spans[sp.Above].Kind != Client && s.Spans[sp.Above].Service != sp.Service {
				add(i, s.Spans[sp.Above].Service, 1)
			}
		case Client:
			add(i, sp.Service, 1)
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		if a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		if a.span == b.span && a.row == b.row {
			return cmp.Compare(b.step, a.step)
		}
		return cmp.Or(cmp.Compare(a.span, b.span), cmp.Compare(a.row, b.row))
	})
	return changes
}

// sweep is the state of Depths.
type sweep struct {
	set    *Set
	length int64
	tick   collector.Tick
	row    []int // of a service
	queues []held
	open   int // requests in all queues
}

// held is one queue during a tick.
type held struct {
	depth, most        int64
	since              int64 // the last change
	area               float64
	arrivals, departed int64
	waited             int64 // by those that departed, ns
}

func newSweep(s *Set, tick time.Duration) *sweep {
	w := &sweep{set: s, length: tick.Nanoseconds(), queues: make([]held, 2*len(s.Services)), row: make([]int, len(s.Services))}
	for _, name := range s.Services {
		w.tick.Rows = append(w.tick.Rows, collector.Row{Container: imported(name)})
	}
	slices.SortFunc(w.tick.Rows, func(a, b collector.Row) int { return cmp.Compare(a.Container.ID, b.Container.ID) })
	for i, name := range s.Services {
		w.row[i] = slices.IndexFunc(w.tick.Rows, func(r collector.Row) bool { return r.Container.Name == name })
	}
	return w
}

// imported is the container that stands for a service of which only spans are
// known: one, whatever number of replicas it has.
func imported(service string) *container.Container {
	return &container.Container{ID: container.NamedID(service), Name: service, Service: service, Runtime: "import"}
}

// begin starts the tick in which a moment lies.
func (w *sweep) begin(at int64) {
	start := at - at%w.length
	w.tick.Seq++
	w.tick.Start, w.tick.End = time.Unix(0, start).UTC(), time.Unix(0, start+w.length).UTC()
	for i := range w.queues {
		q := &w.queues[i]
		*q = held{depth: q.depth, most: q.depth, since: start}
	}
}

// advance ends the ticks that are over at a moment.
func (w *sweep) advance(at int64, emit func(*collector.Tick) error) error {
	for at >= w.tick.End.UnixNano() {
		end := w.tick.End.UnixNano()
		if err := w.end(emit); err != nil {
			return err
		}
		if w.open == 0 && at-end > int64(idleGap) {
			end = at
		}
		w.begin(end)
	}
	return nil
}

func (w *sweep) apply(c *change) {
	q := &w.queues[c.row]
	q.area += float64(q.depth) * float64(c.at-q.since)
	q.since = c.at
	q.depth += int64(c.step)
	q.most = max(q.most, q.depth)
	w.open += int(c.step)
	if c.step > 0 {
		q.arrivals++
		return
	}
	q.departed++
	q.waited += w.set.Spans[c.span].End - w.set.Spans[c.span].Start
}

// end emits the tick.
func (w *sweep) end(emit func(*collector.Tick) error) error {
	end := w.tick.End.UnixNano()
	for i := range w.queues {
		q := &w.queues[i]
		q.area += float64(q.depth) * float64(end-q.since)
		cell := collector.Cell{
			Depth: float64(q.depth), Mean: q.area / float64(w.length), Max: float64(q.most),
			Arrivals: float64(q.arrivals), Departures: float64(q.departed), Valid: true,
		}
		if q.departed > 0 {
			cell.Wait = time.Duration(q.waited / q.departed)
		}
		queue := collector.QueueOutstanding
		if i%2 == 1 {
			queue = collector.QueueDownstream
		}
		w.tick.Rows[w.row[i/2]].Cells[queue] = cell
	}
	return emit(&w.tick)
}
