package tracedb

import (
	"encoding/binary"
	"math"
)

// A stream is a sequence of integers stored as differences: the zigzag varint
// of each, with runs of zero written as a 0 byte and the run's length less one.
// Queues stand still most of the time, so most of a stream is runs.
type streamWriter struct {
	buf  []byte
	last int64
	run  uint64 // zeros not yet written
}

func (w *streamWriter) put(v int64) {
	d := v - w.last
	if d == 0 {
		w.run++
		return
	}
	w.last = v
	if w.run > 0 {
		w.flush()
	}
	w.buf = binary.AppendUvarint(w.buf, zigzag(d))
}

func (w *streamWriter) flush() {
	if w.run == 0 {
		return
	}
	w.buf = append(w.buf, 0)
	w.buf = binary.AppendUvarint(w.buf, w.run-1)
	w.run = 0
}

type streamReader struct {
	buf  []byte
	last int64
	run  uint64
	bad  bool
}

// next returns the next integer. After the end, or in damaged data, it sets
// bad and returns 0.
func (r *streamReader) next() int64 {
	if r.run > 0 {
		r.run--
		return r.last
	}
	u := r.uvarint()
	if u == 0 && !r.bad {
		r.run = r.uvarint()
		return r.last
	}
	if r.bad {
		return 0
	}
	r.last += unzigzag(u)
	return r.last
}

func (r *streamReader) uvarint() uint64 {
	// One byte is by far the most common case.
	if len(r.buf) > 0 && r.buf[0] < 0x80 {
		v := uint64(r.buf[0])
		r.buf = r.buf[1:]
		return v
	}
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.bad, r.buf = true, nil
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// quantumBits is what quantise cuts off a float32: 9 bits of mantissa stay, so
// the rounding error is at most one part in 1024.
const quantumBits = 14

// largestQuantum is the last before infinity, which the largest values would be
// rounded up to.
const largestQuantum = int64(0x7f800000>>quantumBits) - 1

// quantise maps a value to an integer that grows with it and whose steps are a
// fixed share of it. A mean depth then costs the same at 0.003 and at 3000.
func quantise(v float32) int64 {
	bits := math.Float32bits(v)
	magnitude := min(largestQuantum, int64(bits&^(1<<31)+1<<(quantumBits-1))>>quantumBits)
	if bits>>31 == 1 {
		return -magnitude
	}
	return magnitude
}

func unquantise(q int64) float32 {
	if q < 0 {
		return math.Float32frombits(uint32(-q)<<quantumBits | 1<<31)
	}
	return math.Float32frombits(uint32(q) << quantumBits)
}

// isInteger reports whether v survives the trip through int64.
func isInteger(v float32) bool {
	return v >= -1<<40 && v <= 1<<40 && float32(int64(v)) == v
}
