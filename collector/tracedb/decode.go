package tracedb

import (
	"encoding/binary"
	"fmt"

	"seer/collector"
)

// Chunk reads an encoded chunk column by column. The zero value is ready for
// Open, which may be called again. It keeps a reference to the bytes.
type Chunk struct {
	n       int
	start   int64
	length  int64
	gaps    []byte
	lengths []byte
	queues  [collector.NumQueues]queueRef
}

type queueRef struct {
	present  bool
	allValid bool
	runs     []byte
	stats    [NumStats]statRef
}

type statRef struct {
	present bool
	kind    uint8
	data    []byte
}

// Open reads the directory of a chunk. It returns an error that wraps
// ErrCorrupt for bytes that are none, and for a version that it does not know.
func (c *Chunk) Open(data []byte) error {
	*c = Chunk{}
	r := byteReader{buf: data}
	if v := r.byte(); v != chunkVersion || r.bad {
		return fmt.Errorf("chunk version %d, this build reads %d: %w", v, chunkVersion, ErrCorrupt)
	}
	n := r.uvarint()
	c.start = int64(r.uint64())
	c.length = int64(r.uvarint())
	c.gaps = r.bytes(r.uvarint())
	c.lengths = r.bytes(r.uvarint())
	queues := r.uvarint()
	if r.bad || n == 0 || n > MaxChunkTicks || queues > uint64(collector.NumQueues) {
		return fmt.Errorf("chunk header: %w", ErrCorrupt)
	}
	c.n = int(n)
	last := -1
	for range queues {
		q := int(r.byte())
		body := byteReader{buf: r.bytes(r.uvarint())}
		// A queue this build does not have was written by a newer one, whose
		// schema version the engine has refused already.
		if r.bad || q <= last || q >= collector.NumQueues {
			return fmt.Errorf("chunk queue %d: %w", q, ErrCorrupt)
		}
		last = q
		if !c.queues[q].open(&body, c.n) {
			return fmt.Errorf("chunk queue %d: %w", q, ErrCorrupt)
		}
	}
	if len(r.buf) != 0 {
		return fmt.Errorf("chunk has %d bytes too many: %w", len(r.buf), ErrCorrupt)
	}
	return nil
}

func (q *queueRef) open(r *byteReader, n int) bool {
	q.present = true
	switch r.byte() {
	case 0:
		q.allValid = true
	case 1:
		rest, left := r.buf, uint64(n)
		for left > 0 && !r.bad {
			run := r.uvarint()
			if run > left {
				return false
			}
			left -= run
		}
		q.runs = rest[:len(rest)-len(r.buf)]
	default:
		return false
	}
	mask := r.byte()
	for s := range q.stats {
		if mask&(1<<s) == 0 {
			continue
		}
		size := r.uvarint()
		q.stats[s] = statRef{present: true, kind: uint8(size & 1), data: r.bytes(size >> 1)}
	}
	return !r.bad && len(r.buf) == 0 && mask>>NumStats == 0
}

// Len returns the number of ticks.
func (c *Chunk) Len() int { return c.n }

// Times stores the bounds of each tick, nanoseconds since the epoch. Both
// slices must have length Len().
func (c *Chunk) Times(start, end []int64) error {
	gaps, lengths := streamReader{buf: c.gaps}, streamReader{buf: c.lengths}
	start[0], end[0] = c.start, c.start+c.length
	for i := 1; i < c.n; i++ {
		start[i] = end[i-1] + gaps.next()
		end[i] = start[i] + c.length + lengths.next()
	}
	if gaps.bad || lengths.bad {
		return fmt.Errorf("chunk times: %w", ErrCorrupt)
	}
	return nil
}

// Valid stores which samples of a queue were measured. dst must have length
// Len().
func (c *Chunk) Valid(q collector.Queue, dst []bool) {
	ref := &c.queues[q]
	if !ref.present || ref.allValid {
		for i := range dst {
			dst[i] = ref.present
		}
		return
	}
	runs := byteReader{buf: ref.runs}
	value := true
	for i := 0; i < len(dst); value = !value {
		run := int(runs.uvarint())
		for range run {
			dst[i] = value
			i++
		}
	}
}

// Values stores one statistic of a queue; valid is what Valid stored. Both
// slices must have length Len().
func (c *Chunk) Values(q collector.Queue, s Stat, valid []bool, dst []float32) error {
	ref := &c.queues[q].stats[s]
	if !ref.present {
		clear(dst)
		return nil
	}
	r := streamReader{buf: ref.data}
	for i := range dst {
		switch {
		case !valid[i]:
			dst[i] = 0
		case ref.kind == kindInteger:
			dst[i] = float32(r.next())
		default:
			dst[i] = unquantise(r.next())
		}
	}
	if r.bad {
		return fmt.Errorf("chunk %s of %s: %w", s, q, ErrCorrupt)
	}
	return nil
}

// AppendTo appends every sample of the chunk to b.
func (c *Chunk) AppendTo(b *Block) error {
	old := b.Len()
	b.grow(c.n)
	err := c.Times(b.Start[old:], b.End[old:])
	for q := range b.Valid {
		valid := b.Valid[q][old:]
		c.Valid(collector.Queue(q), valid)
		for s := range b.Values[q] {
			if e := c.Values(collector.Queue(q), Stat(s), valid, b.Values[q][s][old:]); e != nil {
				err = e
			}
		}
	}
	if err != nil {
		b.shrink(old)
	}
	return err
}

// byteReader takes fields off the front of a slice and remembers that it ran
// out, so that callers check once.
type byteReader struct {
	buf []byte
	bad bool
}

func (r *byteReader) byte() byte {
	b := r.bytes(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *byteReader) uint64() uint64 {
	b := r.bytes(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (r *byteReader) bytes(n uint64) []byte {
	if n > uint64(len(r.buf)) {
		r.bad, r.buf = true, nil
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *byteReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.bad, r.buf = true, nil
		return 0
	}
	r.buf = r.buf[n:]
	return v
}
