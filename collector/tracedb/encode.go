package tracedb

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A chunk, version 1. Integers are unsigned varints unless said otherwise.
//
//	version      1 byte
//	ticks        n, at least 1
//	start        of the first tick, 8 bytes big endian, ns since the epoch
//	length       of the first tick, ns
//	gaps         stream of n-1: start of a tick less the end of the one before
//	lengths      stream of n-1: length of a tick less the first one's
//	queues       count, then for each queue that was ever valid:
//	  queue      1 byte, ascending
//	  size       of the rest of the queue, bytes
//	  validity   1 byte: 0 all ticks valid, 1 runs: valid, invalid, valid, ...
//	  stats      1 byte: bit s set if statistic s is not zero throughout
//	  each set statistic: size << 1 | kind, then a stream of its values at the
//	  valid ticks; kind 0 holds integers, kind 1 quantised numbers
//
// A stream is preceded by its size in bytes. A reader that wants one statistic
// skips the others without decoding them.
const chunkVersion = 1

const (
	kindInteger = iota
	kindQuantised
)

// ErrCorrupt is returned, wrapped, for bytes that are not a chunk.
var ErrCorrupt = errors.New("not a valid chunk")

// Encoder encodes blocks. It holds scratch memory only: the zero value works,
// and one Encoder serves one goroutine.
type Encoder struct {
	stream streamWriter
	queue  []byte
}

// AppendChunk appends the encoding of b to dst. Values of invalid samples are
// not stored. An empty block, or one of more than MaxChunkTicks, is a bug of
// the caller and panics.
func (e *Encoder) AppendChunk(dst []byte, b *Block) []byte {
	n := b.Len()
	if n == 0 || n > MaxChunkTicks {
		panic(fmt.Sprintf("tracedb: block of %d ticks", n))
	}
	dst = append(dst, chunkVersion)
	dst = binary.AppendUvarint(dst, uint64(n))
	dst = binary.BigEndian.AppendUint64(dst, uint64(b.Start[0]))
	length := b.End[0] - b.Start[0]
	dst = binary.AppendUvarint(dst, uint64(length))

	e.begin()
	for i := 1; i < n; i++ {
		e.stream.put(b.Start[i] - b.End[i-1])
	}
	dst = e.end(dst, 0, 0)
	e.begin()
	for i := 1; i < n; i++ {
		e.stream.put(b.End[i] - b.Start[i] - length)
	}
	dst = e.end(dst, 0, 0)

	queues := 0
	for q := range b.Valid {
		if anyTrue(b.Valid[q]) {
			queues++
		}
	}
	dst = binary.AppendUvarint(dst, uint64(queues))
	for q := range b.Valid {
		if !anyTrue(b.Valid[q]) {
			continue
		}
		e.queue = e.appendQueue(e.queue[:0], b, q)
		dst = append(dst, byte(q))
		dst = binary.AppendUvarint(dst, uint64(len(e.queue)))
		dst = append(dst, e.queue...)
	}
	return dst
}

func (e *Encoder) begin() {
	e.stream.buf, e.stream.last, e.stream.run = e.stream.buf[:0], 0, 0
}

// end appends the finished stream with its size, kind in the low bits.
func (e *Encoder) end(dst []byte, kind, kindBits uint64) []byte {
	e.stream.flush()
	dst = binary.AppendUvarint(dst, uint64(len(e.stream.buf))<<kindBits|kind)
	return append(dst, e.stream.buf...)
}

func (e *Encoder) appendQueue(dst []byte, b *Block, q int) []byte {
	valid := b.Valid[q]
	all := allTrue(valid)
	if all {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		want, run := true, uint64(0)
		for _, ok := range valid {
			if ok == want {
				run++
				continue
			}
			dst = binary.AppendUvarint(dst, run)
			want, run = ok, 1
		}
		dst = binary.AppendUvarint(dst, run)
	}

	mask := len(dst)
	dst = append(dst, 0)
	for s := range b.Values[q] {
		vals := b.Values[q][s]
		if allZero(vals) {
			continue
		}
		dst[mask] |= 1 << s
		kind := uint64(kindInteger)
		// A wait is a quotient: an integer only by accident of its unit.
		if Stat(s) == StatWait || !allIntegers(vals) {
			kind = kindQuantised
		}
		e.begin()
		for i, v := range vals {
			switch {
			case !all && !valid[i]:
			case kind == kindInteger:
				e.stream.put(int64(v))
			default:
				e.stream.put(quantise(v))
			}
		}
		dst = e.end(dst, kind, 1)
	}
	return dst
}

func anyTrue(s []bool) bool {
	for _, v := range s {
		if v {
			return true
		}
	}
	return false
}

func allTrue(s []bool) bool {
	for _, v := range s {
		if !v {
			return false
		}
	}
	return true
}

func allZero(s []float32) bool {
	for _, v := range s {
		if v != 0 {
			return false
		}
	}
	return true
}

func allIntegers(s []float32) bool {
	for _, v := range s {
		if !isInteger(v) {
			return false
		}
	}
	return true
}
