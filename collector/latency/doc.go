// Package latency is how long requests took, as exact mode counts them: a
// histogram with buckets of equal ratio within an octave, which the request hooks
// fill in the kernel (bpf/latency.bpf.h has the same arithmetic; a test compares).
//
// A bucket is at most a 32nd of its lower bound wide, so a quantile read at the
// middle of its bucket is within 1.6 % of the truth. Times below 1.024 us share
// the first bucket, those from 68.7 s the last.
//
//	var h latency.Histogram
//	h.Add(1800 * time.Microsecond)
//	p99, ok := h.Quantile(.99)
package latency
