package collector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// event is one arrival (+1) or departure (-1).
type event struct {
	at    uint64
	delta int
}

// randomQueue returns events in order of time between start and end, such that
// the depth, which begins at depth, never falls below zero.
func randomQueue(r *rand.Rand, depth int, start, end uint64, n int) []event {
	times := make([]uint64, n)
	for i := range times {
		times[i] = start + r.Uint64N(end-start)
	}
	slices.Sort(times)
	events := make([]event, n)
	for i, at := range times {
		delta := 1
		if depth > 0 && r.IntN(2) == 0 {
			delta = -1
		}
		depth += delta
		events[i] = event{at, delta}
	}
	return events
}

func (c counts) after(events []event) counts {
	for _, e := range events {
		if e.delta > 0 {
			c.arrivals++
			c.in += e.at
		} else {
			c.departures++
			c.out += e.at
		}
	}
	return c
}

// integral is the mean depth over [start, end], step by step.
func integral(events []event, depth int, start, end uint64) float64 {
	area, at := 0.0, start
	for _, e := range events {
		area += float64(depth) * float64(e.at-at)
		depth, at = depth+e.delta, e.at
	}
	area += float64(depth) * float64(end-at)
	return area / float64(end-start)
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6*max(1, math.Abs(a), math.Abs(b)) }

const tickNs = uint64(100 * time.Millisecond)

// The four counters give the same mean as the depth curve itself, whatever
// their values were before: they may wrap at any moment.
func TestMeanDepthEqualsIntegral(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		depth := r.IntN(50)
		start := uint64(time.Minute) + r.Uint64N(uint64(1000*time.Hour))
		end := start + tickNs
		events := randomQueue(r, depth, start, end, r.IntN(300))
		// What is in the queue arrived earlier; what came and went is anything.
		var then counts
		for range depth {
			then.arrivals++
			then.in += start - r.Uint64N(uint64(time.Second))
		}
		gone := r.Uint64()
		then.arrivals, then.departures = then.arrivals+gone, then.departures+gone
		passed := r.Uint64()
		then.in, then.out = then.in+passed, then.out+passed
		now := then.after(events)
		if got, want := meanDepth(then, now, start, end), integral(events, depth, start, end); !near(got, want) {
			t.Fatalf("depth %d, %d events: meanDepth = %v, want %v", depth, len(events), got, want)
		}
	}
}

func TestMeanDepthAtTheWrap(t *testing.T) {
	start := uint64(time.Hour)
	at := func(ms uint64) uint64 { return start + ms*uint64(time.Millisecond) }
	events := []event{{at(10), 1}, {at(20), 1}, {at(60), -1}, {at(90), -1}}
	want := (10*1 + 40*2 + 30*1) / 100.0
	for _, before := range []uint64{0, 1, 2, math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - 2, 1 << 63, 1<<63 - 1} {
		then := counts{arrivals: before, departures: before, in: before, out: before}
		if got := meanDepth(then, then.after(events), start, start+tickNs); !near(got, want) {
			t.Errorf("counters from %d: meanDepth = %v, want %v", before, got, want)
		}
	}
}

// A reading between a counter and its sum of times, at either end of the tick,
// never gives more than there was, nor less than nothing, and no wild value.
func TestMeanDepthOfTornReadings(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for range 2000 {
		depth := r.IntN(20)
		start := uint64(10*time.Minute) + r.Uint64N(uint64(1000*time.Hour))
		end := start + tickNs
		events := randomQueue(r, depth, start, end, 1+r.IntN(100))
		var then counts
		for range depth {
			then.arrivals++
			then.in += start - 1
		}
		now := then.after(events)
		full := then.after([]event{{start - 5, 1}})
		torn := map[string][2]counts{
			"arrival at the end":   {then, {now.arrivals + 1, now.departures, now.in, now.out}},
			"departure at the end": {then, {now.arrivals, now.departures + 1, now.in, now.out}},
			"in before arrival":    {then, {now.arrivals, now.departures, now.in + end, now.out}},
			"out before departure": {then, {now.arrivals, now.departures, now.in, now.out + end}},
			"arrival at the start": {
				{then.arrivals + 1, then.departures, then.in, then.out},
				then.after([]event{{start, 1}}).after(events),
			},
			"departure at the start": {
				{full.arrivals, full.departures + 1, full.in, full.out},
				full.after([]event{{start, -1}}).after(events),
			},
		}
		for name, c := range torn {
			first, last := float64(int64(c[0].arrivals-c[0].departures)), float64(int64(c[1].arrivals-c[1].departures))
			want := max(0, (first+last)/2)
			if got := meanDepth(c[0], c[1], start, end); math.Abs(got-want) > 0.5 {
				t.Fatalf("%s: meanDepth = %v, want %v, the mean of both ends", name, got, want)
			}
		}
	}
}

// The counters are read after the clock: what came in between is in them and
// does not make an empty queue look half full.
func TestMeanDepthOfLateEvents(t *testing.T) {
	start := uint64(time.Hour)
	end := start + tickNs
	late := end + uint64(200*time.Microsecond)
	tests := []struct {
		name   string
		depth  int
		events []event
		want   float64
	}{
		{"late arrival in an empty queue", 0, []event{{late, 1}}, 0},
		{"late arrivals", 0, []event{{late, 1}, {late, 1}, {late, 1}}, 0},
		{"late departure from a full queue", 1, []event{{late, -1}}, 1},
		{"late arrival and departure", 0, []event{{late, 1}, {late + 1, -1}}, 0},
	}
	for _, tt := range tests {
		var then counts
		for range tt.depth {
			then.arrivals++
			then.in += start - 1
		}
		if got := meanDepth(then, then.after(tt.events), start, end); math.Abs(got-tt.want) > 0.01 {
			t.Errorf("%s: meanDepth = %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestMeanDepthOfNoTime(t *testing.T) {
	then := counts{arrivals: 5, departures: 2}
	if got := meanDepth(then, then, 100, 100); got != 3 {
		t.Errorf("meanDepth over nothing = %v, want the depth, 3", got)
	}
	if got := meanDepth(counts{}, counts{departures: 2}, 100, 100); got != 0 {
		t.Errorf("meanDepth of more departures than arrivals = %v, want 0", got)
	}
}

// Departures of what was there before the counting began leave no negative depth.
func TestMeanDepthIsNeverNegative(t *testing.T) {
	start := uint64(time.Hour)
	var then counts
	now := then.after([]event{{start + 1, -1}, {start + 2, -1}})
	if got := meanDepth(then, now, start, start+tickNs); got != 0 {
		t.Errorf("meanDepth = %v, want 0", got)
	}
}

func TestLittleWait(t *testing.T) {
	// 200 requests a second, 4 at a time: 20 ms each.
	if got := littleWait(4, 0.1, 20); got != 20*time.Millisecond {
		t.Errorf("littleWait = %v, want 20ms", got)
	}
}
