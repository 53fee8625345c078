package collector

import (
	"testing"
	"time"

	"seer/bpf"
)

// Where a pass is taken in one tick of several, what it counted is what came
// since the last one, not since the last tick.
func TestRunQueueOverSeveralTicks(t *testing.T) {
	const tick = uint64(100 * time.Millisecond)
	var (
		out  Cell
		cell bpf.SocketQueueCell
		past pastCell
		sp   span
	)
	read := func(number uint64, passed bool) Cell {
		sp.seconds, sp.start, sp.end = 0.1, (number-1)*tick, number*tick
		sp.passes[QueueRun] = 0
		if passed {
			sp.passes[QueueRun] = 1
			sp.began[QueueRun] = sp.end
			sp.pass[QueueRun]++
			cell.Pass = sp.pass[QueueRun]
		}
		out = Cell{}
		readCell(&out, &cell, &past, QueueRun, &sp)
		return out
	}
	pass := func(number uint64, depth, runs uint64, waited time.Duration) Cell {
		cell.Depth, cell.Departures, cell.WaitNs = depth, cell.Departures+runs, cell.WaitNs+uint64(waited)
		return read(number, true)
	}

	pass(1, 1, 10, 50*time.Millisecond)
	if got := read(2, false); got.Mean != 0.5 || got.Depth != 1 || got.Departures != 0 {
		t.Errorf("without a pass: %+v, want what the last pass found", got)
	}
	read(3, false)
	got := pass(4, 2, 60, 225*time.Millisecond)
	if got.Mean != 0.75 || got.Depth != 2 || got.Departures != 60 || got.Arrivals != 61 || got.Wait.Round(time.Microsecond) != 3750*time.Microsecond {
		t.Errorf("after three ticks: %+v, want 225 ms waited in 300 ms, by 60 runs", got)
	}
}
