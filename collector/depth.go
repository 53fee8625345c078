package collector

import "time"

// counts are the four counters of a queue whose arrivals and departures are
// seen one by one (DESIGN.md section 3.2). All grow modulo 2^64; times are
// CLOCK_MONOTONIC nanoseconds.
type counts struct {
	arrivals, departures uint64
	in, out              uint64 // sums of the times of arrivals and departures
}

// area is the integral of the depth from the beginning of time to now, in
// request-nanoseconds, modulo 2^64.
func (c counts) area(now uint64) uint64 {
	return c.arrivals*now - c.in - (c.departures*now - c.out)
}

// lateShare of an interval is how long after its end an event may be stamped
// and still be among the counters read: they are read after the clock.
const lateShare = 0.1

// meanDepth is the mean depth of a queue between two readings of its counters.
//
// A counter and its sum of times are two words: a reading between the two is
// wrong by a whole time since boot, some 10^13, where a depth cannot exceed
// what was there plus what came. Such a mean is replaced by the mean of the
// depths at both ends.
func meanDepth(then, now counts, start, end uint64) float64 {
	before := float64(int64(then.arrivals - then.departures))
	after := float64(int64(now.arrivals - now.departures))
	if end <= start {
		return max(0, after)
	}
	mean := float64(int64(now.area(end)-then.area(start))) / float64(end-start)
	arrived, departed := float64(now.arrivals-then.arrivals), float64(now.departures-then.departures)
	highest := max(before, 0) + arrived
	if mean < -lateShare*arrived-1e-6 || mean > highest+lateShare*departed+1e-6 {
		mean = (before + after) / 2
	}
	return min(max(0, mean), highest)
}

// littleWait is the mean time in the queue of those that left it during an
// interval, by Little's law.
func littleWait(mean, seconds, departures float64) time.Duration {
	return time.Duration(mean * seconds / departures * float64(time.Second))
}
