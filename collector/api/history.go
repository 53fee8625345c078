package api

import (
	"math"
	"sync"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// historyTicks is how many ticks of the past are kept for sparklines: 12 s at
// the default tick.
const historyTicks = 120

// maxHistories bounds the containers whose past is kept. One takes
// NumQueues x historyTicks x 4 bytes = 5.8 KB, so all of them 12 MB; memory is
// taken only for containers that exist. Later ones have no sparkline.
const maxHistories = 2048

// history keeps the mean depth of every queue over the last ticks.
//
// The writer holds the lock for one tick's rows, readers for one container,
// so the tick waits for at most one copy of 5.8 KB.
type history struct {
	mu    sync.Mutex
	byID  map[container.ID]*pastTicks
	free  []*pastTicks
	ticks uint64 // consumed so far; tick n is at column n % historyTicks
}

// pastTicks is a ring per queue; a tick that was not measured is NaN.
type pastTicks struct {
	first, last uint64 // numbers of the first and of the latest tick held
	means       [collector.NumQueues][historyTicks]float32
}

var missing = float32(math.NaN())

// add appends one tick. It allocates only when there are more containers than
// there ever were.
func (h *history) add(rows []collector.Row) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID == nil {
		h.byID = make(map[container.ID]*pastTicks)
	}
	n := h.ticks
	h.ticks++
	for i := range rows {
		past := h.byID[rows[i].Container.ID]
		if past == nil {
			if past = h.take(n); past == nil {
				continue
			}
			h.byID[rows[i].Container.ID] = past
		}
		past.add(n, &rows[i])
	}
	if len(h.byID) > len(rows) || n%historyTicks == 0 {
		h.forget(n)
	}
}

// take returns an empty ring, or nil when there are enough of them.
func (h *history) take(n uint64) *pastTicks {
	if last := len(h.free) - 1; last >= 0 {
		past := h.free[last]
		h.free = h.free[:last]
		past.first, past.last = n, n
		return past
	}
	if len(h.byID) >= maxHistories {
		return nil
	}
	return &pastTicks{first: n, last: n}
}

// forget frees the rings of containers that were not in tick n.
func (h *history) forget(n uint64) {
	for id, past := range h.byID {
		if past.last != n {
			delete(h.byID, id)
			h.free = append(h.free, past)
		}
	}
}

func (p *pastTicks) add(n uint64, row *collector.Row) {
	if n > p.last+1 {
		p.first = n // it was away: what is in between belongs to older ticks
	}
	p.last = n
	for q := range p.means {
		v := missing
		if cell := &row.Cells[q]; cell.Valid {
			v = float32(cell.Mean)
		}
		p.means[q][n%historyTicks] = v
	}
}

// copyTo writes the past of container id into dst, reusing its memory, and
// reports whether there is any.
func (h *history) copyTo(dst *History, id container.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	past := h.byID[id]
	if past == nil {
		return false
	}
	from := past.oldest()
	for q := range past.means {
		series, measured := dst.Means[q][:0], false
		for n := from; n <= past.last; n++ {
			v := past.means[q][n%historyTicks]
			measured = measured || !IsMissing(v)
			series = append(series, v)
		}
		if !measured {
			series = series[:0]
		}
		dst.Means[q] = series
	}
	return true
}

// oldest returns the number of the oldest tick still held.
func (p *pastTicks) oldest() uint64 {
	if p.last-p.first >= historyTicks {
		return p.last - historyTicks + 1
	}
	return p.first
}

// notEmptyFor returns for how many of the last ticks in a row queue q of
// container id held something.
func (h *history) notEmptyFor(id container.ID, q collector.Queue, tick time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	past := h.byID[id]
	if past == nil {
		return 0
	}
	var ticks time.Duration
	from := past.oldest()
	for n := past.last + 1; n > from; n-- {
		if !(past.means[q][(n-1)%historyTicks] > 0) {
			break
		}
		ticks++
	}
	return ticks * tick
}
