//go:build linux

package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"seer/infer/campaign"
	"seer/test/bed"
)

// record says which fault an application has, in a file that outlives the
// injector. Whoever holds its lock may inject; the kernel lets go of the lock
// when the holder dies.
type record struct {
	bed  *bed.Bed
	path string
	lock *os.File
}

func newRecord(b *bed.Bed) *record {
	return &record{bed: b, path: filepath.Join(b.Data, "fault.json")}
}

// claim takes the lock.
func (r *record) claim() error {
	f, err := os.OpenFile(r.path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("%s has a fault already, one at a time: %w", r.bed.App.Name, err)
	}
	r.lock = f
	return nil
}

// release gives the lock back, if this record has it.
func (r *record) release() {
	if r.lock != nil {
		r.lock.Close()
		r.lock = nil
	}
}

// write puts a fault on record. It is on disk when write returns.
func (r *record) write(f campaign.Fault) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	file, err := os.Create(r.path + ".new")
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(r.path+".new", r.path)
}

func (r *record) remove() error {
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clear ends the fault on record, if there is one. The caller has the lock.
func (r *record) clear(ctx context.Context) error {
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var f campaign.Fault
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	left, err := newEffect(r.bed, &f)
	if err == nil {
		err = left.stop(ctx)
	}
	if err != nil {
		return fmt.Errorf("end fault %s, which was left: %w", f.Cause, err)
	}
	return r.remove()
}
