package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"seer/collector/tracedb"
)

// brokenFS fails writes and syncs of files whose name contains match, once
// broken is set.
type brokenFS struct {
	vfs.FS
	match  string
	broken atomic.Bool
}

func (b *brokenFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := b.FS.Create(name, c)
	if err != nil || !strings.Contains(filepath.Base(name), b.match) {
		return f, err
	}
	return &brokenFile{File: f, fs: b}, nil
}

type brokenFile struct {
	vfs.File
	fs *brokenFS
}

func (f *brokenFile) err(op func() error) error {
	if f.fs.broken.Load() {
		return syscall.EIO
	}
	return op()
}

func (f *brokenFile) Write(p []byte) (n int, err error) {
	err = f.err(func() (err error) { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *brokenFile) Sync() error     { return f.err(f.File.Sync) }
func (f *brokenFile) SyncData() error { return f.err(f.File.SyncData) }
func (f *brokenFile) SyncTo(n int64) (full bool, err error) {
	err = f.err(func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// Pebble calls Logger.Fatalf for these, whose usual way is os.Exit.
func TestDiskErrorFailsTheDatabaseNotTheProcess(t *testing.T) {
	for _, match := range []string{".log", "MANIFEST"} {
		t.Run(match, func(t *testing.T) {
			dir := t.TempDir()
			fs := &brokenFS{FS: vfs.Default, match: match}
			db := mustOpen(t, dir, Options{fs: fs})
			acknowledged := 0
			for ; acknowledged < 5; acknowledged++ {
				write(t, db, crashBatch(acknowledged))
			}
			fs.broken.Store(true)
			// The manifest is written when a memtable is flushed.
			var err error
			for n := acknowledged; err == nil && n < 10_000; n++ {
				if err = db.Write(t.Context(), crashBatch(n)); err == nil {
					acknowledged++
				}
			}
			if !errors.Is(err, tracedb.ErrFailed) || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "restart seer") {
				t.Fatalf("Write on a broken disk = %v, want ErrFailed with its cause and what to do", err)
			}
			if _, _, err := db.Span(t.Context()); !errors.Is(err, tracedb.ErrFailed) {
				t.Errorf("Span after the failure = %v, want ErrFailed", err)
			}
			if err := db.Maintain(t.Context()); !errors.Is(err, tracedb.ErrFailed) {
				t.Errorf("Maintain after the failure = %v, want ErrFailed", err)
			}
			if err := db.Close(); !errors.Is(err, tracedb.ErrFailed) {
				t.Errorf("Close after the failure = %v, want ErrFailed", err)
			}
			// The directory is free, and what was acknowledged is in it.
			checkBatches(t, dir, acknowledged-1)
		})
	}
}

func TestReadOnlyDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir+"/file/db", Options{Logger: quiet}); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Open below a file = %v, want ENOTDIR", err)
	}
}
