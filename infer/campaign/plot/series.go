package plot

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot/plotter"

	"seer/collector"
	"seer/collector/tracedb"
	"seer/infer/campaign"
)

// maxPoints bounds the points of a line: more than a picture has columns show
// nothing new.
const maxPoints = 1500

// users is what the users of one promise felt, in buckets of time.
type users struct {
	qos        campaign.QoS
	percentile plotter.XYs // s, ms: the promised one
	median     plotter.XYs // s, ms
	rate       plotter.XYs // s, requests per second
	failed     plotter.XYs // s, of them
}

// bucketOf returns the length of the buckets: at least a second, so that a
// percentile has some requests.
func bucketOf(from, to time.Duration) time.Duration {
	return max(time.Second, (to-from)/maxPoints)
}

// readUsers goes through the requests once.
func readUsers(d *campaign.Dir, from, to time.Duration) ([]*users, error) {
	var all []*users
	buckets := make(map[string][]*bucket)
	for _, q := range d.Manifest.QoS {
		u := &users{qos: q}
		all = append(all, u)
		buckets[q.Service] = append(buckets[q.Service], &bucket{users: u, from: from, length: bucketOf(from, to)})
	}
	for r, err := range d.Requests() {
		if err != nil {
			return nil, err
		}
		at := time.Duration(r.IntendedUS) * time.Microsecond
		if at < from {
			continue
		}
		if at >= to {
			break
		}
		for _, b := range buckets[r.Service] {
			b.add(at, &r)
		}
	}
	for _, bs := range buckets {
		for _, b := range bs {
			b.close()
		}
	}
	return all, nil
}

// bucket collects the requests that were meant to be sent in a stretch of time.
type bucket struct {
	users   *users
	from    time.Duration
	length  time.Duration
	latency []int64 // us
	failed  int
}

func (b *bucket) add(at time.Duration, r *campaign.Request) {
	for at >= b.from+b.length {
		b.close()
	}
	b.latency = append(b.latency, r.LatencyUS)
	if r.Status != string(campaign.StatusOK) {
		b.failed++
	}
}

// close draws the points of the bucket and begins the next.
func (b *bucket) close() {
	u, n := b.users, len(b.latency)
	x := (b.from + b.length/2).Seconds()
	u.rate = append(u.rate, plotter.XY{X: x, Y: float64(n) / b.length.Seconds()})
	u.failed = append(u.failed, plotter.XY{X: x, Y: float64(b.failed) / b.length.Seconds()})
	if n > 0 {
		slices.Sort(b.latency)
		rank := func(p float64) float64 {
			return float64(b.latency[max(0, int(math.Ceil(p/100*float64(n)))-1)]) / 1000
		}
		u.percentile = append(u.percentile, plotter.XY{X: x, Y: rank(u.qos.Percentile)})
		u.median = append(u.median, plotter.XY{X: x, Y: rank(50)})
	}
	b.from += b.length
	b.latency, b.failed = b.latency[:0], 0
}

// depth is how deep a queue was.
type depth struct {
	queue collector.Queue
	mean  plotter.XYs // s, depth
}

// readDepths reads the queues of a service, all replicas together. Where there
// are more ticks than points, each point is the largest of its ticks: a short
// peak is what one looks for.
func readDepths(ctx context.Context, d *campaign.Dir, service string, queues []collector.Queue, from, to time.Duration) ([]depth, error) {
	if !slices.Contains(d.Manifest.Services, service) {
		return nil, fmt.Errorf("campaign %q has no service %q", d.Path, service)
	}
	columns := tracedb.Columns([]string{service}, queues, []tracedb.Stat{tracedb.StatMean})
	out := make([]depth, len(queues))
	tick := time.Duration(d.Manifest.TickMS) * time.Millisecond
	each := max(1, int((to-from)/tick/maxPoints))
	// An hour at a time bounds the memory.
	for at := from; at < to; at += time.Hour {
		w, err := d.Window(ctx, at, min(to, at+time.Hour), columns)
		if err != nil {
			return nil, err
		}
		for c := range columns {
			out[c].queue = queues[c]
			for i := 0; i < w.Rows; i += each {
				peak, valid := float32(0), false
				for j := i; j < min(i+each, w.Rows); j++ {
					values, ok := w.Row(j)
					if ok[c] {
						peak, valid = max(peak, values[c]), true
					}
				}
				if valid {
					x := (at + time.Duration(i)*tick).Seconds()
					out[c].mean = append(out[c].mean, plotter.XY{X: x, Y: float64(peak)})
				}
			}
		}
	}
	return out, nil
}
