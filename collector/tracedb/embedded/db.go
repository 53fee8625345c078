package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"seer/collector/tracedb"
)

// schemaVersion is the version of the layout in doc.go. A change that older
// builds cannot read is a new version.
const schemaVersion = 1

// Memory and concurrency. Seer as a whole may use 80 MB, and Pebble's defaults
// alone would take more.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 1 << 20 // two of them at most, then writes wait
	maxOpenFiles  = 128
)

// closeGrace is how long Close waits for a full disk before it gives up the
// last flush. Acknowledged batches are in the log and not at stake.
const closeGrace = 3 * time.Second

// Options configure a database. The zero value works.
type Options struct {
	MaxAge   time.Duration // drop older data; 0 keeps them
	MaxBytes uint64        // drop the oldest ten minutes while above; 0 is no limit

	// MinFreeBytes is the space on the file system below which Write refuses.
	// It covers what Pebble writes on its own account. Default 32 MiB.
	MinFreeBytes uint64

	// ReadOnly opens for reading only. It still locks the directory.
	ReadOnly bool

	Logger *slog.Logger     // default slog.Default()
	Now    func() time.Time // default time.Now; the clock of retention

	fs vfs.FS // default vfs.Default; tests put faults here
}

// DB is an open database. It implements tracedb.Store.
type DB struct {
	dir    string
	opts   Options
	log    *slog.Logger
	guard  *guardFS
	pebble *pebble.DB

	writing  chan struct{} // holds one token: Write and Maintain take turns
	eventSeq atomic.Uint32

	failOnce sync.Once
	failed   chan struct{} // closed when err is set
	err      error

	mu     sync.Mutex // guards closed and calls.Add against calls.Wait
	closed bool
	calls  sync.WaitGroup

	partitionsDropped atomic.Uint64
	deletedBefore     atomic.Int64 // ns; 0 if nothing was dropped
	usage             usage
}

var _ tracedb.Store = (*DB)(nil)

// Open opens the database in dir and creates it if there is none. It returns
// tracedb.ErrLocked if another process has it, *tracedb.NewerVersionError if a
// newer Seer wrote it, tracedb.ErrNotFound if ReadOnly and there is none.
func Open(dir string, o Options) (*DB, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open database %q: %w", dir, err)
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = 32 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.fs == nil {
		o.fs = vfs.Default
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	db := &DB{
		dir: dir, opts: o, log: o.Logger.With("db", dir),
		writing: make(chan struct{}, 1), failed: make(chan struct{}),
	}
	// Numbers events of one nanosecond apart, also across restarts.
	db.eventSeq.Store(rand.Uint32())
	db.guard = newGuardFS(o.fs, db.onStall, db.onRecover)

	if o.ReadOnly {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open database %q: %w: start `seer run --db %s` to record one", dir, tracedb.ErrNotFound, dir)
		}
	} else {
		// Creating a database on a full disk would wait for space forever.
		if err := db.checkSpace(existing(dir)); err != nil {
			return nil, fmt.Errorf("open database %q: %w", dir, err)
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("create database directory: %w", err)
		}
	}
	if err := db.call(nil, db.open); err != nil { //nolint:staticcheck // nil waits for the end, whatever happens
		db.guard.stop()
		return nil, err
	}
	return db, nil
}

// existing returns dir, or the nearest of its parents that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func (db *DB) open() error {
	po := &pebble.Options{
		FS:                          db.guard,
		ReadOnly:                    db.opts.ReadOnly,
		ErrorIfNotExists:            db.opts.ReadOnly,
		Logger:                      logger{db},
		EventListener:               db.events(),
		FormatMajorVersion:          pebble.FormatTableFormatV6,
		CacheSize:                   cacheBytes,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 2,
		MaxOpenFiles:                maxOpenFiles,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return compression })
	p, err := pebble.Open(db.dir, po)
	switch {
	case errors.Is(err, pebble.ErrDBDoesNotExist):
		return fmt.Errorf("open database %q: %w: start `seer run --db %s` to record one", db.dir, tracedb.ErrNotFound, db.dir)
	case errors.Is(err, tracedb.ErrLocked):
		return err
	case err != nil && strings.Contains(err.Error(), "unknown format major version"):
		return &tracedb.NewerVersionError{Path: db.dir, Version: err.Error(), Reads: "storage format " + po.FormatMajorVersion.String()}
	case err != nil:
		return fmt.Errorf("open database %q: %w: restore it from a copy, or move it away and start an empty one", db.dir, err)
	}
	db.pebble = p
	if err := db.checkVersion(); err != nil {
		db.pebble = nil
		return errors.Join(err, p.Close())
	}
	return nil
}

// versionRecord is the JSON document under keyVersion.
type versionRecord struct {
	Schema  int       `json:"schema"`
	Created time.Time `json:"created"`
}

func (db *DB) checkVersion() error {
	data, closer, err := db.pebble.Get(keyVersion)
	if errors.Is(err, pebble.ErrNotFound) {
		if db.opts.ReadOnly {
			return fmt.Errorf("open database %q: it is not a seer database: %w", db.dir, tracedb.ErrNotFound)
		}
		data, err := json.Marshal(versionRecord{Schema: schemaVersion, Created: db.opts.Now().UTC()})
		if err != nil {
			return err
		}
		return db.pebble.Set(keyVersion, data, pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("read database version: %w", err)
	}
	defer closer.Close()
	var v versionRecord
	if err := json.Unmarshal(data, &v); err != nil {
		return fmt.Errorf("read database version: %w", err)
	}
	if v.Schema > schemaVersion {
		return &tracedb.NewerVersionError{
			Path:    db.dir,
			Version: fmt.Sprintf("schema %d", v.Schema), Reads: fmt.Sprintf("schema %d", schemaVersion),
		}
	}
	return nil
}

// call runs op, which uses Pebble, in a goroutine of its own: Pebble's
// Logger.Fatalf must not return, so it ends that goroutine, and the caller
// gets an error instead. It also lets the caller leave, with op still running,
// when ctx ends while op waits for disk space. A nil ctx waits for op.
func (db *DB) call(ctx context.Context, op func() error) error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return fmt.Errorf("database %q: %w", db.dir, fs.ErrClosed)
	}
	db.calls.Add(1)
	db.mu.Unlock()

	done := make(chan error, 1)
	go func() {
		defer db.calls.Done()
		finished := false
		var err error
		defer func() {
			if !finished {
				// Fatalf ended the goroutine and has set the failure.
				err = db.failure()
			}
			done <- err
		}()
		select {
		case <-db.failed:
			return
		default:
		}
		err = op()
		finished = true
	}()
	if ctx == nil {
		return <-done
	}
	select {
	case err := <-done:
		return err
	case <-db.failed:
		return db.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fail records the first error that the database cannot go on from.
func (db *DB) fail(cause error) {
	db.failOnce.Do(func() {
		db.err = fmt.Errorf("database %q: %w: %w: check the disk, then restart seer", db.dir, tracedb.ErrFailed, cause)
		close(db.failed)
		db.guard.stop()
		db.log.Error("tracedb stopped; seer goes on without it", "err", db.err)
	})
}

func (db *DB) failure() error {
	select {
	case <-db.failed:
		return db.err
	default:
		return nil
	}
}

// Close flushes and releases the directory. With a full disk it gives up the
// flush after a few seconds; acknowledged batches are in the log.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	db.mu.Unlock()

	done := make(chan error, 1)
	go func() {
		err := error(nil)
		defer func() { done <- err }() // also if Fatalf ends the goroutine
		db.calls.Wait()
		err = db.pebble.Close()
	}()
	select {
	case <-db.failed:
		return db.abandon()
	default:
	}
	ticker := time.NewTicker(closeGrace / 30)
	defer ticker.Stop()
	var stalledSince time.Time
	for {
		select {
		case err := <-done:
			db.guard.stop()
			return err
		case <-db.failed:
			return db.abandon()
		case now := <-ticker.C:
			switch {
			case db.guard.stalled.Load() == 0:
				stalledSince = time.Time{}
			case stalledSince.IsZero():
				stalledSince = now
			case now.Sub(stalledSince) > closeGrace:
				return db.abandon()
			}
		}
	}
}

// abandon leaves a database that cannot be closed: nothing can write to its
// directory any more, and the lock is released for the next instance.
func (db *DB) abandon() error {
	db.failOnce.Do(func() {
		db.err = fmt.Errorf("close database %q: %w: the last flush is left to the next start; free some space", db.dir, tracedb.ErrDiskFull)
		close(db.failed)
	})
	db.guard.stop()
	db.guard.releaseLock()
	return db.failure()
}

func (db *DB) onStall(err error) {
	db.log.Error("disk full: tracedb waits for space, samples are dropped and counted; free some space or lower the retention", "err", err)
}

func (db *DB) onRecover() { db.log.Info("disk has space again: tracedb goes on") }

// logger receives what Pebble has to say.
type logger struct{ db *DB }

func (logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) {
	l.db.log.Warn("tracedb: " + fmt.Sprintf(format, args...))
}

// Fatalf ends the calling goroutine, not the process. Pebble relies on it not
// returning.
func (l logger) Fatalf(format string, args ...any) {
	fatal := &fatalError{text: fmt.Sprintf(format, args...)}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			fatal.cause = err
		}
	}
	l.db.fail(fatal)
	runtime.Goexit()
}

// fatalError is what Pebble said last, with the error it said it about.
type fatalError struct {
	text  string
	cause error
}

func (e *fatalError) Error() string { return e.text }
func (e *fatalError) Unwrap() error { return e.cause }

func (db *DB) events() *pebble.EventListener {
	return &pebble.EventListener{
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			db.log.Error("tracedb: a damaged table; what it held cannot be read", "path", i.Path, "err", i.Details)
		},
		BackgroundError: func(err error) {
			db.log.Warn("tracedb: background work failed and will be repeated", "err", err)
		},
	}
}
