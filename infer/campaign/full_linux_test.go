package campaign

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inSmallDisk runs fn on a file system of so many bytes, in a mount namespace of
// a thread of its own, which ends with it.
func inSmallDisk(t *testing.T, size string, fn func(t *testing.T, dir string)) {
	t.Helper()
	dir := t.TempDir()
	done := make(chan struct{})
	var denied error
	go func() {
		defer close(done)
		// Never unlocked: the thread is not used for anything else.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
			denied = err
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Error(err)
			return
		}
		fn(t, dir)
	}()
	<-done
	if errors.Is(denied, unix.EPERM) {
		t.Skip("a file system of its own needs CAP_SYS_ADMIN")
	} else if denied != nil {
		t.Error(denied)
	}
}

// TestDiskFull: one clear error, and once there is space again, the campaign goes
// on.
func TestDiskFull(t *testing.T) {
	inSmallDisk(t, "1m", func(t *testing.T, disk string) {
		r := newRun(t, 20*time.Minute, PlanOptions{})
		dir := filepath.Join(disk, "campaign")
		w, err := Create(dir, r.manifest, r.plan.App)
		if err != nil {
			t.Error(err)
			return
		}
		filler := filepath.Join(disk, "filler")
		if err := fill(filler); err != nil {
			t.Error(err)
			return
		}
		ms := int64(0)
		for err == nil && ms < r.manifest.DurationMS {
			for at := ms * 1000; err == nil && at < (ms+1000)*1000; at += 10_000 {
				err = w.Request(Request{IntendedUS: at, SentUS: at, LatencyUS: 5000, Type: "browse", Service: "web", Status: "ok"})
			}
			ms += 1000
		}
		const advice = "no space left on device: free some space, then resume the campaign"
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasSuffix(err.Error(), advice) || !strings.Contains(err.Error(), dir) {
			t.Errorf("requests on a full disk: %v", err)
		}
		if again := w.Request(Request{IntendedUS: ms * 1000, SentUS: ms * 1000, LatencyUS: 5000, Type: "browse", Service: "web", Status: "ok"}); again != nil && !errors.Is(again, syscall.ENOSPC) {
			t.Errorf("later requests: %v", again)
		}
		if err := w.Fault(r.plan.Faults[0]); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("a fault on a full disk: %v, must not begin", err)
		}
		for range 2 { // also when asked again
			if _, err := w.Finish(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("finish on a full disk: %v", err)
			}
		}
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
		w, resumed, err := Resume(dir)
		if err != nil {
			t.Error(err)
			return
		}
		if err := w.Fault(r.plan.Faults[0]); err != nil {
			t.Error(err)
		}
		for i := range r.manifest.Containers {
			cells := sample(i, resumed.ToMS)
			from := (resumed.ToMS + 99) / 100 * 100
			if err := w.Samples().Add(i, from*1e6, (from+100)*1e6, &cells); err != nil {
				t.Error(err)
			}
		}
		if _, err := w.Finish(); err != nil {
			t.Error(err)
		}
		if !Complete(dir) {
			t.Error("the campaign is not complete")
		}
	})
}

// TestCreateOnFullDisk leaves nothing behind.
func TestCreateOnFullDisk(t *testing.T) {
	inSmallDisk(t, "64k", func(t *testing.T, disk string) {
		r := newRun(t, time.Minute, PlanOptions{})
		filler := filepath.Join(disk, "filler")
		if err := fill(filler); err != nil {
			t.Error(err)
			return
		}
		dir := filepath.Join(disk, "campaign")
		if _, err := Create(dir, r.manifest, r.plan.App); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("create on a full disk: %v", err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
	})
}

// fill writes until there is no space.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	page := make([]byte, 4096)
	for {
		if _, err := f.Write(page); errors.Is(err, syscall.ENOSPC) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
