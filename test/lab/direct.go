//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EnvBlockDevice names a block device that tests may overwrite. Without it
// they write to a temporary file, which needs a disk file system there.
const EnvBlockDevice = "SEER_TEST_BLOCK_DEVICE"

// Writer is a process that writes to a disk past the page cache.
type Writer struct {
	*Process
	Path   string
	Device Device
}

// Device is the disk a Writer writes to.
type Device struct {
	Major, Minor uint32
}

type directArgs struct {
	Path    string `json:"path"`
	Threads int    `json:"threads"`
	Block   int    `json:"block"`
}

// WriteDirect starts threads that each keep one O_DIRECT write of block bytes
// in flight, again and again over the same place, once Go is called. It
// writes to the device in SEER_TEST_BLOCK_DEVICE or to a file in dir.
func (c *Container) WriteDirect(dir string, threads, block int) *Writer {
	c.t.Helper()
	w := &Writer{Path: os.Getenv(EnvBlockDevice)}
	if w.Path == "" {
		w.Path = filepath.Join(dir, "direct")
	}
	w.Process = c.Start("direct", directArgs{w.Path, threads, block})
	var st unix.Stat_t
	if err := unix.Stat(w.Path, &st); err != nil {
		c.t.Fatalf("stat %s: %v", w.Path, err)
	}
	dev := st.Dev
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		dev = st.Rdev
	}
	w.Device = Device{unix.Major(dev), unix.Minor(dev)}
	return w
}

// Go starts the writing.
func (w *Writer) Go() {
	w.t.Helper()
	w.Call("go", nil, nil)
}

// WriteUsage is what a Writer has done so far.
type WriteUsage struct {
	At     time.Time
	Writes int64         // completed
	Inside time.Duration // summed over all writes, those in progress too: time inside the call
}

// Usage asks the writer what it has done.
func (w *Writer) Usage() WriteUsage {
	w.t.Helper()
	var u WriteUsage
	w.Call("usage", nil, &u)
	return u
}

// DiskUsage is one line of /proc/diskstats: what the disk has done for all
// its users.
type DiskUsage struct {
	At       time.Time
	Writes   int64         // completed
	InFlight int           // now
	Weighted time.Duration // requests in flight, summed over time (field 14)
}

// Usage reads the device's counters.
func (d Device) Usage(t TB) DiskUsage {
	t.Helper()
	u := DiskUsage{At: time.Now()}
	text, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		t.Fatalf("read diskstats: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 14 || f[0] != fmt.Sprint(d.Major) || f[1] != fmt.Sprint(d.Minor) {
			continue
		}
		writes, err1 := strconv.ParseInt(f[7], 10, 64)
		flight, err2 := strconv.Atoi(f[11])
		weighted, err3 := strconv.ParseInt(f[13], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("read diskstats: %q", line)
		}
		u.Writes, u.InFlight, u.Weighted = writes, flight, time.Duration(weighted)*time.Millisecond
		return u
	}
	t.Fatalf("read diskstats: no device %d:%d (is the temporary directory on a disk? set %s)", d.Major, d.Minor, EnvBlockDevice)
	return u
}

func directWorkload(w *Worker) error {
	var args directArgs
	if err := w.Begin(&args); err != nil {
		return err
	}
	fd, err := unix.Open(args.Path, unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", args.Path, err)
	}
	// A first pass allocates the file, so that later writes are data only.
	for i := range args.Threads {
		if _, err := unix.Pwrite(fd, alignedBlock(args.Block), int64(i*args.Block)); err != nil {
			return fmt.Errorf("write %s: %w", args.Path, err)
		}
	}
	if err := unix.Fsync(fd); err != nil {
		return fmt.Errorf("sync %s: %w", args.Path, err)
	}
	var mu sync.Mutex
	var writes, inProgress int64
	var inside time.Duration // less, for a call in progress, the time since epoch when it began
	epoch := time.Now()
	write := func(i int) {
		buf := alignedBlock(args.Block)
		for {
			mu.Lock()
			inProgress++
			inside -= time.Since(epoch)
			mu.Unlock()
			if _, err := unix.Pwrite(fd, buf, int64(i*args.Block)); err != nil {
				fmt.Fprintf(os.Stderr, "write %s: %v\n", args.Path, err)
				os.Exit(1)
			}
			mu.Lock()
			inProgress--
			inside += time.Since(epoch)
			writes++
			mu.Unlock()
		}
	}
	return w.Serve(map[string]Handler{
		"go": Handle(func(any) (any, error) {
			for i := range args.Threads {
				go write(i)
			}
			return nil, nil
		}),
		"usage": Handle(func(any) (WriteUsage, error) {
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			return WriteUsage{now, writes, inside + time.Duration(inProgress)*now.Sub(epoch)}, nil
		}),
	})
}

// alignedBlock returns a buffer that O_DIRECT accepts.
func alignedBlock(size int) []byte {
	const align = 4096
	buf := make([]byte, size+align)
	skip := -int(uintptr(unsafe.Pointer(&buf[0]))) & (align - 1)
	return buf[skip : skip+size]
}
