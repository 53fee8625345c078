package embedded

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// spaceRetry is how often a write that found no space is tried again.
const spaceRetry = 100 * time.Millisecond

// guardFS stands between Pebble and the disk and keeps "no space left" from
// it: a write that meets it waits until there is space, then goes on. Pebble
// would end the process instead (its Logger.Fatalf), or be left half-way
// through a commit, from which it has no way back.
//
// After stop, every change of the file system fails, including those that
// wait: a database that was given up cannot touch its directory any more.
type guardFS struct {
	vfs.FS
	stalled   atomic.Int32 // operations waiting for space
	stopOnce  sync.Once
	stopped   chan struct{}
	lock      io.Closer   // of the directory, once it is held
	onStall   func(error) // first of several operations begins to wait
	onRecover func()      // the last of them went through
}

func newGuardFS(fs vfs.FS, onStall func(error), onRecover func()) *guardFS {
	return &guardFS{FS: fs, stopped: make(chan struct{}), onStall: onStall, onRecover: onRecover}
}

func (g *guardFS) stop() { g.stopOnce.Do(func() { close(g.stopped) }) }

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// try runs op until it ends with anything but "no space".
func (g *guardFS) try(op func() error) error {
	waiting := false
	for {
		select {
		case <-g.stopped:
			if waiting {
				g.stalled.Add(-1)
			}
			return os.ErrClosed
		default:
		}
		err := op()
		if !isNoSpace(err) {
			if waiting && g.stalled.Add(-1) == 0 {
				g.onRecover()
			}
			return err
		}
		if !waiting {
			waiting = true
			if g.stalled.Add(1) == 1 {
				g.onStall(err)
			}
		}
		select {
		case <-g.stopped:
		case <-time.After(spaceRetry):
		}
	}
}

// Create implements vfs.FS.
func (g *guardFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (g *guardFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.open(func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS. It makes a new file instead: a reader that
// holds a link to a log (OpenCopy) must not see it overwritten.
func (g *guardFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := g.Create(newname, c)
	if err != nil {
		return nil, err
	}
	return f, g.Remove(oldname)
}

func (g *guardFS) open(op func() (vfs.File, error)) (vfs.File, error) {
	var f vfs.File
	err := g.try(func() (err error) {
		f, err = op()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &guardFile{File: f, guard: g}, nil
}

// Link implements vfs.FS.
func (g *guardFS) Link(oldname, newname string) error {
	return g.try(func() error { return g.FS.Link(oldname, newname) })
}

// Remove implements vfs.FS.
func (g *guardFS) Remove(name string) error {
	return g.try(func() error { return g.FS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (g *guardFS) RemoveAll(name string) error {
	return g.try(func() error { return g.FS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (g *guardFS) Rename(oldname, newname string) error {
	return g.try(func() error { return g.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (g *guardFS) MkdirAll(dir string, perm os.FileMode) error {
	return g.try(func() error { return g.FS.MkdirAll(dir, perm) })
}

// Unwrap implements vfs.FS.
func (g *guardFS) Unwrap() vfs.FS { return g.FS }

// guardFile waits for space in writes. A sync that reports "no space" is
// passed on: the kernel may have dropped the pages, so trying again could
// report success for data that are gone.
type guardFile struct {
	vfs.File
	guard *guardFS
}

// Write implements vfs.File.
func (f *guardFile) Write(p []byte) (int, error) {
	done := 0
	err := f.guard.try(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		if err == nil && done < len(p) {
			return io.ErrShortWrite
		}
		return err
	})
	return done, err
}

// WriteAt implements vfs.File.
func (f *guardFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := f.guard.try(func() error {
		n, err := f.File.WriteAt(p[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// Preallocate implements vfs.File. It is an optimisation: without space it
// does nothing, and the write that needs the space waits.
func (f *guardFile) Preallocate(offset, length int64) error {
	if err := f.File.Preallocate(offset, length); !isNoSpace(err) {
		return err
	}
	return nil
}
