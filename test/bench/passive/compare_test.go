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
	r := &recorder{
		bounds:      []time.Time{base, base.Add(100 * time.Millisecond), base.Add(200 * time.Millisecond)},
		outstanding: []float64{2.2, 4.4}, // the truth and a tenth
		downstream:  []float64{3, 5},
		answered:    30,
		passes:      20,
	}
	truth := []lab.Interval{{Depth: 2, Ended: 10}, {Depth: 4, Ended: 20}}
	got := r.compare(t, truth, []lab.Interval{{Depth: 4}, {Depth: 4}})
	want := result{depth: 3, rate: 150, passes: 100, samplingError: 100 / math.Sqrt(60), meanError: 10, correlation: 1, latencyError: 10}
	for _, f := range [][2]float64{
		{got.depth, want.depth}, {got.rate, want.rate}, {got.passes, want.passes}, {got.samplingError, want.samplingError},
		{got.meanError, want.meanError}, {got.correlation, want.correlation}, {got.rateError, 0},
		{got.latencyError, want.latencyError}, {got.downstreamError, 0},
	} {
		if math.Abs(f[0]-f[1]) > 1e-6 {
			t.Errorf("compare = %+v, want %+v", got, want)
			break
		}
	}
}
