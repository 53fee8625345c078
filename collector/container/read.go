package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// What is read of files that others write. A file over its limit is refused
// whole: half a JSON document names nothing.
const (
	maxProcBytes   = 1 << 20 // mountinfo with thousands of mounts is some 100 KiB
	maxConfigBytes = 1 << 20 // an OCI config.json is 3 to 30 KiB
	maxStoreBytes  = 8 << 20 // containers.json lists every container at about 1 KiB
	maxNameRunes   = 128     // longest name shown, a Kubernetes name has at most 63 (or 253)
)

var errTooLarge = errors.New("file too large")

// readBounded reads a regular file of at most limit bytes. It follows no link
// in the last component and never blocks on a FIFO.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", path, errTooLarge, limit)
	}
	return text, nil
}

// isGone reports whether err says that a cgroup, process or file went away
// between being listed and being read. Reads of a dying process return ESRCH,
// those of a removed cgroup ENODEV.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) ||
		errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENOTDIR)
}

// printable makes text from labels and file names safe to show on a terminal
// and in a metric label: one line, no control characters, bounded.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean && len(s) <= maxNameRunes {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == maxNameRunes {
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}
