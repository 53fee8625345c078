//go:build linux

package bed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"seer/test/bed/host"
)

// Down removes all that there is of an application, whatever became of who
// started it. It does nothing if there is nothing.
func Down(ctx context.Context, app string, o Options) error {
	if _, err := os.Lstat(filepath.Join(o.state(app), journalFile)); errors.Is(err, fs.ErrNotExist) {
		return removeStale(o.data(app))
	}
	unlock, err := lock(o.state(app))
	if err != nil {
		return fmt.Errorf("%s: %w", app, err)
	}
	defer unlock()
	return remove(ctx, app, o)
}

// Down removes the application.
func (b *Bed) Down(ctx context.Context) error {
	defer b.Close()
	return Down(ctx, b.App.Name, Options{State: filepath.Dir(b.state), Data: filepath.Dir(b.Data)})
}

// remove is Down while the lock is held. The state directory goes last: while
// anything else is left, so is the journal that knows of it.
func remove(ctx context.Context, app string, o Options) error {
	state := o.state(app)
	entries, err := host.ReadJournal(filepath.Join(state, journalFile))
	if err != nil {
		return err
	}
	var rest []host.Entry
	for _, e := range entries {
		if e.Kind != host.KindDirectory || e.Paths[0] != state {
			rest = append(rest, e)
		}
	}
	if err := host.Remove(ctx, rest); err != nil {
		return fmt.Errorf("take %s down: %w", app, err)
	}
	return host.Remove(ctx, []host.Entry{{Kind: host.KindDirectory, Paths: []string{state}}})
}
