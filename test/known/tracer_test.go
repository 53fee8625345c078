//go:build linux

package known

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/test/lab"
)

func TestMain(m *testing.M) {
	lab.Main(m, map[string]lab.Workload{
		heldPackets: heldWorkload, surveyor: surveyorWorkload, streamPeer: streamWorkload, tierWorkload: tier, timedServer: timedWorkload, waysServer: waysWorkload, waysChild: childWorkload, asking: askingWorkload,
	})
}

// tick is what the tests sample at: the default.
const tick = 100 * time.Millisecond

// steady is for how many ticks in a row an answer must stand. A depth that is
// right once, on its way elsewhere, is not an answer.
const steady = 3

// tracer is a running collector and the ticks it gave.
type tracer struct {
	c *collector.Collector

	mu      sync.Mutex
	recent  []snapshot // oldest first
	exactly map[container.ID]*exactly
	news    chan struct{}
	failed  error
}

// snapshot is one tick, copied out of the collector's buffers.
type snapshot struct {
	seq        uint64
	start, end time.Time
	rows       map[container.ID]collector.Row
	requests   map[container.ID]collector.RequestRow // of those who are counted exactly
	counted    []container.ID                        // whose requests are counted exactly
}

// keep bounds the ticks held: more than any test looks back.
const keep = 100

// trace runs a collector until the end of the test.
func trace(t *testing.T, cfg collector.Config, with ...func(*collector.Collector)) *tracer {
	t.Helper()
	if cfg.Tick == 0 {
		cfg.Tick = tick
	}
	if cfg.CPUBudget == 0 {
		// Whether the answers are right must not depend on what else the
		// machine does: the budget would lower the pass rate.
		cfg.CPUBudget = 1
	}
	if cfg.PassHz == 0 {
		cfg.PassHz = 100 // enough, and an emulated processor has other things to do
	}
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	c, err := collector.New(cfg)
	if err != nil {
		t.Fatalf("collector.New: %v", err)
	}
	for _, f := range with {
		f(c)
	}
	tr := &tracer{c: c, exactly: map[container.ID]*exactly{}, news: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := c.Run(ctx, tr)
		tr.mu.Lock()
		defer tr.mu.Unlock()
		if ctx.Err() == nil {
			tr.failed = fmt.Errorf("collector.Run ended: %w", err)
			close(tr.news)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return tr
}

// Consume implements collector.Sink.
func (tr *tracer) Consume(tk *collector.Tick) {
	s := snapshot{seq: tk.Seq, start: tk.Start, end: tk.End, rows: make(map[container.ID]collector.Row, len(tk.Rows)), requests: map[container.ID]collector.RequestRow{}}
	for _, r := range tk.Rows {
		s.rows[r.Container.ID] = r
	}
	for _, r := range tk.Requests {
		s.requests[tk.Rows[r.Row].Container.ID] = r
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for i := range tk.Requests {
		r := &tk.Requests[i]
		row := &tk.Rows[r.Row]
		s.counted = append(s.counted, row.Container.ID)
		sum := tr.exactly[row.Container.ID]
		if sum == nil {
			sum = &exactly{}
			tr.exactly[row.Container.ID] = sum
		}
		sum.add(row, r)
	}
	if len(tr.recent) == keep {
		tr.recent = append(tr.recent[:0], tr.recent[1:]...)
	}
	tr.recent = append(tr.recent, s)
	close(tr.news)
	tr.news = make(chan struct{})
}

// waitTicks calls accept with each further tick that began after the call, in
// order, until it returns true, and fails the test with what accept said last
// when that takes too long.
func (tr *tracer) waitTicks(t *testing.T, accept func(snapshot) (ok bool, saw string)) {
	t.Helper()
	begin := time.Now()
	deadline := time.After(lab.Deadline)
	var seen uint64
	saw := "no tick"
	for {
		tr.mu.Lock()
		news, failed := tr.news, tr.failed
		var fresh []snapshot
		for _, s := range tr.recent {
			if s.seq > seen && s.start.After(begin) {
				fresh = append(fresh, s)
			}
		}
		tr.mu.Unlock()
		if failed != nil {
			t.Fatal(failed)
		}
		for _, s := range fresh {
			seen = s.seq
			var ok bool
			if ok, saw = accept(s); ok {
				return
			}
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("within %v: %s", lab.Deadline, saw)
		}
	}
}

// idOf returns the identity the collector gives a lab container.
func idOf(c *lab.Container) container.ID {
	id := container.ID(c.CgroupID)
	if c.Legacy {
		id |= container.Legacy
	}
	return id
}

// expect is one demand on a container's queue.
type expect struct {
	c     *lab.Container
	queue collector.Queue
	depth float64
	limit float64 // 0: not looked at
}

// check says whether a tick meets the demand.
func (e expect) check(s snapshot) (bool, string) {
	row, ok := s.rows[idOf(e.c)]
	if !ok {
		return false, fmt.Sprintf("%v(%s) = no row, want %v", e.queue, e.c.Name, e.depth)
	}
	cell := row.Cells[e.queue]
	switch {
	case !cell.Valid:
		return false, fmt.Sprintf("%v(%s) = not valid, want %v", e.queue, e.c.Name, e.depth)
	case cell.Depth != e.depth || cell.Mean != e.depth || cell.Max != e.depth:
		return false, fmt.Sprintf("%v(%s) = depth %v, mean %v, max %v, want %v", e.queue, e.c.Name, cell.Depth, cell.Mean, cell.Max, e.depth)
	case e.limit != 0 && cell.Limit != e.limit:
		return false, fmt.Sprintf("%v(%s) limit = %v, want %v", e.queue, e.c.Name, cell.Limit, e.limit)
	}
	return true, ""
}

// expect waits until all demands are met in several ticks in a row.
func (tr *tracer) expect(t *testing.T, demands ...expect) {
	t.Helper()
	met := 0
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		for _, d := range demands {
			if ok, saw := d.check(s); !ok {
				met = 0
				return false, saw
			}
		}
		met++
		return met == steady, fmt.Sprintf("all as wanted, but in only %d ticks in a row", met)
	})
}

// sampled is one queue of one container in one tick.
type sampled struct {
	collector.Cell
	length time.Duration // of the tick
}

// over collects the cells of one queue of one container in the whole ticks
// between from and to; it waits for the last of them.
func (tr *tracer) over(t *testing.T, c *lab.Container, q collector.Queue, from, to time.Time) []sampled {
	t.Helper()
	tr.waitTicks(t, func(s snapshot) (bool, string) {
		return s.end.After(to), fmt.Sprintf("last tick ended %v before %v", to.Sub(s.end), to)
	})
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var cells []sampled
	for _, s := range tr.recent {
		if s.start.Before(from) || s.end.After(to) {
			continue
		}
		row, ok := s.rows[idOf(c)]
		if !ok || !row.Cells[q].Valid {
			t.Fatalf("%v(%s) in the tick at %v = no row or not valid", q, c.Name, s.start)
		}
		cells = append(cells, sampled{row.Cells[q], s.end.Sub(s.start)})
	}
	if len(cells) == 0 {
		t.Fatalf("no whole tick between %v and %v", from, to)
	}
	return cells
}

// mean returns the mean depth over the ticks and their length.
func mean(cells []sampled) (depth float64, length time.Duration) {
	for _, c := range cells {
		depth += c.Mean * c.length.Seconds()
		length += c.length
	}
	return depth / length.Seconds(), length
}
