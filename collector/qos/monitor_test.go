package qos

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector/latency"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const testTick = 100 * time.Millisecond

// at is the start of a tick.
func at(tick int) time.Time { return epoch.Add(time.Duration(tick) * testTick) }

// traffic is requests by latency, and what is open at the end of a tick by age.
type traffic struct{ ended, open map[time.Duration]int }

func histogram(counts map[time.Duration]int) *latency.Histogram {
	if counts == nil {
		return nil
	}
	h := new(latency.Histogram)
	for d, n := range counts {
		h.AddN(latency.Bucket(uint64(d)), int32(n))
	}
	return h
}

// watch feeds ticks and returns every violation as it was last seen.
func watch(t *testing.T, m *Monitor, ticks int, what func(tick int) traffic) []Violation {
	t.Helper()
	var found []*Violation
	for i := range ticks {
		now := what(i)
		for _, v := range m.Observe(at(i), at(i+1), histogram(now.ended), histogram(now.open)) {
			if len(found) == 0 || found[len(found)-1] != v {
				found = append(found, v)
			}
		}
	}
	out := make([]Violation, len(found))
	for i, v := range found {
		out[i] = *v
	}
	return out
}

var front = Target{Service: "front", Percentile: 99, Bound: 20 * time.Millisecond}

const (
	fast = 5 * time.Millisecond
	slow = 100 * time.Millisecond
)

// steady is n requests a tick, of which late ones are slow.
func steady(n, late int) traffic {
	return traffic{ended: map[time.Duration]int{fast: n - late, slow: late}, open: map[time.Duration]int{}}
}

func TestNothingLateIsNoViolation(t *testing.T) {
	if got := watch(t, NewMonitor(front), 200, func(int) traffic { return steady(20, 0) }); len(got) != 0 {
		t.Errorf("violations without a late request = %+v, want none", got)
	}
}

// One second of slowness: 20 requests a tick, so a window has 200 and 2 may be late.
func TestViolation(t *testing.T) {
	got := watch(t, NewMonitor(front), 100, func(tick int) traffic {
		if tick >= 30 && tick < 40 {
			return steady(20, 5)
		}
		return steady(20, 0)
	})
	if len(got) != 1 {
		t.Fatalf("%d violations, want 1: %+v", len(got), got)
	}
	v := got[0]
	if v.Onset.Before(at(30)) || v.Onset.After(at(31)) {
		t.Errorf("onset = %v, want within the tick at %v", v.Onset, at(30))
	}
	// The last late ones leave the window a second after tick 39.
	if v.End.Before(at(48)) || v.End.After(at(50)) {
		t.Errorf("end = %v, want about %v", v.End, at(49))
	}
	if v.Open {
		t.Error("it is open five seconds later")
	}
	if v.WorstMS < 98 || v.WorstMS > 102 {
		t.Errorf("worst p99 = %v ms, want 100 within the histogram's error", v.WorstMS)
	}
	if v.WorstShare < .24 || v.WorstShare > .26 {
		t.Errorf("worst share = %v, want 50 of 200", v.WorstShare)
	}
	if v.Late != 50 {
		t.Errorf("%d late requests, want 50", v.Late)
	}
	if want := "20260301T120003.0-front"; v.ID != want {
		t.Errorf("ID = %q, want %q", v.ID, want)
	}
}

// With few requests the slowest alone proves nothing: 1 of 100 to 199 may be late.
func TestFewRequests(t *testing.T) {
	tests := []struct {
		name            string
		perTick         int
		late            []int // ticks with one late request each
		want            int   // violations
		withinFirstTick int   // of the onset
	}{
		{name: "2 a second never make 100 in ten seconds", perTick: 0, late: []int{150, 151, 152}, want: 0},
		{name: "one late among 20 a second", perTick: 2, late: []int{150}, want: 0},
		{name: "two late among 20 a second, 4 s apart", perTick: 2, late: []int{150, 190}, want: 1, withinFirstTick: 190},
		{name: "two late, 6 s apart: five seconds hold 100", perTick: 2, late: []int{150, 210}, want: 0},
		{name: "two late among 200 a second", perTick: 20, late: []int{150, 152}, want: 0},
		{name: "three late among 200 a second", perTick: 20, late: []int{150, 152, 154}, want: 1, withinFirstTick: 154},
		{name: "three late, the third too late for the window", perTick: 20, late: []int{150, 152, 161}, want: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := watch(t, NewMonitor(front), 300, func(tick int) traffic {
				n := tt.perTick
				if n == 0 && tick%5 == 0 {
					n = 1
				}
				late := 0
				for _, l := range tt.late {
					if l == tick {
						late, n = 1, max(n, 1)
					}
				}
				return steady(n, late)
			})
			if len(got) != tt.want {
				t.Fatalf("%d violations, want %d: %+v", len(got), tt.want, got)
			}
			if tt.want == 1 && got[0].Onset.Sub(at(tt.withinFirstTick)).Abs() > testTick {
				t.Errorf("onset = %v, want within a tick of %v", got[0].Onset, at(tt.withinFirstTick))
			}
		})
	}
}

// Requests that hang are late once they are older than the bound, not when they end.
func TestOpenRequestsAreLateAtOnce(t *testing.T) {
	hang := func(known bool) func(int) traffic {
		return func(tick int) traffic {
			now := steady(20, 0)
			switch {
			case tick < 30: // before
			case tick < 50: // ten of each tick hang for two seconds
				now = traffic{ended: map[time.Duration]int{fast: 10}, open: map[time.Duration]int{}}
				for age := 30; age <= tick; age++ {
					now.open[time.Duration(tick-age)*testTick+50*time.Millisecond] += 10
				}
			case tick == 50:
				now.ended[2*time.Second] = 200
			}
			if !known {
				now.open = nil
			}
			return now
		}
	}
	got := watch(t, NewMonitor(front), 100, hang(true))
	if len(got) != 1 || got[0].Onset.Sub(at(30)).Abs() > testTick || got[0].Late != 200 {
		t.Errorf("with ages: %+v, want one of 200 late requests from %v", got, at(30))
	}
	if got[0].WorstMS < 1900 {
		t.Errorf("worst p99 = %v ms, want that of the two seconds", got[0].WorstMS)
	}
	got = watch(t, NewMonitor(front), 100, hang(false))
	if len(got) != 1 || got[0].Onset.Sub(at(50)).Abs() > testTick {
		t.Errorf("without ages: %+v, want one from %v, when they end", got, at(50))
	}
}

// Stretches under a second apart are one violation.
func TestGapsAreMerged(t *testing.T) {
	for _, tt := range []struct {
		quiet int // ticks without late requests; a second of them is still in the window
		want  int
	}{{5, 1}, {15, 1}, {18, 1}, {22, 2}, {40, 2}} {
		got := watch(t, NewMonitor(front), 150, func(tick int) traffic {
			if tick >= 30 && tick < 40 || tick >= 40+tt.quiet && tick < 50+tt.quiet {
				return steady(20, 10)
			}
			return steady(20, 0)
		})
		if len(got) != tt.want {
			t.Errorf("after %d quiet ticks: %d violations, want %d", tt.quiet, len(got), tt.want)
		}
	}
}

// A reply that goes on moves its request to a later bucket.
func TestCountsMayMove(t *testing.T) {
	m := NewMonitor(front)
	got := watch(t, m, 100, func(tick int) traffic {
		switch tick {
		case 30:
			return steady(20, 0)
		case 31: // ten of them turn out to be slow
			return traffic{ended: map[time.Duration]int{fast: -10, slow: 10}}
		}
		return traffic{ended: map[time.Duration]int{fast: 20}}
	})
	if len(got) != 1 || got[0].Onset.Before(at(31)) || got[0].Onset.After(at(32)) {
		t.Errorf("violations = %+v, want one from %v", got, at(31))
	}
}

// The window forgets without a trace: sums come back to what is in it.
func TestWindowForgets(t *testing.T) {
	m := NewMonitor(front)
	watch(t, m, 500, func(tick int) traffic { return steady(1+tick%40, tick%3) })
	got := watch(t, m, 0, nil)
	if len(got) != 0 {
		t.Fatal("no tick, no violation")
	}
	for i := range 200 {
		m.Observe(at(500+i), at(501+i), histogram(map[time.Duration]int{fast: 20}), histogram(map[time.Duration]int{}))
	}
	s := m.State()
	want := State{Target: front, Enough: true, Percentile: s.Percentile, Requests: 200}
	if s.Share < 1e-9 {
		s.Share = 0
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	if s.Percentile < 4900*time.Microsecond || s.Percentile > 5100*time.Microsecond {
		t.Errorf("p99 = %v, want 5 ms", s.Percentile)
	}
	if n := cap(m.window.slots); n > 2000 {
		t.Errorf("room for %d slots is kept, want no more than ten seconds of them, twice", n)
	}
}

// A tick in which nothing is violated allocates nothing.
func TestObserveDoesNotAllocate(t *testing.T) {
	m := NewMonitor(front)
	ended, open := histogram(map[time.Duration]int{fast: 20}), histogram(map[time.Duration]int{fast: 1})
	tick := 0
	observe := func() {
		m.Observe(at(tick), at(tick+1), ended, open)
		tick++
	}
	for range 500 {
		observe()
	}
	if n := testing.AllocsPerRun(200, observe); n != 0 {
		t.Errorf("Observe allocates %v times a tick, want 0", n)
	}
}
