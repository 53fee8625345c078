package window

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
)

// rows holds the cells of every tick of a run in a file without a name: a hundred
// MB an hour for 36 services, of which memory needs none. A tick is a row of
// [queue][service] logarithms in 16 bits, so that the ticks of a window lie
// together and any window is one read.
type rows struct {
	f     *os.File
	cells int
	n     int
	buf   []byte
	w     *bufio.Writer // until it is complete
}

// Logarithms are kept in steps of 1/resolution, so values to 0.04 %, up to 2^34.
const (
	resolution = 2730
	unmeasured = 0
)

// encode turns a value into its logarithm, from 1.
func encode(v float32) uint16 {
	return uint16(min(math.MaxUint16, 1+math.Round(resolution*math.Log1p(max(0, float64(v))))))
}

// decode returns the logarithm, of 1 plus the value.
func decode(v uint16) float32 { return float32(v-1) * (1.0 / resolution) }

func newRows(dir string, cells int) (*rows, error) {
	f, err := os.CreateTemp(dir, "seer-rows-*")
	if err != nil {
		return nil, fmt.Errorf("a place for the ticks of a run: %w: set TMPDIR to a directory with some free space", err)
	}
	// A file without a name leaves nothing behind, whatever we die of.
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return &rows{f: f, cells: cells, buf: make([]byte, 2*cells), w: bufio.NewWriterSize(f, 1<<20)}, nil
}

// add appends a tick.
func (r *rows) add(row []uint16) error {
	for i, v := range row {
		binary.LittleEndian.PutUint16(r.buf[2*i:], v)
	}
	if _, err := r.w.Write(r.buf); err != nil {
		return fmt.Errorf("the ticks of a run: %w: set TMPDIR to a directory with some free space", err)
	}
	r.n++
	return nil
}

func (r *rows) complete() error {
	err := r.w.Flush()
	r.w = nil
	return err
}

// read stores ticks from a number on; dst has as many rows as are wanted. It may be
// called from several goroutines, each with a buffer of its own.
func (r *rows) read(tick int, dst []uint16, buf []byte) error {
	if _, err := r.f.ReadAt(buf[:2*len(dst)], int64(tick)*int64(2*r.cells)); err != nil {
		return fmt.Errorf("tick %d of a run: %w", tick, err)
	}
	for i := range dst {
		dst[i] = binary.LittleEndian.Uint16(buf[2*i:])
	}
	return nil
}

// scan calls fn for every tick, in order.
func (r *rows) scan(fn func(tick int, row []uint16)) error {
	in := bufio.NewReaderSize(io.NewSectionReader(r.f, 0, int64(r.n)*int64(2*r.cells)), 1<<20)
	row, buf := make([]uint16, r.cells), make([]byte, 2*r.cells)
	for tick := range r.n {
		if _, err := io.ReadFull(in, buf); err != nil {
			return fmt.Errorf("tick %d of a run: %w", tick, err)
		}
		for i := range row {
			row[i] = binary.LittleEndian.Uint16(buf[2*i:])
		}
		fn(tick, row)
	}
	return nil
}

func (r *rows) close() error { return r.f.Close() }
