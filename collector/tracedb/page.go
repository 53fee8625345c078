package tracedb

import (
	"seer/collector"
	"seer/collector/container"
)

// rowValues is the number of values that a page keeps of one row.
const rowValues = collector.NumQueues * NumStats

// maxPageRows bounds a page: 12,000 rows of 336 bytes are 4 MB. A page that is
// full is handed over before its time.
const maxPageRows = 12_000

// page holds the ticks of one flush interval, copied out of the collector's
// buffers. Pages are reused: in the steady state nothing is allocated.
type page struct {
	period int64 // number of the flush interval
	chunk  int64 // number of the chunk interval; a page lies within one
	starts []int64
	ends   []int64
	rows   []pageRow
	values []float32 // rowValues of each row
	points uint64
}

type pageRow struct {
	tick      int
	valid     uint32 // bit q: the sample of queue q was taken
	container *container.Container
}

func (p *page) reset() {
	clear(p.rows) // let go of the containers
	p.starts, p.ends = p.starts[:0], p.ends[:0]
	p.rows, p.values = p.rows[:0], p.values[:0]
	p.points = 0
}

// add copies a tick. It returns the number of samples it turned down because
// they are no finite numbers.
func (p *page) add(t *collector.Tick) (rejected uint64) {
	tick := len(p.starts)
	p.starts = append(p.starts, t.Start.UnixNano())
	p.ends = append(p.ends, t.End.UnixNano())
	for i := range t.Rows {
		row := &t.Rows[i]
		at := len(p.values)
		p.values = extend(p.values, rowValues)
		var valid uint32
		for q := range row.Cells {
			cell := &row.Cells[q]
			if !cell.Valid {
				continue
			}
			v := (*[NumStats]float32)(p.values[at+q*NumStats:])
			values(cell, v)
			if !finite(v) {
				clear(v[:])
				rejected++
				continue
			}
			valid |= 1 << q
			p.points += uint64(NumStats)
		}
		p.rows = append(p.rows, pageRow{tick: tick, valid: valid, container: row.Container})
	}
	return rejected
}

func finite(v *[NumStats]float32) bool {
	var sum float32
	for _, x := range v {
		// Infinity less itself, like anything with NaN, is NaN.
		sum += x - x
	}
	return sum == 0
}

// fill appends the rows of one container to an empty block.
func (p *page) fill(b *Block, rows []int) {
	b.grow(len(rows))
	for i, r := range rows {
		row := &p.rows[r]
		b.Start[i], b.End[i] = p.starts[row.tick], p.ends[row.tick]
		vals := p.values[r*rowValues:]
		for q := range b.Valid {
			if row.valid&(1<<q) == 0 {
				continue
			}
			b.Valid[q][i] = true
			for s := range b.Values[q] {
				b.Values[q][s][i] = vals[q*NumStats+s]
			}
		}
	}
}
