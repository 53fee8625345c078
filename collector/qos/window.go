package qos

import (
	"time"

	"seer/collector/latency"
)

// When the promise is broken
//
// A request counts in the tick in which its verdict is known: when it ends, or
// when it has been open for longer than the bound, whichever is first. So an onset
// does not wait for slow requests to end. Where the ages of open requests are not
// known (open is nil) a late one counts when it ends, and an onset may be seen as
// much later as the first late requests take beyond the bound.
//
// How many became overdue in a tick is a balance: those open beyond the bound at
// its end, less those at its start, plus those that ended late in between.
//
// The window holds the verdicts of the last second; where those are fewer than
// 1/(1-p), so many ticks more as bring as many, but none older than ten seconds.
// With fewer nothing is said. The promise is broken while more than n - ceil(p n)
// of n are late. It is the rule by which a campaign derives what users felt from
// their own log (docs/CAMPAIGN.md), in steps of a tick.
const (
	windowLength     = time.Second
	longWindowLength = 10 * time.Second
)

// window is the verdicts of one promise.
type window struct {
	target Target
	ticks  []verdicts // oldest first, from head
	head   int
	n      int64
	late   float64
	sum    latency.Histogram // of what ended in it

	overdue      float64 // open beyond the bound at the end of the last tick
	overdueKnown bool
	ages         latency.Histogram // of requests open now; empty where not known
}

// verdicts are those of one tick.
type verdicts struct {
	end   time.Time
	n     int64
	late  float64 // not whole: the bound lies within a bucket
	ended []bucketCount
}

type bucketCount struct {
	bucket uint16
	n      int32
}

// above is how many of h exceed a bound, those in its own bucket in proportion.
func above(h *latency.Histogram, bound time.Duration) float64 {
	late := float64(h.Above(bound))
	b := latency.Bucket(uint64(bound))
	if from, to := latency.Bounds(b); to > from {
		late += float64(h.Counts[b]) * float64(to-bound) / float64(to-from)
	}
	return late
}

// add takes the verdicts of a tick that ends at end. Either histogram may be nil:
// nothing ended, or nothing is known of open requests.
func (w *window) add(end time.Time, ended, open *latency.Histogram) {
	v := w.next()
	v.end, v.n, v.late, v.ended = end, 0, 0, v.ended[:0]
	if ended != nil {
		v.n, v.late = ended.N, above(ended, w.target.Bound)
		for b, n := range ended.Counts {
			if n != 0 {
				v.ended = append(v.ended, bucketCount{uint16(b), n})
				w.sum.AddN(b, n)
			}
		}
	}
	w.ages = latency.Histogram{}
	if open != nil {
		w.ages = *open
		overdue := above(open, w.target.Bound)
		if w.overdueKnown {
			// Requests that vanish unanswered make it negative; they were late.
			crossed := max(0, overdue-w.overdue+v.late)
			v.n += int64(crossed - v.late + .5)
			v.late = crossed
		}
		w.overdue = overdue
	}
	w.overdueKnown = open != nil
	w.n += v.n
	w.late += v.late
	w.forget(end)
}

// next makes room for a tick at the end, with the memory of one that is gone.
func (w *window) next() *verdicts {
	if w.head > 0 && w.head >= len(w.ticks)/2 {
		kept := len(w.ticks) - w.head
		for i := range kept { // swapped, not copied: each keeps its own slice
			w.ticks[i], w.ticks[w.head+i] = w.ticks[w.head+i], w.ticks[i]
		}
		w.ticks, w.head = w.ticks[:kept], 0
	}
	if len(w.ticks) < cap(w.ticks) {
		w.ticks = w.ticks[:len(w.ticks)+1]
	} else {
		w.ticks = append(w.ticks, verdicts{})
	}
	return &w.ticks[len(w.ticks)-1]
}

// forget drops the ticks that are too old.
func (w *window) forget(now time.Time) {
	least := w.target.least()
	for w.head < len(w.ticks)-1 {
		oldest := &w.ticks[w.head]
		age := now.Sub(oldest.end)
		if age < windowLength || age < longWindowLength && w.n-oldest.n < least {
			return
		}
		w.n -= oldest.n
		w.late -= oldest.late
		for _, c := range oldest.ended {
			w.sum.AddN(int(c.bucket), -c.n)
		}
		w.head++
	}
}

// enough says whether there are as many requests as it takes to say anything.
func (w *window) enough() bool { return w.n >= w.target.least() }

// broken says whether the percentile exceeds its bound. Half a request is for
// those in the bucket of the bound.
func (w *window) broken() bool {
	return w.enough() && w.late >= float64(w.target.allowed(w.n))+.5
}

// share is the part of the requests that is late.
func (w *window) share() float64 {
	if w.n <= 0 {
		return 0
	}
	return min(max(w.late/float64(w.n), 0), 1)
}

// percentile is the value of the promised percentile: of what ended in the window,
// and of the open requests that are overdue, as old as they are now.
func (w *window) percentile() (time.Duration, bool) {
	if !w.enough() {
		return 0, false
	}
	all := w.sum
	for b := latency.Bucket(uint64(w.target.Bound)) + 1; b < latency.Buckets; b++ {
		if n := w.ages.Counts[b]; n != 0 {
			all.AddN(b, n)
		}
	}
	return all.Quantile(w.target.Percentile / 100)
}
