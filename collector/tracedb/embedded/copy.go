package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"seer/collector/tracedb"
)

// copyAttempts is how often OpenCopy tries again when tables were replaced
// under its hands. A compaction takes far longer than linking the files.
const copyAttempts = 20

// copyPattern names the directories of copies.
const copyPattern = "copy-*.tmp"

// OpenCopy opens a database for reading, also while another process writes to
// it. It sees everything acknowledged before the call. It makes a directory of
// hard links inside dir, which Close removes; where it cannot (another user's
// directory, a read-only file system) it opens the database itself, which
// works while nobody else has it open.
//
// The order makes the links a database that could have been left by a crash:
// first the logs, then the manifest that says which of their contents have
// been flushed, then the tables it names. A table that was compacted away in
// between is missed when the copy is opened, and a new copy is made.
func OpenCopy(ctx context.Context, dir string, o Options) (*Copy, error) {
	o.ReadOnly = true
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open database %q: %w: start `seer run --db %s` to record one", dir, tracedb.ErrNotFound, dir)
	}
	// What fails while copying is tried again, and is no news.
	quiet := o
	quiet.Logger = slog.New(slog.DiscardHandler)
	for attempt := 1; ; attempt++ {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		copied, err := linkCopy(dir)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			db, err := Open(dir, o)
			if err != nil {
				return nil, err
			}
			return &Copy{DB: db}, nil
		}
		var db *DB
		if err == nil {
			if db, err = Open(copied, quiet); err == nil {
				return &Copy{DB: db, dir: copied}, nil
			}
		}
		if copied != "" {
			os.RemoveAll(copied)
		}
		var newer *tracedb.NewerVersionError
		switch {
		case errors.As(err, &newer):
			newer.Path = dir
			return nil, newer
		case errors.Is(err, tracedb.ErrNotFound):
			return nil, fmt.Errorf("open database %q: %w: start `seer run --db %s` to record one", dir, tracedb.ErrNotFound, dir)
		case attempt == copyAttempts:
			return nil, fmt.Errorf("copy database %q: %w", dir, err)
		}
	}
}

// Copy is a database opened by OpenCopy.
type Copy struct {
	*DB
	dir string // of the links; empty if there are none
}

// Close closes the copy and removes its links.
func (c *Copy) Close() error {
	err := c.DB.Close()
	if c.dir != "" {
		err = errors.Join(err, os.RemoveAll(c.dir))
	}
	return err
}

// staleAfter is the age from which a copy that nobody has open is taken for one
// whose process was killed. Making a copy takes milliseconds.
const staleAfter = 10 * time.Minute

// removeStaleCopies gives back the disk space that the links of killed
// processes hold.
func (db *DB) removeStaleCopies() {
	copies, err := filepath.Glob(filepath.Join(db.dir, copyPattern))
	if err != nil {
		return // the pattern is constant
	}
	for _, c := range copies {
		info, err := os.Stat(c)
		if err != nil || db.opts.Now().Sub(info.ModTime()) < staleAfter || holder(filepath.Join(c, "LOCK")) != 0 {
			continue
		}
		if err := os.RemoveAll(c); err != nil {
			db.log.Warn("tracedb: an abandoned copy cannot be removed", "dir", c, "err", err)
		}
	}
}

// linkCopy returns a new directory in dir that holds the files of the database.
func linkCopy(dir string) (copied string, err error) {
	copied, err = os.MkdirTemp(dir, copyPattern)
	if err != nil {
		return "", fmt.Errorf("copy database: %w", err)
	}
	steps := []struct {
		wanted func(name string) bool
		put    func(from, to string) error
	}{
		// The last log is being appended to: a link, not a copy, follows it.
		{func(n string) bool { return strings.HasSuffix(n, ".log") }, os.Link},
		// A marker is an empty file whose name is its content.
		{func(n string) bool { return strings.HasPrefix(n, "marker.") }, copyFile},
		{func(n string) bool {
			return strings.HasPrefix(n, "MANIFEST-") || strings.HasPrefix(n, "OPTIONS-")
		}, copyFile},
		{func(n string) bool { return strings.HasSuffix(n, ".sst") || strings.HasSuffix(n, ".blob") }, os.Link},
	}
	for _, step := range steps {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return copied, fmt.Errorf("copy database: %w", err)
		}
		for _, e := range entries {
			if e.IsDir() || !step.wanted(e.Name()) {
				continue
			}
			err := step.put(filepath.Join(dir, e.Name()), filepath.Join(copied, e.Name()))
			// Files come and go. If one was needed, opening will tell.
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return copied, fmt.Errorf("copy database: %w", err)
			}
		}
	}
	return copied, nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
