package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"seer/collector/tracedb"
)

// A copy taken while another instance writes, flushes and compacts holds every
// batch acknowledged before, whole.
func TestOpenCopyWhileWriting(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir, Options{})
	acknowledged := make(chan int, 1)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			if err := db.Write(t.Context(), crashBatch(n)); err != nil {
				done <- err
				return
			}
			select {
			case <-acknowledged: // keep only the newest
			default:
			}
			acknowledged <- n
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
		}
	}()
	for range 15 {
		least := <-acknowledged
		c, err := OpenCopy(t.Context(), dir, Options{Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		last := -1
		if err := c.Events(t.Context(), "batch", time.Time{}, time.Time{}, func(tracedb.Event) error { last++; return nil }); err != nil {
			t.Fatal(err)
		}
		if last < least {
			t.Errorf("copy ends with batch %d, %d was acknowledged before", last, least)
		}
		seen := make(map[tracedb.Key]bool)
		if err := c.Chunks(t.Context(), tracedb.Range{}, func(r tracedb.Record) error { seen[r.Key] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		for n := 0; n <= last; n++ {
			for i := range 8 {
				if want := i != 7 || n == last; seen[crashKey(n, i)] != want {
					t.Fatalf("copy with batch %d: chunk %d of batch %d present: %v, want %v", last, i, n, !want, want)
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, copyPattern)); len(left) != 0 {
		t.Errorf("copies left behind: %v", left)
	}
}

func TestOpenCopyOfNothing(t *testing.T) {
	for _, dir := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := OpenCopy(t.Context(), dir, Options{Logger: quiet}); !errors.Is(err, tracedb.ErrNotFound) {
			t.Errorf("OpenCopy(%s) = %v, want ErrNotFound", dir, err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 0 {
			t.Errorf("OpenCopy left %v", entries)
		}
	}
}

func TestStaleCopiesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	db := mustOpen(t, dir, Options{Now: func() time.Time { return now }})
	killed, err := linkCopy(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); err != nil {
		t.Errorf("a fresh copy was removed: %v", err)
	}
	now = now.Add(time.Hour)
	if err := db.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy of a killed process is still there: %v", err)
	}
}
