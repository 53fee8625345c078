package tracedb

import (
	"context"
	"fmt"
	"slices"

	"seer/collector"
	"seer/collector/container"
)

// assembler sorts samples into the cells of a window.
type assembler struct {
	w         *Window
	from      int64
	byService bool

	byContainer map[container.ID][]target
	services    map[string][]target
	names       Names

	weights map[int][]float32 // of a wait column: departures per row
	carries map[container.ID][]carry
	invalid []bool // cells that lack a replica's sample

	chunk      Chunk
	start, end []int64
	index      []int // row of each tick, -1 outside
	valid      []bool
	values     []float32
	departures []float32
}

// target is a column that takes samples of a container or service.
type target struct {
	column int
	queue  collector.Queue
	stat   Stat
}

func (a *assembler) route(ctx context.Context, source Source, q WindowQuery) error {
	a.byContainer = make(map[container.ID][]target)
	a.services = make(map[string][]target)
	a.invalid = make([]bool, len(a.w.Valid))
	for i, c := range q.Columns {
		if int(c.Queue) >= collector.NumQueues || int(c.Stat) >= NumStats {
			return fmt.Errorf("window column %d: no queue %d or statistic %d", i, c.Queue, c.Stat)
		}
		t := target{column: i, queue: c.Queue, stat: c.Stat}
		if c.Service == "" {
			a.byContainer[c.Container] = append(a.byContainer[c.Container], t)
			continue
		}
		a.byService = true
		a.services[c.Service] = append(a.services[c.Service], t)
	}
	for _, targets := range a.byContainer {
		sortTargets(targets)
	}
	for _, targets := range a.services {
		sortTargets(targets)
	}
	if !a.byService {
		return nil
	}
	// Records that ended before the window still name a container whose last
	// record was not renewed before a crash.
	records, err := source.Containers(ctx, q.From.Add(-2*recordEvery), q.To)
	if err != nil {
		return err
	}
	a.names = NewNames(records)
	return nil
}

// sortTargets puts the columns of one queue together: its validity is then
// decoded once.
func sortTargets(t []target) {
	slices.SortStableFunc(t, func(a, b target) int { return int(a.queue) - int(b.queue) })
}

func (a *assembler) add(rec Record) error {
	targets := a.byContainer[rec.Key.Container]
	if a.byService {
		more := a.services[a.names.At(rec.Key.Container, rec.Key.Start).Service]
		if len(targets) == 0 {
			targets = more
		} else {
			targets = slices.Concat(targets, more)
		}
	}
	if len(targets) == 0 {
		return nil
	}
	if err := a.chunk.Open(rec.Data); err != nil {
		return fmt.Errorf("chunk %v of container %v: %w", rec.Key.Start, rec.Key.Container, err)
	}
	n := a.chunk.Len()
	a.start, a.end = extend(a.start[:0], n), extend(a.end[:0], n)
	a.valid, a.index = extend(a.valid[:0], n), extend(a.index[:0], n)
	a.values, a.departures = extend(a.values[:0], n), extend(a.departures[:0], n)
	if err := a.chunk.Times(a.start, a.end); err != nil {
		return err
	}
	for i := range a.index {
		middle := a.start[i] + (a.end[i]-a.start[i])/2 - a.from
		a.index[i] = -1
		if row := middle / int64(a.w.Tick); middle >= 0 && row < int64(a.w.Rows) {
			a.index[i] = int(row)
		}
	}
	carries := a.carries[rec.Key.Container]
	if carries == nil {
		carries = make([]carry, len(a.w.Columns))
		for i := range carries {
			carries[i].row = -1
		}
		a.carries[rec.Key.Container] = carries
	}
	queue := -1
	for _, t := range targets {
		if int(t.queue) != queue {
			a.chunk.Valid(t.queue, a.valid)
			queue = int(t.queue)
		}
		if err := a.chunk.Values(t.queue, t.stat, a.valid, a.values); err != nil {
			return err
		}
		if err := a.merge(t, &carries[t.column]); err != nil {
			return err
		}
	}
	return nil
}

// carry is what a container has put into the last row of a column, kept in
// case its next chunk has more samples for that row.
type carry struct {
	row   int
	n     int     // samples
	value float32 // their aggregate; for averages, their sum
	added float32 // what the cell got
}

// idleWeight is added to the departures that weigh a wait, so that the wait of
// a tick in which nothing left is not lost where it stands alone.
const idleWeight = 1e-3

// merge adds the decoded samples to a column.
func (a *assembler) merge(t target, last *carry) error {
	stride := len(a.w.Columns)
	var weights []float32
	if t.stat == StatWait {
		if a.weights[t.column] == nil {
			a.weights[t.column] = make([]float32, a.w.Rows)
		}
		weights = a.weights[t.column]
		if err := a.chunk.Values(t.queue, StatDepartures, a.valid, a.departures); err != nil {
			return err
		}
	}
	for i, row := range a.index {
		if row < 0 {
			continue
		}
		cell := row*stride + t.column
		if !a.valid[i] {
			a.invalid[cell] = true
			continue
		}
		v := a.values[i]
		a.w.Valid[cell] = true
		switch t.stat {
		case StatArrivals, StatDepartures:
			a.w.Values[cell] += v
			continue
		case StatWait:
			w := a.departures[i] + idleWeight
			weights[row] += w
			a.w.Values[cell] += v * w
			continue
		}
		if last.row != row {
			*last = carry{row: row}
		}
		last.n++
		replacement := v // StatDepth: the last one counts
		switch t.stat {
		case StatMax:
			last.value = max(last.value, v)
			replacement = last.value
		case StatMean, StatLimit:
			last.value += v
			replacement = last.value / float32(last.n)
		}
		if last.n == 1 {
			a.w.Values[cell] += replacement
		} else {
			a.w.Values[cell] += replacement - last.added
		}
		last.added = replacement
	}
	return nil
}

// finish divides waits by their weights and masks what is incomplete.
func (a *assembler) finish() {
	stride := len(a.w.Columns)
	for column, weights := range a.weights {
		for row, n := range weights {
			if n > 0 {
				a.w.Values[row*stride+column] /= n
			}
		}
	}
	for i, bad := range a.invalid {
		if bad {
			a.w.Values[i], a.w.Valid[i] = 0, false
		}
	}
}
