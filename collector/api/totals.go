package api

import (
	"sync"

	"seer/collector"
	"seer/collector/container"
)

// totals sums ticks into counters that never go down, for metrics: a scrape
// every 15 s must not lose the 149 ticks in between.
//
// At most max containers have counters of their own, 400 bytes each; all that
// come later are summed in other until a place is free. Places go to
// containers in the order in which they came and stay theirs, so a counter
// never changes its meaning.
type totals struct {
	max   int
	mu    sync.Mutex
	byID  map[container.ID]*sums
	free  []*sums
	other sums
	ticks uint64 // consumed; other.tick is the last that other counted
}

// sums are the counters of one container.
type sums struct {
	tick  uint64 // the last tick it was in, by totals.ticks
	cells cellSumsOfQueues
}

type cellSumsOfQueues [collector.NumQueues]cellSums

// cellSums are the counters of one queue, in the queue's unit.
type cellSums struct {
	arrivals   float64
	departures float64
	area       float64 // depth x seconds: its rate is the mean depth
	measured   bool    // ever; a queue that never was has no series
}

func (t *totals) add(tick *collector.Tick) {
	seconds := tick.End.Sub(tick.Start).Seconds()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[container.ID]*sums)
	}
	t.ticks++
	// Two rounds, so that a container whose predecessor has just gone gets its
	// place in the same tick.
	known := 0
	for i := range tick.Rows {
		r := &tick.Rows[i]
		if s := t.byID[r.Container.ID]; s != nil {
			s.add(r, seconds)
			s.tick = t.ticks
			known++
		}
	}
	if known < len(t.byID) {
		t.forget()
	}
	if known == len(tick.Rows) {
		return
	}
	for i := range tick.Rows {
		r := &tick.Rows[i]
		if t.byID[r.Container.ID] != nil {
			continue
		}
		if s := t.take(); s != nil {
			s.tick = t.ticks
			t.byID[r.Container.ID] = s
			s.add(r, seconds)
		} else {
			t.other.add(r, seconds)
			t.other.tick = t.ticks
		}
	}
}

// forget frees the places of containers that were not in this tick.
func (t *totals) forget() {
	for id, s := range t.byID {
		if s.tick != t.ticks {
			delete(t.byID, id)
			t.free = append(t.free, s)
		}
	}
}

func (t *totals) take() *sums {
	if last := len(t.free) - 1; last >= 0 {
		s := t.free[last]
		t.free = t.free[:last]
		*s = sums{}
		return s
	}
	if len(t.byID) >= t.max {
		return nil
	}
	return &sums{}
}

func (s *sums) add(r *collector.Row, seconds float64) {
	for q := range s.cells {
		cell, sum := &r.Cells[q], &s.cells[q]
		if !cell.Valid {
			continue
		}
		sum.measured = true
		sum.arrivals += max(finite(cell.Arrivals), 0)
		sum.departures += max(finite(cell.Departures), 0)
		sum.area += max(finite(cell.Mean), 0) * seconds
	}
}

// get returns the counters of container id, or false when it has no place.
func (t *totals) get(id container.ID) (cellSumsOfQueues, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byID[id]; s != nil {
		return s.cells, true
	}
	return cellSumsOfQueues{}, false
}

// rest returns the counters of all that had no place, or false when all had.
func (t *totals) rest() (cellSumsOfQueues, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.other.cells, t.other.tick > 0
}

func (t *totals) count() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ticks
}
