package qos

import (
	"testing"
	"time"

	"seer/collector/latency"
)

// learn feeds a learner for some minutes and returns what it found.
func learn(minutes int, what func(tick int) traffic) (Target, time.Duration, bool) {
	l := &learner{target: Target{Service: "front", Percentile: DefaultPercentile}}
	for i := range minutes * 600 {
		if t, known := l.observe(at(i), histogram(what(i).ended)); known {
			return t, at(i).Sub(epoch), true
		}
	}
	return Target{}, 0, false
}

func TestLearn(t *testing.T) {
	// The slowest percent of nominal requests takes 11 ms.
	nominal := func(int) traffic {
		return traffic{ended: map[time.Duration]int{4 * time.Millisecond: 98, 11 * time.Millisecond: 2}}
	}
	tests := []struct {
		name string
		what func(tick int) traffic
		want time.Duration // 0: nothing is learned in ten minutes
	}{
		{"nominal", nominal, 33 * time.Millisecond},
		{"a violation of two minutes while learning", func(tick int) traffic {
			if tick > 600 && tick < 1800 {
				return traffic{ended: map[time.Duration]int{time.Second: 100}}
			}
			return nominal(tick)
		}, 33 * time.Millisecond},
		{"very fast", func(int) traffic {
			return traffic{ended: map[time.Duration]int{50 * time.Microsecond: 10}}
		}, time.Millisecond},
		{"too few requests: 90 in ten seconds", func(tick int) traffic {
			if tick%10 == 0 {
				return traffic{ended: map[time.Duration]int{fast: 9}}
			}
			return traffic{}
		}, 0},
		{"slower than a target may be", func(int) traffic {
			return traffic{ended: map[time.Duration]int{50 * time.Second: 20}}
		}, highestBound},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, after, known := learn(10, tt.what)
			if known != (tt.want != 0) || got.Bound != tt.want {
				t.Fatalf("learned %+v, %v, want a bound of %v", got, known, tt.want)
			}
			if known && (!got.Learned || got.Service != "front" || got.Percentile != 99) {
				t.Errorf("learned %+v, want a learned p99 of front", got)
			}
			if known && (after < 5*time.Minute || after > 5*time.Minute+2*learnBlock) {
				t.Errorf("learned after %v, want five minutes", after)
			}
		})
	}
}

func TestRoundUp(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{
		0: 0, 99: 99, 101: 110, 22_360_000: 23_000_000, 20_000_000: 20_000_000, 1_999_999_999: 2_000_000_000,
	} {
		if got := roundUp(in); got != want {
			t.Errorf("roundUp(%d) = %d, want %d", in, got, want)
		}
	}
}

func TestWatcherLearnsThenWatches(t *testing.T) {
	given := Target{Service: "given", Percentile: 99, Bound: 20 * time.Millisecond}
	w := NewWatcher(Options{Targets: []Target{given}, Learn: true})
	ended := histogram(map[time.Duration]int{fast: 20})
	var learned []Target
	tick := 0
	step := func(ended *latency.Histogram) {
		w.Observe(at(tick), at(tick+1), "front", ended, nil)
		w.Observe(at(tick), at(tick+1), "given", histogram(map[time.Duration]int{fast: 20}), nil)
		tick++
	}
	for len(learned) == 0 && tick < 4000 {
		step(ended)
		learned = append(learned, w.Learned()...)
		if p := w.Promises(); len(learned) == 0 && (p[0].Target.Service != "front" || p[0].Learning < 0 || p[0].Learning >= 1) {
			t.Fatalf("while learning: %+v", p[0])
		}
	}
	if len(learned) != 1 || learned[0].Bound != 16*time.Millisecond { // p99 is 5 ms, within the histogram's 1.6 %
		t.Fatalf("learned %+v, want three times 5 ms, rounded up", learned)
	}
	if got := w.Changed(); len(got) != 0 {
		t.Fatalf("violations while nothing was slow: %+v", got)
	}
	for range 20 {
		step(histogram(map[time.Duration]int{slow: 20}))
	}
	changed := w.Changed()
	if len(changed) == 0 || !changed[0].Learned || changed[0].Service != "front" {
		t.Fatalf("changed = %+v, want a violation of the learned target", changed)
	}
	for _, p := range w.Promises() {
		if want := p.Target.Service == "front"; p.Violated != want || p.Violations != map[bool]uint64{true: 1}[want] {
			t.Errorf("promise %+v: violated %v, %d so far", p.Target, p.Violated, p.Violations)
		}
	}
}

func TestWatcherIgnoresOthers(t *testing.T) {
	w := NewWatcher(Options{Targets: []Target{front}})
	for i := range 50 {
		w.Observe(at(i), at(i+1), "other", histogram(map[time.Duration]int{slow: 20}), nil)
	}
	if got := w.Promises(); len(got) != 1 || len(w.Changed()) != 0 {
		t.Errorf("promises = %+v, want the one that was given, and no violation", got)
	}
}
