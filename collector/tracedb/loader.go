package tracedb

import (
	"context"
	"time"

	"seer/collector"
	"seer/collector/container"
)

// Loader writes ticks of the past to a store. Unlike a Recorder, which must not
// hold up what is measured now, it waits for the store, and loses nothing.
type Loader struct {
	store Store
	enc   Encoder
	batch Batch
	data  []byte // of the batch
	chunk int64  // interval that the blocks are of
	open  map[container.ID]*loading

	ticks, points uint64
}

// loading is one container's chunk on its way.
type loading struct {
	container   *container.Container
	first, last int64 // of all its ticks, ns
	block       Block
}

// NewLoader returns a Loader that writes to store, which stays the caller's to
// close.
func NewLoader(store Store) *Loader { return &Loader{store: store, open: map[container.ID]*loading{}} }

// Add takes the next tick. A chunk that was stored for the same container and
// begins with the same tick is replaced; one that overlaps it otherwise stays, and
// readers add both up.
func (l *Loader) Add(ctx context.Context, t *collector.Tick) error {
	start, end := t.Start.UnixNano(), t.End.UnixNano()
	if chunk := start / int64(ChunkLength); chunk != l.chunk {
		if err := l.flush(ctx); err != nil {
			return err
		}
		l.chunk = chunk
	}
	l.ticks++
	for i := range t.Rows {
		row := &t.Rows[i]
		c := l.open[row.Container.ID]
		if c == nil {
			c = &loading{container: row.Container, first: start}
			l.open[row.Container.ID] = c
		}
		c.last = end
		c.block.Append(start, end, &row.Cells)
	}
	return nil
}

// Close writes what is left.
func (l *Loader) Close(ctx context.Context) error { return l.flush(ctx) }

// Loaded returns how many ticks and points were given to Add; after Close all are
// stored.
func (l *Loader) Loaded() (ticks, points uint64) { return l.ticks, l.points }

func (l *Loader) flush(ctx context.Context) error {
	for _, c := range l.open {
		if c.block.Len() == 0 {
			continue
		}
		l.points += uint64(c.block.Points())
		from := len(l.data)
		l.data = l.enc.AppendChunk(l.data, &c.block)
		l.batch.Put = append(l.batch.Put, Record{Key{c.container.ID, c.block.Start[0]}, l.data[from:len(l.data):len(l.data)]})
		l.batch.Containers = append(l.batch.Containers, ContainerRecord{
			Container: *c.container, First: time.Unix(0, c.first).UTC(), Last: time.Unix(0, c.last).UTC(),
		})
		c.block.Reset()
		if len(l.data) >= batchBytes {
			if err := l.write(ctx); err != nil {
				return err
			}
		}
	}
	return l.write(ctx)
}

func (l *Loader) write(ctx context.Context) error {
	if len(l.batch.Put) == 0 {
		return nil
	}
	if err := l.store.Write(ctx, &l.batch); err != nil {
		return err
	}
	l.batch = Batch{Put: l.batch.Put[:0], Containers: l.batch.Containers[:0]}
	l.data = l.data[:0]
	return nil
}

// Mapping says what becomes of a source when it is copied.
type Mapping struct {
	Shift     time.Duration // added to all times; a multiple of ChunkLength
	Container func(container.Container) container.Container
	Progress  func(at time.Time) // called for every ten seconds copied; may be nil
}

// Copy writes all of a source to a store, and returns how many chunks there were.
func Copy(ctx context.Context, store Store, source Source, m Mapping) (chunks int, err error) {
	from, to, err := source.Span(ctx)
	if err != nil || from.IsZero() && to.IsZero() {
		return 0, err
	}
	records, err := source.Containers(ctx, time.Time{}, time.Time{})
	if err != nil {
		return 0, err
	}
	ids := map[container.ID]container.ID{}
	for i := range records {
		r := &records[i]
		id := r.ID
		r.Container = m.Container(r.Container)
		r.First, r.Last = r.First.Add(m.Shift), r.Last.Add(m.Shift)
		ids[id] = r.ID
	}
	c := copier{store: store, batch: Batch{Containers: records}}
	period := int64(0)
	err = source.Chunks(ctx, Range{From: from, To: to}, func(r Record) error {
		if now := r.Key.Start / int64(ChunkLength); now != period || len(c.data) >= batchBytes {
			if err := c.write(ctx); err != nil {
				return err
			}
			if period = now; m.Progress != nil {
				m.Progress(time.Unix(0, r.Key.Start).Add(m.Shift))
			}
		}
		chunks++
		return c.add(ids[r.Key.Container], r.Data, int64(m.Shift))
	})
	if err != nil {
		return chunks, err
	}
	return chunks, c.write(ctx)
}

// copier moves chunks, which hold their times, in batches.
type copier struct {
	store Store
	dec   Chunk
	enc   Encoder
	block Block
	batch Batch
	data  []byte
}

func (c *copier) add(id container.ID, data []byte, shift int64) error {
	c.block.Reset()
	if err := c.dec.Open(data); err != nil {
		return err
	}
	if err := c.dec.AppendTo(&c.block); err != nil {
		return err
	}
	for i := range c.block.Start {
		c.block.Start[i] += shift
		c.block.End[i] += shift
	}
	from := len(c.data)
	c.data = c.enc.AppendChunk(c.data, &c.block)
	c.batch.Put = append(c.batch.Put, Record{Key{id, c.block.Start[0]}, c.data[from:len(c.data):len(c.data)]})
	return nil
}

func (c *copier) write(ctx context.Context) error {
	err := c.store.Write(ctx, &c.batch)
	c.batch, c.data = Batch{Put: c.batch.Put[:0]}, c.data[:0]
	return err
}
