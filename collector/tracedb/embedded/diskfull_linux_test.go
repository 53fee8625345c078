package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"seer/collector/tracedb"
)

// onSmallDisk runs the calling test again as a process with its own mount
// namespace, and there calls body with a directory on a file system of the
// given size. It needs CAP_SYS_ADMIN.
func onSmallDisk(t *testing.T, bytes int, body func(t *testing.T, dir string)) {
	if os.Getenv("SEER_TEST_MOUNT") != "" {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Error(err)
			}
		})
		body(t, dir)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "SEER_TEST_MOUNT=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skipf("a mount namespace needs CAP_SYS_ADMIN: %v", err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// fill takes all but leave bytes of the file system and returns a function
// that gives them back.
func fill(t *testing.T, dir string, leave int64) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-leave); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// randomBatch holds n times 64 KB that do not compress.
func randomBatch(at int) *tracedb.Batch {
	data := make([]byte, 64<<10)
	rand.Read(data)
	return &tracedb.Batch{Put: []tracedb.Record{{Key: crashKey(at, 0), Data: data}}}
}

func TestDiskNearlyFull(t *testing.T) {
	onSmallDisk(t, 48<<20, func(t *testing.T, dir string) {
		db := mustOpen(t, filepath.Join(dir, "db"), Options{MinFreeBytes: 16 << 20})
		write(t, db, randomBatch(0))
		free := fill(t, dir, 10<<20)
		err := db.Write(t.Context(), randomBatch(1))
		if !errors.Is(err, tracedb.ErrDiskFull) || !strings.Contains(err.Error(), "free some space") {
			t.Fatalf("Write with 10 of 16 MiB left = %v, want ErrDiskFull and what to do", err)
		}
		if _, err := Open(filepath.Join(dir, "db2"), Options{MinFreeBytes: 16 << 20, Logger: quiet}); !errors.Is(err, tracedb.ErrDiskFull) {
			t.Errorf("Open of a new database = %v, want ErrDiskFull", err)
		} else if !strings.HasPrefix(err.Error(), "open database") {
			t.Errorf("Open of a new database = %v, want it to say that it was to be opened", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "db2")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open of a new database left a directory (%v), want nothing", err)
		}
		free()
		write(t, db, randomBatch(1))
		if got := len(read(t, db, tracedb.Range{})); got != 2 {
			t.Errorf("%d chunks, want 2", got)
		}
	})
}

// The hard case: something else takes the last byte while Pebble is writing.
func TestDiskFullWhileWriting(t *testing.T) {
	onSmallDisk(t, 64<<20, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "db")
		db := mustOpen(t, path, Options{MinFreeBytes: 1})
		free := fill(t, dir, 12<<20)

		var acknowledged atomic.Int64
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		done := make(chan error, 1)
		go func() {
			for n := 0; ; n++ {
				err := db.Write(ctx, randomBatch(n))
				for errors.Is(err, tracedb.ErrDiskFull) && ctx.Err() == nil {
					err = db.Write(ctx, randomBatch(n))
				}
				if err != nil {
					done <- err
					return
				}
				acknowledged.Store(int64(n) + 1)
			}
		}()
		waitFor(t, "a write stalls", func() bool { return db.Stats().Stalled })
		full := acknowledged.Load()
		if full == 0 {
			t.Fatal("nothing was written before the disk was full")
		}
		// What is acknowledged can be read while the disk is full.
		if got := len(read(t, db, tracedb.Range{})); int64(got) < full {
			t.Errorf("%d chunks can be read while the disk is full, %d were acknowledged", got, full)
		}
		free()
		waitFor(t, "writing goes on", func() bool { return acknowledged.Load() > full+8 && !db.Stats().Stalled })
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("writer ended with %v, want context.Canceled", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = mustOpen(t, path, Options{})
		if got := len(read(t, db, tracedb.Range{})); int64(got) < acknowledged.Load() {
			t.Errorf("after reopening there are %d chunks, %d were acknowledged", got, acknowledged.Load())
		}
	})
}

// Close must end although the last flush finds no space, and lose nothing.
func TestCloseWithDiskFull(t *testing.T) {
	onSmallDisk(t, 64<<20, func(t *testing.T, dir string) {
		path := filepath.Join(dir, "db")
		db := mustOpen(t, path, Options{MinFreeBytes: 1})
		free := fill(t, dir, 12<<20)
		acknowledged := 0
		for err := error(nil); err == nil; acknowledged++ {
			ctx, cancel := context.WithCancel(t.Context())
			written := make(chan error, 1)
			go func() { written <- db.Write(ctx, randomBatch(acknowledged)) }()
			waitFor(t, "written or stalled", func() bool { return len(written) == 1 || db.Stats().Stalled })
			if len(written) == 0 {
				cancel()
			}
			if err = <-written; err != nil {
				acknowledged--
			}
			cancel()
		}
		if err := db.Close(); !errors.Is(err, tracedb.ErrDiskFull) {
			t.Errorf("Close with a full disk = %v, want ErrDiskFull", err)
		}
		free()
		db = mustOpen(t, path, Options{})
		if got := len(read(t, db, tracedb.Range{})); got < acknowledged || acknowledged == 0 {
			t.Errorf("after reopening there are %d chunks, %d were acknowledged", got, acknowledged)
		}
		write(t, db, randomBatch(acknowledged+1))
	})
}
