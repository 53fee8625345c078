package embedded

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"seer/collector/tracedb"
)

// maxDropped bounds the partitions one Maintain drops for the size: an hour
// of data, six times what a minute can add under any load.
const maxDropped = 6

// usage is what Stats reports. It is refreshed by Write and Maintain, because
// asking Pebble takes its locks.
type usage struct {
	disk, free, written atomic.Uint64
}

// Maintain implements tracedb.Store. Retention works in whole partitions of
// ten minutes and never drops the one being written.
func (db *DB) Maintain(ctx context.Context) error {
	if db.opts.ReadOnly {
		return nil
	}
	if err := db.takeTurn(ctx); err != nil {
		return err
	}
	return db.callHolding(ctx, func() error {
		defer db.refreshUsage()
		db.removeStaleCopies()
		now := db.opts.Now().UnixNano()
		current := partitionOf(now)
		first, any, err := db.firstPartition()
		if err != nil || !any {
			return err
		}
		cut := first
		if db.opts.MaxAge > 0 {
			cut = max(cut, partitionOf(now-int64(db.opts.MaxAge)))
		}
		cut = min(cut, current)
		if db.opts.MaxBytes > 0 {
			if cut, err = db.cutForSize(cut, current); err != nil {
				return err
			}
		}
		if cut <= first {
			return nil
		}
		return db.dropBefore(ctx, first, cut)
	})
}

// firstPartition returns the oldest partition that holds data.
func (db *DB) firstPartition() (p uint32, any bool, err error) {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{tableChunk}, UpperBound: []byte{tableChunk + 1}})
	if err != nil {
		return 0, false, err
	}
	if it.First() {
		k, ok := parseChunkKey(it.Key())
		p, any = partitionOf(k.Start), ok
	}
	return p, any, it.Close()
}

// cutForSize moves cut forward until what is left fits MaxBytes.
func (db *DB) cutForSize(cut, current uint32) (uint32, error) {
	size := func(from, to uint32) (uint64, error) {
		return db.pebble.EstimateDiskUsage(appendPartitionKey(nil, from), appendPartitionKey(nil, to))
	}
	m := db.pebble.Metrics()
	tables := m.Total()
	total := uint64(tables.TablesSize) + m.WAL.PhysicalSize
	gone, err := size(0, cut)
	if err != nil {
		return cut, err
	}
	total -= min(gone, total)
	for n := 0; n < maxDropped && total > db.opts.MaxBytes && cut < current; {
		// Partitions without data, while Seer was off, are skipped at no cost.
		bytes, err := size(cut, cut+1)
		if err != nil {
			return cut, err
		}
		if bytes > 0 {
			n++
			total -= min(bytes, total)
		}
		cut++
	}
	return cut, nil
}

// dropBefore deletes all chunks, events and container records older than the
// partition cut and gives the space back.
func (db *DB) dropBefore(ctx context.Context, first, cut uint32) error {
	lower, upper := appendPartitionKey(nil, 0), appendPartitionKey(nil, cut)
	horizon := int64(cut) * int64(partition)
	batch := db.pebble.NewBatch()
	defer batch.Close()
	if err := batch.DeleteRange(lower, upper, nil); err != nil {
		return err
	}
	if err := db.dropEvents(batch, horizon); err != nil {
		return err
	}
	if err := db.dropContainers(batch, horizon); err != nil {
		return err
	}
	if err := db.pebble.Apply(batch, pebble.Sync); err != nil {
		return fmt.Errorf("drop old data of %q: %w", db.dir, err)
	}
	db.partitionsDropped.Add(uint64(cut - first))
	db.deletedBefore.Store(horizon)
	// Only tables of the deleted range are touched: whole ones are dropped, at
	// most two at the edge are rewritten.
	if err := db.pebble.Compact(ctx, lower, upper, false); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("give back space of %q: %w", db.dir, err)
	}
	return nil
}

func (db *DB) dropEvents(batch *pebble.Batch, horizon int64) error {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{tableEvent}, UpperBound: []byte{tableEvent + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; {
		end := bytes.IndexByte(it.Key(), 0)
		if end < 0 {
			return errors.Join(tracedb.ErrCorrupt, it.Close())
		}
		kind := string(it.Key()[1:end])
		if err := batch.DeleteRange(appendEventKey(nil, kind, 0, 0), appendEventKey(nil, kind, horizon, 0), nil); err != nil {
			return errors.Join(err, it.Close())
		}
		ok = it.SeekGE(appendEventKey(nil, kind, math.MaxInt64, math.MaxUint32))
	}
	return it.Close()
}

func (db *DB) dropContainers(batch *pebble.Batch, horizon int64) error {
	it, err := db.pebble.NewIter(&pebble.IterOptions{LowerBound: []byte{tableContainer}, UpperBound: []byte{tableContainer + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		var c struct {
			Last time.Time `json:"last"`
		}
		if err := json.Unmarshal(it.Value(), &c); err != nil {
			return errors.Join(fmt.Errorf("container record %x: %w", it.Key(), err), it.Close())
		}
		if c.Last.UnixNano() < horizon {
			if err := batch.Delete(it.Key(), nil); err != nil {
				return errors.Join(err, it.Close())
			}
		}
	}
	return it.Close()
}

func (db *DB) refreshUsage() {
	m := db.pebble.Metrics()
	total := m.Total()
	db.usage.disk.Store(m.DiskSpaceUsage())
	db.usage.written.Store(m.WAL.BytesWritten + total.TableBytesFlushed + total.TableBytesCompacted)
	if u, err := db.guard.GetDiskUsage(db.dir); err == nil {
		db.usage.free.Store(u.AvailBytes)
	}
}

// Stats implements tracedb.Store. Sizes are those of the last Maintain.
func (db *DB) Stats() tracedb.StoreStats {
	s := tracedb.StoreStats{
		DiskBytes:    db.usage.disk.Load(),
		FreeBytes:    db.usage.free.Load(),
		BytesWritten: db.usage.written.Load(),
		Deletions:    db.partitionsDropped.Load(),
		Stalled:      db.guard.stalled.Load() > 0,
	}
	if ns := db.deletedBefore.Load(); ns != 0 {
		s.DeletedBefore = time.Unix(0, ns)
	}
	return s
}
