package tracedb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// maxWindowCells bounds a window: 2^28 cells are 1.3 GB.
const maxWindowCells = 1 << 28

// Column is one series of a window: a statistic of a queue, of one container
// or of all replicas of one service.
type Column struct {
	Container container.ID // used if Service is empty
	Service   string
	Queue     collector.Queue
	Stat      Stat
}

// Columns returns every combination, container-major: all queues of the first
// service, each with all statistics, then those of the second.
func Columns(services []string, queues []collector.Queue, stats []Stat) []Column {
	out := make([]Column, 0, len(services)*len(queues)*len(stats))
	for _, name := range services {
		for _, q := range queues {
			for _, s := range stats {
				out = append(out, Column{Service: name, Queue: q, Stat: s})
			}
		}
	}
	return out
}

// WindowQuery asks for a dense matrix. From, To and Tick must be set.
//
// Each stored sample falls into the row that holds its middle. Where a row
// holds several (Tick is longer than what was stored), arrivals and departures
// add up, max is the largest, wait is weighted by departures, depth is the
// last, mean and limit are averages.
//
// A service is the sum of its replicas, its wait their mean weighted by
// departures. Its max is the sum of their maxima, an upper bound: they need
// not have been reached together.
type WindowQuery struct {
	From, To time.Time
	Tick     time.Duration
	Columns  []Column
}

// Window is the matrix: Values and Valid have the shape [Rows][len(Columns)],
// row-major, oldest row first. A cell is valid if every replica that ran in
// that tick was measured, and at least one ran; other cells are zero and must
// be masked.
type Window struct {
	// From is where row 0 begins: the query's, moved back by less than a tick
	// so that rows lie on the ticks as they were recorded.
	From    time.Time
	Tick    time.Duration
	Rows    int
	Columns []Column
	Values  []float32
	Valid   []bool
}

// Row returns one row and its mask.
func (w *Window) Row(i int) ([]float32, []bool) {
	n := len(w.Columns)
	return w.Values[i*n : (i+1)*n], w.Valid[i*n : (i+1)*n]
}

// ReadWindow reads a window in one pass over the source.
func ReadWindow(ctx context.Context, source Source, q WindowQuery) (*Window, error) {
	if q.Tick <= 0 || !q.To.After(q.From) || len(q.Columns) == 0 {
		return nil, fmt.Errorf("window from %v to %v by %v with %d columns: it has no cells", q.From, q.To, q.Tick, len(q.Columns))
	}
	rows := int64((q.To.Sub(q.From) + q.Tick - 1) / q.Tick)
	if rows*int64(len(q.Columns)) > maxWindowCells {
		return nil, fmt.Errorf("window of %d ticks and %d columns has more than %d cells: ask for a shorter one", rows, len(q.Columns), maxWindowCells)
	}
	a := &assembler{
		w: &Window{
			Tick: q.Tick, Rows: int(rows), Columns: q.Columns,
			Values: make([]float32, int(rows)*len(q.Columns)),
			Valid:  make([]bool, int(rows)*len(q.Columns)),
		},
		weights: make(map[int][]float32),
		carries: make(map[container.ID][]carry),
	}
	if err := a.route(ctx, source, q); err != nil {
		return nil, err
	}
	r := Range{From: q.From, To: q.To}
	if !a.byService {
		for id := range a.byContainer {
			r.Containers = append(r.Containers, id)
		}
	}
	phase, err := tickPhase(ctx, source, r, q.Tick)
	if err != nil {
		return nil, err
	}
	from := q.From.UnixNano()
	a.from = from - ((from-phase)%int64(q.Tick)+int64(q.Tick))%int64(q.Tick)
	a.w.From = time.Unix(0, a.from)
	// Moving back must not lose the last row.
	r.From = a.w.From
	if err := source.Chunks(ctx, r, a.add); err != nil {
		return nil, err
	}
	a.finish()
	return a.w, nil
}

var errStop = errors.New("stop")

// tickPhase returns the start of a stored tick of the given length, so that
// rows can be laid over the recorded ticks: jitter then never moves a sample
// into the row beside its own. Without one it returns 0.
func tickPhase(ctx context.Context, source Source, r Range, tick time.Duration) (int64, error) {
	var phase int64
	var c Chunk
	err := source.Chunks(ctx, r, func(rec Record) error {
		if err := c.Open(rec.Data); err != nil {
			return fmt.Errorf("chunk %v of container %v: %w", rec.Key.Start, rec.Key.Container, err)
		}
		if d := time.Duration(c.length) - tick; d.Abs() < tick/4 {
			phase = c.start
		}
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return phase, err
}
