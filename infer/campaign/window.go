package campaign

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"time"

	"seer/collector/container"
	"seer/collector/tracedb"
)

// Frame is one frame of samples.seer: some ticks of one container.
type Frame struct {
	Container int    // index in Manifest.Containers
	Ticks     int    // in Chunk
	FirstNS   int64  // start of the first tick, since the campaign's start
	LastNS    int64  // end of the last
	Chunk     []byte // for tracedb.Chunk; valid until the next frame
	Offset    int64  // of the frame in the file
}

// Frames iterates over samples.seer as it lies on disk: by ten seconds, then
// container. Memory holds one frame. It stops after an error; where an
// unfinished campaign's file was cut off, it just ends.
func (d *Dir) Frames() iter.Seq2[Frame, error] {
	return func(yield func(Frame, error) bool) {
		err := d.frames(fileHeaderSize, func(*frame) choice { return take }, func(f *frame) error {
			if !yield(Frame{int(f.index), int(f.count), f.first, f.last, f.payload, f.offset}, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Frame{}, err)
		}
	}
}

var errStop = errors.New("stop")

// choice says what to do with a frame, by its header.
type choice int

const (
	take choice = iota
	skip
	stop
)

// frames calls fn for the frames that decide takes, from an offset of the file.
func (d *Dir) frames(offset int64, decide func(*frame) choice, fn func(*frame) error) error {
	f, err := os.Open(d.path(samplesFile))
	if err != nil {
		return err
	}
	defer f.Close()
	fr, err := newFrameReader(f.Name(), f, samplesMagic)
	if err != nil {
		return err
	}
	if offset != fileHeaderSize {
		if err := fr.seek(f, offset); err != nil {
			return err
		}
	}
	for {
		var fm frame
		stopped := false
		err := fr.read(&fm, func(fm *frame) bool {
			v := decide(fm)
			stopped = v == stop
			return v != skip
		})
		switch {
		case stopped, errors.Is(err, io.EOF), errors.Is(err, ErrCorrupt) && !d.Manifest.Complete:
			return nil
		case err != nil:
			return err
		}
		if int(fm.index) >= len(d.Manifest.Containers) {
			return fmt.Errorf("%s at offset %d: container %d, of which the manifest knows nothing: %w", f.Name(), fm.offset, fm.index, ErrCorrupt)
		}
		if err := fn(&fm); err != nil {
			return err
		}
	}
}

// seconds10 is where the frames of ten seconds begin in the file.
type seconds10 struct {
	period int64
	offset int64
}

// find returns an offset before every frame that reaches into the ten seconds
// of a time. The first call reads the headers of the whole file.
func (d *Dir) find(ns int64) (int64, error) {
	d.indexOnce.Do(func() {
		d.indexErr = d.frames(fileHeaderSize, func(f *frame) choice {
			period := f.first / chunkNS
			if n := len(d.index); n == 0 || d.index[n-1].period < period {
				d.index = append(d.index, seconds10{period, f.offset})
			}
			return skip
		}, nil)
	})
	// The last tick of the ten seconds before may reach into these.
	want := ns/chunkNS - 1
	i, _ := slices.BinarySearchFunc(d.index, want, func(s seconds10, want int64) int { return int(min(1, max(-1, s.period-want))) })
	if i == len(d.index) {
		return fileHeaderSize, d.indexErr
	}
	return d.index[i].offset, d.indexErr
}

// A Dir is a tracedb.Source: what reads from the TraceDB reads from a campaign
// too. There the campaign starts at the epoch, time.Unix(0, 0), and the ID of a
// container is its index.
var _ tracedb.Source = (*Dir)(nil)

// Chunks implements tracedb.Source: by ten seconds, then container.
func (d *Dir) Chunks(ctx context.Context, r tracedb.Range, fn func(tracedb.Record) error) error {
	from, to := r.From.UnixNano(), r.To.UnixNano()
	wanted := make(map[container.ID]bool, len(r.Containers))
	for _, id := range r.Containers {
		wanted[id] = true
	}
	offset, err := d.find(from)
	if err != nil {
		return err
	}
	return d.frames(offset, func(f *frame) choice {
		switch {
		case f.first/chunkNS > to/chunkNS:
			return stop
		case f.first >= to || f.last <= from || len(wanted) > 0 && !wanted[container.ID(f.index)]:
			return skip
		}
		return take
	}, func(f *frame) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(tracedb.Record{
			Key:  tracedb.Key{Container: container.ID(f.index), Start: f.first},
			Data: f.payload,
		})
	})
}

// Containers implements tracedb.Source. A container that belongs to no service,
// such as an antagonist, is its own.
func (d *Dir) Containers(_ context.Context, from, to time.Time) ([]tracedb.ContainerRecord, error) {
	var out []tracedb.ContainerRecord
	for i, c := range d.Manifest.Containers {
		first, last := d.lifeMS(c)
		r := tracedb.ContainerRecord{First: time.UnixMilli(first), Last: time.UnixMilli(last)}
		if !from.IsZero() && r.Last.Before(from) || !to.IsZero() && !r.First.Before(to) {
			continue
		}
		r.ID, r.Name, r.Service, r.Runtime = container.ID(i), c.Name, c.Service, d.Manifest.Source
		if r.Service == "" {
			r.Service = c.Name
		}
		out = append(out, r)
	}
	return out, nil
}

// lifeMS returns from when to when a container is part of the application.
func (d *Dir) lifeMS(c Container) (from, to int64) {
	if c.UntilMS > 0 {
		return c.FromMS, c.UntilMS
	}
	return c.FromMS, d.Manifest.DurationMS
}

// Span implements tracedb.Source.
func (d *Dir) Span(context.Context) (from, to time.Time, err error) {
	var first, last int64
	n := 0
	err = d.frames(fileHeaderSize, func(f *frame) choice {
		if n++; n == 1 {
			first = f.first
		}
		first, last = min(first, f.first), max(last, f.last)
		return skip
	}, nil)
	if err != nil || n == 0 {
		return time.Time{}, time.Time{}, err
	}
	return time.Unix(0, first), time.Unix(0, last), nil
}

// Window reads a dense matrix, a row per tick from one time since the
// campaign's start to another: the input of a model. tracedb.Columns makes
// columns by service and queue.
func (d *Dir) Window(ctx context.Context, from, to time.Duration, columns []tracedb.Column) (*tracedb.Window, error) {
	return tracedb.ReadWindow(ctx, d, tracedb.WindowQuery{
		From: time.Unix(0, int64(from)), To: time.Unix(0, int64(to)),
		Tick:    time.Duration(d.Manifest.TickMS) * time.Millisecond,
		Columns: columns,
	})
}
