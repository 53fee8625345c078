//go:build linux

package main

import (
	"math"
	"testing"
	"time"
)

func TestTrend(t *testing.T) {
	// 100 s at a sample a second: a start that must not count, then the line.
	of := func(f func(second float64) float64) trend {
		var r trace
		for i := range 101 {
			v := 1e6
			if i >= 50 {
				v = f(float64(i))
			}
			r.add(sample{at: time.Duration(i) * time.Second, values: map[string]float64{"x": v}})
		}
		return r.trend("x")
	}
	tests := []struct {
		name string
		f    func(float64) float64
		want float64
	}{
		{"flat", func(float64) float64 { return 7 }, 0},
		{"leak", func(s float64) float64 { return 100 + 3*s }, 150},
		{"noise around flat", func(s float64) float64 { return 50 + 5*math.Cos(math.Pi*s) }, 0},
		{"shrinks", func(s float64) float64 { return 500 - s }, -50},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := of(tt.f)
			if math.Abs(got.growth-tt.want) > .5 {
				t.Errorf("trend().growth = %g, want %g", got.growth, tt.want)
			}
			if got.span != 50*time.Second || got.first != tt.f(50) || got.last != tt.f(100) {
				t.Errorf("trend() = %+v, want the last 50 s, from %g to %g", got, tt.f(50), tt.f(100))
			}
		})
	}
}

func TestTrendOfNothing(t *testing.T) {
	var r trace
	if got := r.trend("x"); got != (trend{}) {
		t.Errorf("trend() of no samples = %+v, want zero", got)
	}
	r.add(sample{values: map[string]float64{"y": 1}})
	if got := r.trend("x"); got != (trend{}) {
		t.Errorf("trend() of an absent series = %+v, want zero", got)
	}
}

func TestSettled(t *testing.T) {
	for _, tt := range []struct{ run, want time.Duration }{
		{20 * time.Minute, 4 * time.Minute},
		{6 * time.Minute, 2 * time.Minute},
		{2 * time.Minute, time.Minute},
	} {
		if got := settled(tt.run); got != tt.want {
			t.Errorf("settled(%s) = %s, want %s", tt.run, got, tt.want)
		}
	}
}
