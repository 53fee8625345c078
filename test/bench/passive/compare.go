//go:build linux

package main

import (
	"math"
	"time"

	"seer/collector"
	"seer/test/lab"
)

// recorder keeps the series of every pair, from skip on, until length is full.
type recorder struct {
	pairs  []*pair
	skip   time.Time
	length time.Duration
	full   chan struct{}
	done   bool

	bounds  []time.Time // one more than ticks
	passes  int
	missing int // ticks of a pair without a valid cell
}

// pair is a server and its client, and what was seen of them.
type pair struct {
	server, client uint64 // cgroup ids
	truth          func(bounds []time.Time) (atServer, atClient []lab.Interval)

	outstanding []float64
	downstream  []float64
	answered    float64
}

// Consume implements collector.Sink.
func (r *recorder) Consume(tk *collector.Tick) {
	if r.done || tk.Start.Before(r.skip) {
		return
	}
	if len(r.bounds) == 0 {
		r.bounds = append(r.bounds, tk.Start)
	}
	for _, p := range r.pairs {
		if !p.consume(tk) {
			r.missing++
		}
	}
	r.bounds = append(r.bounds, tk.End)
	r.passes += tk.Passes
	if tk.End.Sub(r.bounds[0]) >= r.length {
		r.done = true
		close(r.full)
	}
}

// consume returns false if the tick has no valid cell for the pair.
func (p *pair) consume(tk *collector.Tick) bool {
	var out, down collector.Cell
	for i := range tk.Rows {
		switch tk.Rows[i].Container.ID.CgroupID() {
		case p.server:
			out = tk.Rows[i].Cells[collector.QueueOutstanding]
		case p.client:
			down = tk.Rows[i].Cells[collector.QueueDownstream]
		}
	}
	p.outstanding = append(p.outstanding, out.Mean)
	p.downstream = append(p.downstream, down.Mean)
	p.answered += out.Departures
	return out.Valid && down.Valid
}

// compare holds the series to the truth of both ends.
func (r *recorder) compare(t lab.TB) result {
	if r.missing > 0 {
		t.Errorf("%d of %d ticks had no valid cell", r.missing, len(r.pairs)*(len(r.bounds)-1))
	}
	took := r.bounds[len(r.bounds)-1].Sub(r.bounds[0]).Seconds()
	var depth, seen, ended, answered, atClient, seenAtClient, correlations float64
	for _, p := range r.pairs {
		server, client := p.truth(r.bounds)
		truth := depths(server)
		for _, i := range server {
			ended += float64(i.Ended)
		}
		depth += average(truth)
		seen += average(p.outstanding)
		answered += p.answered
		atClient += average(depths(client))
		seenAtClient += average(p.downstream)
		correlations += correlation(p.outstanding, truth)
	}
	n := float64(len(r.pairs))
	return result{
		depth: depth / n, rate: ended / took / n, pairs: len(r.pairs),
		passes:          float64(r.passes) / took,
		samplingError:   100 / math.Sqrt(depth*float64(r.passes)),
		meanError:       percent(seen, depth),
		correlation:     correlations / n,
		rateError:       percent(answered, ended),
		latencyError:    percent(seen/answered, depth/ended),
		downstreamError: percent(seenAtClient, atClient),
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
