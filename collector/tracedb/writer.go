package tracedb

import (
	"context"
	"errors"
	"time"

	"seer/collector/container"
)

const (
	// batchBytes is the size above which a batch is split. Pebble treats one
	// of half its memtable or more as a special case that costs a flush.
	batchBytes = 512 << 10

	// recordEvery is how old the Last of a living container's record may be.
	recordEvery = time.Minute
)

// writer turns pages into batches. It belongs to the goroutine of Run.
type writer struct {
	r      *Recorder
	chunk  int64 // interval of the open chunks
	open   map[container.ID]*openChunk
	order  []*openChunk // the containers of a page, in order of appearance
	enc    Encoder
	dec    Chunk
	block  Block
	batch  Batch
	size   int  // bytes in batch
	failed bool // the last write failed, and was logged
}

// openChunk collects the pieces of one container until its chunk is complete.
type openChunk struct {
	container *container.Container
	first     time.Time // of the container record
	last      int64     // end of the last tick, ns
	recorded  int64     // last as it was last stored
	rows      []int     // of the page at hand
	pieces    []piece
	data      []byte // of the pieces
	merged    []byte // the complete chunk
}

type piece struct {
	start  int64
	offset int
	points uint64
	stored bool // acknowledged
}

func newWriter(r *Recorder) *writer {
	return &writer{r: r, open: make(map[container.ID]*openChunk)}
}

// write stores a page as one piece per container.
func (w *writer) write(ctx context.Context, p *page) {
	if p.chunk != w.chunk {
		w.closeChunks(ctx, false)
		w.chunk = p.chunk
	}
	w.order = w.order[:0]
	for i := range p.rows {
		row := &p.rows[i]
		c := w.open[row.container.ID]
		if c == nil {
			c = &openChunk{}
			w.open[row.container.ID] = c
		}
		if len(c.rows) == 0 {
			w.order = append(w.order, c)
		}
		c.rows = append(c.rows, i)
		w.identify(c, row.container, p.starts[row.tick])
		c.last = p.ends[row.tick]
	}
	unacknowledged, all := 0, true
	for i, c := range w.order {
		w.block.Reset()
		p.fill(&w.block, c.rows)
		c.rows = c.rows[:0]
		pc := piece{start: w.block.Start[0], offset: len(c.data), points: uint64(w.block.Points())}
		c.data = w.enc.AppendChunk(c.data, &w.block)
		c.pieces = append(c.pieces, pc)
		w.put(Key{c.container.ID, pc.start}, c.data[pc.offset:])
		if c.last-c.recorded > int64(recordEvery) {
			w.record(c)
		}
		if w.size >= batchBytes || i == len(w.order)-1 {
			ok := w.commit(ctx)
			all = all && ok
			var points uint64
			for _, done := range w.order[unacknowledged : i+1] {
				pc := &done.pieces[len(done.pieces)-1]
				pc.stored = ok
				points += pc.points
			}
			unacknowledged = i + 1
			if ok {
				w.r.count(func(s *RecorderStats) { s.Points += points })
			}
		}
	}
	if all {
		w.r.count(func(s *RecorderStats) { s.AcknowledgedTo = time.Unix(0, p.ends[len(p.ends)-1]) })
	}
}

// identify notices a new name, a new service, or another container that got
// the ID of a dead one.
func (w *writer) identify(c *openChunk, is *container.Container, start int64) {
	if c.container == is {
		return
	}
	if c.container == nil || *c.container != *is {
		if c.container != nil {
			w.record(c) // ends the old record
		}
		c.first, c.recorded = time.Unix(0, start).UTC(), 0
	}
	c.container = is
}

func (w *writer) record(c *openChunk) {
	w.batch.Containers = append(w.batch.Containers, ContainerRecord{
		Container: *c.container, First: c.first, Last: time.Unix(0, c.last).UTC(),
	})
	c.recorded = c.last
}

// closeChunks replaces the pieces of each container by one chunk, and forgets
// the containers that have gone; in the end all have.
func (w *writer) closeChunks(ctx context.Context, end bool) {
	lately := w.chunk*int64(ChunkLength) + int64(ChunkLength)/2
	var pending []*openChunk
	flush := func() {
		ok := w.commit(ctx)
		var saved, lost uint64
		for _, c := range pending {
			for _, pc := range c.pieces {
				switch {
				case pc.stored:
				case ok:
					saved += pc.points
				default:
					lost += pc.points
				}
			}
			c.pieces, c.data = c.pieces[:0], c.data[:0]
		}
		pending = pending[:0]
		w.r.count(func(s *RecorderStats) { s.Points += saved; s.Dropped += lost })
	}
	for id, c := range w.open {
		if end || len(c.pieces) == 0 || c.last < lately {
			// Its record ends here, for all we know.
			if c.last != c.recorded {
				w.record(c)
			}
			delete(w.open, id)
		}
		if len(c.pieces) > 0 {
			w.merge(c)
			pending = append(pending, c)
		}
		if w.size >= batchBytes {
			flush()
		}
	}
	flush()
}

// merge adds to the batch the chunk that replaces c's pieces.
func (w *writer) merge(c *openChunk) {
	if len(c.pieces) == 1 && c.pieces[0].stored {
		return
	}
	w.block.Reset()
	for i, pc := range c.pieces {
		end := len(c.data)
		if i+1 < len(c.pieces) {
			end = c.pieces[i+1].offset
		}
		err := w.dec.Open(c.data[pc.offset:end])
		if err == nil {
			err = w.dec.AppendTo(&w.block)
		}
		if err != nil {
			// Our own encoding, from our own memory.
			panic(err)
		}
		if i > 0 {
			w.batch.Delete = append(w.batch.Delete, Key{c.container.ID, pc.start})
		}
	}
	c.merged = w.enc.AppendChunk(c.merged[:0], &w.block)
	w.put(Key{c.container.ID, c.pieces[0].start}, c.merged)
}

func (w *writer) put(k Key, data []byte) {
	w.batch.Put = append(w.batch.Put, Record{Key: k, Data: data})
	w.size += len(data)
}

// commit writes the batch and reports whether it was acknowledged.
func (w *writer) commit(ctx context.Context) bool {
	b, size := &w.batch, uint64(w.size)
	defer func() {
		clear(b.Put)
		b.Put, b.Delete, b.Containers = b.Put[:0], b.Delete[:0], b.Containers[:0]
		w.size = 0
	}()
	if len(b.Put)+len(b.Delete)+len(b.Containers) == 0 {
		return true
	}
	err := w.r.store.Write(ctx, b)
	w.r.count(func(s *RecorderStats) {
		s.LastError = err
		if err != nil {
			s.Errors++
			return
		}
		s.Batches++
		s.Bytes += size
	})
	w.report(err)
	if err != nil {
		// Write the records of these containers again with the next batch.
		for i := range b.Containers {
			if c := w.open[b.Containers[i].ID]; c != nil {
				c.recorded = 0
			}
		}
	}
	return err == nil
}

// report logs the first of a row of failures, and the end of the row.
func (w *writer) report(err error) {
	switch {
	case err != nil && !w.failed:
		w.r.log.Error("samples are not stored; dropping and counting them", "err", err)
	case err == nil && w.failed:
		w.r.log.Info("samples are stored again", "dropped_points", w.r.Stats().Dropped)
	}
	w.failed = err != nil
}

func (w *writer) maintain(ctx context.Context) {
	if err := w.r.store.Maintain(ctx); err != nil && !errors.Is(err, context.Canceled) {
		w.r.count(func(s *RecorderStats) { s.Errors++; s.LastError = err })
		w.report(err)
	}
}
