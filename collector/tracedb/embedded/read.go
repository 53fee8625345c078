package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"seer/collector/tracedb"
)

// bounds turns a time range into nanoseconds; zero times are open ends.
func bounds(from, to time.Time) (lo, hi int64) {
	lo, hi = 0, math.MaxInt64
	if !from.IsZero() {
		lo = from.UnixNano()
	}
	if !to.IsZero() {
		hi = to.UnixNano()
	}
	return lo, hi
}

// Chunks implements tracedb.Store.
func (db *DB) Chunks(ctx context.Context, r tracedb.Range, fn func(tracedb.Record) error) error {
	lo, hi := bounds(r.From, r.To)
	// A chunk holds what began within ChunkLength of its first tick.
	lo = max(lo-int64(tracedb.ChunkLength), 0)
	ids := slices.Clone(r.Containers)
	slices.Sort(ids)
	return db.read(ctx, appendPartitionKey(nil, partitionOf(lo)), chunkUpperBound(hi), func(it *pebble.Iterator) error {
		var key []byte
		ok := it.First()
		for ok {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			k, valid := parseChunkKey(it.Key())
			if !valid {
				return fmt.Errorf("database %q: damaged key %x: %w", db.dir, it.Key(), tracedb.ErrCorrupt)
			}
			// Where the key is not wanted, jump to the next that may be.
			want, end := k, false
			if k.Start < lo {
				want.Start = lo
			} else if k.Start >= hi {
				want, end = nextContainer(k)
			}
			if len(ids) > 0 && !end {
				i, found := slices.BinarySearch(ids, want.Container)
				switch {
				case found:
				case i < len(ids):
					want = tracedb.Key{Container: ids[i], Start: max(lo, partitionStart(k.Start))}
				default:
					end = true
				}
			}
			if end {
				key = appendPartitionKey(key[:0], partitionOf(k.Start)+1)
				ok = it.SeekGE(key)
				continue
			}
			if want != k {
				key = seekKey(key[:0], partitionOf(k.Start), want)
				ok = it.SeekGE(key)
				continue
			}
			data, err := it.ValueAndErr()
			if err != nil {
				return fmt.Errorf("read database %q: %w", db.dir, err)
			}
			if err := fn(tracedb.Record{Key: k, Data: data}); err != nil {
				return err
			}
			ok = it.Next()
		}
		return nil
	})
}

func chunkUpperBound(hi int64) []byte {
	if p := partitionOf(hi); p != math.MaxUint32 {
		return appendPartitionKey(nil, p+1)
	}
	return []byte{tableChunk + 1}
}

func partitionStart(ns int64) int64 { return int64(partitionOf(ns)) * int64(partition) }

// nextContainer returns the first key after all those of k's container.
func nextContainer(k tracedb.Key) (next tracedb.Key, end bool) {
	if k.Container == math.MaxUint64 {
		return k, true
	}
	return tracedb.Key{Container: k.Container + 1}, false
}

// seekKey encodes k within a partition that need not be that of its start.
func seekKey(dst []byte, p uint32, k tracedb.Key) []byte {
	dst = appendPartitionKey(dst, p)
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.Container))
	return binary.BigEndian.AppendUint64(dst, uint64(k.Start))
}

// Containers implements tracedb.Store.
func (db *DB) Containers(ctx context.Context, from, to time.Time) ([]tracedb.ContainerRecord, error) {
	var out []tracedb.ContainerRecord
	err := db.read(ctx, []byte{tableContainer}, []byte{tableContainer + 1}, func(it *pebble.Iterator) error {
		for ok := it.First(); ok; ok = it.Next() {
			var c tracedb.ContainerRecord
			if err := json.Unmarshal(it.Value(), &c); err != nil {
				return fmt.Errorf("container record %x: %w", it.Key(), err)
			}
			if (to.IsZero() || c.First.Before(to)) && (from.IsZero() || !c.Last.Before(from)) {
				out = append(out, c)
			}
		}
		return ctx.Err()
	})
	return out, err
}

// Events implements tracedb.Store.
func (db *DB) Events(ctx context.Context, kind string, from, to time.Time, fn func(tracedb.Event) error) error {
	lo, hi := bounds(from, to)
	at := eventTimeAt(kind)
	return db.read(ctx, appendEventKey(nil, kind, lo, 0), appendEventKey(nil, kind, hi, 0), func(it *pebble.Iterator) error {
		for ok := it.First(); ok; ok = it.Next() {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			ns := int64(binary.BigEndian.Uint64(it.Key()[at:]))
			e := tracedb.Event{Kind: kind, Time: time.Unix(0, ns), Data: bytes.Clone(it.Value())}
			if err := fn(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Span implements tracedb.Store.
func (db *DB) Span(ctx context.Context) (from, to time.Time, err error) {
	err = db.read(ctx, []byte{tableChunk}, []byte{tableChunk + 1}, func(it *pebble.Iterator) error {
		if !it.First() {
			return nil
		}
		k, _ := parseChunkKey(it.Key())
		first, last, err := scanStarts(it, partitionOf(k.Start))
		if err != nil {
			return err
		}
		from = time.Unix(0, first)
		if it.Last() {
			k, _ = parseChunkKey(it.Key())
			if _, last, err = scanStarts(it, partitionOf(k.Start)); err != nil {
				return err
			}
		}
		to = time.Unix(0, last).Add(tracedb.ChunkLength)
		return nil
	})
	return from, to, err
}

// scanStarts returns the smallest and largest start in a partition, which is
// ordered by container first.
func scanStarts(it *pebble.Iterator, p uint32) (first, last int64, err error) {
	first, last = math.MaxInt64, 0
	prefix := appendPartitionKey(nil, p)
	for ok := it.SeekGE(prefix); ok && bytes.HasPrefix(it.Key(), prefix); ok = it.Next() {
		k, valid := parseChunkKey(it.Key())
		if !valid {
			return 0, 0, tracedb.ErrCorrupt
		}
		first, last = min(first, k.Start), max(last, k.Start)
	}
	return first, last, it.Error()
}

// read runs fn over an iterator of [lower, upper). It returns when fn has, so
// fn may use what its caller owns.
func (db *DB) read(ctx context.Context, lower, upper []byte, fn func(*pebble.Iterator) error) error {
	return db.call(nil, func() error { //nolint:staticcheck // nil waits for the end, whatever happens
		it, err := db.pebble.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lower, UpperBound: upper})
		if err != nil {
			return fmt.Errorf("read database %q: %w", db.dir, err)
		}
		if err := fn(it); err != nil {
			return errors.Join(err, it.Close())
		}
		if err := it.Close(); err != nil {
			return fmt.Errorf("read database %q: %w", db.dir, err)
		}
		return nil
	})
}
