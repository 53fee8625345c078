//go:build linux

package servers

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// Templates are directories of databases in their first state, of which each
// server of that kind gets a copy: to make one takes seconds, to copy it a few
// tens of milliseconds.
type Templates struct {
	// Dir exists, is empty, and belongs to whom the servers run as.
	Dir string
	// Run runs a command as that user to its end.
	Run func(context.Context, *exec.Cmd) error
	// UID and GID are that user.
	UID, GID int

	mu   sync.Mutex
	made map[string]error
}

// copyTo makes the template of that name, unless it is there, and copies it into
// dir, which is empty.
func (t *Templates) copyTo(dir, name string, create func(dir string) error) error {
	from := filepath.Join(t.Dir, name)
	if err := t.once(name, from, create); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(path, from))
		switch {
		case path == from:
			return os.Chmod(to, info.Mode().Perm())
		case d.IsDir():
			err = os.Mkdir(to, info.Mode().Perm())
		case info.Mode().IsRegular():
			err = copyFile(path, to, info.Mode().Perm())
		default:
			return nil // a socket
		}
		if err != nil {
			return err
		}
		return os.Chown(to, t.UID, t.GID)
	})
}

// once makes each template once; who comes in the meantime waits.
func (t *Templates) once(name, dir string, create func(string) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err, done := t.made[name]; done {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = os.Chown(dir, t.UID, t.GID)
	}
	if err == nil {
		err = create(dir)
	}
	if err != nil {
		err = fmt.Errorf("template of %s: %w", name, err)
	}
	if t.made == nil {
		t.made = map[string]error{}
	}
	t.made[name] = err
	return err
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
