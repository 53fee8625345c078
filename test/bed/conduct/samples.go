//go:build linux

package conduct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"seer/collector"
	"seer/collector/container"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
	"seer/infer/campaign"
	"seer/test/bed"
)

// samples copies what Seer recorded of the campaign's containers into the
// campaign's directory, ten seconds of the campaign's clock at a time.
type samples struct {
	w      *campaign.Writer
	db     string
	origin int64 // of the campaign's clock, nanoseconds since the epoch
	next   int64 // start of what is to be copied next, on the campaign's clock

	containers map[string]int // by cgroup path: index in the manifest
	unlisted   []collector.Queue
}

const (
	// behind is by how much a copy follows the present: Seer writes every second.
	behind = 5 * time.Second
	// copyEvery is how often to copy. A campaign that is killed loses the samples
	// of about twice this time.
	copyEvery = tracedb.ChunkLength
)

// newSamples copies from a time of the campaign's clock on.
func newSamples(w *campaign.Writer, b *bed.Bed, db string, start time.Time, from time.Duration) *samples {
	s := &samples{w: w, db: db, origin: start.UnixNano(), next: int64(from), containers: map[string]int{}}
	m := w.Manifest()
	for i, c := range m.Containers {
		s.containers["/"+b.ParentCgroup()+"/"+c.Name] = i
	}
	for i, q := range collector.Queues {
		if !slices.Contains(m.Queues, q.Name) {
			s.unlisted = append(s.unlisted, collector.Queue(i))
		}
	}
	return s
}

// follow copies until the load has ended.
func (s *samples) follow(ctx context.Context, loaded <-chan struct{}) error {
	tick := time.NewTicker(copyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil // drain copies the rest
		case <-loaded:
			return nil
		case now := <-tick.C:
			if err := s.copy(ctx, now.Add(-behind).UnixNano()-s.origin, false); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// drain copies the rest, up to the end of the campaign.
func (s *samples) drain(ctx context.Context, end time.Time) error {
	return s.copy(ctx, min(time.Now().UnixNano(), end.UnixNano())-s.origin, true)
}

// copy copies what began before a time of the campaign's clock; only whole ten
// seconds, unless it is the last time.
func (s *samples) copy(ctx context.Context, to int64, last bool) error {
	if to <= s.next {
		return nil
	}
	db, err := embedded.OpenCopy(ctx, s.db, embedded.Options{})
	if err != nil {
		return fmt.Errorf("read seer's samples: %w", err)
	}
	defer db.Close()
	for {
		end := (s.next/int64(tracedb.ChunkLength) + 1) * int64(tracedb.ChunkLength)
		if end > to {
			if !last || s.next >= to {
				return nil
			}
			end = to
		}
		if err := s.period(ctx, db, s.next, end); err != nil {
			return fmt.Errorf("copy seer's samples: %w", err)
		}
		s.next = end
	}
}

// period copies the ticks that began in [from, to) of the campaign's clock.
func (s *samples) period(ctx context.Context, db tracedb.Source, from, to int64) error {
	r := tracedb.Range{From: time.Unix(0, s.origin+from), To: time.Unix(0, s.origin+to)}
	records, err := db.Containers(ctx, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	// Whenever it got its name: until then it has no path.
	ours := map[container.ID]int{}
	for _, record := range records {
		if index, ok := s.containers[record.Path]; ok {
			ours[record.ID] = index
		}
	}
	// An antagonist that came twice has two cgroups, and one index.
	blocks := map[int][]*tracedb.Block{}
	err = db.Chunks(ctx, r, func(record tracedb.Record) error {
		index, ok := ours[record.Key.Container]
		if !ok {
			return nil
		}
		var c tracedb.Chunk
		var b tracedb.Block
		if err := errors.Join(c.Open(record.Data), c.AppendTo(&b)); err != nil {
			return err
		}
		if cut(&b, s.origin+from, s.origin+to); b.Len() > 0 {
			blocks[index] = append(blocks[index], &b)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for index, own := range blocks {
		slices.SortFunc(own, func(a, b *tracedb.Block) int { return cmp.Compare(a.Start[0], b.Start[0]) })
		for _, b := range own {
			for _, q := range s.unlisted {
				clear(b.Valid[q])
			}
			if err := s.w.Samples().AddBlock(index, b, s.origin); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut leaves the ticks of a block that began in [from, to).
func cut(b *tracedb.Block, from, to int64) {
	lo := sort.Search(b.Len(), func(i int) bool { return b.Start[i] >= from })
	hi := sort.Search(b.Len(), func(i int) bool { return b.Start[i] >= to })
	b.Start, b.End = b.Start[lo:hi], b.End[lo:hi]
	for q := range b.Valid {
		b.Valid[q] = b.Valid[q][lo:hi]
		for stat := range b.Values[q] {
			b.Values[q][stat] = b.Values[q][stat][lo:hi]
		}
	}
}
