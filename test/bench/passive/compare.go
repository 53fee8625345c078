//go:build linux

package main

import (
	"math"
	"time"

	"seer/collector"
	"seer/test/lab"
)

// recorder keeps the series of both containers, from skip on, until length is
// full.
type recorder struct {
	server, client uint64 // cgroup ids
	skip           time.Time
	length         time.Duration
	full           chan struct{}
	done           bool

	bounds      []time.Time // one more than ticks
	outstanding []float64
	downstream  []float64
	answered    float64
	passes      int
	missing     int // ticks without a valid cell
}

// Consume implements collector.Sink.
func (r *recorder) Consume(tk *collector.Tick) {
	if r.done || tk.Start.Before(r.skip) {
		return
	}
	if len(r.bounds) == 0 {
		r.bounds = append(r.bounds, tk.Start)
	}
	var out, down collector.Cell
	for i := range tk.Rows {
		switch tk.Rows[i].Container.ID.CgroupID() {
		case r.server:
			out = tk.Rows[i].Cells[collector.QueueOutstanding]
		case r.client:
			down = tk.Rows[i].Cells[collector.QueueDownstream]
		}
	}
	if !out.Valid || !down.Valid {
		r.missing++
	}
	r.bounds = append(r.bounds, tk.End)
	r.outstanding = append(r.outstanding, out.Mean)
	r.downstream = append(r.downstream, down.Mean)
	r.answered += out.Departures
	r.passes += tk.Passes
	if tk.End.Sub(r.bounds[0]) >= r.length {
		r.done = true
		close(r.full)
	}
}

// compare holds the series to the truth of both ends.
func (r *recorder) compare(t lab.TB, server, client []lab.Interval) result {
	if r.missing > 0 {
		t.Errorf("%d of %d ticks had no valid cell", r.missing, len(r.outstanding))
	}
	took := r.bounds[len(r.bounds)-1].Sub(r.bounds[0]).Seconds()
	truth, atClient := depths(server), depths(client)
	ended := 0.0
	for _, i := range server {
		ended += float64(i.Ended)
	}
	depth, seen := average(truth), average(r.outstanding)
	return result{
		depth:           depth,
		rate:            ended / took,
		passes:          float64(r.passes) / took,
		samplingError:   100 / math.Sqrt(depth*float64(r.passes)),
		meanError:       percent(seen, depth),
		correlation:     correlation(r.outstanding, truth),
		rateError:       percent(r.answered, ended),
		latencyError:    percent(seen/r.answered, depth/ended),
		downstreamError: percent(average(r.downstream), average(atClient)),
	}
}

func depths(truth []lab.Interval) []float64 {
	out := make([]float64, len(truth))
	for i, x := range truth {
		out[i] = x.Depth
	}
	return out
}

func average(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / float64(len(x))
}

// percent is how far got is from want.
func percent(got, want float64) float64 { return (got/want - 1) * 100 }

// correlation is Pearson's.
func correlation(x, y []float64) float64 {
	mx, my := average(x), average(y)
	var xx, yy, xy float64
	for i := range x {
		dx, dy := x[i]-mx, y[i]-my
		xx, yy, xy = xx+dx*dx, yy+dy*dy, xy+dx*dy
	}
	return xy / math.Sqrt(xx*yy)
}
