package tracedb

import (
	"slices"
	"time"

	"seer/collector"
)

const (
	// ChunkLength is the time that one chunk covers. Chunks start at whole
	// multiples of it, or at the container's first tick after that.
	ChunkLength = 10 * time.Second

	// MaxChunkTicks bounds a chunk: ten seconds of the fastest tick (10 ms),
	// ten times over. A decoder refuses more, whatever the bytes say.
	MaxChunkTicks = 10_000
)

// Block is the decoded form of a chunk: the samples of one container over some
// ticks, oldest first. The zero value is an empty block; Reset makes a used one
// empty and keeps its memory.
//
// Every column has Len() elements. Where Valid is false every value is zero.
type Block struct {
	Start []int64 // of each tick, nanoseconds since the epoch
	End   []int64

	Valid  [collector.NumQueues][]bool
	Values [collector.NumQueues][NumStats][]float32
}

// Len returns the number of ticks.
func (b *Block) Len() int { return len(b.Start) }

// Reset empties the block and keeps its memory.
func (b *Block) Reset() {
	b.Start, b.End = b.Start[:0], b.End[:0]
	for q := range b.Values {
		b.Valid[q] = b.Valid[q][:0]
		for s := range b.Values[q] {
			b.Values[q][s] = b.Values[q][s][:0]
		}
	}
}

// grow appends n ticks whose samples are all invalid and whose times the
// caller sets.
func (b *Block) grow(n int) {
	b.Start = extend(b.Start, n)
	b.End = extend(b.End, n)
	for q := range b.Values {
		b.Valid[q] = extend(b.Valid[q], n)
		for s := range b.Values[q] {
			b.Values[q][s] = extend(b.Values[q][s], n)
		}
	}
}

// Append adds one tick of a container.
func (b *Block) Append(start, end int64, cells *[collector.NumQueues]collector.Cell) {
	i := b.Len()
	b.grow(1)
	b.Start[i], b.End[i] = start, end
	for q := range cells {
		if !cells[q].Valid {
			continue
		}
		b.Valid[q][i] = true
		var v [NumStats]float32
		values(&cells[q], &v)
		for s := range v {
			b.Values[q][s][i] = v[s]
		}
	}
}

// shrink drops all but the first n ticks.
func (b *Block) shrink(n int) {
	b.Start, b.End = b.Start[:n], b.End[:n]
	for q := range b.Values {
		b.Valid[q] = b.Valid[q][:n]
		for s := range b.Values[q] {
			b.Values[q][s] = b.Values[q][s][:n]
		}
	}
}

// extend appends n zero elements.
func extend[T any](s []T, n int) []T {
	old := len(s)
	s = slices.Grow(s, n)[:old+n]
	clear(s[old:])
	return s
}

// Points returns the number of valid samples times the number of statistics
// kept for each: the points of DESIGN.md section 5.
func (b *Block) Points() int {
	n := 0
	for q := range b.Valid {
		for _, ok := range b.Valid[q] {
			if ok {
				n++
			}
		}
	}
	return n * NumStats
}
