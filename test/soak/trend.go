//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// trace is all scrapes of a run, oldest first.
type trace struct{ samples []sample }

func (r *trace) add(s sample) { r.samples = append(r.samples, s) }

// save writes all samples, to look at what a trend cannot tell.
func (r *trace) save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	for _, s := range r.samples {
		for _, series := range slices.Sorted(maps.Keys(s.values)) {
			fmt.Fprintf(out, "%.1f,%q,%g\n", s.at.Seconds(), series, s.values[series])
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

// settled returns how much of the start of a run no trend is taken of: caches
// fill, the first blocks are written, the heap finds its size. That takes two
// minutes; a long run has a fifth to spare, a short one only half.
func settled(run time.Duration) time.Duration {
	return max(run/5, min(run/2, 2*time.Minute))
}

// trend is how one series went after it had settled.
type trend struct {
	first, last, least, most float64

	// growth is the slope of the least-squares line times the time it spans:
	// what was added while the series was looked at, noise averaged out.
	growth float64
	span   time.Duration
}

// trend looks at a series; one that is missing from a scrape is skipped there.
func (r *trace) trend(series string) trend {
	if len(r.samples) == 0 {
		return trend{}
	}
	from := settled(r.samples[len(r.samples)-1].at)
	var xs, ys []float64
	for _, s := range r.samples {
		if v, ok := s.values[series]; ok && s.at >= from {
			xs, ys = append(xs, s.at.Seconds()), append(ys, v)
		}
	}
	if len(ys) == 0 {
		return trend{}
	}
	n := len(ys)
	return trend{
		first: ys[0], last: ys[n-1], least: slices.Min(ys), most: slices.Max(ys),
		growth: slope(xs, ys) * (xs[n-1] - xs[0]),
		span:   time.Duration((xs[n-1] - xs[0]) * float64(time.Second)),
	}
}

// slope is that of the least-squares line, 0 for fewer than two different x.
func slope(xs, ys []float64) float64 {
	var mx, my float64
	for i := range xs {
		mx += xs[i] / float64(len(xs))
		my += ys[i] / float64(len(ys))
	}
	var sxy, sxx float64
	for i := range xs {
		sxy += (xs[i] - mx) * (ys[i] - my)
		sxx += (xs[i] - mx) * (xs[i] - mx)
	}
	if sxx == 0 {
		return 0
	}
	return sxy / sxx
}
