package tracedb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"seer/collector/container"
)

// Errors that every engine returns, wrapped with what to do.
var (
	// ErrDiskFull means that nothing was written because there is no room.
	// Writing again may succeed: the store stays usable.
	ErrDiskFull = errors.New("disk full")
	// ErrLocked means that another process has the database open.
	ErrLocked = errors.New("database is in use")
	// ErrNotFound means that there is no database to read.
	ErrNotFound = errors.New("no database")
	// ErrFailed means that the store gave up after an error of the disk: it
	// must be closed and opened again.
	ErrFailed = errors.New("database failed")
)

// NewerVersionError means that a newer Seer wrote the database.
type NewerVersionError struct {
	Path    string // of the database
	Version string // what it was written with
	Reads   string // what this build reads
}

// Error says what to do about it.
func (e *NewerVersionError) Error() string {
	return fmt.Sprintf("database %q was written by a newer seer (%s, this build reads up to %s): run that seer, or give another directory with --db",
		e.Path, e.Version, e.Reads)
}

// Key addresses a chunk: the container and the start of its first tick.
type Key struct {
	Container container.ID
	Start     int64 // nanoseconds since the epoch
}

// Record is one stored chunk.
type Record struct {
	Key  Key
	Data []byte // see Encoder.AppendChunk
}

// ContainerRecord says who a container ID was, from First to Last. When a name
// or service changes, or the ID is used again, another record begins.
type ContainerRecord struct {
	container.Container
	First time.Time `json:"first"`
	Last  time.Time `json:"last"` // at most a minute old while it is alive
}

// Event is something that happened at a moment: an alarm, a diagnosis, an
// action, a label, a model. Kind names the table, Data is its JSON document.
type Event struct {
	Kind string
	Time time.Time
	Data []byte
}

// Batch is what one Write makes durable, all of it or nothing. The chunks of
// one batch lie within ten minutes, so that an engine that is atomic within a
// partition only can keep the promise.
type Batch struct {
	Put        []Record
	Delete     []Key // replaced by a record in Put
	Containers []ContainerRecord
	Events     []Event
}

// Range selects chunks. A chunk is selected if it may hold a tick that starts
// in [From, To).
type Range struct {
	From, To   time.Time
	Containers []container.ID // none means all
}

// StoreStats is what an engine reports about itself.
type StoreStats struct {
	DiskBytes     uint64 // files of the database, whole
	FreeBytes     uint64 // left on its file system
	BytesWritten  uint64 // to disk since it was opened: log, tables, rewriting
	Deletions     uint64 // ten-minute partitions that retention dropped
	Stalled       bool   // a write is waiting for disk space
	DeletedBefore time.Time
}

// Source is what samples are read from: an engine, or the directory of a
// campaign.
type Source interface {
	// Chunks calls fn for each selected chunk, those of one container in order
	// of time; engines go by ten minutes of time, then container, then start.
	// Record.Data is valid until fn returns. Chunks stops at the first error of
	// fn and returns it.
	Chunks(ctx context.Context, r Range, fn func(Record) error) error

	// Containers returns the records of containers that lived in [from, to),
	// by ID and First. Zero times mean all.
	Containers(ctx context.Context, from, to time.Time) ([]ContainerRecord, error)

	// Span returns the start of the first tick stored and a time after the
	// last, both zero if there is none.
	Span(ctx context.Context) (from, to time.Time, err error)
}

// Store is an engine. All methods may be called from several goroutines.
//
// When Write returns nil the batch is acknowledged. Engines document what
// acknowledged data survive; losing one to the death of the process is a bug.
type Store interface {
	Source

	// Write stores a batch. It returns ErrDiskFull if there is no room, and
	// ErrFailed if the store must be opened again. If ctx ends first the batch
	// may or may not be stored.
	Write(ctx context.Context, b *Batch) error

	// Events calls fn for each event of one kind in [from, to), oldest first.
	Events(ctx context.Context, kind string, from, to time.Time, fn func(Event) error) error

	// Maintain applies retention by age and size. One call does a bounded
	// amount of work; call it about once a minute.
	Maintain(ctx context.Context) error

	Stats() StoreStats
	Close() error
}
