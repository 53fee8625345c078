package latency

import (
	"math/bits"
	"time"
)

// The buckets: one for what is below 2^LowestBit ns, Octaves x PerOctave, one for
// what is beyond.
const (
	LowestBit = 10
	Octaves   = 26
	PerOctave = 1 << perOctaveBits
	Buckets   = 1 + Octaves*PerOctave + 1

	perOctaveBits = 5
)

// Bucket is the bucket of a time in nanoseconds.
func Bucket(ns uint64) int {
	octave := bits.Len64(ns) - 1
	switch {
	case octave < LowestBit:
		return 0
	case octave >= LowestBit+Octaves:
		return Buckets - 1
	}
	return 1 + (octave-LowestBit)<<perOctaveBits + int(ns>>(octave-perOctaveBits)&(PerOctave-1))
}

// Bounds are the least time in a bucket and the least beyond it. The last bucket
// has no end: its bounds are equal.
func Bounds(bucket int) (from, to time.Duration) {
	switch {
	case bucket <= 0:
		return 0, 1 << LowestBit
	case bucket >= Buckets-1:
		return 1 << (LowestBit + Octaves), 1 << (LowestBit + Octaves)
	}
	octave, part := (bucket-1)>>perOctaveBits, (bucket-1)&(PerOctave-1)
	width := time.Duration(1) << (octave + LowestBit - perOctaveBits)
	from = (PerOctave + time.Duration(part)) * width
	return from, from + width
}

// Histogram counts requests by the bucket of their latency. The zero value is
// empty. Counts may be negative in a difference of two: a reply that goes on
// moves its request to a later bucket.
type Histogram struct {
	N      int64 // sum of Counts
	Counts [Buckets]int32
}

// Add counts one request.
func (h *Histogram) Add(d time.Duration) { h.AddN(Bucket(uint64(max(d, 0))), 1) }

// AddN counts n requests, or takes back -n, in a bucket.
func (h *Histogram) AddN(bucket int, n int32) {
	h.Counts[bucket] += n
	h.N += int64(n)
}

// Merge adds what another counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] += n
	}
	h.N += o.N
}

// Subtract takes away what another counted.
func (h *Histogram) Subtract(o *Histogram) {
	for i, n := range o.Counts {
		h.Counts[i] -= n
	}
	h.N -= o.N
}

// Quantile is the latency that a share q of the requests did not exceed: of n
// requests the ceil(q*n)-th, at the middle of its bucket. False without requests.
func (h *Histogram) Quantile(q float64) (time.Duration, bool) {
	if h.N <= 0 {
		return 0, false
	}
	rank := rankOf(q, h.N)
	var sum int64
	for i, n := range h.Counts {
		if sum += int64(n); sum >= rank {
			return middle(i), true
		}
	}
	return middle(Buckets - 1), true
}

// rankOf is ceil(q*n) within 1..n, where q*n that is whole but for rounding is whole.
func rankOf(q float64, n int64) int64 {
	exact := q * float64(n)
	rank := int64(exact)
	if exact-float64(rank) > 1e-9*float64(n) {
		rank++
	}
	return min(max(rank, 1), n)
}

// Above counts the requests that took longer than d, to the bucket.
func (h *Histogram) Above(d time.Duration) int64 {
	var n int64
	for _, c := range h.Counts[Bucket(uint64(max(d, 0)))+1:] {
		n += int64(c)
	}
	return n
}

// IsZero reports whether nothing was counted, nor taken back.
func (h *Histogram) IsZero() bool { return *h == Histogram{} }

// Sum is the latency of all together, each taken at the middle of its bucket.
func (h *Histogram) Sum() time.Duration {
	var sum time.Duration
	for i, n := range h.Counts {
		if n != 0 {
			sum += time.Duration(n) * middle(i)
		}
	}
	return sum
}

// Mean is their mean latency, each taken at the middle of its bucket; 0 without any.
func (h *Histogram) Mean() time.Duration {
	if h.N <= 0 {
		return 0
	}
	return h.Sum() / time.Duration(h.N)
}

func middle(bucket int) time.Duration {
	from, to := Bounds(bucket)
	return (from + to) / 2
}
