package campaign

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// appender appends frames to a file. After an error it returns that error
// forever: what follows a hole could not be read.
type appender struct {
	f   *os.File
	w   *bufio.Writer
	buf []byte
	err error
}

func newAppender(f *os.File) *appender {
	return &appender{f: f, w: bufio.NewWriterSize(f, 256<<10)}
}

// createFrames makes a file with nothing but its header.
func createFrames(path string, m magic) (*appender, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	a := newAppender(f)
	if _, err = a.w.Write(appendFileHeader(nil, m)); err == nil {
		err = a.flush()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return a, nil
}

func (a *appender) frame(f *frame) error {
	if a.err != nil {
		return a.err
	}
	a.buf = appendFrame(a.buf[:0], f)
	_, err := a.w.Write(a.buf)
	return a.keep(err)
}

// flush hands everything to the kernel: it survives the death of the process.
func (a *appender) flush() error {
	if a.err != nil {
		return a.err
	}
	return a.keep(a.w.Flush())
}

// close flushes, waits for the disk, and closes.
func (a *appender) close() error {
	err := a.flush()
	if err == nil {
		err = a.keep(a.f.Sync())
	}
	return errors.Join(err, a.f.Close())
}

func (a *appender) keep(err error) error {
	a.err = advise(err)
	return a.err
}

// advise adds what to do about an error of the disk.
func advise(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free some space, then resume the campaign", err)
	}
	return err
}

// writeFile replaces a file: it is there whole, or as it was. The data are on
// disk when it returns.
func writeFile(path string, write func(*os.File) error) (err error) {
	tmp := path + ".tmp"
	f, err := os.Create(tmp)
	if err != nil {
		return advise(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(tmp)
			err = advise(err)
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
