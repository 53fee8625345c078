//go:build linux

package fault

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// diskAntagonist lets a container write to the disk that holds the services'
// data, past the page cache and synced, so that every writer waits in one queue.
type diskAntagonist struct{ target }

func (e *diskAntagonist) prepare(context.Context) error { return nil }

func (e *diskAntagonist) start(ctx context.Context) error {
	if err := os.MkdirAll(e.dir(), 0o700); err != nil {
		return err
	}
	_, err := e.antagonist(ctx, "--dir", e.dir())
	return err
}

func (e *diskAntagonist) stop(ctx context.Context) error {
	return errors.Join(e.calm(ctx), os.RemoveAll(e.dir()))
}

func (e *diskAntagonist) dir() string { return filepath.Join(e.bed.Data, e.fault.Antagonist) }
