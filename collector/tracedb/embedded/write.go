package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"seer/collector/tracedb"
)

// Write implements tracedb.Store. It returns when the batch is in the log and
// the log is on the disk.
func (db *DB) Write(ctx context.Context, b *tracedb.Batch) error {
	if err := db.takeTurn(ctx); err != nil {
		return err
	}
	// The token is given back when the operation ends, which is after Write
	// has returned if ctx ended first.
	handedOver := false
	defer func() {
		if !handedOver {
			<-db.writing
		}
	}()
	if err := db.admit(); err != nil {
		return err
	}
	if err := db.failure(); err != nil {
		return err
	}
	batch, err := db.encode(b)
	if err != nil {
		return err
	}
	handedOver = true
	return db.callHolding(ctx, func() error {
		defer batch.Close()
		if err := db.pebble.Apply(batch, pebble.Sync); err != nil {
			return fmt.Errorf("write to database %q: %w", db.dir, err)
		}
		return nil
	})
}

// takeTurn waits until no other write is under way.
func (db *DB) takeTurn(ctx context.Context) error {
	select {
	case db.writing <- struct{}{}:
		return nil
	case <-db.failed:
		return db.failure()
	case <-ctx.Done():
		return db.noTurn(ctx)
	}
}

// noTurn names the likely reason of having waited in vain.
func (db *DB) noTurn(ctx context.Context) error {
	if db.guard.stalled.Load() > 0 {
		return fmt.Errorf("write to database %q: %w: %w", db.dir, tracedb.ErrDiskFull, context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// callHolding is call for an operation that holds the token of db.writing.
func (db *DB) callHolding(ctx context.Context, op func() error) error {
	err := db.call(ctx, func() error {
		defer func() {
			// Pebble panics where its log cannot take a record.
			if r := recover(); r != nil {
				db.fail(fmt.Errorf("%v", r))
			}
			<-db.writing
		}()
		return op()
	})
	if errors.Is(err, fs.ErrClosed) {
		// op did not run. Let others that wait find out that it is closed.
		select {
		case <-db.writing:
		default:
		}
		return err
	}
	if ctx.Err() != nil && err != nil {
		return db.noTurn(ctx)
	}
	return err
}

// admit refuses to write while the file system is nearly full, so that Pebble
// keeps room for its own work.
func (db *DB) admit() error {
	if err := db.checkSpace(db.dir); err != nil {
		return fmt.Errorf("write to database %q: %w", db.dir, err)
	}
	return nil
}

// checkSpace looks at the file system that holds path.
func (db *DB) checkSpace(path string) error {
	u, err := db.guard.GetDiskUsage(path)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	db.usage.free.Store(u.AvailBytes)
	if u.AvailBytes < db.opts.MinFreeBytes {
		return fmt.Errorf("%w: %d MiB left, %d MiB needed: free some space",
			tracedb.ErrDiskFull, u.AvailBytes>>20, db.opts.MinFreeBytes>>20)
	}
	return nil
}

func (db *DB) encode(b *tracedb.Batch) (*pebble.Batch, error) {
	batch := db.pebble.NewBatch()
	var key []byte
	var err error
	set := func(value []byte) {
		if e := batch.Set(key, value, nil); e != nil {
			err = e
		}
	}
	// A key that is deleted and put in one batch is kept.
	for _, k := range b.Delete {
		key = appendChunkKey(key[:0], k)
		if e := batch.Delete(key, nil); e != nil {
			err = e
		}
	}
	for _, r := range b.Put {
		key = appendChunkKey(key[:0], r.Key)
		set(r.Data)
	}
	for i := range b.Containers {
		c := &b.Containers[i]
		value, e := json.Marshal(c)
		if e != nil {
			err = e
			continue
		}
		key = appendContainerKey(key[:0], c.ID, c.First.UnixNano())
		set(value)
	}
	for _, ev := range b.Events {
		if ev.Kind == "" || strings.IndexByte(ev.Kind, 0) >= 0 {
			err = fmt.Errorf("event kind %q is empty or holds a zero byte", ev.Kind)
			continue
		}
		key = appendEventKey(key[:0], ev.Kind, ev.Time.UnixNano(), db.eventSeq.Add(1))
		set(ev.Data)
	}
	if err != nil {
		batch.Close()
		return nil, fmt.Errorf("encode batch: %w", err)
	}
	return batch, nil
}
