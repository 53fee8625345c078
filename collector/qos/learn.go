package qos

import (
	"slices"
	"time"

	"seer/collector/latency"
)

// How a target is learned
//
// Time is cut into blocks of ten seconds. A block with enough requests for the
// percentile (100 for p99) has one. After 30 such blocks, five minutes at the
// least, the target is three times the median of their percentiles, rounded up to two
// digits and at least a millisecond. A block in which anything was slow moves the
// median by at most a rank, so a violation while learning does no harm unless it
// fills nearly half of the time.
//
// A service that is slow all the time learns that as its nominal latency: give it
// a target.
const (
	learnBlock   = 10 * time.Second
	learnBlocks  = 30
	learnFactor  = 3
	learnedLeast = time.Millisecond
)

// DefaultPercentile is that of learned targets.
const DefaultPercentile = 99

// learner finds the nominal latency of one service.
type learner struct {
	target Target // without its bound
	block  int64  // number of the block being filled
	sum    latency.Histogram
	found  []time.Duration // percentile of each block, in order of time
}

// observe takes a tick, and returns the target once it is known.
func (l *learner) observe(start time.Time, ended *latency.Histogram) (Target, bool) {
	if block := start.UnixNano() / int64(learnBlock); block != l.block {
		if l.sum.N >= l.target.least() {
			p, _ := l.sum.Quantile(l.target.Percentile / 100)
			l.found = append(l.found, p)
		}
		l.block, l.sum = block, latency.Histogram{}
	}
	if ended != nil {
		l.sum.Merge(ended)
	}
	if len(l.found) < learnBlocks {
		return Target{}, false
	}
	sorted := slices.Sorted(slices.Values(l.found))
	t := l.target
	t.Learned = true
	t.Bound = min(roundUp(max(learnFactor*sorted[len(sorted)/2], learnedLeast)), highestBound)
	return t, true
}

// progress is how much of what it takes is there, 0..1.
func (l *learner) progress() float64 { return float64(len(l.found)) / learnBlocks }

// roundUp to two digits: a target is for people.
func roundUp(d time.Duration) time.Duration {
	step := time.Duration(1)
	for d/step >= 100 {
		step *= 10
	}
	return (d + step - 1) / step * step
}
