package window

import (
	"slices"

	"seer/collector"
	"seer/collector/tracedb"
)

// Live makes examples of ticks as they are measured. Nothing is allocated per tick.
// Its methods are for one goroutine.
type Live struct {
	layout   *Layout
	features []Feature
	slots    []string
	slot     map[string]int

	rows   [][]float32 // ring of ticks, [queue][service] logarithms; below 0: not measured
	next   int         // row of the next tick
	sum    []float32   // of the tick, [queue][service]
	broken []bool      // a replica was not measured
	seen   []bool      // a replica was
}

// NewLive returns a Live before its first tick. Services that the layout does not name
// are not looked at until Place gives them a slot.
func NewLive(l *Layout) (*Live, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	features, err := l.features()
	if err != nil {
		return nil, err
	}
	cells := l.Shape.Queues * l.Shape.Services
	v := &Live{
		layout: l, features: features, slots: slices.Clone(l.Services), slot: make(map[string]int),
		rows: make([][]float32, l.Shape.Ticks), sum: make([]float32, cells), broken: make([]bool, cells), seen: make([]bool, cells),
	}
	for i, name := range v.slots {
		if name != "" {
			v.slot[name] = i
		}
	}
	for i := range v.rows {
		v.rows[i] = make([]float32, cells)
		for c := range v.rows[i] {
			v.rows[i][c] = -1
		}
	}
	return v, nil
}

// Place gives a service that is new to the layout a spare slot, and says whether there
// was one.
func (v *Live) Place(service string) bool {
	if _, known := v.slot[service]; known {
		return true
	}
	i := slices.Index(v.slots, "")
	if i < 0 || service == "" {
		return false
	}
	v.slots[i], v.slot[service] = service, i
	return true
}

// Slots returns the service in each slot.
func (v *Live) Slots() []string { return v.slots }

// Push takes a tick, as tracedb.ReadWindow would read it: services are the sum of
// their replicas, and not measured where one of these is not.
func (v *Live) Push(t *collector.Tick) {
	clear(v.sum)
	clear(v.broken)
	clear(v.seen)
	services := v.layout.Shape.Services
	for i := range t.Rows {
		row := &t.Rows[i]
		n, ok := v.slot[row.Container.Service]
		if !ok {
			continue
		}
		for q, f := range v.features {
			cell := q*services + n
			c := &row.Cells[f.Queue]
			if !c.Valid {
				v.broken[cell] = true
				continue
			}
			v.seen[cell] = true
			v.sum[cell] += float32(statistic(c, f.Stat))
		}
	}
	out := v.rows[v.next]
	for i, x := range v.sum {
		out[i] = -1
		if v.seen[i] && !v.broken[i] {
			out[i] = decode(encode(x)) // as precise as what models learn from
		}
	}
	v.next = (v.next + 1) % len(v.rows)
}

// statistic takes one out of a cell. Of waits, which are means, there is no sum; no
// layout has them.
func statistic(c *collector.Cell, s tracedb.Stat) float64 {
	switch s {
	case tracedb.StatMax:
		return c.Max
	case tracedb.StatDepth:
		return c.Depth
	case tracedb.StatArrivals:
		return c.Arrivals
	case tracedb.StatDepartures:
		return c.Departures
	case tracedb.StatLimit:
		return c.Limit
	}
	return c.Mean
}

// Example stores the example whose window ends with the last tick.
func (v *Live) Example(s *Scale, x, mask []float32) {
	ticks := v.layout.Shape.Ticks
	for cell := range v.sum {
		mean, scale := s.Mean[cell], 1/s.Deviation[cell]
		for t := range ticks {
			at := cell*ticks + t
			value := v.rows[(v.next+t)%ticks][cell]
			if value < 0 {
				x[at], mask[at] = 0, 0
				continue
			}
			x[at], mask[at] = bend((value-mean)*scale), 1
		}
	}
}
