package qos

import (
	"testing"
	"time"

	"seer/collector"
	"seer/collector/container"
)

func oneRow(start, end time.Time, outstanding float64) *collector.Tick {
	t := &collector.Tick{Start: start, End: end, Rows: []collector.Row{{Container: &container.Container{Service: "a"}}}}
	t.Rows[0].Cells[collector.QueueOutstanding] = collector.Cell{Mean: outstanding, Departures: 2, Valid: true}
	return t
}

// Nominal is what was before, but for what was disturbed; now is around the onset.
func TestCase(t *testing.T) {
	h := NewHistory()
	for i := range 200 {
		depth, disturbed := 1., false
		switch {
		case i%2 == 0 && i < 150:
			depth = 3
		case i >= 160:
			depth = 10
		}
		if i >= 50 && i < 100 {
			depth, disturbed = 100, true
		}
		h.Add(oneRow(at(i), at(i+1), depth), disturbed)
	}
	c := h.Case("a", nil, at(180), at(190))
	got := c.Services[0]
	if n := got.Nominal[SignalOutstanding]; n < 1.8 || n > 2 {
		t.Errorf("nominal = %v, want nearly 2: half of the steps 3, half 1", n)
	}
	if n := got.Now[SignalOutstanding]; n != 10 {
		t.Errorf("now = %v, want 10", n)
	}
	if got := got.Nominal[SignalAnswered]; got != 20 {
		t.Errorf("answered = %v, want 20 a second", got)
	}
	if !h.Serves("a") || h.Serves("b") {
		t.Error("Serves: want a, and nobody else")
	}
}

// Ticks shorter than 100 ms are averaged by their length.
func TestShortTicks(t *testing.T) {
	h := NewHistory()
	h.Add(oneRow(epoch, epoch.Add(25*time.Millisecond), 4), false)
	h.Add(oneRow(epoch.Add(25*time.Millisecond), epoch.Add(100*time.Millisecond), 8), false)
	if h.taken != 1 {
		t.Fatalf("%d steps of 100 ms, want 1", h.taken)
	}
	got := h.steps[0].signals[0]
	if n := got[SignalOutstanding]; n < 6.999 || n > 7.001 {
		t.Errorf("a quarter of 4 and three quarters of 8 = %v, want 7", n)
	}
	if n := got[SignalAnswered]; n < 39.99 || n > 40.01 {
		t.Errorf("4 answered in 100 ms = %v a second, want 40", n)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := NewHistory()
	tick := &collector.Tick{Start: epoch, End: at(1)}
	for i := range historyServices + 10 {
		tick.Rows = append(tick.Rows, collector.Row{Container: &container.Container{Service: string(rune('a' + i))}})
	}
	h.Add(tick, false)
	if len(h.names) != historyServices {
		t.Errorf("%d services are kept, want %d", len(h.names), historyServices)
	}
}
