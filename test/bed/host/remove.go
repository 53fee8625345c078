//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Remove takes away all that entries of a journal name and that still exists:
// processes, then mounts, cgroups, settings, files. It goes on past errors and
// returns them all. A second call finds nothing to do.
func Remove(ctx context.Context, entries []Entry) error {
	var failed []error
	note := func(err error) {
		if err != nil {
			failed = append(failed, err)
		}
	}
	// Latest first: children before parents.
	entries = slices.Clone(entries)
	slices.Reverse(entries)
	for _, e := range entries {
		switch e.Kind {
		case KindProcess:
			kill(e.PID, e.Start)
		case KindCgroup:
			for _, dir := range e.Paths {
				killCgroup(dir)
			}
		}
	}
	for _, e := range entries {
		if e.Kind == KindCgroup {
			note(removeCgroups(ctx, e.Paths))
		}
	}
	for _, e := range entries {
		switch e.Kind {
		case KindMount:
			note(unmount(e.Paths[0]))
		case KindController:
			note(undelegate(e.Paths[0], e.Name))
		case KindCgroup, KindProcess, KindDirectory:
		}
	}
	for _, e := range entries {
		if e.Kind == KindDirectory {
			note(removeDirectory(e.Paths[0]))
		}
	}
	return errors.Join(failed...)
}

// undelegate turns a controller of cgroup v2 off again, unless the cgroup is one
// of ours and gone. Where others have come to use it in the meantime it stays.
func undelegate(dir, controller string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("-"+controller), 0)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EBUSY) {
		return nil
	}
	return fmt.Errorf("turn off the %s controller below %s: %w", controller, dir, err)
}

// unmount removes what is mounted at path, and the file that it was mounted on.
func unmount(path string) error {
	for {
		err := unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, fs.ErrNotExist) {
			break // nothing is, any more
		}
		if err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
	if err := unix.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

// removeDirectory removes a directory. What is mounted below it is unmounted
// first: a runtime mounts root file systems there, and they are not ours to empty.
func removeDirectory(path string) error {
	mounts, err := mountsBelow("/proc/self/mountinfo", path)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if err := unix.Unmount(m, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	return os.RemoveAll(path)
}

// mountsBelow lists the mount points in a directory, latest first.
func mountsBelow(mountinfo, dir string) ([]string, error) {
	text, err := os.ReadFile(mountinfo)
	if err != nil {
		return nil, err
	}
	var mounts []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if point := unescape(f[4]); strings.HasPrefix(point, dir+"/") {
			mounts = append(mounts, point)
		}
	}
	slices.Reverse(mounts)
	return mounts, nil
}

// unescape undoes the \040 and the like of mountinfo (proc(5)).
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
