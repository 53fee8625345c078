package window

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"seer/collector/tracedb"
	"seer/infer/campaign"
)

// Violation is what a run knows of one.
type Violation struct {
	OnsetMS, EndMS int64
	Service        string         // the entry whose users suffer
	Culprit        int            // slot of who started it, -1 where nobody knows
	Cause          campaign.Cause // "" where no fault explains it
	Fault          int            // ID of the fault that explains it, 0: none
	FaultMS        int64          // onset of that fault
	Repeat         bool           // the same fault has had a violation before
}

// Truth is what happened in a run, by onset. Times are from the run's start.
type Truth struct {
	Violations []Violation
	Faults     []campaign.Fault
}

// Run is a stretch of recorded time: the cells of every tick and what happened.
// Memory holds neither; see rows. It may be read from several goroutines.
type Run struct {
	Name   string
	Seed   uint64
	Layout *Layout
	Slots  []string // the service in each slot, see Layout.Slots
	Truth

	fromMS      int64 // where tick 0 begins
	first, last int   // ticks [first, last) are part of the run
	broken      []interval
	rows        *rows
}

// Close gives back the disk space. Parts of a run share it.
func (r *Run) Close() error { return r.rows.close() }

// Ticks returns the numbers of the first tick and of the one after the last.
func (r *Run) Ticks() (first, end int) { return r.first, r.last }

// EndMS returns when a tick ended: what it shows is known from then on.
func (r *Run) EndMS(tick int) int64 { return r.fromMS + int64(tick+1)*r.Layout.TickMS }

// DurationMS returns how long the run took.
func (r *Run) DurationMS() int64 { return int64(r.last-r.first) * r.Layout.TickMS }

// Between returns the part of a run whose ticks lie in [fromMS, toMS), with the
// violations that begin there.
func (r *Run) Between(fromMS, toMS int64) *Run {
	part := *r
	tick := func(ms int64) int {
		return min(r.last, max(r.first, int((ms-r.fromMS+r.Layout.TickMS-1)/r.Layout.TickMS)))
	}
	part.first, part.last = tick(fromMS), tick(toMS)
	part.Violations = nil
	for _, v := range r.Violations {
		if fromMS <= v.OnsetMS && v.OnsetMS < toMS {
			part.Violations = append(part.Violations, v)
		}
	}
	return &part
}

// Split cuts a run in two by time, near a share of its length: at a moment at which
// nothing is wrong, so that no fault is in both parts.
func (r *Run) Split(share float64) (before, after *Run) {
	from, to := r.fromMS+int64(r.first)*r.Layout.TickMS, r.fromMS+int64(r.last)*r.Layout.TickMS
	cut := from + int64(share*float64(to-from))
	for _, f := range r.Faults {
		if f.OnsetMS <= cut && cut < f.EndMS+faultShadowMS {
			cut = min(to, f.EndMS+faultShadowMS)
		}
	}
	for _, b := range r.broken {
		if b.from <= cut && cut < b.to+shadowMS {
			cut = min(to, b.to+shadowMS)
		}
	}
	return r.Between(from, cut), r.Between(cut, to)
}

// faultShadowMS is how long a fault can be felt after its end, as
// campaign.Explain has it.
const faultShadowMS = 5000

// Example stores the example whose window ends with a tick. x and mask have
// Layout.Shape.Len() elements. The buffer is for one goroutine.
func (r *Run) Example(s *Scale, tick int, x, mask []float32, b *Buffer) error {
	shape := r.Layout.Shape
	cells := shape.Queues * shape.Services
	if len(b.cells) != cells*shape.Ticks {
		b.cells, b.bytes = make([]uint16, cells*shape.Ticks), make([]byte, 2*cells*shape.Ticks)
	}
	from := tick - shape.Ticks + 1
	missing := max(0, r.first-from) // before the run nothing was measured
	clear(b.cells[:missing*cells])
	if err := r.rows.read(from+missing, b.cells[missing*cells:], b.bytes); err != nil {
		return err
	}
	for cell := range cells {
		mean, scale := s.Mean[cell], 1/s.Deviation[cell]
		for t := range shape.Ticks {
			v, at := b.cells[t*cells+cell], cell*shape.Ticks+t
			if v == unmeasured {
				x[at], mask[at] = 0, 0
				continue
			}
			x[at], mask[at] = bend((decode(v)-mean)*scale), 1
		}
	}
	return nil
}

// Scan calls fn for every tick of the run, in order, with the logarithm of 1 plus each
// cell, [queue][service], below 0 where not measured. fn keeps nothing of cells.
func (r *Run) Scan(fn func(tick int, cells []float32)) error {
	cells := make([]float32, r.rows.cells)
	return r.rows.scan(func(tick int, row []uint16) {
		if tick < r.first || tick >= r.last {
			return
		}
		for i, v := range row {
			cells[i] = -1
			if v != unmeasured {
				cells[i] = decode(v)
			}
		}
		fn(tick, cells)
	})
}

// Buffer is memory that Example uses again.
type Buffer struct {
	cells []uint16
	bytes []byte
}

// OpenOptions say what to read; the zero value means all.
type OpenOptions struct {
	TempDir  string                    // for the ticks; default the system's
	Progress func(done, total float64) // seconds of the run; may be nil
}

// blockTicks is how much of a source is decoded at once: some ten MB.
const blockTicks = 1000

// build reads the cells of a source between two times. slots are those of the run.
func (r *Run) build(ctx context.Context, source tracedb.Source, from, to time.Time, o OpenOptions) (err error) {
	l := r.Layout
	features, err := l.features()
	if err != nil {
		return err
	}
	var columns []tracedb.Column
	var cells []int // of each column
	for q, f := range features {
		for n, name := range r.Slots {
			if name != "" {
				columns = append(columns, tracedb.Column{Service: name, Queue: f.Queue, Stat: f.Stat})
				cells = append(cells, q*len(r.Slots)+n)
			}
		}
	}
	if r.rows, err = newRows(o.TempDir, l.Shape.Queues*l.Shape.Services); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			r.rows.close()
		}
	}()
	tick := time.Duration(l.TickMS) * time.Millisecond
	row := make([]uint16, l.Shape.Queues*l.Shape.Services)
	for at := from; at.Before(to); {
		until := at.Add(blockTicks * tick)
		if until.After(to) {
			until = to
		}
		w, err := tracedb.ReadWindow(ctx, source, tracedb.WindowQuery{From: at, To: until, Tick: tick, Columns: columns})
		if err != nil {
			return err
		}
		skip := 0
		switch {
		case r.rows.n == 0:
			r.fromMS = w.From.Sub(from).Milliseconds()
		case at.Sub(w.From) > tick/2: // the recorder's ticks have moved: the first was there
			skip = 1
		}
		for i := skip; i < w.Rows; i++ {
			values, valid := w.Row(i)
			clear(row)
			for c, cell := range cells {
				if valid[c] {
					row[cell] = encode(values[c])
				}
			}
			if err := r.rows.add(row); err != nil {
				return err
			}
		}
		at = at.Add(time.Duration(w.Rows-skip) * tick)
		if w.Rows == skip {
			at = until
		}
		if o.Progress != nil {
			o.Progress(at.Sub(from).Seconds(), to.Sub(from).Seconds())
		}
	}
	r.first, r.last = 0, r.rows.n
	return r.rows.complete()
}

// settle orders the truth and finds the stretches in which the promise is broken.
func (r *Run) settle() {
	slices.SortStableFunc(r.Violations, func(a, b Violation) int { return cmp.Compare(a.OnsetMS, b.OnsetMS) })
	had := make(map[int]bool)
	for i := range r.Violations {
		v := &r.Violations[i]
		v.Repeat = v.Fault != 0 && had[v.Fault]
		had[v.Fault] = true
		if n := len(r.broken); n > 0 && v.OnsetMS <= r.broken[n-1].to {
			r.broken[n-1].to = max(r.broken[n-1].to, v.EndMS)
			continue
		}
		r.broken = append(r.broken, interval{v.OnsetMS, v.EndMS})
	}
}

// NewRun returns a run of ticks from elsewhere than a store, whose services are in the
// slots of the layout. row stores the values of a tick, and which of them were
// measured: both are [queue][service], and false before the call.
func NewRun(name string, l *Layout, t Truth, ticks int, row func(tick int, values []float32, valid []bool)) (*Run, error) {
	r := &Run{Name: name, Layout: l, Slots: l.Services, Truth: t, last: ticks}
	cells := l.Shape.Queues * l.Shape.Services
	var err error
	if r.rows, err = newRows("", cells); err != nil {
		return nil, err
	}
	values, valid, codes := make([]float32, cells), make([]bool, cells), make([]uint16, cells)
	for tick := range ticks {
		clear(values)
		clear(valid)
		clear(codes)
		row(tick, values, valid)
		for i, ok := range valid {
			if ok {
				codes[i] = encode(values[i])
			}
		}
		if err := r.rows.add(codes); err != nil {
			r.Close()
			return nil, err
		}
	}
	if err := r.rows.complete(); err != nil {
		r.Close()
		return nil, err
	}
	r.settle()
	return r, nil
}

var errNoTicks = errors.New("no ticks were recorded")

func openRun(ctx context.Context, r *Run, source tracedb.Source, from, to time.Time, o OpenOptions) (*Run, error) {
	if err := r.build(ctx, source, from, to, o); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Name, err)
	}
	if r.last == 0 {
		r.Close()
		return nil, fmt.Errorf("%s: %w", r.Name, errNoTicks)
	}
	r.settle()
	return r, nil
}
