package qos

import (
	"math"
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
// their own log (docs/CAMPAIGN.md).
//
// A tick is longer than a violation's limits should be blurred, so it is cut into
// slots of 10 ms at best. The age of an open request says in which it became
// overdue; all others are taken to be spread over their tick.
const (
	windowLength     = time.Second
	longWindowLength = 10 * time.Second
	mostSlots        = 10 // of a tick
	leastSlot        = 10 * time.Millisecond
)

// slotsOf is how many slots a tick is cut into.
func slotsOf(tick time.Duration) int { return int(min(max(tick/leastSlot, 1), mostSlots)) }

// window is the verdicts of one promise.
type window struct {
	target Target
	slots  []slot // oldest first, from head
	head   int
	n      float64
	late   float64
	sum    latency.Histogram // of what ended in it

	overdue      float64 // open beyond the bound at the end of the last tick
	overdueKnown bool
	ages         latency.Histogram // of requests open now; empty where not known
	coming       [mostSlots]slot   // of the tick being taken
}

// slot is the verdicts of a part of a tick. Neither number need be whole: the
// bound lies within a bucket, and what is known of a tick is spread over it.
type slot struct {
	end     time.Time
	n, late float64
	ended   []bucketCount // in the last slot of a tick: all that ended in it
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

// cut takes apart a tick, and returns its slots, which the caller then gives to
// push. Either histogram may be nil: nothing ended, or nothing is known of open
// requests.
func (w *window) cut(start, end time.Time, ended, open *latency.Histogram) []slot {
	tick := end.Sub(start)
	slots := w.coming[:slotsOf(tick)]
	length := tick / time.Duration(len(slots))
	for i := range slots {
		slots[i] = slot{end: start.Add(time.Duration(i+1) * length)}
	}
	slots[len(slots)-1].end = end

	var inTime, late float64
	if ended != nil {
		late = above(ended, w.target.Bound)
		inTime = float64(ended.N) - late
	}
	w.ages = latency.Histogram{}
	if open != nil {
		w.ages = *open
		overdue := above(open, w.target.Bound)
		if w.overdueKnown {
			// Requests that vanish unanswered make it negative; they were late.
			late = max(0, overdue-w.overdue+late)
			late -= w.place(slots, length, late)
		}
		w.overdue = overdue
	}
	w.overdueKnown = open != nil

	// What is left became late and ended in this tick, or, as far as is known, in one
	// before.
	at := &slots[0]
	if open != nil {
		at = &slots[len(slots)/3]
	}
	at.late, at.n = at.late+late, at.n+late
	for i := range slots {
		slots[i].n += inTime / float64(len(slots))
	}
	return slots
}

// place puts open requests, at most so many, into the slots in which they became
// overdue, and returns how many there were.
func (w *window) place(slots []slot, length time.Duration, most float64) (placed float64) {
	bound := w.target.Bound
	older := above(&w.ages, bound)
	for i := len(slots) - 1; i >= 0; i-- {
		before := above(&w.ages, bound+time.Duration(len(slots)-i)*length)
		n := min(older-before, most-placed)
		older = before
		slots[i].n += n
		slots[i].late += n
		placed += n
	}
	return placed
}

// push adds the next slot to the window.
func (w *window) push(s slot, ended *latency.Histogram) {
	next := w.next()
	next.end, next.n, next.late, next.ended = s.end, s.n, s.late, next.ended[:0]
	if ended != nil {
		for b, n := range ended.Counts {
			if n != 0 {
				next.ended = append(next.ended, bucketCount{uint16(b), n})
				w.sum.AddN(b, n)
			}
		}
	}
	w.n += s.n
	w.late += s.late
	w.forget(s.end)
}

// next makes room for a slot at the end, with the memory of one that is gone.
func (w *window) next() *slot {
	if w.head > 0 && w.head >= len(w.slots)/2 {
		kept := len(w.slots) - w.head
		for i := range kept { // swapped, not copied: each keeps its own slice
			w.slots[i], w.slots[w.head+i] = w.slots[w.head+i], w.slots[i]
		}
		w.slots, w.head = w.slots[:kept], 0
	}
	if len(w.slots) < cap(w.slots) {
		w.slots = w.slots[:len(w.slots)+1]
	} else {
		w.slots = append(w.slots, slot{})
	}
	return &w.slots[len(w.slots)-1]
}

// forget drops the slots that are too old.
func (w *window) forget(now time.Time) {
	least := float64(w.target.least())
	for w.head < len(w.slots)-1 {
		oldest := &w.slots[w.head]
		age := now.Sub(oldest.end)
		if age < windowLength || age < longWindowLength && w.n-oldest.n < least-.5 {
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

// requests is how many requests there are, to the nearest.
func (w *window) requests() int64 { return int64(math.Round(w.n)) }

// enough says whether there are as many requests as it takes to say anything.
func (w *window) enough() bool { return w.requests() >= w.target.least() }

// broken says whether the percentile exceeds its bound. Half a request is for
// those in the bucket of the bound.
func (w *window) broken() bool {
	return w.enough() && w.late >= float64(w.target.allowed(w.requests()))+.5
}

// share is the part of the requests that is late.
func (w *window) share() float64 {
	if w.n < .5 {
		return 0
	}
	return min(max(w.late/w.n, 0), 1)
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
