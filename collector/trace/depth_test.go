package trace

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"seer/collector"
)

const ms = int64(time.Millisecond)

// cells sweeps a set and returns each service's cells, tick by tick.
func cells(t *testing.T, s *Set, tick time.Duration, q collector.Queue) (starts []int64, of map[string][]collector.Cell) {
	t.Helper()
	s.Link()
	of = map[string][]collector.Cell{}
	err := s.Depths(tick, func(tk *collector.Tick) error {
		starts = append(starts, tk.Start.UnixNano()/ms)
		for i := range tk.Rows {
			name := tk.Rows[i].Container.Service
			of[name] = append(of[name], tk.Rows[i].Cells[q])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return starts, of
}

// Three requests, two of them at once for 20 ms, the last over the end of a tick.
func TestDepths(t *testing.T) {
	var s Set
	at := int64(1_000_000) * ms
	s.span(1, 1, 0, "web", Server, at+10*ms, at+40*ms)
	s.span(2, 1, 0, "web", Server, at+20*ms, at+60*ms)
	s.span(3, 1, 0, "web", Server, at+90*ms, at+130*ms)
	s.span(3, 2, 1, "web", Client, at+100*ms, at+120*ms)
	s.span(3, 3, 2, "db", Server, at+105*ms, at+115*ms)
	s.span(2, 2, 1, "db", Server, at+30*ms, at+50*ms) // whose client was not traced
	starts, outstanding := cells(t, &s, 100*time.Millisecond, collector.QueueOutstanding)
	_, downstream := cells(t, &s, 100*time.Millisecond, collector.QueueDownstream)
	if diff := cmp.Diff([]int64{1_000_000, 1_000_100}, starts); diff != "" {
		t.Errorf("ticks -want +got:\n%s", diff)
	}
	cell := func(depth, mean, most, arrivals, departures float64, wait time.Duration) collector.Cell {
		return collector.Cell{Depth: depth, Mean: mean, Max: most, Arrivals: arrivals, Departures: departures, Wait: wait, Valid: true}
	}
	const each = time.Millisecond
	if diff := cmp.Diff(map[string][]collector.Cell{
		"web": {cell(1, 0.8, 2, 3, 2, 35*each), cell(0, 0.3, 1, 0, 1, 40*each)},
		"db":  {cell(0, 0.2, 1, 1, 1, 20*each), cell(0, 0.1, 1, 1, 1, 10*each)},
	}, outstanding); diff != "" {
		t.Errorf("outstanding -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]collector.Cell{
		"web": {cell(0, 0.2, 1, 1, 1, 20*each), cell(0, 0.2, 1, 1, 1, 20*each)},
		"db":  {cell(0, 0, 0, 0, 0, 0), cell(0, 0, 0, 0, 0, 0)},
	}, downstream); diff != "" {
		t.Errorf("downstream -want +got:\n%s", diff)
	}
}

// Time in which nothing was traced is left out; a pause is not.
func TestDepthsGap(t *testing.T) {
	var s Set
	second := 1000 * ms
	s.span(1, 1, 0, "web", Server, 5*second, 5*second+ms)
	s.span(2, 1, 0, "web", Server, 9*second, 9*second)
	s.span(3, 1, 0, "web", Server, 3600*second, 3600*second+ms)
	starts, of := cells(t, &s, time.Second, collector.QueueOutstanding)
	if diff := cmp.Diff([]int64{5000, 6000, 7000, 8000, 9000, 3600_000}, starts); diff != "" {
		t.Errorf("ticks -want +got:\n%s", diff)
	}
	// One that takes no time came and went.
	if c := of["web"][4]; c.Arrivals != 1 || c.Departures != 1 || c.Depth != 0 || c.Max != 1 {
		t.Errorf("a request without duration: %+v", c)
	}
}

// What enters leaves, depths add up to durations, at any tick.
func TestDepthsAddUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var s Set
		total := map[string]float64{}
		for i := range 200 {
			name := string(rune('a' + random.IntN(5)))
			start := 1_000_000*ms + random.Int64N(5000*ms)
			length := random.Int64N(1000 * ms)
			total[name] += float64(length)
			s.span(byte(i), 1, 0, name, Server, start, start+length)
		}
		tick := []time.Duration{10, 100, 1000}[random.IntN(3)] * time.Millisecond
		_, of := cells(t, &s, tick, collector.QueueOutstanding)
		for name, all := range of {
			var area, arrivals, departures float64
			for i, c := range all {
				area += c.Mean * float64(tick)
				arrivals += c.Arrivals
				departures += c.Departures
				if want := arrivals - departures; c.Depth != want {
					t.Fatalf("%s: depth %v in tick %d, want %v", name, c.Depth, i, want)
				}
			}
			if arrivals != departures || area < total[name]-1 || area > total[name]+1 {
				t.Errorf("%s: %v arrivals, %v departures, %v request ns, want %v", name, arrivals, departures, area, total[name])
			}
		}
	}
}
