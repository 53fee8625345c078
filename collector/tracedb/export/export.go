package export

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
)

// ErrNothing is returned when no row matches the filters. No file is written.
var ErrNothing = errors.New("no stored sample matches")

// Format is a file format.
type Format string

// The formats.
const (
	CSV     Format = "csv"
	Parquet Format = "parquet"
	JSONL   Format = "jsonl" // of decisions only: they are documents
)

// ParseFormat returns the format called name.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case CSV, Parquet:
		return f, nil
	}
	return "", fmt.Errorf("format %q: want %q or %q", name, CSV, Parquet)
}

// Filter selects rows. Empty fields select everything; several names select
// any of them.
type Filter struct {
	From, To   time.Time // ticks that start in [From, To)
	Containers []string  // by name or ID
	Services   []string
	Queues     []collector.Queue
}

// Progress says how far an export has come.
type Progress struct {
	Rows  int64
	Done  time.Duration // of data, out of Total
	Total time.Duration
}

// Options configure an export. Format must be set.
type Options struct {
	Format   Format
	Filter   Filter
	Progress func(Progress) // after every ten seconds of data; nil for none
}

// rowWriter is a file format. write must not keep the row.
type rowWriter interface {
	write(*Row) error
	close() error
}

func newRowWriter(f Format, w io.Writer) (rowWriter, error) {
	switch f {
	case CSV:
		return newCSVWriter(w)
	case Parquet:
		return newParquetWriter(w), nil
	}
	_, err := ParseFormat(string(f))
	return nil, err
}

// ToFile writes the selected rows to a new file, replacing one that has the
// name. On any error, also when ctx ends, the name is left as it was. It
// returns the number of rows, and ErrNothing if there is none.
func ToFile(ctx context.Context, source tracedb.Source, name string, o Options) (rows int64, err error) {
	return Replace(ctx, name, func(w io.Writer) (int64, error) { return To(ctx, source, w, o) })
}

// Replace gives a file the contents that write writes, when they are complete. On
// any error, also when ctx ends, the name is left as it was.
func Replace(ctx context.Context, name string, write func(io.Writer) (int64, error)) (rows int64, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*.tmp")
	if err != nil {
		return 0, fmt.Errorf("create %q: %w", name, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if rows, err = write(f); err != nil {
		return rows, err
	}
	// Umask is for files that are created under their name.
	if err = f.Chmod(0o644); err != nil {
		return rows, fmt.Errorf("write %q: %w", name, err)
	}
	if err = f.Sync(); err != nil {
		return rows, fmt.Errorf("write %q: %w", name, err)
	}
	if err = f.Close(); err != nil {
		return rows, fmt.Errorf("write %q: %w", name, err)
	}
	if err = ctx.Err(); err != nil {
		return rows, err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return rows, fmt.Errorf("write %q: %w", name, err)
	}
	return rows, nil
}

// To writes the selected rows to w and returns their number, and ErrNothing if
// there is none.
func To(ctx context.Context, source tracedb.Source, w io.Writer, o Options) (int64, error) {
	buffered := bufio.NewWriterSize(w, 64<<10)
	out, err := newRowWriter(o.Format, buffered)
	if err != nil {
		return 0, err
	}
	e := exporter{source: source, out: out, o: o}
	if err := e.run(ctx); err != nil {
		return e.progress.Rows, err
	}
	if e.progress.Rows == 0 {
		return 0, ErrNothing
	}
	if err := out.close(); err != nil {
		return e.progress.Rows, fmt.Errorf("write: %w", err)
	}
	if err := buffered.Flush(); err != nil {
		return e.progress.Rows, fmt.Errorf("write: %w", err)
	}
	return e.progress.Rows, nil
}

type exporter struct {
	source   tracedb.Source
	out      rowWriter
	o        Options
	names    tracedb.Names
	queues   [collector.NumQueues]bool
	progress Progress
	chunk    tracedb.Chunk
	block    tracedb.Block
	row      Row
}

func (e *exporter) run(ctx context.Context) error {
	f := &e.o.Filter
	records, err := e.source.Containers(ctx, time.Time{}, f.To)
	if err != nil {
		return err
	}
	e.names = tracedb.NewNames(records)
	for q := range e.queues {
		e.queues[q] = len(f.Queues) == 0
	}
	for _, q := range f.Queues {
		e.queues[q] = true
	}
	from, to, err := e.source.Span(ctx)
	if err != nil {
		return err
	}
	if f.From.After(from) {
		from = f.From
	}
	if !f.To.IsZero() && f.To.Before(to) {
		to = f.To
	}
	if !to.After(from) {
		return nil
	}
	e.progress.Total = to.Sub(from)
	// Memory is bounded by one chunk and what the format buffers. Chunks come
	// by ten minutes and container; asking for ten seconds at a time puts
	// them in order of time.
	for at := from.Truncate(tracedb.ChunkLength).Add(-tracedb.ChunkLength); at.Before(to); at = at.Add(tracedb.ChunkLength) {
		window := tracedb.Range{From: at, To: at.Add(tracedb.ChunkLength)}
		if err := e.source.Chunks(ctx, window, func(r tracedb.Record) error {
			// Chunks also returns those that began before the window.
			if r.Key.Start < at.UnixNano() {
				return nil
			}
			return e.write(ctx, r, from.UnixNano(), to.UnixNano())
		}); err != nil {
			return err
		}
		e.progress.Done = min(max(window.To.Sub(from), 0), e.progress.Total)
		if e.o.Progress != nil {
			e.o.Progress(e.progress)
		}
	}
	return nil
}

// write writes the ticks of one chunk that start in [from, to).
func (e *exporter) write(ctx context.Context, r tracedb.Record, from, to int64) error {
	if err := e.chunk.Open(r.Data); err != nil {
		return fmt.Errorf("chunk %d of container %v: %w", r.Key.Start, r.Key.Container, err)
	}
	e.block.Reset()
	if err := e.chunk.AppendTo(&e.block); err != nil {
		return fmt.Errorf("chunk %d of container %v: %w", r.Key.Start, r.Key.Container, err)
	}
	for i, start := range e.block.Start {
		if start < from || start >= to {
			continue
		}
		c := e.names.At(r.Key.Container, start)
		if !e.wanted(r.Key.Container, c) {
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		for q, on := range e.queues {
			if !on {
				continue
			}
			e.row.fill(&e.block, collector.Queue(q), i, r.Key.Container, c)
			if err := e.out.write(&e.row); err != nil {
				return fmt.Errorf("write: %w", err)
			}
			e.progress.Rows++
		}
	}
	return nil
}

func (e *exporter) wanted(id container.ID, c container.Container) bool {
	f := &e.o.Filter
	return oneOf(f.Containers, c.Name, id.String()) && oneOf(f.Services, c.Service, c.Service)
}

// oneOf reports whether a list is empty or names a thing by either name.
func oneOf(list []string, name, other string) bool {
	for _, s := range list {
		if s == name || s == other {
			return true
		}
	}
	return len(list) == 0
}
