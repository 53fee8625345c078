//go:build linux

package main

import (
	"math"
	"testing"
	"time"

	"seer/test/lab"
)

func TestCorrelation(t *testing.T) {
	x := []float64{1, 2, 3, 4}
	for _, tt := range []struct {
		y    []float64
		want float64
	}{
		{[]float64{10, 20, 30, 40}, 1},
		{[]float64{4, 3, 2, 1}, -1},
		{[]float64{1, -1, -1, 1}, 0},
	} {
		if got := correlation(x, tt.y); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("correlation(%v, %v) = %v, want %v", x, tt.y, got, tt.want)
		}
	}
}

func TestCompare(t *testing.T) {
	base := time.Unix(1_700_000_000, 0)
	same := func(atServer, atClient []lab.Interval) func([]time.Time) ([]lab.Interval, []lab.Interval) {
		return func([]time.Time) ([]lab.Interval, []lab.Interval) { return atServer, atClient }
	}
	one := &pair{
		outstanding: []float64{2.2, 4.4}, // the truth and a tenth
		downstream:  []float64{3, 5},
		answered:    30,
		truth:       same([]lab.Interval{{Depth: 2, Ended: 10}, {Depth: 4, Ended: 20}}, []lab.Interval{{Depth: 4}, {Depth: 4}}),
	}
	other := &pair{ // right, but upside down at every tick
		outstanding: []float64{1, 2},
		downstream:  []float64{4, 4},
		answered:    30,
		truth:       same([]lab.Interval{{Depth: 2, Ended: 20}, {Depth: 1, Ended: 10}}, []lab.Interval{{Depth: 4}, {Depth: 4}}),
	}
	for _, tt := range []struct {
		name  string
		pairs []*pair
		want  result
	}{
		{"one pair", []*pair{one}, result{depth: 3, rate: 150, pairs: 1, passes: 100, samplingError: 100 / math.Sqrt(60), meanError: 10, correlation: 1, latencyError: 10}},
		{"two pairs", []*pair{one, other}, result{depth: 2.25, rate: 150, pairs: 2, passes: 100, samplingError: 100 / math.Sqrt(90), meanError: 100 * .3 / 4.5, correlation: 0, latencyError: 100 * .3 / 4.5}},
	} {
		r := &recorder{pairs: tt.pairs, passes: 20, bounds: []time.Time{base, base.Add(100 * time.Millisecond), base.Add(200 * time.Millisecond)}}
		got, want := r.compare(t), tt.want
		for _, f := range [][2]float64{
			{got.depth, want.depth}, {got.rate, want.rate}, {float64(got.pairs), float64(want.pairs)}, {got.passes, want.passes},
			{got.samplingError, want.samplingError}, {got.meanError, want.meanError}, {got.correlation, want.correlation},
			{got.rateError, 0}, {got.latencyError, want.latencyError}, {got.downstreamError, 0},
		} {
			if math.Abs(f[0]-f[1]) > 1e-6 {
				t.Errorf("%s: compare = %+v, want %+v", tt.name, got, want)
				break
			}
		}
	}
}
