package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"seer/collector/tracedb"
)

// Lock implements vfs.FS. The lock is an advisory one of fcntl(2): the kernel
// drops it when the process ends, however it ends.
func (g *guardFS) Lock(name string) (io.Closer, error) {
	c, err := g.FS.Lock(name)
	if err != nil {
		return nil, lockError(name, err)
	}
	g.lock = &onceCloser{Closer: c}
	return g.lock, nil
}

// releaseLock gives the directory to the next instance although Pebble did not
// close; stop must have been called.
func (g *guardFS) releaseLock() {
	if g.lock != nil {
		g.lock.Close()
	}
}

// lockError says who holds the lock and what to do.
func lockError(name string, err error) error {
	dir := filepath.Dir(name)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES) && holder(name) != 0:
		who := "another seer"
		if pid := holder(name); pid != 0 {
			who = fmt.Sprintf("process %d", pid)
		}
		return fmt.Errorf("open database %q: %w by %s: stop it, or give another directory with --db", dir, tracedb.ErrLocked, who)
	// Pebble has no error value for this.
	case strings.Contains(err.Error(), "held by current process"):
		return fmt.Errorf("open database %q: %w by this process: close it first", dir, tracedb.ErrLocked)
	}
	return fmt.Errorf("lock database %q: %w", dir, err)
}

// holder returns the process that holds the lock, 0 if that cannot be found
// out. It must not be called when this process holds it: closing any
// descriptor of the file would release it.
func holder(name string) int {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return 0
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	if unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

type onceCloser struct {
	io.Closer
	once sync.Once
	err  error
}

// Close closes the first time and repeats the result after that.
func (c *onceCloser) Close() error {
	c.once.Do(func() { c.err = c.Closer.Close() })
	return c.err
}
